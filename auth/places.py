"""So many places that several owners share: who waits gets one when it is its owner's turn.

The next place goes to the owner that holds the fewest; of those to the one whose latest turn is
longest ago; of that owner's it goes to who came first. One owner may hold only a part of the
places, so that another one finds one however many the first has asked for. Way in: Places. May be
used by any threads.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager


class Places:
    """count: how many there are. most_of_one: how many of them one owner may hold at once."""

    def __init__(self, count: int, most_of_one: int) -> None:
        self.count = count
        self.most_of_one = most_of_one
        self._lock = threading.Lock()
        self._held: Counter[str] = Counter()
        # By owner, in the order of turns; each event is set when its place is there.
        self._waiting: dict[str, deque[threading.Event]] = {}

    def enter(self, owner: str, wait_s: float | None = None) -> bool:
        """Take a place; wait for it wait_s at most, None for as long as it takes.

        False when there was none in that time. Otherwise the caller leaves it again.
        """
        with self._lock:
            if not self._waiting and self._has_place_for(owner):
                self._held[owner] += 1
                return True
            place = threading.Event()
            self._waiting.setdefault(owner, deque()).append(place)
            self._give()
        try:
            if place.is_set() or (wait_s != 0 and place.wait(wait_s)):
                return True
        except BaseException:
            # The process stops.
            if not self._give_up(owner, place):
                self.leave(owner)
            raise
        return not self._give_up(owner, place)

    def leave(self, owner: str) -> None:
        """Free a place that owner has entered."""
        with self._lock:
            self._held[owner] -= 1
            if not self._held[owner]:
                del self._held[owner]
            self._give()

    @contextmanager
    def place(self, owner: str) -> Iterator[None]:
        """Hold a place, once there is one."""
        self.enter(owner)
        try:
            yield
        finally:
            self.leave(owner)

    def _has_place_for(self, owner: str) -> bool:
        return self._held.total() < self.count and self._held[owner] < self.most_of_one

    def _give(self) -> None:
        """Give the places that are free to those who wait. With the lock."""
        while may := [owner for owner in self._waiting if self._has_place_for(owner)]:
            owner = min(may, key=self._held.__getitem__)
            queue = self._waiting.pop(owner)
            self._held[owner] += 1
            queue.popleft().set()
            if queue:
                # Behind all others.
                self._waiting[owner] = queue

    def _give_up(self, owner: str, place: threading.Event) -> bool:
        """Wait no longer; False when the place has come meanwhile."""
        with self._lock:
            if place.is_set():
                return False
            queue = self._waiting[owner]
            queue.remove(place)
            if not queue:
                del self._waiting[owner]
            return True
