"""A log, read as it grows, through any rotation: each line once, and in order.

Rotation renames the log, and makes another; or copies it, and truncates it. Each state of the log
between rotations is here a *file*, numbered from 1. A renamed file is read to its end, as long as
it is still written to, then the next one from its beginning. If a file was truncated, the rest that
had not been read is read from the copy. The truncation may fall in the middle of a line: half a
line at the copy's end continues in the log, whereas a renamed file's last line ends with it.

The states of the present file, and what follows its last byte:

=======  =================================  =================================================== none
none is open                       the file of `position`, else the newest lines the log  it has the
log's name: live        it grows; or was cut: then its copy, else what is left renamed  it had the
log's name: live        once it is quiet and there is another: the next one copy     of a log that
was cut: not live    the log, where its half line continues older    left by rotation: not live
the next one, the log itself at last =======  =================================
===================================================

Rotation may take any step between any two steps here. So the rotated files are listed before the
log is opened, and again after its first bytes were read: a file that is new by then was the log
before it held these bytes. As long as the folder changes while it is read, nothing is decided.

Everything may wait for a disk, and is called by one thread at a time. Knows no topics. Way in:
LogFile.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

from sources.grain import is_settled
from sources.logs.bytes import (
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
from sources.logs.lines import Half, LastLine, LogLine
from sources.logs.newest import Share, find_newest
from sources.logs.position import Position
from sources.logs.reading import (
    MAX_LINES,
    READ_BYTES,
    TAIL_BYTES,
    Batch,
    Reading,
    ends_of,
    find_place,
)
from sources.logs.rotation import (
    Known,
    Left,
    Next,
    Rotation,
    names_of,
)

# A renamed log is at its end when it was not written to for so long, and another one has begun:
# several processes change to the new one after each other.
QUIET_S = 0.3
# Or when the next file has been written to for so long, even if this one still is.
MOST_GRACE_S = 10.0


class LogFile:
    """See the module.

    path: of the log. position: where to continue, None to begin with the newest lines, at most
    `share` of them. last: the line that ends at position; None if it is not known. links: whether a
    link that leads out of the folder is followed.

    is_behind: there is more to read at once. is_waiting: there may be more soon, since a renamed
    file may still grow. trouble: why nothing can be read, "" if it can.
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
        self._now = Reading()
        self._is_after_loss = False
        # The files that rotation had left before the log was opened.
        self._known: list[Known] = []
        # Until a byte of the log was read: when it was opened, and which file it was.
        self._unread: tuple[int, os.stat_result] | None = None

    @property
    def opened(self) -> Position:
        """Where reading of the present file began, with its head as far as it is known by now."""
        now = self._now
        return Position(
            now.number, now.start, self._clock(), now.half, now.identity,
            Fingerprint.of(now.head), self._is_after_loss,
        )  # fmt: skip

    def read(self) -> Batch:
        """Return the next lines, none if there are none now. Never waits for lines.

        Raises OSError; the next call continues at the same place.
        """
        self.is_behind = self.is_waiting = False
        try:
            return self._read()
        except AtWork:
            self.is_behind = True
            return Batch(self._now.number, [])

    def _read(self) -> Batch:
        if self._now.file is None:
            self._begin()
        now, file = self._now, self._now.file
        if file is None:
            return Batch(now.number, [])
        number, is_full, is_first = now.number, False, now.end == now.start
        try:
            data = now.next_bytes(file, self._clock())
            if data is not None and self._begin_unseen(is_last=bool(data)):
                lines = []
            elif data:
                lines = self._take(file, data)
                is_full = len(data) == READ_BYTES or len(lines) == MAX_LINES
            elif data is None:
                lines = self._after_cut()
            else:
                lines = self._at_end(file)
        except AtWork:
            raise
        except OSError:
            self.close()
            raise
        return Batch(number, lines, is_full, is_first and self._is_after_loss and bool(lines))

    def close(self) -> None:
        """Close the file; the next `read` finds it again, and continues."""
        if self._now.file is not None:
            self._position = self.opened.behind(self._now.end)
            self._now.close()

    def _take(self, file: LogBytes, data: bytes) -> list[LogLine]:
        at = self._now.at
        lines = self._now.take(file, data)
        self.is_behind = self._now.at > at
        if lines:
            self._last = LastLine.of(lines[-1])
        return lines

    def _at_end(self, file: LogBytes) -> list[LogLine]:
        log = self._rotation.find_log()
        found = NO_FILE if log is None else identity_of(log)
        if log is None and why_not(self._path, links=self._links) == LEADS_OUT:
            self.trouble = LEADS_OUT
        elif self.trouble == LEADS_OUT:
            self.trouble = ""
        if self._now.is_live:
            if found == self._now.identity or not self._has_ended(file):
                return []
        elif found == NO_FILE:
            return []
        elif found == self._now.identity:
            # This was the copy of the log: the line continues in the log.
            self._go_on(file, self._now.rest)
            return []
        self.is_behind = True
        if lines := self._now.finish():
            return lines
        self._go_on(file, Half())
        return []

    def _has_ended(self, file: LogBytes) -> bool:
        """Can no more lines come in a file that was the log?"""
        now = self._now
        if not self._rotation.has_next(file, now.seen):
            return False
        now.succeeded_s = now.succeeded_s or time.monotonic()
        has_ended = (
            now.is_quiet(file, self._clock(), QUIET_S)
            or time.monotonic() - now.succeeded_s >= MOST_GRACE_S
        )
        self.is_waiting = not has_ended
        return has_ended

    def _after_cut(self) -> list[LogLine]:
        copy = self._rotation.find_copy(self._now.seen, self._known)
        if copy is not None:
            # The rest of the copy, if there is any; then the log again, from the end of the copy
            # on.
            self._now.go_on_in_copy(copy)
            self.is_behind = True
            return []
        lines = self._now.finish()
        self.is_behind = bool(lines)
        if not lines:
            # The lines that were written before the log was cut are not known.
            position = self.opened.behind(self._now.end)._replace(seen_s=self._now.seen_s)
            self._begin_after(position)
        return lines

    def _begin_unseen(self, *, is_last: bool) -> bool:
        """Begin with a copy of the log since it was opened, made before any byte was read.

        Return False if there is none, as nearly always. is_last: this is the last such check, since
        the log has bytes now, which were read before.
        """
        if self._unread is None:
            return False
        left = self._rotation.left(self._now.identity)
        log = self._rotation.find_log()
        if log is None or identity_of(log) != self._now.identity:
            # The file was renamed: files that others have left are newer.
            self._unread = None
            return False
        since_ns, before = self._unread
        unseen = self._rotation.unseen(left, self._known)
        if unseen.files:
            self._begin_next(unseen, self._now.rest)
            return True
        # The log was empty all the time, so no line is lost.
        is_as_before = (
            not is_last
            and log.st_mtime_ns == before.st_mtime_ns
            and is_settled(before.st_mtime_ns, since_ns / 1e9)
        )
        self._known = left.known(self._known)
        self._unread = None if is_last else (left.since_ns, log)
        self._is_after_loss = self._is_after_loss or not (unseen.is_sure or is_as_before)
        return False

    def _go_on(self, file: LogBytes, half: Half) -> None:
        """Begin with the file after this one. half: of a line that continues there."""
        log = self._rotation.find_log()
        left = self._left(log, file.identity)
        files, is_sure = self._rotation.younger(file, self._now.seen, left)
        is_sure = is_sure and not file.is_damaged
        if files:
            self._begin_next(Next(files, is_sure), half)
        elif log is not None:
            self._open_log(log, left, half if is_sure else Half())
            self._is_after_loss = self._is_after_loss or not is_sure

    def _left(self, log: os.stat_result | None, known: Identity = NO_FILE) -> Left:
        identity = self._now.identity
        is_copied = log is not None and identity_of(log) == identity
        return self._rotation.left(identity if is_copied else NO_FILE, known)

    # Beginning with a file.

    def _set_out(
        self,
        file: LogBytes,
        number: int,
        start: int,
        half: Half,
        ends: tuple[bytes, bytes] = (b"", b""),
    ) -> None:
        """Begin at start. ends: the first bytes of the file, and those before start."""
        before, self._now = self._now, Reading(file, number, start, half, ends, self._clock())
        before.close()
        # As long as the loss was not reported.
        self._is_after_loss = self._is_after_loss and before.end == before.start
        self._known, self._unread = [], None
        self.is_behind = True

    def _begin_next(self, found: Next, half: Half) -> None:
        """Begin with the first file that was found."""
        log = self._rotation.find_log()
        identity = self._now.identity
        was_cut = log is not None and identity_of(log) == identity != NO_FILE
        file = open_now(found.files[0], grows=not was_cut)
        self._set_out(file, self._now.number + 1, 0, half if found.is_sure else Half())
        self._is_after_loss = self._is_after_loss or not found.is_sure
        if was_cut:
            # Programs that cut the log leave copies.
            self._now.is_copy_of(identity)

    def _open_log(self, log: os.stat_result, left: Left, half: Half) -> None:
        """Begin with the log itself, if it is still the same file as before left was found."""
        known = left.known()
        opened = PlainFile(self._path, links=self._links)
        if opened.identity != identity_of(log):
            opened.close()
            raise AtWork
        self._set_out(opened, self._now.number + 1, 0, half)
        self._known, self._unread = known, (left.since_ns, log)

    def _begin(self) -> None:
        """Find the file to read, and where in it."""
        self.trouble = ""
        if self._position is not None:
            self._find_place(self._position)
        else:
            self._begin_anew()
        if self._now.file is None and not self.trouble:
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
        ends = ends_of(file, start)
        if len(ends[1]) < min(start, TAIL_BYTES):
            file.close()
            raise AtWork
        self._set_out(file, 1, start, Half(), ends)
        if not start and log is not None and file.identity == identity_of(log):
            self._known, self._unread = known, (left.since_ns, log)

    def _find_place(self, position: Position) -> None:
        """Find the file of position, also after a rotation."""
        log = self._rotation.find_log()
        is_copied = log is not None and identity_of(log) == position.identity
        candidates = self._rotation.candidates(position)
        found = find_place(candidates, position, self._last, is_copied=is_copied)
        if found is not None:
            self._resume(*found, position, is_copied=is_copied)
            return
        if names_of(candidates) != names_of(self._rotation.candidates(position)):
            raise AtWork
        self._begin_after(position)

    def _resume(
        self, file: LogBytes, ends: tuple[bytes, bytes], position: Position, *, is_copied: bool
    ) -> None:
        # If nothing of the file was read, as after an error.
        known, unread = (self._known, self._unread) if not position.end else ([], None)
        self._set_out(file, position.number, position.end, position.half, ends)
        self._known, self._unread = known, unread
        if is_copied and file.identity != position.identity:
            self._now.is_copy_of(position.identity)
        self._is_after_loss = position.is_after_loss

    def _begin_after(self, position: Position) -> None:
        """Begin with the first file that was written to after position was left."""
        self._now.number, self._now.identity = position.number, position.identity
        log = self._rotation.find_log()
        left = self._left(log)
        if written := left.written_after(position.seen_s, self._known):
            self._begin_next(Next(written, False), Half())
        elif log is not None:
            self._open_log(log, left, Half())
        else:
            return
        self.trouble = "the file that was read last is gone"
        self._is_after_loss = True
