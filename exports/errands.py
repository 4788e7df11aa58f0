"""Errands: what the disk does for the runner, one after another, in the order of asking.

Nothing that holds a lock waits for the disk; what needs a result on the disk waits for it after.
Way in: Errands.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from queue import SimpleQueue

from journal import RunNative, run_here

log = logging.getLogger(__name__)

# Returns what is to be logged as a warning, if anything: it may run where logging has no place.
Work = Callable[[], str | None]

# A disk that does not answer holds up nobody for longer.
PATIENCE_S = 30.0


class Errands:
    """See the module. Thread-safe. run_native: runs what may wait for the disk.

    `ask` may be called under any lock: it starts no thread and takes no lock that the garbage
    collector, which closes forgotten readers, could find taken. Before `start` and after `stop`
    work is done at once.
    """

    def __init__(self, run_native: RunNative) -> None:
        self._run_native = run_native
        self._left: SimpleQueue[Work | threading.Event | None] = SimpleQueue()
        self._is_at_work = False

    def start(self) -> None:
        self._is_at_work = True
        threading.Thread(target=self._run, name="errands", daemon=True).start()

    def stop(self, timeout_s: float) -> None:
        """Wait until all that was asked for is done, and end."""
        self.wait(timeout_s)
        self._is_at_work = False
        self._left.put(None)

    def ask(self, work: Work) -> None:
        """Have work done after all that was asked for before. Does not wait."""
        if self._is_at_work:
            self._left.put(work)
        else:
            do(work, self._run_native)

    def wait(self, timeout_s: float = PATIENCE_S) -> None:
        """Wait until all that was asked for before is done. Not under a lock."""
        if self._is_at_work:
            done = threading.Event()
            self._left.put(done)
            done.wait(timeout_s)

    def _run(self) -> None:
        while (work := self._left.get()) is not None:
            if isinstance(work, threading.Event):
                work.set()  # here: no native thread can wake one of the hub's
            else:
                do(work, self._run_native)


def do(work: Work, run_native: RunNative = run_here) -> None:
    """Do work now, and log what it says."""
    try:
        warning = run_native(work)
    except Exception:
        # One mistake must not hold up what waits behind it.
        log.exception("errand failed")
    else:
        if warning is not None:
            log.warning("%s", warning)
