"""The files of a log: the growing one, and the files that rotation has left beside it.

A link that leads out of the log's folder is not followed, as in a served folder, unless the
catalogue allows it with `links`. Everything here may wait for a disk. Way in: PlainFile,
Rotated.open, rotated_files, likely_files.
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
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from sources.errors import NoSuchFile
from sources.folders.folder import open_beneath

log = logging.getLogger(__name__)

# Lines of logs begin with a time: two files with so many equal bytes are the same.
HEAD_BYTES = 1024

# access.log.1, access.log.2.gz, access.log-20240131, access.log.2024-01-31_10, access.log.old
_ROTATED = re.compile(r"[._-]([0-9][0-9T:._-]*|old)(\.gz)?")
# Before the extension only a date or a time: access-20240131.log.gz, access.2024-01-31.0.log,
# access-2016-11-04T18-30-00.000.log. access.1.log may be the log of another process.
_YEAR = "(19|20)[0-9]{2}"
_DATED = re.compile(
    rf"[._-]+({_YEAR}[._-][0-9]{{2}}|{_YEAR}[01][0-9][0-3][0-9]|1[0-9]{{9}}"
    rf"|[0-9]{{1,2}}[._-][0-9]{{1,2}}[._-]{_YEAR}(?![0-9]))[0-9TZ:._-]*"
)
# A smaller number counts rotations; a larger one is a date or a time, or the year of one.
_MOST_ROTATIONS = 1900
# How often the folder is read again while rotation changes it.
MOST_LOOKS = 5
# At most so many files are opened to find the one that was the log.
_MOST_LIKELY = 200

# Identifies a file whatever its name: device and inode.
Identity = tuple[int, int]
NO_FILE: Identity = (0, 0)

_READ = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
LEADS_OUT = "a link leads out of its folder; `links = true` in the catalogue would follow it"


class AtWork(OSError):
    """Rotation changed the folder while it was read: the result is not of one moment."""

    def __init__(self) -> None:
        super().__init__(errno.EAGAIN, "rotation is at work")


class PlainFile:
    """A regular file that is open for reading, until it is closed.

    Raises OSError, also if it is not a regular file.
    """

    is_gzip = False
    is_damaged = False

    def __init__(self, path: Path, *, links: bool = False) -> None:
        self._fd = _open(path, links=links)
        if not stat.S_ISREG(self.stat().st_mode):
            os.close(self._fd)
            raise OSError(errno.EINVAL, "it is no regular file")
        self.identity = identity_of(self.stat())

    def stat(self) -> os.stat_result:
        return os.fstat(self._fd)

    def twin(self) -> int:
        """Return another descriptor of it, which the caller closes."""
        return os.dup(self._fd)

    def read(self, start: int, length: int) -> bytes:
        """Return the bytes from start on, fewer than length only at the end."""
        parts = []
        while length and (part := os.pread(self._fd, length, start)):
            parts.append(part)
            start += len(part)
            length -= len(part)
        return b"".join(parts)

    def skip_hole(self, start: int) -> int:
        """Return where the file's next data on the disk begins behind start, at most the end."""
        try:
            return os.lseek(self._fd, start, os.SEEK_DATA)
        except OSError:
            return start

    def close(self) -> None:
        os.close(self._fd)


class GzippedFile:
    """A compressed file; offsets are those of its content. Best read from front to back.

    is_damaged: it could not be read to its end.
    """

    is_gzip = True
    is_damaged = False

    def __init__(self, path: Path, *, links: bool = False) -> None:
        self._path = path
        self._raw = PlainFile(path, links=links)
        self.identity = self._raw.identity
        self._file = open(self._raw.twin(), "rb")  # noqa: SIM115 (close closes it)
        self._gzip = gzip.GzipFile(fileobj=self._file)

    def stat(self) -> os.stat_result:
        return self._raw.stat()

    def read(self, start: int, length: int) -> bytes:
        """Return the bytes from start on, fewer than length only at the end or where it is torn."""
        try:
            return self._gzip.read(length) if self._gzip.seek(start) == start else b""
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            self.is_damaged = True
            log.warning("file=%s error=damaged start=%d reason=%s", self._path, start, error)
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
    links: bool = False

    @property
    def identity(self) -> Identity:
        return identity_of(self.status)

    def open(self) -> LogBytes | None:
        """Return the file, open; None if another one is already in its place. Raises OSError."""
        kind = GzippedFile if self.path.suffix == ".gz" else PlainFile
        opened = kind(self.path, links=self.links)
        if opened.identity == self.identity:
            return opened
        opened.close()
        return None


def open_now(rotated: Rotated, *, grows: bool = True) -> LogBytes:
    """Open a file that was found a moment ago. Raises AtWork if it is not there now, and OSError.

    grows: it may be longer by now. Otherwise a longer file is another one with the same inode.
    """
    try:
        opened = rotated.open()
    except FileNotFoundError as error:
        raise AtWork from error
    if opened is None:
        raise AtWork
    if not grows and content_of(opened.stat()) != content_of(rotated.status):
        opened.close()
        raise AtWork
    return opened


class Fingerprint(NamedTuple):
    """A digest of the first bytes of a file, and their number."""

    length: int
    digest: str

    @classmethod
    def of(cls, head: bytes) -> Fingerprint:
        return cls(len(head), hashlib.sha256(head).hexdigest())

    def is_of(self, file: LogBytes) -> bool:
        """Does file begin with these bytes?"""
        return Fingerprint.of(file.read(0, self.length)) == self


def content_of(status: os.stat_result) -> tuple[int, ...]:
    """Return values that change when a file is written to, or another one gets its inode."""
    return *identity_of(status), status.st_size, status.st_mtime_ns


def identity_of(status: os.stat_result) -> Identity:
    return status.st_dev, status.st_ino


def find_log(path: Path, *, links: bool = False) -> os.stat_result | None:
    """Return the status of the log, None if there is no regular file."""
    with contextlib.suppress(OSError):
        status = path.stat(follow_symlinks=links)
        if stat.S_ISLNK(status.st_mode):
            with contextlib.closing(PlainFile(path)) as file:
                return file.stat()
        return status if stat.S_ISREG(status.st_mode) else None
    return None


def why_not(path: Path, *, links: bool = False) -> str:
    """Return why there is no log at path, "" if there is one."""
    try:
        PlainFile(path, links=links).close()
    except OSError as error:
        return error.strerror or str(error)
    return ""


def _open(path: Path, *, links: bool) -> int:
    """Return a descriptor of path, which need not be a regular file. Never waits for a pipe."""
    if links:
        return os.open(path, _READ)
    try:
        return os.open(path, _READ | os.O_NOFOLLOW)
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
    try:
        return open_beneath(path.parent, path.name)
    except NoSuchFile as error:
        raise OSError(errno.ELOOP, LEADS_OUT) from error


def rotated_files(
    path: Path, known: Identity = NO_FILE, shapes: set[str] | None = None, *, links: bool = False
) -> list[Rotated]:
    """Return the files that rotation has left of the log at path, the oldest first.

    known: of a file that was the log. If its present name has no known form, files that are named
    after the log, and like this file except for the digits, count too. shapes: the forms of such
    names, to which this one is added.

    Numbers count backwards, dates forwards; if both are there, the last write decides. A file that
    is there both plain and compressed is being compressed, and counts as plain.

    All files were there at one moment; raises AtWork if there was no such moment.
    """
    return _at_rest(
        path, known, lambda entries: _rotated_among(entries, path, known, shapes, links)
    )


def _at_rest(
    path: Path, known: Identity, look: Callable[[list[tuple[str, int]]], list[Rotated]]
) -> list[Rotated]:
    """Return the result of look for the entries beside path, while none of them changes."""
    stem = path.name.removesuffix(path.suffix)

    def alike(entries: list[tuple[str, int]]) -> list[tuple[str, int]]:
        return [each for each in entries if stem in each[0] or each[1] == known[1]]

    for _ in range(MOST_LOOKS):
        entries = _entries_of(path)
        found = look(entries)
        if alike(entries) == alike(_entries_of(path)):
            return found
    raise AtWork


def _rotated_among(
    entries: list[tuple[str, int]],
    path: Path,
    known: Identity,
    shapes: set[str] | None,
    links: bool,
) -> list[Rotated]:
    shapes = set() if shapes is None else shapes
    unusual = [name for name, inode in entries if inode == known[1] and not _is_rotated(path, name)]
    shapes |= {_shape_of(name) for name in unusual if _is_file(path.parent / name, known, links)}
    found: dict[str, Rotated] = {}
    for name, _ in entries:
        is_like_it = _shape_of(name) in shapes and path.name.removesuffix(path.suffix) in name
        if _is_rotated(path, name) or is_like_it:
            plain = name.removesuffix(".gz")
            rotated = _look_at(path.parent / name, links)
            # After sorting, the plain file comes first.
            if rotated is not None and plain not in found:
                found[plain] = rotated
    marks = {plain: _mark_of(path, plain) for plain in found}
    is_counted = {len(mark) == 1 and mark[0] < _MOST_ROTATIONS for mark in marks.values()}
    if is_counted == {True}:
        counted = sorted(found, key=marks.__getitem__)
        if not _is_forwards(path, counted, found):
            counted.reverse()
        return [found[plain] for plain in counted]
    # 2024-01-31 and any single number; 31-01-2024 does not sort by time.
    if is_counted == {False} and all(
        mark and mark[0] >= _MOST_ROTATIONS for mark in marks.values()
    ):
        return [found[plain] for plain in sorted(found, key=marks.__getitem__)]
    return sorted(found.values(), key=lambda rotated: rotated.status.st_mtime_ns)


def likely_files(path: Path, known: Identity, *, links: bool = False) -> list[Rotated]:
    """Return other files that may have been the log at path, the likeliest last.

    Their content has to decide. known: of a file that was the log, under any name. Others begin
    with the log's name. Raises AtWork, as rotated_files does.
    """
    return _at_rest(path, known, lambda entries: _likely_among(entries, path, known, links))


def _likely_among(
    entries: list[tuple[str, int]], path: Path, known: Identity, links: bool
) -> list[Rotated]:
    stem = path.name.removesuffix(path.suffix)
    likely = []
    for name, inode in entries:
        is_alike = name.startswith(stem) and not name[len(stem) :][:1].isalnum()
        if (is_alike or inode == known[1]) and not _is_rotated(path, name):
            rotated = _look_at(path.parent / name, links)
            if rotated is not None and (is_alike or rotated.identity == known):
                likely.append(rotated)
    likely.sort(key=lambda rotated: (rotated.identity == known, rotated.status.st_mtime_ns))
    return likely[-_MOST_LIKELY:]


def _entries_of(path: Path) -> list[tuple[str, int]]:
    """Return the names beside path, sorted, each with its inode."""
    with contextlib.suppress(OSError), os.scandir(path.parent) as entries:
        return sorted((entry.name, entry.inode()) for entry in entries if entry.name != path.name)
    return []


def _is_file(path: Path, known: Identity, links: bool) -> bool:
    rotated = _look_at(path, links)
    return rotated is not None and rotated.identity == known


def _look_at(path: Path, links: bool) -> Rotated | None:
    status = find_log(path, links=links)
    return None if status is None else Rotated(path, status, links)


def _is_rotated(path: Path, name: str) -> bool:
    """Is name of a form that rotation is known to give to the log at path?"""
    stem, extension = path.name.removesuffix(path.suffix), path.suffix
    if name.startswith(path.name) and _ROTATED.fullmatch(name[len(path.name) :]):
        return True
    plain = name.removesuffix(".gz")
    mark = plain[len(stem) : len(plain) - len(extension)]
    return plain == stem + mark + extension and _DATED.fullmatch(mark) is not None


def _shape_of(name: str) -> str:
    return re.sub("[0-9]+", "0", name.removesuffix(".gz"))


def _mark_of(path: Path, plain: str) -> tuple[int, ...]:
    """Return the numbers in the name, without those of the log's own name."""
    for own in (path.name, path.name.removesuffix(path.suffix)):
        if plain.startswith(own):
            plain = plain[len(own) :].removesuffix(path.suffix)
    return tuple(map(int, re.findall("[0-9]{1,18}", plain)))


def _is_forwards(path: Path, counted: Sequence[str], found: Mapping[str, Rotated]) -> bool:
    """Do names like app.1.log, which some libraries give, have larger numbers for later files?"""
    times = [found[plain].status.st_mtime_ns for plain in counted]
    is_usual = any(plain.startswith(path.name) for plain in counted)
    return not is_usual and times[0] < times[-1] and all(a <= b for a, b in pairwise(times))
