"""Interrupts overdue statements, also in the middle of a long step.

One thread beside the native ones that run them. Way in: StatementWatch, which the entry starts.
"""

from __future__ import annotations

import threading

from sources.kinds import interrupt_overdue

EVERY_S = 0.1


class StatementWatch:
    """See the module."""

    def __init__(self) -> None:
        self._stopped = threading.Event()

    def start(self) -> None:
        threading.Thread(target=self._run, name="statement watch", daemon=True).start()

    def stop(self) -> None:
        self._stopped.set()

    def _run(self) -> None:
        while not self._stopped.wait(EVERY_S):
            interrupt_overdue()
