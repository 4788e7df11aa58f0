"""Where a follower of a log is, and how that is kept over a restart.

Way in: Position, load_position, save_position; the latter two may wait for a disk.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import NamedTuple

from sources.logs.bytes import NO_FILE, Fingerprint, Identity
from sources.logs.lines import Half

_NOTHING = Half()
_UNREAD = Fingerprint.of(b"")


class Position(NamedTuple):
    """Behind some line of a log.

    number: of the file, in the order in which they were the log, from 1. end: the offset in it.
    half: what it begins with when that is the end of a line that began in the file before it;
    is_after_loss: lines between this file and what was read before may be lost, which was not told
    yet. Both only while end is where reading began. identity: of the file that had the log's name.
    head: what it begins with. seen_s: when it was read, unix seconds: what was written later is not
    known yet.
    """

    number: int
    end: int
    seen_s: float
    half: Half = _NOTHING
    identity: Identity = NO_FILE
    head: Fingerprint = _UNREAD
    is_after_loss: bool = False

    def behind(self, end: int) -> Position:
        """Return where a reader is that has read on in the same file, or not."""
        if end <= self.end:
            return self
        return self._replace(end=end, half=_NOTHING, is_after_loss=False)


def load_position(path: Path) -> Position | None:
    """Return the position in the file at path, None when there is none that can be used."""
    try:
        told = json.loads(path.read_bytes())
        text, cut, *more = told["half"]
        device, inode = told["identity"]
        length, digest = told["head"]
        return Position(
            int(told["number"]), int(told["end"]), float(told["seen_s"]),
            Half(text.encode("latin-1"), int(cut), more == [True]), (int(device), int(inode)),
            Fingerprint(int(length), str(digest)), told.get("is_after_loss") is True,
        )  # fmt: skip
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def save_position(path: Path, position: Position) -> None:
    """Put the position in the file at path: all of it or, after a crash, what was there before.

    Raises OSError.
    """
    told = position._asdict()
    told["half"] = (position.half.text.decode("latin-1"), *position.half[1:])
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = path.with_suffix(".new")
    with open(fresh, "w", encoding="utf-8") as file:
        json.dump(told, file)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
