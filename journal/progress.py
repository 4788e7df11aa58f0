"""The size and the end of a journal, with waiting: shared by all kinds of journal."""

from __future__ import annotations

import threading

from journal.contract import End


class Progress:
    """A size that grows and an end, with waiting. Any number of threads may wait."""

    def __init__(self, size: int = 0, end: End | None = None) -> None:
        self.size = size
        self.end = end
        self._changed = threading.Condition()

    def advance(self, size: int) -> None:
        """Note that it has grown to size bytes; a size that is not larger changes nothing."""
        with self._changed:
            if size > self.size:
                self.size = size
                self._changed.notify_all()

    def finish(self, end: End) -> None:
        """Note its end; a second end changes nothing."""
        with self._changed:
            if self.end is None:
                self.end = end
                self._changed.notify_all()

    def wait(self, position: int, timeout_s: float) -> bool:
        """Block until size > position or there is an end; False after timeout_s."""
        with self._changed:
            return self._changed.wait_for(
                lambda: self.size > position or self.end is not None, timeout_s
            )
