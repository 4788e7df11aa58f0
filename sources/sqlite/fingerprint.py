"""Has a database changed? A fingerprint that differs after every commit.

Two identical requests share one production only while the fingerprint stays the same. It is made
of what `stat` says of the database and of its write-ahead log. The files are never opened: POSIX
drops every lock a process holds on a file when it closes any descriptor of it, and the locks are
what keeps a reader's snapshot (https://sqlite.org/howtocorrupt.html, 2.2).
"""

from __future__ import annotations

import time
from pathlib import Path

from sources.grain import is_settled

# A commit is written to the log first and can be seen when the log is safe on the disk, which may
# take a while: until then snapshots are old and the log is new already.
SYNC_S = 2.0


def database_fingerprint(database: Path, *, now_s: float | None = None) -> str | None:
    """Return text that is the same only while no commit has come, None when it cannot be told.

    now_s: unix seconds, None for this moment. Takes microseconds.
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
        # The first that opens a database in WAL mode makes its log, which holds nothing yet.
        if status is None or not status.st_size:
            states.append("-")
            continue
        # Another commit would not show, as in git's index.
        if not is_settled(status.st_mtime_ns, now_s - lag_s):
            return None
        states.append(f"{status.st_dev}:{status.st_ino}:{status.st_size}:{status.st_mtime_ns}")
        if path == database:
            # Unlike the other time, it cannot be set, as `cp -p` and `tar -x` do. That of the log
            # changes each time that SQLite opens it as root.
            states[0] += f":{status.st_ctime_ns}"
    return None if states[0] == "-" else "/".join(states)
