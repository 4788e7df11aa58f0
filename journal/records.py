"""The contract of journals of records, in which event logs keep topics.

A record is a line: bytes that end with b"\\n" and have no other. Records are numbered from 1
without a hole; the number is the record's ordinal and never changes. The oldest are evicted: beyond
max_records and max_bytes by `append` (memory) or by `expire`, beyond max_age_s by `expire`.

Each record holds its id and its time; a Layout finds them. Ids are bytes that sort in the order of
the records, times are seconds that never decrease from one record to the next.

Order: what `read` returns at an ordinal never changes. Durability: once `append` has returned, as
the kind says (memory: none; disk: on the disk). Blocking: run_native runs what may wait for the
disk; everything else is memory. Threads: one caller appends or expires at a time; any number read,
also meanwhile; in a green process all are green threads.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol


class Layout(NamedTuple):
    """Finds what a journal sorts and retains records by.

    id_of: the record's id, as bytes. time_s_of: its time in seconds. Both raise ValueError for
    bytes that are no record.
    """

    id_of: Callable[[bytes], bytes]
    time_s_of: Callable[[bytes], float]


class Retention(NamedTuple):
    """What a journal keeps at most. max_bytes: of all its records."""

    max_records: int
    max_age_s: float
    max_bytes: int


class Bounds(NamedTuple):
    """The records first to last are kept.

    first: last + 1 when none is kept. last: the newest that can be read, 0 before the first; it
    never decreases. size_bytes: of what is kept (disk: up to a block more). evicted: the id of the
    newest evicted record; b"" when there was none, None when it is not known (any more).
    """

    first: int
    last: int
    size_bytes: int
    evicted: bytes | None


class Records(Protocol):
    """Append-only lines with ordinals.

    Where records are lost or cannot be read, `read`, `after`, `since` and `expire` raise
    JournalFailed; `after` the id before such a hole returns the first record behind it.
    """

    @property
    def first(self) -> int:
        """The ordinal of the oldest kept record; last + 1 when there is none."""

    @property
    def last(self) -> int:
        """The ordinal of the newest record, 0 before the first; it never decreases."""

    @property
    def size_bytes(self) -> int:
        """The bytes of the kept records (disk: up to a block more)."""

    @property
    def evicted(self) -> bytes | None:
        """The id of the newest record that was evicted; None when that is not known (any more).

        b"" when there was none: first is 1.
        """

    def bounds(self) -> Bounds:
        """Return all of these in one call."""

    def append(self, lines: Sequence[bytes]) -> int:
        """Keep the lines, all or none, and return the new last.

        Raises JournalFull when there is no room, or when one line alone is more than max_bytes;
        nothing of lines is kept then.
        """

    def read(self, start: int, max_bytes: int) -> list[bytes]:
        """Return the records from ordinal start on, in order, of together up to max_bytes.

        At least one when first <= start <= last, however large. [] when start is not kept (any
        more, or yet): compare with `first` again.
        """

    def after(self, record_id: bytes) -> int:
        """Return the ordinal of the first kept record with a greater id; last + 1 if none has."""

    def since(self, time_s: float) -> int:
        """Return the ordinal of the first kept record of that time or later; last + 1 if none."""

    def expire(self, now_s: float) -> int:
        """Evict records beyond the retention; return how many.

        Count and age are exact; by bytes, the disk kind keeps up to a block too much.
        """

    def close(self) -> None:
        """Free descriptors and memory. Nothing else is called after it."""
