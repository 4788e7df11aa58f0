"""A journal in a file: as large as the disk allows, written by this process or by another.

The writer calls `append`. Where another process writes, `advance` reports how far it has come and
`finish` how it ended; readers see no difference.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from journal.contract import Complete, End
from journal.descriptor import Descriptor, read_cached
from journal.errors import FULL, JournalEnded, JournalFailed, JournalFull
from journal.native import RunNative, run_here
from journal.progress import Progress


class DiskJournal(Progress):
    """Append-only bytes in the file at path.

    size, end: of a journal that was written earlier. run_native: runs the reads that wait for the
    disk; bytes in the page cache are read on the caller's thread.
    """

    def __init__(
        self,
        path: Path,
        *,
        size: int = 0,
        end: End | None = None,
        run_native: RunNative = run_here,
    ) -> None:
        super().__init__(size, end)
        self.path = path
        self._run_native = run_native
        self._read_from: Descriptor | None = None
        self._write_fd: int | None = None

    def append(self, data: bytes | memoryview, /) -> int:
        if self.end is not None:
            raise JournalEnded("the journal has ended")
        if self._write_fd is None:
            self._write_fd = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._write_fd, fcntl.LOCK_EX)
        start = self.size
        view = memoryview(data)
        try:
            while view:
                view = view[os.pwrite(self._write_fd, view, start + len(data) - len(view)) :]
        except OSError as error:
            os.ftruncate(self._write_fd, start)
            if error.errno in FULL:
                raise JournalFull(os.strerror(error.errno)) from error
            raise
        self.advance(start + len(data))
        return self.size

    def finish(self, end: End) -> None:
        if self._write_fd is not None:
            if isinstance(end, Complete):
                os.fsync(self._write_fd)
            os.close(self._write_fd)
            self._write_fd = None
        super().finish(end)

    def read(self, start: int, max_bytes: int) -> bytes:
        length = min(max_bytes, self.size - start)
        if length <= 0:
            return b""
        file = self._read_from or self._open()
        data = read_cached(file.fd, start, length) or self._run_native(
            lambda: os.pread(file.fd, length, start)
        )
        if not data:
            raise JournalFailed("torn", "the recording was truncated")
        return data

    def _open(self) -> Descriptor:
        try:
            opened = self._run_native(self._open_now)
        except FileNotFoundError as error:
            raise JournalFailed("torn", "the recording was removed") from error
        # Another reader may have been quicker.
        self._read_from = self._read_from or opened
        return self._read_from

    def _open_now(self) -> Descriptor:
        # Not by os.open: in a patched process it makes a hub for each native thread.
        with open(self.path, "rb", buffering=0) as file:
            return Descriptor(os.dup(file.fileno()))

    def close(self) -> None:
        self._read_from = None


def is_being_written(path: Path) -> bool:
    """Does some process have the journal at path open for writing?"""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False
