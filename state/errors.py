"""What may go wrong with state.db. Way in: StateError; telling, which raises SQLite's errors so."""

from __future__ import annotations

import errno
import os
import re
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class StateError(Exception):
    """The state cannot be read or written; what was written before is kept.

    StateError
    +-- StateBusy        another process has locked it for too long
    +-- StateFull        the disk is full
    +-- StateUnusable    the file or its folder: damaged, foreign, newer, not ours to write
    """


class StateBusy(StateError):
    """Another process has locked it for longer than we wait."""


class StateFull(StateError):
    """The disk has no room for what is to be written."""


class StateUnusable(StateError):
    """The file or its folder cannot be used; a person has to look at it."""


# What a person has to know, or to do, about a file that is gone, and about a log that is.
WITHOUT_STATE = "Without it all tokens are gone, and requests need none"
SAVE_FIRST = "end the server by SIGTERM, so that it saves what it has, and start it again"

_BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_UNUSABLE = {
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_NOTADB,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_SCHEMA,
}
# Other errors of these texts have no kind of their own: the tables or texts are not ours.
_FOREIGN = re.compile(r"no such (table|column)|table \w+ has \d+ columns|Could not decode to UTF-8")


# What SQLite makes beside the file when it opens it.
_INDEX_BYTES = 32 * 1024


def _is_full(path: Path) -> bool:
    disk = os.statvfs(path.parent)
    return disk.f_bavail * disk.f_frsize < _INDEX_BYTES


@contextmanager
def telling(path: Path) -> Iterator[None]:
    """Raise SQLite's and the system's errors as StateError; mistakes of ours stay as they are."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StateFull(f"{path} cannot be written: the disk is full") from error
        raise StateUnusable(f"{path} cannot be used: {error.strerror}") from error
    except sqlite3.Error as error:
        # The lower eight bits are the kind, the others tell more of it.
        kind = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if kind in _BUSY:
            raise StateBusy(f"{path} is locked by another process: try again") from error
        if kind == sqlite3.SQLITE_FULL or (kind == sqlite3.SQLITE_IOERR and _is_full(path)):
            raise StateFull(f"{path} cannot be written: the disk is full") from error
        if kind in _UNUSABLE or _FOREIGN.match(str(error)):
            raise StateUnusable(f"{path} cannot be used: {error}") from error
        raise
