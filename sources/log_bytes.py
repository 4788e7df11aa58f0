"""The files of a log: the one that grows, and those that rotation has left beside it.

Everything here may wait for a disk. Way in: PlainFile, Rotated.open, rotated_files.
"""

from __future__ import annotations

import contextlib
import errno
import gzip
import hashlib
import logging
import os
import re
import stat
import zlib
from pathlib import Path
from typing import NamedTuple

log = logging.getLogger(__name__)

# Lines of logs begin with a time: two files that agree in so much are the same.
HEAD_BYTES = 1024

# access.log.1, access.log.2.gz, access.log-20240131, access.log.2024-01-31_10, access.log.old
_ROTATED = re.compile(r"[._-]([0-9][0-9T:._-]*|old)(\.gz)?")
# What is smaller counts rotations, what is larger is a date or a time.
_MOST_ROTATIONS = 10_000

# Which file it is, whatever its name: device and inode.
Identity = tuple[int, int]
NO_FILE: Identity = (0, 0)


class PlainFile:
    """A regular file that is open to be read, as long as it is not closed.

    Raises OSError, also for what is no regular file.
    """

    is_gzip = False

    def __init__(self, path: Path) -> None:
        # Without waiting, for somebody may have put a pipe there.
        self._fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        if not stat.S_ISREG(self.stat().st_mode):
            os.close(self._fd)
            raise OSError(errno.EINVAL, "it is no regular file")
        self.identity = identity_of(self.stat())

    def stat(self) -> os.stat_result:
        return os.fstat(self._fd)

    def read(self, start: int, length: int) -> bytes:
        """Return the bytes from start on, fewer than length only at the end."""
        parts = []
        while length and (part := os.pread(self._fd, length, start)):
            parts.append(part)
            start += len(part)
            length -= len(part)
        return b"".join(parts)

    def skip_hole(self, start: int) -> int:
        """Return where behind start there is something on the disk, at most the end."""
        try:
            return os.lseek(self._fd, start, os.SEEK_DATA)
        except OSError:
            return start

    def close(self) -> None:
        os.close(self._fd)


class GzippedFile:
    """A compressed file; offsets are those of what is in it. Best read from front to back."""

    is_gzip = True

    def __init__(self, path: Path) -> None:
        self._raw = PlainFile(path)
        self.identity = self._raw.identity
        self._file = open(path, "rb")  # noqa: SIM115 (close closes it)
        self._gzip = gzip.GzipFile(fileobj=self._file)

    def stat(self) -> os.stat_result:
        return self._raw.stat()

    def read(self, start: int, length: int) -> bytes:
        """Return the bytes from start on, fewer than length only at the end or where it is torn."""
        try:
            return self._gzip.read(length) if self._gzip.seek(start) == start else b""
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            log.warning("file=%s error=damaged start=%d reason=%s", self._file.name, start, error)
            return b""

    def skip_hole(self, start: int) -> int:
        return start

    def close(self) -> None:
        self._gzip.close()
        self._file.close()
        self._raw.close()


LogBytes = PlainFile | GzippedFile


class Rotated(NamedTuple):
    """A file beside the log. status: of the file when it was looked for."""

    path: Path
    status: os.stat_result

    @property
    def identity(self) -> Identity:
        return identity_of(self.status)

    def open(self) -> LogBytes | None:
        """Return it open, None when there is another one in its place already. Raises OSError."""
        opened = GzippedFile(self.path) if self.path.suffix == ".gz" else PlainFile(self.path)
        if opened.identity == self.identity:
            return opened
        opened.close()
        return None


class Fingerprint(NamedTuple):
    """Of the first bytes of a file, so many."""

    length: int
    digest: str

    @classmethod
    def of(cls, head: bytes) -> Fingerprint:
        return cls(len(head), hashlib.sha256(head).hexdigest())

    def is_of(self, file: LogBytes) -> bool:
        """Does file begin so?"""
        return Fingerprint.of(file.read(0, self.length)) == self


def identity_of(status: os.stat_result) -> Identity:
    return status.st_dev, status.st_ino


def find_log(path: Path) -> os.stat_result | None:
    """Return the status of the log, None where there is no regular file."""
    with contextlib.suppress(OSError):
        status = path.stat()
        return status if stat.S_ISREG(status.st_mode) else None
    return None


def rotated_files(path: Path) -> list[Rotated]:
    """Return what rotation has left of the log at path, the oldest first.

    Numbers count backwards, dates forwards; where both are there, the last write decides. What is
    there both as it was and compressed is being compressed, and counts as it was.
    """
    found: dict[str, Rotated] = {}
    for name in sorted(_names_in(path.parent)):
        if name.startswith(path.name) and _ROTATED.fullmatch(name[len(path.name) :]):
            plain = name.removesuffix(".gz")
            with contextlib.suppress(OSError):
                status = (path.parent / name).stat()
                # Sorted, the plain one comes first.
                if stat.S_ISREG(status.st_mode) and plain not in found:
                    found[plain] = Rotated(path.parent / name, status)
    marks = {plain: _mark_of(plain[len(path.name) + 1 :]) for plain in found}
    is_counted = {len(mark) == 1 and mark[0] < _MOST_ROTATIONS for mark in marks.values()}
    if is_counted == {True}:
        return [found[plain] for plain in sorted(found, key=marks.__getitem__, reverse=True)]
    if is_counted == {False} and all(marks.values()):
        return [found[plain] for plain in sorted(found, key=marks.__getitem__)]
    return sorted(found.values(), key=lambda rotated: rotated.status.st_mtime_ns)


def _names_in(folder: Path) -> list[str]:
    with contextlib.suppress(OSError):
        return [path.name for path in folder.iterdir()]
    return []


def _mark_of(suffix: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall("[0-9]{1,18}", suffix)))
