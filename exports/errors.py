"""What can go wrong with a request for an export."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class ExportError(Exception):
    """Any error of this package. detail: what programs may want to know besides the message.

    ExportError
    +-- QueueFull         too many exports are waiting already
    +-- OwnerQueueFull    too many of one owner are
    +-- ExportsFull       too many exports may still be resumed
    +-- OwnerExportsFull  too many of one owner may
    +-- RecordingGone     its bytes are not retained
    +-- UnknownFormat     nothing is exported in this format and compression
    +-- TooManyColumns    the format holds fewer
    +-- TooManyRows       the format holds fewer
    """

    def __init__(self, message: str, detail: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.detail = detail or {}


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


class ExportsFull(ExportError):
    """`count` exports are in use or may still be resumed, and that is the bound of all."""

    def __init__(self, count: int) -> None:
        super().__init__(
            f"{count} exports are in use or wait for their clients, and that is the most"
        )
        self.count = count


class OwnerExportsFull(ExportError):
    """`count` exports of one owner are in use or may still be resumed, and that is its bound."""

    def __init__(self, count: int) -> None:
        what = f"{count} of your exports are in use or wait for you to fetch or resume them"
        super().__init__(f"{what}; fetch or DELETE some, or wait an hour")
        self.count = count


class RecordingGone(ExportError):
    """The export's bytes are not there: it failed, was cancelled or discarded, or made room."""


class UnknownFormat(ExportError):
    """No format and compression has this extension."""


class TooManyColumns(ExportError):
    """The format holds fewer columns than are selected."""


class TooManyRows(ExportError):
    """The format holds fewer rows than are selected."""
