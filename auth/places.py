"""So many places that clients share: the next free one goes to a quota key whose turn it is.

That is the key that holds the fewest places; of several the one whose latest turn is longest ago.
Within a key the first to come is the first served. One key may hold only a part of the places, so
that another one finds a place however many the first has asked for. Way in: Places. May be
used by any threads.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager


class Places:
    """count: how many there are. most_of_one: how many of them one quota key may hold at once."""

    def __init__(self, count: int, most_of_one: int) -> None:
        self.count = count
        self.most_of_one = most_of_one
        self._lock = threading.Lock()
        self._held: Counter[str] = Counter()
        # By quota key, in the order of turns; each event is set when its place is there.
        self._waiting: dict[str, deque[threading.Event]] = {}

    def enter(self, quota_key: str, wait_s: float | None = None) -> bool:
        """Take a place; wait for it wait_s at most, None for as long as it takes.

        False when there was none in that time. Otherwise the caller leaves it again.
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
            # The process stops.
            if not self._give_up(quota_key, place):
                self.leave(quota_key)
            raise
        return not self._give_up(quota_key, place)

    def leave(self, quota_key: str) -> None:
        """Free a place that quota_key has entered."""
        with self._lock:
            self._held[quota_key] -= 1
            if not self._held[quota_key]:
                del self._held[quota_key]
            self._give()

    @contextmanager
    def place(self, quota_key: str) -> Iterator[None]:
        """Hold a place, once there is one."""
        self.enter(quota_key)
        try:
            yield
        finally:
            self.leave(quota_key)

    def _has_place_for(self, quota_key: str) -> bool:
        return self._held.total() < self.count and self._held[quota_key] < self.most_of_one

    def _give(self) -> None:
        """Give the free places to those that wait. With the lock."""
        while may := [quota_key for quota_key in self._waiting if self._has_place_for(quota_key)]:
            quota_key = min(may, key=self._held.__getitem__)
            queue = self._waiting.pop(quota_key)
            self._held[quota_key] += 1
            queue.popleft().set()
            if queue:
                # Behind all others.
                self._waiting[quota_key] = queue

    def _give_up(self, quota_key: str, place: threading.Event) -> bool:
        """Wait no longer; False when the place has come meanwhile."""
        with self._lock:
            if place.is_set():
                return False
            queue = self._waiting[quota_key]
            queue.remove(place)
            if not queue:
                del self._waiting[quota_key]
            return True
