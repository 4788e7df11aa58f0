"""Callbacks that are called every second, counted from when each was added, as long as it wants.

Due times are counted from the start, not from the last call, so delays do not add up. One thread
serves all. Way in: Ticker.add; the entry starts it. seconds: the same for one loop.
"""

from __future__ import annotations

import heapq
import itertools
import logging
import threading
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

log = logging.getLogger(__name__)

EVERY_S = 1.0


def seconds(sleep: Callable[[float], None]) -> Iterator[int]:
    """Yield 1 in a second, 2 in two …; a second that has passed already is left out.

    sleep: waits for so many seconds.
    """
    began_s = time.monotonic()
    count = 0
    while True:
        count = max(count, int((time.monotonic() - began_s) / EVERY_S)) + 1
        sleep(max(0.0, began_s + count * EVERY_S - time.monotonic()))
        yield count


class _Beat(NamedTuple):
    """The nth call of beat, due at due_s; order decides between calls of one moment."""

    due_s: float
    order: int
    nth: int
    beat: Callable[[int], bool]


class Ticker:
    """See the module. Times are of the monotonic clock."""

    def __init__(self) -> None:
        self._due: list[_Beat] = []
        self._orders = itertools.count()
        self._changed = threading.Condition()
        self._stopped = False

    def add(self, beat: Callable[[int], bool]) -> None:
        """Call beat(1) in a second, beat(2) in two …, until it returns False. It must not wait.

        A call that is more than a second late is skipped, and so is its number.
        """
        with self._changed:
            due_s = time.monotonic() + EVERY_S
            heapq.heappush(self._due, _Beat(due_s, next(self._orders), 1, beat))
            self._changed.notify()

    def start(self) -> None:
        """Start the thread. Called once, by a process entry."""
        threading.Thread(target=self._run, name="ticker", daemon=True).start()

    def stop(self) -> None:
        with self._changed:
            self._stopped = True
            self._changed.notify()

    def _run(self) -> None:
        while (beat := self._wait_for_next()) is not None:
            due_s, order, nth, call = beat
            try:
                goes_on = call(nth)
            except Exception:
                log.exception("a beat failed")
                goes_on = True
            if goes_on:
                missed = max(0, int((time.monotonic() - due_s) / EVERY_S))
                after = _Beat(due_s + (missed + 1) * EVERY_S, order, nth + missed + 1, call)
                with self._changed:
                    heapq.heappush(self._due, after)

    def _wait_for_next(self) -> _Beat | None:
        """Return the next beat once it is due; None after stop()."""
        with self._changed:
            while not self._stopped:
                wait_s = self._due[0].due_s - time.monotonic() if self._due else None
                if wait_s is not None and wait_s <= 0:
                    return heapq.heappop(self._due)
                self._changed.wait(wait_s)
        return None
