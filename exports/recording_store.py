"""What every recording store promises: bytes by the id of their export, and records beside them.

A recorder writes a recording in its own process, to a `target`; here it is read. Thread-safe.
The store waits for its disk or network, not its callers: `remove` and all changes of records return
at once, and are done in the order of the calls. `wait` waits for them. Do not call `wait` or `stop`
under a lock. `ids`, `find` and all reads of records may block, too, and are for the start.

DiskStore (exports/disk_store.py) is the first kind; exports/recording.py has the writer of each.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, Protocol

from journal import End, Journal


class RecordingTarget(NamedTuple):
    """Where a recorder writes a recording: plain data, which crosses to its process as JSON.

    kind: of store. address: what that kind understands. scratch: a folder for rows that wait to be
    encoded.
    """

    kind: str
    address: str
    scratch: str


class Recording(Journal, Protocol):
    """A journal that a recorder writes: its reports advance this side of it, and finish it."""

    def advance(self, size: int) -> None:
        """Take in that it has this many bytes now."""


class Found(NamedTuple):
    """A recording that is there. is_being_written: some process has it open for writing."""

    size: int
    is_being_written: bool


class ExportRecords(Protocol):
    """A text for each export, from which the next start knows it again; the caller makes them.

    Beside them are stems: the first characters of the ids of exports that are not remembered.
    """

    def ids(self) -> Iterable[str]:
        """Return the id of every export with a record, first the one written the longest ago."""

    def read(self, export_id: str) -> bytes:
        """Return a record, b"" for one that cannot be read."""

    def write(self, export_id: str, text: str) -> None:
        """Write a record in place of the one before. One that cannot be written is logged."""

    def remove(self, export_id: str) -> None:
        """Remove a record, if there is one; the id is not used again."""

    def forgotten(self) -> Iterable[str]:
        """Return all stems that were noted."""

    def note_forgotten(self, stem: str) -> None:
        """Note a stem, for good."""


class RecordingStore(Protocol):
    """See the module."""

    @property
    def records(self) -> ExportRecords:
        """The records of exports."""

    def start(self) -> None:
        """Make what it needs; from now on it works beside its callers."""

    def wait(self) -> None:
        """Wait until all that was asked for before is done, or 30 s."""

    def stop(self, timeout_s: float) -> None:
        """Wait for what was asked for, and end. Later calls do their work at once."""

    def ids(self) -> Iterable[str]:
        """Return the id of every recording that has bytes."""

    def find(self, export_id: str) -> Found | None:
        """Return what there is of a recording, None without any bytes."""

    def open(self, export_id: str, *, size: int = 0, end: End | None = None) -> Recording:
        """Return a recording to be read, also one that is still to be written.

        size, end: what is known of one that was written earlier. Its `append` is for the writer.
        """

    def target(self, export_id: str) -> RecordingTarget:
        """Return where the recorder of this export is to create and write it."""

    def remove(self, export_id: str) -> None:
        """Remove the bytes of a recording, if there are any. A reader that has it open reads on."""
