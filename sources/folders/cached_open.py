"""Opens a file of a local disk without waiting, if the kernel has its whole path cached.

Linux has a system call for that, which Python lacks. Where it refuses (a name that is not cached, a
link, a mount below, an older kernel), and for a file that only its owner may read, the file is
opened in the ordinary way, which may wait.
Way in: CachedOpen. Source: openat2(2), RESOLVE_CACHED (Linux 5.12); statfs(2).
"""

from __future__ import annotations

import ctypes
import os
import struct
from contextlib import suppress
from pathlib import Path

from sources.own_files import is_private

_OPENAT2 = 437  # on every architecture
_AT_FDCWD = -100
_NO_XDEV, _NO_SYMLINKS, _BENEATH, _CACHED = 0x01, 0x04, 0x08, 0x20
_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
# With O_PATH no content is opened: closing it drops no locks.
_HANDLE_FLAGS = getattr(os, "O_PATH", 0) | os.O_CLOEXEC
_FOLDER_FLAGS = _HANDLE_FLAGS | os.O_DIRECTORY

# Local file systems: ext2 to 4, XFS, Btrfs, F2FS, tmpfs.
_LOCAL = (0xEF53, 0x58465342, 0x9123683E, 0xF2F52010, 0x01021994)

_libc = ctypes.CDLL(None, use_errno=True)


class CachedOpen:
    """Opens files below one folder. path: of the folder, which may be replaced."""

    def __init__(self, path: Path) -> None:
        self._root = path
        self._path = os.fsencode(path)
        # Device and inode of the folder at the last look, and whether it is on a local disk.
        self._seen: tuple[int, int] | None = None
        self._is_local = False

    def look(self) -> None:
        """Find out whether the folder is on a local disk; may wait for the disk."""
        with suppress(OSError):
            status = self._root.stat()
            if self._seen != (status.st_dev, status.st_ino):
                buffer = ctypes.create_string_buffer(256)
                is_known = _libc.statfs(self._path, buffer) == 0
                # The first field is the type: a long.
                self._is_local = is_known and struct.unpack_from("l", buffer)[0] in _LOCAL
                self._seen = status.st_dev, status.st_ino

    def open(self, path: str) -> int | None:
        """Return a descriptor for path below the folder; None where that might wait."""
        if not self._is_local:
            return None
        with suppress(OSError):
            folder = _openat2(_AT_FDCWD, self._path, _FOLDER_FLAGS, _CACHED)
            try:
                status = os.fstat(folder)
                if (status.st_dev, status.st_ino) == self._seen:
                    return _open_unless_private(folder, os.fsencode(path))
            finally:
                os.close(folder)
        return None


def _open_unless_private(folder: int, path: bytes) -> int | None:
    """Return a descriptor; None for a private file, which may be the server's own."""
    how = _CACHED | _BENEATH | _NO_SYMLINKS | _NO_XDEV
    handle = _openat2(folder, path, _HANDLE_FLAGS, how)
    try:
        if is_private(os.fstat(handle)):
            return None
    finally:
        os.close(handle)
    return _openat2(folder, path, _FLAGS, how)


def _openat2(folder: int, path: bytes, flags: int, resolve: int) -> int:
    """Return a descriptor. Raises OSError."""
    how = struct.pack("QQQ", flags, 0, resolve)
    descriptor: int = _libc.syscall(_OPENAT2, folder, path, how, len(how))
    if descriptor < 0:
        raise OSError(ctypes.get_errno(), "openat2")
    return descriptor
