"""A fixed number of places that clients share: the quota keys get the free ones in turn.

The next free place goes to the key that holds the fewest places; of several, to the one whose
latest turn is longest ago. Requests of one key are served in their order. One key may hold only a
part of the places, so that another key finds a place however many the first has requested. Way in:
Places. May be used by any threads.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager


class Places:
    """count: of places. most_of_one: how many of them one quota key may hold at once."""

    def __init__(self, count: int, most_of_one: int) -> None:
        self.count = count
        self.most_of_one = most_of_one
        self._lock = threading.Lock()
        self._held: Counter[str] = Counter()
        # By quota key, in the order of turns; each event is set when its place is free.
        self._waiting: dict[str, deque[threading.Event]] = {}

    def enter(self, quota_key: str, wait_s: float | None = None) -> bool:
        """Take a place; wait for it at most wait_s, None without a limit.

        Return False if none was free in that time. Otherwise the caller has to leave it.
        """
        with self._lock:
            if not self._waiting and self._has_place_for(quota_key):
                self._held[quota_key] += 1
                return True
            place = threading.Event()
            self._waiting.setdefault(quota_key, deque()).append(place)
            self._give()
        try:
            if place.is_set() or (wait_s != 0 and place.wait(wait_s)):
                return True
        except BaseException:
            # The process ends.
            if not self._give_up(quota_key, place):
                self.leave(quota_key)
            raise
        return not self._give_up(quota_key, place)

    def leave(self, quota_key: str) -> None:
        """Free a place that quota_key holds."""
        with self._lock:
            self._held[quota_key] -= 1
            if not self._held[quota_key]:
                del self._held[quota_key]
            self._give()

    @contextmanager
    def place(self, quota_key: str) -> Iterator[None]:
        """Hold a place, as soon as one is free."""
        self.enter(quota_key)
        try:
            yield
        finally:
            self.leave(quota_key)

    def _has_place_for(self, quota_key: str) -> bool:
        return self._held.total() < self.count and self._held[quota_key] < self.most_of_one

    def _give(self) -> None:
        """Give the free places to the waiting callers. The caller holds the lock."""
        while may := [quota_key for quota_key in self._waiting if self._has_place_for(quota_key)]:
            quota_key = min(may, key=self._held.__getitem__)
            queue = self._waiting.pop(quota_key)
            self._held[quota_key] += 1
            queue.popleft().set()
            if queue:
                # Behind all others.
                self._waiting[quota_key] = queue

    def _give_up(self, quota_key: str, place: threading.Event) -> bool:
        """Wait no longer; return False if the place was given meanwhile."""
        with self._lock:
            if place.is_set():
                return False
            queue = self._waiting[quota_key]
            queue.remove(place)
            if not queue:
                del self._waiting[quota_key]
            return True
