"""A trial: a recording that ends without a trace unless it is short.

Until it has passed nothing is written and nothing is reported. The kernel ends the process when its
time is over, whatever it is doing then. Way in: Trial.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any

# Processor time does not grow while it waits: for a lock, then perhaps for a disk.
OPEN_WALL_S, READ_WALL_S = 0.5, 2.0
# How a process ends that has waited, for that or for its turn on a busy processor.
WAITED = -signal.SIGALRM

Report = Callable[[dict[str, Any]], None]


class Trial:
    """See the module. It begins when it is made: the process has so much processor time."""

    def __init__(self, chance_s: float) -> None:
        self._reports: list[dict[str, Any]] = []
        self._written: list[bytes] = []
        # What these send ends a process that has no handler for it.
        signal.setitimer(signal.ITIMER_PROF, chance_s)
        signal.setitimer(signal.ITIMER_REAL, OPEN_WALL_S)

    def opened(self) -> None:
        """It has its snapshot: what it waits for now, if for anything, is a disk."""
        signal.setitimer(signal.ITIMER_REAL, READ_WALL_S)

    def report(self, fields: dict[str, Any]) -> None:
        """Keep a report for later."""
        self._reports.append(fields)

    def write(self, data: bytes | memoryview, /) -> None:
        """Keep bytes for later: some MB at most, as the time is short."""
        self._written.append(bytes(data))

    def end(self) -> tuple[list[dict[str, Any]], list[bytes]]:
        """Stop the clocks; return what was to be reported and what was to be written."""
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
        return self._reports, self._written
