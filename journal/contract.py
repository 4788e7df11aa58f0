"""The contract of journals of bytes.

A journal is a sequence of bytes that only grows, and then ends: Complete, or Failed.

Order: a byte once readable at a position never changes. Durability: depends on the kind (memory:
none; disk: the page cache at once, the disk when complete). Blocking: `wait` blocks, `append` and
`read` take as long as their memory or file takes. Threads: one appends, any number read and wait;
in a green process all of them are green threads.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol


class Complete(NamedTuple):
    """The journal is whole.

    sha256: of all its bytes, in hexadecimal; None where it was not computed.
    """

    sha256: str | None = None


class Failed(NamedTuple):
    """The journal stopped before its end and will never be whole.

    code: one word for programs, e.g. `disk_full`. message: a sentence for people.
    """

    code: str
    message: str


End = Complete | Failed


class Journal(Protocol):
    """Append-only bytes with positions."""

    @property
    def size(self) -> int:
        """The number of bytes that can be read: the positions 0 <= i < size."""

    @property
    def end(self) -> End | None:
        """How it ended, None while it can still grow."""

    def append(self, data: bytes | memoryview, /) -> int:
        """Add bytes at the end and return the new size.

        Raises JournalFull (nothing of data is kept; the journal stays open) or JournalEnded.
        """

    def finish(self, end: End) -> None:
        """End it; a second end changes nothing."""

    def read(self, start: int, max_bytes: int) -> bytes:
        """Return up to max_bytes from start, at least one byte if start < size, else b"".

        Raises JournalFailed when bytes of it were lost.
        """

    def wait(self, position: int, timeout_s: float) -> bool:
        """Block until it has grown past position or ended; False after timeout_s."""

    def close(self) -> None:
        """Free what reading holds. Another read opens it again."""
