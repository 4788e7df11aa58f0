"""A journal in memory: fast, bounded, lost with the process."""

from __future__ import annotations

from journal.errors import JournalEnded, JournalFull
from journal.progress import Progress


class MemoryJournal(Progress):
    """Append-only bytes in memory, at most max_bytes of them."""

    def __init__(self, max_bytes: int) -> None:
        super().__init__()
        self._max_bytes = max_bytes
        self._bytes = bytearray()

    def append(self, data: bytes | memoryview, /) -> int:
        if self.end is not None:
            raise JournalEnded("the journal has ended")
        if self.size + len(data) > self._max_bytes:
            raise JournalFull(f"{len(data)} more bytes would exceed the limit of {self._max_bytes}")
        self._bytes += data
        self.advance(len(self._bytes))
        return self.size

    def read(self, start: int, max_bytes: int) -> bytes:
        return bytes(memoryview(self._bytes)[start : min(start + max_bytes, self.size)])

    def close(self) -> None:
        pass
