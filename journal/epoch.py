"""The epoch: the number of an incarnation of a log, greater than all before it.

Way in: next_epoch, and begin_epoch with a file that has the last one.
"""

from __future__ import annotations

import time
from pathlib import Path

from state.whole_file import write_whole


def next_epoch(before: int = 0) -> int:
    """Return unix milliseconds, or before + 1 if the clock was set back."""
    return max(time.time_ns() // 1_000_000, before + 1)


def begin_epoch(path: Path) -> int:
    """Return an epoch greater than the one in the file, and store it there.

    Raises OSError, ValueError.
    """
    epoch = next_epoch(int(path.read_text()) if path.exists() else 0)
    write_whole(path, b"%d" % epoch)
    return epoch
