"""Where a follower of a log is, and how the position is stored over a restart.

Way in: Position, load_position, save_position; the latter two may wait for a disk.
"""

from __future__ import annotations

import json
from typing import NamedTuple

from sources.logs.bytes import NO_FILE, Fingerprint, Identity
from sources.logs.lines import Half
from state import State

_NOTHING = Half()
_UNREAD = Fingerprint.of(b"")


class Position(NamedTuple):
    """A position behind a line of a log.

    number: of the file, in the order in which the files were the log, from 1. end: the offset in
    the file. half: the beginning, in the file before, of a line that ends in this file;
    is_after_loss: lines between this file and the lines read before may be lost, which was not
    reported yet. Both only while end is where reading began. identity: of the file that had the
    log's name. head: the first bytes of the file. seen_s: when it was read, unix seconds: later
    writes are not known yet.
    """

    number: int
    end: int
    seen_s: float
    half: Half = _NOTHING
    identity: Identity = NO_FILE
    head: Fingerprint = _UNREAD
    is_after_loss: bool = False

    def behind(self, end: int) -> Position:
        """Return the position of a reader that may have read on in the same file."""
        if end <= self.end:
            return self
        return self._replace(end=end, half=_NOTHING, is_after_loss=False)


def load_position(state: State, log: str) -> Position | None:
    """Return the position in the log of that name, None if there is no usable one.

    Raises StateError.
    """
    found = state.rows("select position from log_positions where log = ?", (log,))
    try:
        ((text,),) = found
        told = json.loads(text)
        half, cut, *more = told["half"]
        device, inode = told["identity"]
        length, digest = told["head"]
        return Position(
            int(told["number"]), int(told["end"]), float(told["seen_s"]),
            Half(half.encode("latin-1"), int(cut), more == [True]), (int(device), int(inode)),
            Fingerprint(int(length), str(digest)), told.get("is_after_loss") is True,
        )  # fmt: skip
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def save_position(state: State, log: str, position: Position) -> None:
    """Store the position in the log of that name. Raises StateError."""
    told = position._asdict()
    told["half"] = (position.half.text.decode("latin-1"), *position.half[1:])
    with state.writing() as execute:
        execute("insert or replace into log_positions values (?, ?)", (log, json.dumps(told)))
