"""The server's own files, which no folder, log or source may serve. Way in: OwnFiles.

They are found by device and inode: a hard link or a bind mount gives them other paths. To open and
close one in the server's process would already drop SQLite's locks on state.db, so a file is
checked before it is opened.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

_PRIVATE = ("state.db", "state.db-wal", "state.db-shm", "secret.key")
_ALL = (*_PRIVATE, "lock")


class OwnFiles:
    """The files of the server in its instance folder; none for None."""

    def __init__(self, instance: Path | None) -> None:
        self._folders = [instance] if instance else []
        self._private = [instance / name for name in _PRIVATE] if instance else []

    def has(self, status: os.stat_result) -> bool:
        """Return whether status is that of the instance folder or of a private file in it.

        The paths are looked at each time, since SQLite makes and removes files; for most files this
        costs one comparison. May wait for a disk.
        """
        if stat.S_ISDIR(status.st_mode):
            return _is_any(status, self._folders)
        return is_private(status) and _is_any(status, self._private)


def is_private(status: os.stat_result) -> bool:
    """Return whether only its owner may read it, as is true of each file of OwnFiles.

    The start refuses or removes modes for others.
    """
    return not status.st_mode & 0o077


def is_own_file(path: Path, instance: Path) -> bool:
    """Return whether path leads to one of the server's files, now or once that file is made."""
    own = [instance / name for name in _ALL]
    return path.resolve() in [each.resolve() for each in own] or _is_one_of(path, own)


def is_above(folder: Path, instance: Path) -> bool:
    """Return whether folder is the instance folder, or a folder that it is in."""
    own = instance.resolve()
    return own.is_relative_to(folder.resolve()) or _is_one_of(folder, [own, *own.parents])


def _is_one_of(path: Path, paths: Iterable[Path]) -> bool:
    try:
        status = path.stat()
    except OSError:
        return False
    return _is_any(status, paths)


def _is_any(status: os.stat_result, paths: Iterable[Path]) -> bool:
    for path in paths:
        with suppress(OSError):
            if os.path.samestat(status, path.stat()):
                return True
    return False
