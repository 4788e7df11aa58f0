"""The fingerprint of a database, which differs after every commit.

Identical requests share one export only while the fingerprint stays the same. It is made of the
`stat` of the database and of its write-ahead log. The files are never opened: POSIX drops every
lock a process holds on a file when it closes any descriptor of it, and these locks protect the
snapshots of readers (https://sqlite.org/howtocorrupt.html, 2.2).
"""

from __future__ import annotations

import time
from pathlib import Path

from sources.grain import is_settled

# A commit is written to the log first and is visible once the log is synced, which may take a
# while: until then snapshots are old, but the log is new.
SYNC_S = 2.0


def database_fingerprint(database: Path, *, now_s: float | None = None) -> str | None:
    """Return text that changes with every commit, None when that cannot be known.

    now_s: unix seconds, None for now. Takes microseconds.
    """
    now_s = time.time() if now_s is None else now_s
    states = []
    # SQLite puts the log beside the file itself, not beside a link to it.
    database = database.resolve()
    log = database.with_name(database.name + "-wal")
    for path, lag_s in ((database, 0.0), (log, SYNC_S)):
        try:
            status = path.stat()
        except FileNotFoundError:
            status = None
        except OSError:
            return None
        # Opening a database in WAL mode creates an empty log.
        if status is None or not status.st_size:
            states.append("-")
            continue
        # Another commit might not show, as in git's index.
        if not is_settled(status.st_mtime_ns, now_s - lag_s):
            return None
        states.append(f"{status.st_dev}:{status.st_ino}:{status.st_size}:{status.st_mtime_ns}")
        if path == database:
            # Unlike st_mtime, it cannot be set, as `cp -p` and `tar -x` do. That of the log changes
            # each time that SQLite opens it as root.
            states[0] += f":{status.st_ctime_ns}"
    return None if states[0] == "-" else "/".join(states)
