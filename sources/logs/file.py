"""A log, read as it grows, through whatever rotation does to it: each line once, and in order.

Rotation renames the log, and makes another; or copies it, and cuts it to nothing. What the log was
at a time is here a *file*, numbered from 1. A file that was renamed is read to its end, for as long
as it is still written to, then the next one from its beginning. Of one that was cut, what had not
been read is read from the copy; since writers cut where they like, half a line at the copy's end
goes on in the log, whereas a renamed file's last line ends with it.

What the present file is, and what follows its last byte:

=======  =================================  ===================================================
none     none is open                       the file of `position`, else the newest lines
the log  it has the log's name: live        it grows; or was cut: then its copy, else what is left
renamed  it had the log's name: live        once it is quiet and there is another: the next one
copy     of a log that was cut: not live    the log, where its half line goes on
older    left by rotation: not live         the next one, the log itself at last
=======  =================================  ===================================================

Rotation may take any step between any two of ours. So what it has left is looked at before the log
is opened, and again when the log's first bytes were read: what is new by then was the log before
it held these. While the folder changes as it is looked at, nothing is decided.

Everything may wait for a disk and is called by one thread at a time. Knows no topics.
Way in: LogFile.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from sources.grain import is_settled, latest_ns
from sources.logs.bytes import (
    HEAD_BYTES,
    LEADS_OUT,
    NO_FILE,
    AtWork,
    Fingerprint,
    Identity,
    LogBytes,
    PlainFile,
    Rotated,
    identity_of,
    open_now,
    why_not,
)
from sources.logs.lines import Half, LastLine, LineCutter, LogLine
from sources.logs.newest import Share, find_newest
from sources.logs.position import Position
from sources.logs.rotation import (
    Known,
    Left,
    Next,
    Rotation,
    Seen,
    ends_before,
    holds,
    names_of,
    opened_of,
)
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
        # What rotation had left before the log was opened.
        self._known: list[Known] = []
        # Until something of the log was read: when that was, and what the log was.
        self._unread: tuple[int, os.stat_result] | None = None
        # When the log was last seen to hold what was read, unix seconds.
        self._seen_s = 0.0
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
        try:
            return self._read()
        except AtWork:
            self.is_behind = True
            return Batch(self._number, [])

    def _read(self) -> Batch:
        if self._file is None:
            self._begin()
        number, is_full = self._number, False
        if self._file is None:
            return Batch(number, [])
        is_first = self._end == self._start
        try:
            data = self._read_on(self._file)
            if data is not None and self._begin_unseen(is_last=bool(data)):
                lines = []
            elif data:
                lines = self._take(self._file, data)
                is_full = len(data) == READ_BYTES or len(lines) == MAX_LINES
            elif data is None:
                lines = self._after_cut()
            else:
                lines = self._at_end(self._file)
        except AtWork:
            raise
        except OSError:
            self.close()
            raise
        return Batch(number, lines, is_full, is_first and self._is_after_loss and bool(lines))

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
        seen_s = self._clock()
        back = len(self._tail) if self._is_live else 0
        found = file.read(self._cutter.at - back, back + READ_BYTES)
        if found[:back] != self._tail[len(self._tail) - back :]:
            return None
        # It may have been cut, and written again, between the first bytes and the last. Lines that
        # are alike in length may end alike, but begin with a time or a number.
        told = found[: back + TAIL_BYTES] if self._is_live else b""
        head = self._head if self._is_live else b""
        if file.read(self._cutter.at - back, len(told)) != told or file.read(0, len(head)) != head:
            if back:
                return None
            raise AtWork
        self._seen_s = seen_s
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
        at = self._cutter.at
        pieces = data.split(b"\n", MAX_LINES)
        if len(pieces) > MAX_LINES:
            data = data[: len(data) - len(pieces[-1])]
        lines = self._cutter.feed(data)
        self.is_behind = True
        if lines:
            self._end, self._last = lines[-1].end, LastLine.of(lines[-1])
        self._tail = (self._tail + data[-TAIL_BYTES:])[-TAIL_BYTES:]
        # Not read again, for the log may have been cut since.
        self._head = (self._head[:at] + data)[:HEAD_BYTES] if at < HEAD_BYTES else self._head
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
        left = self._rotation.left(NO_FILE, file.identity)
        has_next = bool(self._rotation.younger(file, self._seen, left).files) or (
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
        copy = self._rotation.find_copy(self._seen, self._known)
        if copy is not None:
            # The rest of it, if there is any; then, from its end on, the log again.
            at, back = self._cutter.at, len(self._tail)
            self._head, self._tail = copy.read(0, HEAD_BYTES), copy.read(at - back, back)
            self._replace(copy, is_live=False)
            return []
        lines = self._cutter.finish()
        self.is_behind = bool(lines)
        if not lines:
            # What was written before it was cut is not known.
            position = self.opened.behind(self._end)._replace(seen_s=self._seen_s)
            self._begin_after(position)
        return lines

    def _begin_unseen(self, *, is_last: bool) -> bool:
        """Begin with a copy of what the log has been since it was opened, before anything was read.

        False when there is none, as nearly always. is_last: of these looks, for now there is
        something, which was read before.
        """
        if self._unread is None:
            return False
        left = self._rotation.left(self._identity)
        log = self._rotation.find_log()
        if log is None or identity_of(log) != self._identity:
            # It was renamed: what others have left is younger.
            self._unread = None
            return False
        since_ns, before = self._unread
        unseen = self._rotation.unseen(left, self._known)
        if unseen.files:
            self._begin_next(unseen, self._cutter.half)
            return True
        # It was empty all the time: then what is gone was nothing that is missed.
        is_as_before = (
            not is_last
            and log.st_mtime_ns == before.st_mtime_ns
            and is_settled(before.st_mtime_ns, since_ns / 1e9)
        )
        self._known = left.known(self._known)
        self._unread = None if is_last else (left.since_ns, log)
        self._is_after_loss = self._is_after_loss or not (unseen.is_sure or is_as_before)
        return False

    # Which file comes next.

    def _go_on(self, file: LogBytes, half: Half) -> None:
        """Begin with the file after this one. half: of a line that goes on there."""
        log = self._rotation.find_log()
        left = self._left(log, file.identity)
        files, is_sure = self._rotation.younger(file, self._seen, left)
        is_sure = is_sure and not file.is_damaged
        if files:
            self._begin_next(Next(files, is_sure), half)
        elif log is not None:
            self._open_log(log, left, half if is_sure else Half())
            self._is_after_loss = self._is_after_loss or not is_sure

    def _left(self, log: os.stat_result | None, known: Identity = NO_FILE) -> Left:
        is_copied = log is not None and identity_of(log) == self._identity
        return self._rotation.left(self._identity if is_copied else NO_FILE, known)

    # Beginning with a file.

    def _replace(self, file: LogBytes, *, is_live: bool) -> None:
        if self._file is not None and self._file is not file:
            self._file.close()
        self._file, self._is_live = file, is_live
        self._succeeded_s = None
        self.is_behind = True

    def _set_out(
        self,
        file: LogBytes,
        number: int,
        start: int,
        half: Half,
        head: bytes = b"",
        tail: bytes = b"",
    ) -> None:
        """Begin at start. head, tail: the first bytes of the file, and those before start."""
        self._replace(file, is_live=not file.is_gzip)
        self._identity = NO_FILE if file.is_gzip else file.identity
        # As long as it was not told.
        self._is_after_loss = self._is_after_loss and self._end == self._start
        self._number, self._start, self._first_half = number, start, half
        self._cutter = LineCutter(start, half, utf16_of(file.read(0, HEAD_BYTES)))
        self._end, self._head, self._tail = start, head, tail
        self._known, self._unread = [], None
        self._seen_s = self._clock()

    def _begin_next(self, found: Next, half: Half) -> None:
        """Begin with the first that was found."""
        log = self._rotation.find_log()
        was_cut = log is not None and identity_of(log) == self._identity != NO_FILE
        identity = self._identity
        file = open_now(found.files[0], grows=not was_cut)
        self._set_out(file, self._number + 1, 0, half if found.is_sure else Half())
        self._is_after_loss = self._is_after_loss or not found.is_sure
        if was_cut:
            # What cuts the log leaves copies.
            self._identity, self._is_live = identity, False

    def _open_log(self, log: os.stat_result, left: Left, half: Half) -> None:
        """Begin with the log itself, if it still is the file that it was before left was found."""
        known = left.known()
        opened = PlainFile(self._path, links=self._links)
        if opened.identity != identity_of(log):
            opened.close()
            raise AtWork
        self._set_out(opened, self._number + 1, 0, half)
        self._known, self._unread = known, (left.since_ns, log)

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
        log = self._rotation.find_log()
        left = self._rotation.left(NO_FILE)
        known = left.known()
        files = left.files + ([] if log is None else [Rotated(self._path, log, self._links)])
        found = find_newest(files, self._share)
        if found is None:
            return
        file, start = found
        head, tail = _ends_of(file, start)
        if len(tail) < min(start, TAIL_BYTES):
            file.close()
            raise AtWork
        self._set_out(file, 1, start, Half(), head, tail)
        if not start and log is not None and file.identity == identity_of(log):
            self._known, self._unread = known, (left.since_ns, log)

    def _find_place(self, position: Position) -> None:
        """Find the file of position, whatever has become of it."""
        log = self._rotation.find_log()
        candidates = self._rotation.candidates(position)
        for file in opened_of(candidates):
            with contextlib.suppress(OSError):
                # Before it is seen that the file holds the position: then these are of the same.
                ends = _ends_of(file, position.end, position.head.length)
                is_copied = log is not None and identity_of(log) == position.identity
                if holds(file, position, self._last) or (is_copied and ends_before(file, position)):
                    self._resume(file, position, log is not None and identity_of(log), ends)
                    return
            file.close()
        if names_of(candidates) != names_of(self._rotation.candidates(position)):
            raise AtWork
        self._begin_after(position)

    def _resume(
        self,
        file: LogBytes,
        position: Position,
        log: Identity | bool,
        ends: tuple[bytes, bytes],
    ) -> None:
        is_copy = log == position.identity and file.identity != position.identity
        # Where nothing was read of it, as after an error.
        known, unread = (self._known, self._unread) if not position.end else ([], None)
        self._set_out(file, position.number, position.end, position.half, *ends)
        self._known, self._unread = known, unread
        if is_copy:
            self._identity, self._is_live = position.identity, False
        self._is_after_loss = position.is_after_loss

    def _begin_after(self, position: Position) -> None:
        """Begin with the first file that was written to after position was left."""
        self._number, self._identity = position.number, position.identity
        log = self._rotation.find_log()
        left = self._left(log)
        seen_ns = position.seen_s * 1e9
        written = [
            each
            for each in left.files
            if latest_ns(each.status.st_mtime_ns) > seen_ns
            and each.status.st_size
            and not any(old.is_same(each) for old in self._known)
        ]
        if written:
            self._begin_next(Next(written, False), Half())
        elif log is not None:
            self._open_log(log, left, Half())
        else:
            return
        self.trouble = "what was read last is gone"
        self._is_after_loss = True


def _ends_of(file: LogBytes, at: int, more: int = 0) -> tuple[bytes, bytes]:
    """Return the first bytes of file, up to `at` or so many more, and the last before `at`."""
    back = min(TAIL_BYTES, at)
    return file.read(0, max(min(HEAD_BYTES, at), more)), file.read(at - back, back)


def _end_of_hole(file: LogBytes) -> int | None:
    """Return where a file that begins with zeros has other bytes, None if it has none yet."""
    start = file.skip_hole(0)
    while (data := file.read(start, READ_BYTES)) and not data.lstrip(b"\0"):
        start += len(data)
    return start + len(data) - len(data.lstrip(b"\0")) if data else None
