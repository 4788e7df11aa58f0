"""A log, read as it grows, through whatever rotation does to it: each line once, and in order.

Rotation renames the log, and makes another; or copies it, and cuts it to nothing. What the log was
at a time is here a *file*, numbered from 1. A file that was renamed is read to its end, for as long
as it is still written to, then the next one from its beginning. Of one that was cut, what had not
been read is read from the copy; since writers cut where they like, half a line at the copy's end
goes on in the log, whereas a renamed file's last line ends with it.

What the present file is, and what follows its last byte:

=======  =================================  ===================================================
none     none is open                       the file of `position`, else the newest lines
the log  it has the log's name: live        it grows; or was cut: then its copy, else it anew
renamed  it had the log's name: live        once it is quiet and there is another: the next one
copy     of a log that was cut: not live    the log, where its half line goes on
older    left by rotation: not live         the next one, the log itself at last
=======  =================================  ===================================================

Everything may wait for a disk and is called by one thread at a time. Knows no topics.
Way in: LogFile.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from sources.grain import latest_ns
from sources.logs.bytes import (
    HEAD_BYTES,
    LEADS_OUT,
    NO_FILE,
    Fingerprint,
    Identity,
    LogBytes,
    PlainFile,
    Rotated,
    identity_of,
    why_not,
)
from sources.logs.lines import Half, LastLine, LineCutter, LogLine
from sources.logs.newest import Share, find_newest
from sources.logs.position import Position
from sources.logs.rotation import Rotation, Seen, holds, opened_of
from wire.charsets import utf16_of

# One read: about a thousand lines, which become events in a few milliseconds.
READ_BYTES = 128 * 1024
MAX_LINES = 1000
# What is compared with what was read, to see that the log was cut and has grown past it again.
TAIL_BYTES = 256
# A log that was renamed is at its end when it was not written to for so long, and another has
# begun; several processes are told one after another to write to that.
QUIET_S = 0.3
# Or when the next one has been written to for so long, and this one still is.
MOST_GRACE_S = 10.0


class Batch(NamedTuple):
    """Lines of one file. number: which file; see Position. is_full: it was cut off by a bound.

    is_after_loss: before these lines others may be lost.
    """

    number: int
    lines: list[LogLine]
    is_full: bool = False
    is_after_loss: bool = False


class LogFile:
    """See the module.

    path: of the log. position: where to go on, None to begin with the newest lines, of as many as
    `share` says. last: the line that ends at position; None when that is not known.
    links: whether one that leads out of the folder is followed.

    is_behind: there is more to read at once. is_waiting: soon, for a renamed file may get more.
    trouble: why there is nothing to be read, "" when there is.
    """

    def __init__(
        self,
        path: Path,
        position: Position | None,
        share: Share,
        last: LastLine | None = None,
        clock: Callable[[], float] = time.time,
        *,
        links: bool = False,
    ) -> None:
        self.is_behind = False
        self.is_waiting = False
        self.trouble = ""
        self._rotation = Rotation(path, links=links)
        self._path = path
        self._links = links
        self._position = position
        self._share = share
        self._last = last
        self._clock = clock
        self._file: LogBytes | None = None
        # Is it the log itself, or was it; then it may grow, and may be cut.
        self._is_live = False
        # Of the file that had the log's name, which is not that of its copy.
        self._identity: Identity = NO_FILE
        self._number = 0
        self._cutter = LineCutter(0, Half())
        self._start = 0
        self._first_half = Half()
        self._is_after_loss = False
        # Behind the last whole line.
        self._end = 0
        self._head = self._tail = b""
        # What rotation had left when the log was opened; None where that is of no interest.
        self._known: list[Fingerprint] | None = None
        self._opened_ns = 0
        self._grew_s = 0.0
        self._succeeded_s: float | None = None

    @property
    def opened(self) -> Position:
        """Where reading of the present file began; with what is known of its head by now."""
        return Position(
            self._number, self._start, self._clock(), self._first_half, self._identity,
            Fingerprint.of(self._head), self._is_after_loss,
        )  # fmt: skip

    def read(self) -> Batch:
        """Return the next lines, none if there are none now. Never waits for any.

        Raises OSError; it goes on where it was with the next call.
        """
        self.is_behind = self.is_waiting = False
        if self._file is None:
            self._begin()
        number, is_full = self._number, False
        is_after_loss = self._is_after_loss and self._end == self._start
        if self._file is None:
            return Batch(number, [])
        try:
            data = self._read_on(self._file)
            if data and not self._cutter.at and self._begin_unseen():
                lines = []
            elif data:
                lines = self._take(self._file, data)
                is_full = len(data) == READ_BYTES or len(lines) == MAX_LINES
            elif data is None:
                lines = self._after_cut()
            else:
                lines = self._at_end(self._file)
        except OSError:
            self.close()
            raise
        return Batch(number, lines, is_full, is_after_loss and bool(lines))

    def close(self) -> None:
        """Close the file; the next `read` looks for it again, and goes on."""
        if self._file is not None:
            self._position = self.opened.behind(self._end)
            self._file.close()
            self._file = None

    @property
    def _seen(self) -> Seen:
        return Seen(self._identity, self._head, self._tail, self._cutter.at)

    # Reading the present file.

    def _read_on(self, file: LogBytes) -> bytes | None:
        """Return what comes next; None when the file was cut since the last time."""
        back = len(self._tail) if self._is_live else 0
        found = file.read(self._cutter.at - back, back + READ_BYTES)
        if found[:back] != self._tail[len(self._tail) - back :]:
            return None
        return found[back:]

    def _take(self, file: LogBytes, data: bytes) -> list[LogLine]:
        self._grew_s, self._succeeded_s = time.monotonic(), None
        if not self._cutter.at:
            utf16 = utf16_of(data)
            if utf16 is None and data.startswith(b"\0"):
                # It was cut while a program wrote to it without appending, which leaves a hole.
                self._skip_hole(file)
                return []
            self._cutter = LineCutter(0, self._cutter.half, utf16)
        pieces = data.split(b"\n", MAX_LINES)
        if len(pieces) > MAX_LINES:
            data = data[: len(data) - len(pieces[-1])]
        lines = self._cutter.feed(data)
        self.is_behind = True
        if lines:
            self._end, self._last = lines[-1].end, LastLine.of(lines[-1])
        self._tail = (self._tail + data[-TAIL_BYTES:])[-TAIL_BYTES:]
        if len(self._head) < HEAD_BYTES:
            self._head = file.read(0, min(HEAD_BYTES, self._cutter.at))
        return lines

    def _skip_hole(self, file: LogBytes) -> None:
        start = _end_of_hole(file)
        if start is not None:
            self.is_behind = True
            self._cutter.at = start
            self._tail = b"\0"
            self._head = file.read(0, HEAD_BYTES)

    def _at_end(self, file: LogBytes) -> list[LogLine]:
        log = self._rotation.find_log()
        found = NO_FILE if log is None else identity_of(log)
        if log is None and why_not(self._path, links=self._links) == LEADS_OUT:
            self.trouble = LEADS_OUT
        elif self.trouble == LEADS_OUT:
            self.trouble = ""
        if self._is_live:
            if found == self._identity or not self._has_ended(file):
                return []
        elif found == NO_FILE:
            return []
        elif found == self._identity:
            # This was its copy: the line goes on in the log.
            self._go_on(file, self._cutter.half)
            return []
        self.is_behind = True
        if lines := self._cutter.finish():
            return lines
        self._go_on(file, Half())
        return []

    def _has_ended(self, file: LogBytes) -> bool:
        """Is nothing more to come in a file that was the log?"""
        log = self._rotation.find_log()
        has_next = bool(self._rotation.younger(file, self._seen)) or (
            log is not None and log.st_size > 0
        )
        if not has_next:
            return False
        self._succeeded_s = self._succeeded_s or time.monotonic()
        # Looked at after it was read to its end: what came meanwhile shows.
        status = file.stat()
        is_quiet = status.st_size <= self._cutter.at and (
            self._clock() - status.st_mtime >= QUIET_S or time.monotonic() - self._grew_s >= QUIET_S
        )
        has_ended = is_quiet or time.monotonic() - self._succeeded_s >= MOST_GRACE_S
        self.is_waiting = not has_ended
        return has_ended

    def _after_cut(self) -> list[LogLine]:
        copy = self._rotation.find_copy(self._seen)
        if copy is not None:
            # The rest of it, if there is any; then, from its end on, the log again.
            self._replace(copy, is_live=False)
            return []
        self.is_behind = True
        lines = self._cutter.finish()
        if not lines:
            self._open_log(Half())
        return lines

    def _begin_unseen(self) -> bool:
        """Begin with a copy of what the log has been since it was opened, before anything was read.

        False when there is none, as nearly always.
        """
        if self._known is None:
            return False
        known, self._known = self._known, None
        log = self._rotation.find_log()
        if log is None or identity_of(log) != self._identity:
            # It was renamed: what others have left is younger.
            return False
        opened = self._rotation.find_unseen(known, self._opened_ns)
        if opened is not None:
            self._begin_rotated(opened, self._cutter.half)
        return opened is not None

    # Which file comes next.

    def _go_on(self, file: LogBytes, half: Half) -> None:
        """Begin with the file after this one. half: of a line that goes on there."""
        for rotated in self._rotation.younger(file, self._seen):
            self.is_behind = True
            if opened := rotated.open():
                self._begin_rotated(opened, half)
            return
        self._open_log(half)

    # Beginning with a file.

    def _replace(self, file: LogBytes, *, is_live: bool) -> None:
        if self._file is not None and self._file is not file:
            self._file.close()
        self._file, self._is_live = file, is_live
        self._succeeded_s = None
        self.is_behind = True

    def _set_out(self, file: LogBytes, number: int, start: int, half: Half) -> None:
        self._replace(file, is_live=not file.is_gzip)
        self._identity = NO_FILE if file.is_gzip else file.identity
        # As long as it was not told.
        self._is_after_loss = self._is_after_loss and self._end == self._start
        self._number, self._start, self._first_half = number, start, half
        self._cutter = LineCutter(start, half, utf16_of(file.read(0, HEAD_BYTES)))
        self._end, self._known = start, None
        self._head = file.read(0, min(HEAD_BYTES, start))
        self._tail = file.read(max(0, start - TAIL_BYTES), min(TAIL_BYTES, start))

    def _begin_rotated(self, file: LogBytes, half: Half) -> None:
        log = self._rotation.find_log()
        was_cut = log is not None and identity_of(log) == self._identity != NO_FILE
        identity = self._identity
        self._set_out(file, self._number + 1, 0, half)
        if was_cut:
            # What cuts the log leaves copies.
            self._identity, self._is_live = identity, False

    def _open_log(self, half: Half) -> None:
        """Begin with the log itself, if it is still the file that was seen last."""
        seen = self._rotation.find_log()
        if seen is None:
            return
        opened = PlainFile(self._path, links=self._links)
        if opened.identity != identity_of(seen):
            opened.close()
            self.is_behind = True
            return
        known = self._rotation.recent_heads(self._clock)
        self._set_out(opened, self._number + 1, 0, half)
        self._known, self._opened_ns = known, time.time_ns()

    def _begin(self) -> None:
        """Find the file to read, and where in it."""
        self.trouble = ""
        if self._position is not None:
            self._find_place(self._position)
        else:
            self._begin_anew()
        if self._file is None and not self.trouble:
            self.trouble = why_not(self._path, links=self._links)

    def _begin_anew(self) -> None:
        found = find_newest(self._path, self._share, links=self._links)
        if found is not None:
            file, start = found
            self._set_out(file, 1, start, Half())

    def _find_place(self, position: Position) -> None:
        """Find the file of position, whatever has become of it."""
        log = self._rotation.find_log()
        files = self._rotation.files()
        if log is not None:
            files.append(Rotated(self._path, log, self._links))
        for file in opened_of(self._rotation.candidates(position, files)):
            with contextlib.suppress(OSError):
                if holds(file, position, self._last):
                    self._resume(file, position, log is not None and identity_of(log))
                    return
            file.close()
        self._begin_after(position, files)

    def _resume(self, file: LogBytes, position: Position, log: Identity | bool) -> None:
        is_copy = log == position.identity and file.identity != position.identity
        self._set_out(file, position.number, position.end, position.half)
        if is_copy:
            self._identity, self._is_live = position.identity, False
        self._head = file.read(0, max(len(self._head), position.head.length))
        self._is_after_loss = position.is_after_loss

    def _begin_after(self, position: Position, files: list[Rotated]) -> None:
        """Begin with the first file that was written to after position was left."""
        seen_ns = position.seen_s * 1e9
        for rotated in files:
            if latest_ns(rotated.status.st_mtime_ns) > seen_ns or rotated.path == self._path:
                with contextlib.suppress(OSError):
                    if opened := rotated.open():
                        self.trouble = "what was read last is gone"
                        self._set_out(opened, position.number + 1, 0, Half())
                        self._is_after_loss = True
                        return


def _end_of_hole(file: LogBytes) -> int | None:
    """Return where a file that begins with zeros has other bytes, None if it has none yet."""
    start = file.skip_hole(0)
    while (data := file.read(start, READ_BYTES)) and not data.lstrip(b"\0"):
        start += len(data)
    return start + len(data) - len(data.lstrip(b"\0")) if data else None
