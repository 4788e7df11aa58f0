"""A reader: a cursor over a journal that yields what comes after it, also what comes later.

Way in: Reader. It holds no bytes but the chunk it hands out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from journal.contract import Failed, Journal
from journal.errors import JournalFailed, ReaderLeft

# Larger chunks are no quicker over loopback (measured at 64, 128, 256 and 512 KiB), smaller ones
# cost a system call each.
CHUNK_BYTES = 256 * 1024

# How often a reader that waits looks whether anybody is still there to read for.
PRESENCE_CHECK_S = 0.5


class Reader:
    """Iterate over the bytes start <= i < stop of a journal, following it while it grows.

    An item is 1 to CHUNK_BYTES bytes. stop: None reads to the journal's end. has_left: asked while
    there is nothing to read; True ends the reader. on_close: called once, with this reader.

    Raises JournalFailed when the journal fails before stop, ReaderLeft when has_left says so.
    The caller that makes a reader closes it; `position` is where it has come to.
    """

    def __init__(
        self,
        journal: Journal,
        start: int = 0,
        stop: int | None = None,
        *,
        has_left: Callable[[], bool] = lambda: False,
        on_close: Callable[[Reader], None] = lambda reader: None,
    ) -> None:
        self.journal = journal
        self.position = start
        self.stop = stop
        self._has_left = has_left
        self._on_close: Callable[[Reader], None] | None = on_close

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
