"""The one-second tick as clients see it: its content, and when each of them had it.

Way in: Ticks.on_text for a Crowd; lateness for the result.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping

from benchmarks.crowd import Member

PERIOD_S = 1.0
_TICK = re.compile(rb"Server time: ([0-9.]{1,30}), Count: ([0-9]{1,12})")


class Ticks:
    """Every tick that came. Times are unix seconds; server and clients share the machine's clock.

    served_at: the time that tick n names, by n. arrivals: (n, when), for each client and tick.
    """

    def __init__(self) -> None:
        self.served_at: dict[int, float] = {}
        self.arrivals: list[tuple[int, float]] = []
        self._numbers: dict[bytes, int] = {}

    def on_text(self, member: Member, frame: bytes, text: bytes) -> None:
        """Note a tick; other texts are none of ours."""
        number = self._numbers.get(text)
        if number is None:
            found = _TICK.search(text)
            if found is None:
                return
            number = self._numbers[text] = int(found[2])
            self.served_at.setdefault(number, float(found[1]))
        self.arrivals.append((number, time.time()))


def anchor(served_at: Mapping[int, float]) -> float:
    """Return when tick 0 was due, given when each was served: at or after its due time.

    So the least late one tells; a clock that drifts away from whole periods is late ever more.
    """
    return min(at_s - number * PERIOD_S for number, at_s in served_at.items())


def lateness(ticks: Iterable[tuple[int, float]], anchored_at: float) -> list[float]:
    """Return how many seconds each (number, when) was after it was due."""
    return [at_s - anchored_at - number * PERIOD_S for number, at_s in ticks]
