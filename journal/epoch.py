"""The epoch: the number of an incarnation of a log, greater than that of every one before it.

Way in: next_epoch, and begin_epoch with a file that remembers the last one.
"""

from __future__ import annotations

import time
from pathlib import Path

from state.whole_file import write_whole


def next_epoch(before: int = 0) -> int:
    """Return the epoch of now, in milliseconds; after before also if the clock was set back."""
    return max(time.time_ns() // 1_000_000, before + 1)


def begin_epoch(path: Path) -> int:
    """Return an epoch after the one that the file remembers, which then remembers this one.

    Raises OSError, ValueError.
    """
    epoch = next_epoch(int(path.read_text()) if path.exists() else 0)
    write_whole(path, b"%d" % epoch)
    return epoch
