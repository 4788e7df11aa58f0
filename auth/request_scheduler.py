"""Which request begins next: those of one quota key in their order, and the keys in turn.

One computes at a time: they share a processor anyway, so none is later for having waited until
the one before it was done. But a client that asks for little is served after one request of each
other key, and not after all that a flood has sent. Everything is called on the threads of one
process that take turns (green ones). Way in: RequestScheduler; wherever a request is about to wait,
turn_paused, or end_turn if it computes no more afterwards.

Which turn a thread has is a context variable, no argument: what waits (a native thread, a lock, a
body) is far below what took the turn, and most of what lies between serves commands and tests, too.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from typing import Any

# A request that is not done by then waits for something, as a slow disk, and holds up no other.
LEASE_S = 0.05
# What goes on without waiting gives the others their turn after this.
TURN_S = 0.005


class Turn:
    """A request's. come: released when it may begin, if it had to wait long enough to need it."""

    __slots__ = ("come", "has_begun", "quota_key", "scheduler")

    def __init__(self, scheduler: RequestScheduler, quota_key: str) -> None:
        self.scheduler = scheduler
        self.quota_key = quota_key
        self.has_begun = False
        self.come: threading.Lock | None = None


_mine: ContextVar[Turn | None] = ContextVar("turn", default=None)
_quota_key: ContextVar[str] = ContextVar("quota_key", default="")


def quota_key_of_turn() -> str:
    """Return the key of the turn that this thread has had last, "" for the server's own work."""
    return _quota_key.get()


def act_for(quota_key: str) -> None:
    """Have what this thread does from now on count as quota_key's, though it takes no turn."""
    _quota_key.set(quota_key)


def end_turn() -> None:
    """Let the next begin: what this thread was asked is answered, or waits for something.

    Again is harmless.
    """
    turn = _mine.get()
    if turn is not None:
        _mine.set(None)
        turn.scheduler.give(turn)


@contextmanager
def turn_paused() -> Iterator[None]:
    """Let others have their turn while this thread waits in here; then wait for the next one.

    No turn follows if there was none, or if the thread or its request is ended meanwhile.
    """
    turn = _mine.get()
    end_turn()
    try:
        yield
    except Exception:
        # The answer that tells of it is computed, too.
        _take_again(turn)
        raise
    _take_again(turn)


def turn_for_reading(body: Any) -> AbstractContextManager[None]:
    """Return the context to read a request's body in: turn_paused if that waits in its turn.

    body: the request's `wsgi.input`. The worker's tells by `waits_in_turn`; others do not wait.
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

        Return whether it had to wait.
        """
        end_turn()
        act_for(quota_key)
        turn = Turn(self, quota_key)
        waits = bool(self._waiting) or self._is_taken()
        self._wait(turn, is_next=not waits)
        _mine.set(turn)
        return waits

    def keep(self, quota_key: str) -> None:
        """Have a turn of quota_key's: the one that this thread has, or else the next."""
        turn = _mine.get()
        if turn is None or turn.quota_key != quota_key:
            self.take(quota_key)

    @contextmanager
    def turn_of(self, quota_key: str) -> Iterator[None]:
        """Have a turn of quota_key's inside, which may end earlier."""
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
        """Have a turn of quota_key's, the present one or the next, for what comes in pieces.

        until_s: what was returned the last time, or by when the others are to have theirs; 0.0 for
        at once. Return by when, on the monotonic clock.
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
        """Let the next begin, unless it has already; for end_turn."""
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
                # What has come by now waits, too, be it of others. Otherwise each that computes
                # without a pause would begin and end before the next is looked at: none would wait.
                time.sleep(0)
                if not self._is_taken():
                    self._begin_next()
            if not turn.has_begun:
                # Most requests need none. An Event would cost as much as the rest of this.
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
        """Let the next begin whenever the lease of the one before it is over, while any wait."""
        while self._waiting:
            left_s = self._until_s - time.monotonic()
            if left_s <= 0:
                self._begin_next()
            else:
                time.sleep(left_s)
        self._is_timed = False
