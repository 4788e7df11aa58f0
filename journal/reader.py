"""A reader of a journal of bytes: a cursor that follows the journal while it grows.

Way in: ByteReader. It holds no bytes but the chunk that it returns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from journal.contract import Failed, Journal
from journal.errors import JournalFailed, ReaderLeft

# Larger chunks are no faster over loopback (measured at 64, 128, 256 and 512 KiB), smaller ones
# cost a system call each.
CHUNK_BYTES = 256 * 1024

# How often a reader that waits checks whether its client is still there.
PRESENCE_CHECK_S = 0.5


class ByteReader:
    """Iterate over the bytes start <= i < stop of a journal, following it while it grows.

    An item is 1 to CHUNK_BYTES bytes. stop: None reads to the journal's end. has_left: called while
    there is nothing to read; True ends the reader. on_close: called once, with this reader.
    `position` is the next byte.

    Raises JournalFailed when the journal fails before stop, ReaderLeft when has_left returns True.
    The caller that makes a reader closes it.
    """

    def __init__(
        self,
        journal: Journal,
        start: int = 0,
        stop: int | None = None,
        *,
        has_left: Callable[[], bool] = lambda: False,
        on_close: Callable[[ByteReader], None] = lambda reader: None,
    ) -> None:
        self.journal = journal
        self.position = start
        self.stop = stop
        self._has_left = has_left
        self._on_close: Callable[[ByteReader], None] | None = on_close

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        wanted = CHUNK_BYTES if self.stop is None else min(CHUNK_BYTES, self.stop - self.position)
        if wanted <= 0 or not self._has_more():
            raise StopIteration
        chunk = self.journal.read(self.position, wanted)
        self.position += len(chunk)
        return chunk

    def _has_more(self) -> bool:
        journal = self.journal
        while not journal.wait(self.position, PRESENCE_CHECK_S):
            if self._has_left():
                raise ReaderLeft("the client has left")
        if journal.size > self.position:
            return True
        if isinstance(journal.end, Failed):
            raise JournalFailed(*journal.end)
        return False

    def close(self) -> None:
        if self._on_close is not None:
            on_close, self._on_close = self._on_close, None
            on_close(self)
