"""The running server of a folder: it holds `lock`, whose text names the state.db that it uses.

So a command, or the next worker, never takes another file for that one. Way in: note,
identity_in_use, misses_log.
"""

from __future__ import annotations

import fcntl
import re
from pathlib import Path
from typing import IO

LOCK = "lock"

# SQLite locks these bytes of a file as long as a connection uses its -wal; os.h has these names.
_SHARED_FIRST, _SHARED_SIZE = 0x40000002, 510

# Device and inode.
Identity = tuple[int, int]


def identity_of(path: Path | str) -> Identity:
    """Return the identity of the file at path. Raises OSError."""
    status = Path(path).stat()
    return status.st_dev, status.st_ino


def log_of(path: Path) -> Path:
    """Return the path of the -wal: SQLite follows links first."""
    return Path(f"{path.resolve()}-wal")


def note(lock: IO[str], identity: Identity) -> None:
    """Write into the lock, which this process holds, which state.db it uses. Raises OSError."""
    device, inode = identity
    lock.truncate(0)
    lock.write(f"state.db {device}:{inode}\n")
    lock.flush()


def identity_in_use(folder: Path) -> Identity | None:
    """Return the identity of the state.db that a running server uses.

    None: there is no server, it has only begun to start, or it is of an earlier version.
    """
    try:
        with open(folder / LOCK) as lock:
            found = re.match(r"state\.db ([0-9]+):([0-9]+)\n", lock.read(100))
            if found is None or _is_free(lock):
                return None
    except OSError:
        # Where no server has been, or that may not be read by this user: what comes next says it.
        return None
    return int(found[1]), int(found[2])


def _is_free(lock: IO[str]) -> bool:
    try:
        # Shared: commands may look at the same time.
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def misses_log(path: Path) -> bool:
    """Tell whether another process uses a state.db whose -wal was removed.

    Only for a process that has not opened it: closing a file drops SQLite's locks. Raises OSError.
    """
    if log_of(path).exists():
        return False
    with open(path, "r+b") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, _SHARED_SIZE, _SHARED_FIRST)
        except (BlockingIOError, PermissionError):
            return True
    return False
