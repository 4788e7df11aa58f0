"""A folder that is served: the files and listings below it, and nothing outside of it.

Names are followed one at a time, from descriptor to descriptor, so no link leads out, even if it is
created meanwhile. Everything here may wait for a disk.
Way in: Folder. Source: path_resolution(7); openat2(2), whose RESOLVE_BENEATH this is.
"""

from __future__ import annotations

import copy
import errno
import hashlib
import os
import stat
import time
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from sources.errors import (
    FileChanged,
    FolderGone,
    IsAFile,
    IsAFolder,
    MalformedPath,
    NoSuchFile,
    Unreadable,
)
from sources.folders.cached_open import CachedOpen
from sources.grain import is_settled
from sources.own_files import OwnFiles

# The kernel's limit: more are a cycle.
MAX_LINKS = 40

# The size of one read in confirm.
CONFIRM_BYTES = 256 * 1024

_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_READ_FOLDER = _READ | os.O_DIRECTORY


class Version(NamedTuple):
    """The version of a file's content: another one after every change, also of permissions."""

    device: int
    inode: int
    size: int
    modified_ns: int
    changed_ns: int

    @classmethod
    def of(cls, status: os.stat_result) -> Version:
        return cls(
            status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
        )

    def digest(self) -> str:
        """Return 24 hexadecimal digits that identify it without revealing inode numbers."""
        return hashlib.blake2b(repr(tuple(self)).encode(), digest_size=12).hexdigest()

    def is_settled(self, now_s: float) -> bool:
        """Would every later change show? (modified_ns does not count: programs can set it.)"""
        return is_settled(self.changed_ns, now_s)


class DirectoryEntry(NamedTuple):
    """A file or folder in a folder, or the target of a link.

    version: of a file, None for a folder.
    """

    name: str
    is_link: bool
    version: Version | None
    modified_s: float

    @property
    def is_folder(self) -> bool:
        return self.version is None

    @property
    def size(self) -> int:
        """Bytes; 0 for a folder."""
        return self.version.size if self.version else 0


class OpenFile:
    """A regular file, open for reading, by one reader at a time. version: when it was opened.

    A change may not show in a version that is not settled, so its bytes are read twice: if both
    reads are equal, the bytes are those of the moment between them.
    """

    def __init__(self, descriptor: int, status: os.stat_result) -> None:
        self.descriptor = descriptor
        self.version = Version.of(status)
        self.modified_s = status.st_mtime
        self._unconfirmed: _UnconfirmedRead | None = None

    def read(self, size: int, position: int) -> bytes:
        """Return the bytes from position on, fewer than size only at the end of the file.

        The read at the end of the file confirms all. Raises as confirm.
        """
        # Before the read: a later change then shows, or the read is confirmed.
        is_settled = self.version.is_settled(time.time())
        content = self._read(size, position)
        if not is_settled and content:
            if self._unconfirmed is not None and self._unconfirmed.stop != position:
                self.confirm()
            self._unconfirmed = self._unconfirmed or _UnconfirmedRead(position)
            self._unconfirmed.add(content)
        self.check()
        if position + len(content) >= self.version.size:
            self.confirm()
        return content

    def read_cached(self, size: int, position: int) -> bytes | None:
        """Return size bytes at position if all are cached, None where the disk is needed."""
        if not self.version.is_settled(time.time()):
            return None
        buffer = bytearray(size)
        with suppress(OSError):  # the file system has no such read, or nothing is cached
            if os.preadv(self.descriptor, [buffer], position, os.RWF_NOWAIT) == size:
                self.check()
                return bytes(buffer)
        return None

    @property
    def is_unconfirmed(self) -> bool:
        """Are there bytes to confirm before the last of them is sent?"""
        return self._unconfirmed is not None

    def confirm(self) -> None:
        """Raise FileChanged unless all bytes read are of one moment. May wait for a disk."""
        first, self._unconfirmed = self._unconfirmed, None
        if first is not None:
            again = _UnconfirmedRead(first.start)
            while size := min(CONFIRM_BYTES, first.stop - again.stop):
                again.add(self._read(size, again.stop))
            if again.digest() != first.digest():
                raise FileChanged("the file was changed while it was read")
        self.check()

    def check(self) -> None:
        """Raise FileChanged if a change of the content shows."""
        if Version.of(os.fstat(self.descriptor)) != self.version:
            raise FileChanged("the file was changed while it was read")

    def duplicate(self) -> OpenFile:
        """Return another OpenFile of the same content, to be closed on its own."""
        duplicate = copy.copy(self)
        duplicate.descriptor = os.dup(self.descriptor)
        duplicate._unconfirmed = None
        return duplicate

    def close(self) -> None:
        os.close(self.descriptor)

    def _read(self, size: int, position: int) -> bytes:
        """Return size bytes at position, fewer only at the end of the version."""
        left = min(size, self.version.size - position)
        parts = []
        while left > 0:
            part = os.pread(self.descriptor, left, position)
            if not part:
                # True for files of sysfs, possible on network file systems.
                raise FileChanged(f"the file ends at byte {position} of {self.version.size}")
            parts.append(part)
            position += len(part)
            left -= len(part)
        return b"".join(parts)


class _UnconfirmedRead:
    """The bytes start <= i < stop, read of a version that was not settled."""

    def __init__(self, start: int) -> None:
        self.start = self.stop = start
        self._hash = hashlib.blake2b(digest_size=16)

    def add(self, content: bytes) -> None:
        """Continue with content, which begins at stop."""
        self._hash.update(content)
        self.stop += len(content)

    def digest(self) -> bytes:
        return self._hash.digest()


class Folder:
    """See the module. hidden: whether names with a dot at the start are served.

    instance: the folder with the server's own files, which are not served; None for none.
    """

    def __init__(
        self, name: str, path: Path, *, hidden: bool = False, instance: Path | None = None
    ) -> None:
        self.name = name
        self.path = path
        self.hidden = hidden
        self.instance = instance
        self.own = OwnFiles(instance)
        self._cached = CachedOpen(path)

    def open_cached(self, path: str) -> OpenFile | None:
        """Return the file at path without waiting for a disk, None where `open` is needed.

        Raises MalformedPath.
        """
        names = self._names(path)
        if not self.hidden and any(name.startswith(".") for name in names):
            return None
        descriptor = self._cached.open(path)
        if descriptor is None:
            return None
        status = os.fstat(descriptor)
        if stat.S_ISREG(status.st_mode):
            return OpenFile(descriptor, status)
        os.close(descriptor)
        return None

    def open(self, path: str) -> OpenFile:
        """Return the file at path, names joined by `/`; the caller closes it.

        Raises MalformedPath, FolderGone, NoSuchFile, IsAFolder, Unreadable.
        """
        self._cached.look()
        descriptor, status = self._walk(self._names(path))
        if stat.S_ISDIR(status.st_mode):
            os.close(descriptor)
            raise IsAFolder("this is a folder: with a / at its end, its address lists it")
        return OpenFile(descriptor, status)

    def open_folder(self, path: str) -> int:
        """Return a descriptor of the folder at path, "" for itself; the caller closes it.

        Raises MalformedPath, FolderGone, NoSuchFile, IsAFile, Unreadable.
        """
        descriptor, status = self._walk(self._names(path) if path else [])
        if not stat.S_ISDIR(status.st_mode):
            os.close(descriptor)
            raise IsAFile("this is a file: without the / at its end, its address is right")
        return descriptor

    def entries(self, path: str = "") -> list[DirectoryEntry]:
        """Return the served entries of the folder at path, in no order.

        Raises MalformedPath, FolderGone, NoSuchFile, IsAFile, Unreadable.
        """
        return [entry for _, entry in self.look(path) if entry is not None]

    def look(
        self, path: str = "", *, only_readable: bool = False
    ) -> Iterator[tuple[str, DirectoryEntry | None]]:
        """Yield each name in the folder at path and its entry, None if it is not served.

        Hidden names are left out. only_readable: None also for entries that the server may not
        read. Raises as entries.
        """
        is_trusted = not only_readable or os.geteuid() == 0
        descriptor = self.open_folder(path)
        names = path.split("/") if path else []
        try:
            with os.scandir(descriptor) as found:
                for each in found:
                    name = each.name
                    if name.startswith(".") and not self.hidden:
                        continue
                    entry = self._entry(names, each)
                    if not is_trusted and not _may_read(name, descriptor):
                        entry = None
                    yield name, entry
        finally:
            os.close(descriptor)

    def _entry(self, above: list[str], found: os.DirEntry[str]) -> DirectoryEntry | None:
        try:
            if found.is_symlink():
                descriptor, status = self._walk([*above, found.name])
                os.close(descriptor)
            else:
                status = found.stat(follow_symlinks=False)
        except (OSError, NoSuchFile, Unreadable):
            return None
        is_file = stat.S_ISREG(status.st_mode)
        if not _is_text(found.name) or not (is_file or stat.S_ISDIR(status.st_mode)):
            return None
        if self.own.has(status):
            return None
        version = Version.of(status) if is_file else None
        return DirectoryEntry(found.name, found.is_symlink(), version, status.st_mtime)

    def _names(self, path: str) -> list[str]:
        names = path.split("/")
        if "\0" in path or not {"", ".", ".."}.isdisjoint(names) or not _is_text(path):
            raise MalformedPath("a path is names joined by single /, none of them . or ..")
        return names

    def _walk(self, names: list[str]) -> tuple[int, os.stat_result]:
        """Return a descriptor of the regular file or folder at names, and its status."""
        try:
            return _Walk(self.path, hidden=self.hidden, own=self.own).to(names)
        except OSError as error:
            if error.errno in (errno.EACCES, errno.EPERM):
                raise Unreadable("the server may not read it") from error
            if error.errno in _NOT_FOUND_ERRNOS:
                if not self.path.is_dir():
                    raise FolderGone(f"the folder {self.name} is not there now") from error
                raise NoSuchFile(_NOTHING) from error
            raise


def open_beneath(folder: Path, name: str) -> int:
    """Return a descriptor of the regular file or folder at name in folder; the caller closes it.

    Raises OSError, and NoSuchFile for a link that leads out of the folder or to a device.
    """
    descriptor, _ = _Walk(folder, hidden=True, own=OwnFiles(None)).to([name])
    return descriptor


_NOTHING = "there is no such file"
# The last two: a link was replaced, or it is a socket.
_NOT_FOUND_ERRNOS = (
    errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.EINVAL, errno.ENXIO,
)  # fmt: skip


class SequentialOpener:
    """Opens many files of a folder: the folder of the last one stays open for the next."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self._above: str | None = None
        self._descriptor = -1

    def open(self, path: str) -> OpenFile:
        """Return the file at path, as Folder.open."""
        above, _, name = path.rpartition("/")
        if above != self._above:
            self.close()
            self._descriptor = self._folder.open_folder(above)
            self._above = above
        try:
            status = os.stat(name, dir_fd=self._descriptor, follow_symlinks=False)
            if self._folder.own.has(status):
                raise NoSuchFile(_NOTHING)
            descriptor = os.open(name, _READ, dir_fd=self._descriptor)
        except OSError:
            # It is a link, or was removed.
            return self._folder.open(path)
        return OpenFile(descriptor, os.fstat(descriptor))

    def close(self) -> None:
        """Close the folder. Idempotent."""
        if self._above is not None:
            os.close(self._descriptor)
            self._above = None


class _Walk:
    """A walk below a folder. Raises OSError, and NoSuchFile for a way out of the folder."""

    def __init__(self, root: Path, *, hidden: bool, own: OwnFiles) -> None:
        self._root = root
        self._hidden = hidden
        self._own = own
        self._links = 0

    def to(self, names: list[str]) -> tuple[int, os.stat_result]:
        """Return a descriptor of the regular file or folder there, and its status."""
        # The open folders from the root down.
        way = [os.open(self._root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)]
        ahead = deque(names)
        try:
            while ahead:
                name = ahead.popleft()
                if name == "..":
                    os.close(way.pop())
                    if not way:
                        raise NoSuchFile(_NOTHING)
                    continue
                if name.startswith(".") and not self._hidden:
                    raise NoSuchFile(_NOTHING)
                status = os.stat(name, dir_fd=way[-1], follow_symlinks=False)
                if self._own.has(status):
                    raise NoSuchFile(_NOTHING)
                if stat.S_ISLNK(status.st_mode):
                    ahead.extendleft(reversed(self._target(name, way)))
                elif stat.S_ISDIR(status.st_mode):
                    way.append(os.open(name, _READ_FOLDER, dir_fd=way[-1]))
                elif stat.S_ISREG(status.st_mode) and not ahead:
                    return self._open_file(name, way[-1])
                else:
                    raise NoSuchFile(_NOTHING)
            return way[-1], os.fstat(way.pop())
        finally:
            for descriptor in way:
                os.close(descriptor)

    def _target(self, name: str, way: list[int]) -> list[str]:
        """Return the names in the target of a link; an absolute one starts again at the root."""
        self._links += 1
        target = os.readlink(name, dir_fd=way[-1])
        if target.startswith("/"):
            roots = [self._root, self._root.resolve()]
            root = next((root for root in roots if Path(target).is_relative_to(root)), None)
            if root is None:
                raise NoSuchFile(_NOTHING)
            while len(way) > 1:
                os.close(way.pop())
            target = str(Path(target).relative_to(root))
        if self._links > MAX_LINKS:
            raise NoSuchFile(_NOTHING)
        return [part for part in target.split("/") if part not in ("", ".")]

    @staticmethod
    def _open_file(name: str, folder: int) -> tuple[int, os.stat_result]:
        descriptor = os.open(name, _READ, dir_fd=folder)
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            # It was replaced meanwhile.
            os.close(descriptor)
            raise NoSuchFile(_NOTHING)
        return descriptor, status


def _may_read(name: str, folder: int) -> bool:
    return os.access(name, os.R_OK, dir_fd=folder, effective_ids=True)


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
