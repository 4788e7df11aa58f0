"""The service that others use: the queue of exports, their states, their bytes, and their list.

streaming/ and sockets/ use ExportService and its arguments and results (ExportSpec, Export, Point,
View, the errors), and nothing else of this room but the reader of specs and the definitions; a test
holds that. Exports (exports/exports.py) is the first kind; one that asks another process could
stand behind the same contract.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from exports.export import Export
from exports.spec import ExportSpec
from journal import ByteReader
from wire.ranges import RangeSpec

_POINT = re.compile(r"(?P<requested>[0-9]{1,12}\.[0-9]{1,9})_(?P<id>[0-9a-f]{24})")


class View(NamedTuple):
    """The exports of one definition of a source. visibility_key: None for those of all keys."""

    definition: str
    visibility_key: str | None


class Point(NamedTuple):
    """The place of an export in the order of asking; it may be forgotten meanwhile."""

    requested_s: float
    id: str

    @classmethod
    def of(cls, export: Export) -> Point:
        return cls(export.requested_s, export.id)

    @classmethod
    def read(cls, text: str) -> Point | None:
        """Return the point that str() wrote, None when it is none."""
        found = _POINT.fullmatch(text)
        return cls(float(found["requested"]), found["id"]) if found else None

    def __str__(self) -> str:
        return f"{self.requested_s:.7f}_{self.id}"


class ExportService(Protocol):
    """See the module. Thread-safe. Only `submit`, `find` and `cancel` may wait for a disk.

    An Export is changed by the service only; others read it, and see it change.
    """

    def submit(
        self, spec: ExportSpec, *, background: bool, owner: str = "", delivers: bool = False
    ) -> Export:
        """Return an export for spec: one that has the same bytes if there is one, or a new one.

        background: it is to go on with no reader. owner: the principal that asks, whose turn it is
        to take. delivers: a client is to get its bytes now. A new one is written down when this
        returns. Raises QueueFull, OwnerQueueFull, ExportsFull or OwnerExportsFull.
        """

    def find(self, spec: ExportSpec) -> Export | None:
        """Return the export that submit would share, None when it would make a new one."""

    def get(self, export_id: str) -> Export | None:
        """Return the export with this id, None where none is remembered."""

    def page(
        self, views: Sequence[View], before: Point | None, limit: int
    ) -> tuple[list[Export], int]:
        """Return so many exports of the views, newest first, and how many the views have.

        before: the point behind which the page begins, None for the newest.
        """

    def made_at(self, address: str) -> list[Export]:
        """Return the exports of an address, of any data and state, that have had bytes.

        Newest first.
        """

    def resumable(self, address: str, ranges: Sequence[RangeSpec]) -> Export | None:
        """Return the export that a bare Range goes on with (exports/resumption.py), or None."""

    def undecided(self, address: str, ranges: Sequence[RangeSpec]) -> Export | None:
        """Return the export that may become resumable (exports/resumption.py), or None."""

    def is_untouched(self, address: str) -> bool:
        """Is it certain that no client has any byte of this address, of whatever definition?"""

    def read(
        self,
        export: Export,
        start: int = 0,
        stop: int | None = None,
        *,
        has_left: Callable[[], bool] = lambda: False,
        delivers: bool = True,
    ) -> ByteReader:
        """Return a reader of its bytes; while there is one, they are retained.

        start, stop, has_left: as journal.ByteReader's. delivers: a client is to get them.
        Raises RecordingGone.
        """

    def cancel(self, export: Export) -> None:
        """End an export now and free what it holds; one that has ended loses its bytes."""

    def queue_position(self, export: Export) -> int | None:
        """Return its place in the queue, 1 for the next; None when it does not wait."""

    def slowest_reader(self, export: Export) -> int | None:
        """Return how many bytes the reader furthest behind has; None with no reader."""

    def states(self) -> Counter[str]:
        """Return how many exports are in each state."""

    def size_bytes(self) -> int:
        """Return the size of all recordings that are retained."""

    def sent_bytes(self) -> int:
        """Return how many bytes of exports clients have been sent so far."""
