"""What can go wrong when an export is asked for."""

from __future__ import annotations


class ExportError(Exception):
    """Any error of this package.

    ExportError
    +-- QueueFull         too many exports are waiting already
    +-- OwnerQueueFull    too many of one owner are
    +-- RecordingGone     its bytes are not kept any more
    """


class QueueFull(ExportError):
    """`waiting` exports are in the queue already, and that is the bound."""

    def __init__(self, waiting: int) -> None:
        exports = "1 export is" if waiting == 1 else f"{waiting} exports are"
        super().__init__(f"{exports} waiting already")
        self.waiting = waiting


class OwnerQueueFull(ExportError):
    """`waiting` exports of one owner are in the queue already, and that is the bound of each."""

    def __init__(self, waiting: int) -> None:
        exports = "1 of your exports is" if waiting == 1 else f"{waiting} of your exports are"
        super().__init__(f"{exports} waiting already; one has to start first")
        self.waiting = waiting


class RecordingGone(ExportError):
    """The export's bytes are not there: it failed, was cancelled or discarded, or made room."""
