"""A journal in memory: quick, bounded, gone with the process."""

from __future__ import annotations

from journal.contract import End
from journal.errors import JournalEnded, JournalFull
from journal.progress import Progress


class MemoryJournal:
    """Append-only bytes in memory, at most max_bytes of them."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._bytes = bytearray()
        self._progress = Progress()

    @property
    def size(self) -> int:
        return self._progress.size

    @property
    def end(self) -> End | None:
        return self._progress.end

    def append(self, data: bytes | memoryview, /) -> int:
        if self.end is not None:
            raise JournalEnded("the journal has ended")
        if self.size + len(data) > self._max_bytes:
            raise JournalFull(f"{len(data)} bytes more would pass the bound of {self._max_bytes}")
        self._bytes += data
        self._progress.advance(len(self._bytes))
        return self.size

    def finish(self, end: End) -> None:
        self._progress.finish(end)

    def read(self, start: int, max_bytes: int) -> bytes:
        return bytes(memoryview(self._bytes)[start : min(start + max_bytes, self.size)])

    def wait(self, position: int, timeout_s: float) -> bool:
        return self._progress.wait(position, timeout_s)

    def close(self) -> None:
        pass
