"""Which request begins next: requests of one quota key in their order, and the keys in turn.

One request computes at a time: all share a processor anyway, so none ends later because it waited
until the one before was done. But a client with few requests is served after one request of each
other key, and not after all requests of a flood. Everything is called on the green threads of one
process. Way in: RequestScheduler; before a request waits, turn_paused, or end_turn if it does not
compute afterwards.

The turn of a thread is a context variable, not an argument: the code that waits (for a native
thread, a lock, a body) is far below the code that took the turn, and most of the code between them
serves commands and tests, too.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from typing import Any

# A request that takes longer waits for something, such as a slow disk, and holds up no other
# request.
LEASE_S = 0.05
# Work that continues without waiting lets the others have their turn after this time.
TURN_S = 0.005


class Turn:
    """A request's turn. come: released when the request may begin; None if it need not wait."""

    __slots__ = ("come", "has_begun", "quota_key", "scheduler")

    def __init__(self, scheduler: RequestScheduler, quota_key: str) -> None:
        self.scheduler = scheduler
        self.quota_key = quota_key
        self.has_begun = False
        self.come: threading.Lock | None = None


_mine: ContextVar[Turn | None] = ContextVar("turn", default=None)
_quota_key: ContextVar[str] = ContextVar("quota_key", default="")


def quota_key_of_turn() -> str:
    """Return the key of the last turn of this thread, "" for the server's own work."""
    return _quota_key.get()


def act_for(quota_key: str) -> None:
    """Count the work of this thread under quota_key from now on, though it takes no turn."""
    _quota_key.set(quota_key)


def end_turn() -> None:
    """Let the next request begin: the one of this thread is answered, or waits for something.

    A second call does nothing.
    """
    turn = _mine.get()
    if turn is not None:
        _mine.set(None)
        turn.scheduler.give(turn)


@contextmanager
def turn_paused() -> Iterator[None]:
    """Let others have their turn while this thread waits inside; then wait for the next turn.

    No turn follows if the thread had none, or if the thread or its request is ended meanwhile.
    """
    turn = _mine.get()
    end_turn()
    try:
        yield
    except Exception:
        # The answer that reports the error is computed in a turn, too.
        _take_again(turn)
        raise
    _take_again(turn)


def turn_for_reading(body: Any) -> AbstractContextManager[None]:
    """Return the context for reading a request's body: turn_paused if a read waits in its turn.

    body: the request's `wsgi.input`. The worker's has `waits_in_turn`; others do not wait.
    """
    waits_in_turn = getattr(body, "waits_in_turn", bool)
    return turn_paused() if waits_in_turn() else nullcontext()


def _take_again(turn: Turn | None) -> None:
    if turn is not None:
        turn.scheduler.take(turn.quota_key)


class RequestScheduler:
    """See the module."""

    def __init__(self) -> None:
        self._waiting: dict[str, deque[Turn]] = {}
        self._now: Turn | None = None
        self._until_s = 0.0
        self._is_timed = False

    def take(self, quota_key: str) -> bool:
        """Wait until a request of quota_key may begin; then it is this thread's turn.

        Return whether the request had to wait.
        """
        end_turn()
        act_for(quota_key)
        turn = Turn(self, quota_key)
        waits = bool(self._waiting) or self._is_taken()
        self._wait(turn, is_next=not waits)
        _mine.set(turn)
        return waits

    def keep(self, quota_key: str) -> None:
        """Take a turn of quota_key: the present turn of this thread, or else the next one."""
        turn = _mine.get()
        if turn is None or turn.quota_key != quota_key:
            self.take(quota_key)

    @contextmanager
    def turn_of(self, quota_key: str) -> Iterator[None]:
        """Hold a turn of quota_key inside; the turn may end earlier."""
        self.take(quota_key)
        try:
            yield
        finally:
            end_turn()

    def end(self) -> None:
        """As end_turn."""
        end_turn()

    def reading(self, body: Any) -> AbstractContextManager[None]:
        """As turn_for_reading."""
        return turn_for_reading(body)

    def go_on(self, quota_key: str, until_s: float) -> float:
        """Take a turn of quota_key, the present one or the next, for work that comes in pieces.

        until_s: the value returned the last time, which is when the others get their turn; 0.0 for
        at once. Return that time, on the monotonic clock.
        """
        is_over = time.monotonic() > until_s
        if _mine.get() is not None and not is_over:
            return until_s
        end_turn()
        if is_over:
            time.sleep(0)
        has_waited = self.take(quota_key)
        return time.monotonic() + TURN_S if has_waited or is_over else until_s

    def give(self, turn: Turn) -> None:
        """Let the next request begin, unless it already has; for end_turn."""
        if turn is self._now:
            self._now = None
            self._begin_next()

    def _is_taken(self) -> bool:
        return self._now is not None and time.monotonic() < self._until_s

    def _begin(self, turn: Turn) -> None:
        self._now, self._until_s = turn, time.monotonic() + LEASE_S
        turn.has_begun = True

    def _begin_next(self) -> None:
        if not self._waiting:
            return
        quota_key = next(iter(self._waiting))
        queue = self._waiting.pop(quota_key)
        turn = queue.popleft()
        if queue:
            # Behind all others.
            self._waiting[quota_key] = queue
        self._begin(turn)
        if turn.come is not None:
            turn.come.release()

    def _wait(self, turn: Turn, *, is_next: bool) -> None:
        self._waiting.setdefault(turn.quota_key, deque()).append(turn)
        try:
            if is_next:
                # Requests that have arrived by now wait as well, also those of other keys.
                # Otherwise each request that computes without a pause would begin and end before
                # the next is seen, and none would wait.
                time.sleep(0)
                if not self._is_taken():
                    self._begin_next()
            if not turn.has_begun:
                # Most requests need no lock. An Event would cost as much as the rest of this
                # function.
                come = threading.Lock()
                come.acquire()
                turn.come = come
                self._end_leases_beside()
                come.acquire()
        except BaseException:
            # The process stops.
            self._leave(turn)
            raise

    def _end_leases_beside(self) -> None:
        if not self._is_timed:
            self._is_timed = True
            threading.Thread(target=self._end_leases, name="request scheduler", daemon=True).start()

    def _leave(self, turn: Turn) -> None:
        queue = self._waiting.get(turn.quota_key, deque())
        if turn in queue:
            queue.remove(turn)
            if not queue:
                del self._waiting[turn.quota_key]
        self.give(turn)

    def _end_leases(self) -> None:
        """Let the next request begin when the lease of the one before is over, while any wait."""
        while self._waiting:
            left_s = self._until_s - time.monotonic()
            if left_s <= 0:
                self._begin_next()
            else:
                time.sleep(left_s)
        self._is_timed = False
