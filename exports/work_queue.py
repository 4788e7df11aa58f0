"""A work queue: what a disk does for a store, one after another, in the order of the calls.

Nothing that holds a lock waits for the disk; a caller that needs a result on the disk waits for it
after it has released the lock. Way in: WorkQueue.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from queue import SimpleQueue

from journal import RunNative

log = logging.getLogger(__name__)

# Returns what is to be logged as a warning, if anything: it may run where logging has no place.
Work = Callable[[], str | None]

# A disk that does not answer holds up nobody for longer.
PATIENCE_S = 30.0


class WorkQueue:
    """See the module. Thread-safe. run_native: runs what may wait for the disk.

    `ask` may be called under any lock: it starts no thread and takes no lock that the garbage
    collector, which closes forgotten readers, could find taken. Before `start` and after `stop`
    work is done at once.
    """

    def __init__(self, run_native: RunNative) -> None:
        self._run_native = run_native
        self._left: SimpleQueue[Work | threading.Event | None] = SimpleQueue()
        self._is_started = False

    def start(self) -> None:
        self._is_started = True
        threading.Thread(target=self._run, name="exports work", daemon=True).start()

    def stop(self, timeout_s: float) -> None:
        """Wait until all that was asked for is done, and end."""
        self.wait(timeout_s)
        self._is_started = False
        self._left.put(None)

    def ask(self, work: Work) -> None:
        """Have work done after all that was asked for before. Does not wait."""
        if self._is_started:
            self._left.put(work)
        else:
            self._do(work)

    def wait(self, timeout_s: float = PATIENCE_S) -> None:
        """Wait until all that was asked for before is done. Not under a lock."""
        if self._is_started:
            done = threading.Event()
            self._left.put(done)
            done.wait(timeout_s)

    def _run(self) -> None:
        while (work := self._left.get()) is not None:
            if isinstance(work, threading.Event):
                work.set()  # here: no native thread can wake one of the hub's
            else:
                self._do(work)

    def _do(self, work: Work) -> None:
        try:
            warning = self._run_native(work)
        except Exception:
            # One mistake must not hold up what waits behind it.
            log.exception("work failed")
        else:
            if warning is not None:
                log.warning("%s", warning)
