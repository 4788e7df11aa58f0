"""A file of a log while it is read: how far, and how to recognise it. Way in: Reading, Batch.

Everything may wait for a disk, and is called by one thread at a time.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable
from typing import NamedTuple

from sources.logs.bytes import HEAD_BYTES, NO_FILE, AtWork, Identity, LogBytes, Rotated
from sources.logs.lines import Half, LastLine, LineCutter, LogLine
from sources.logs.position import Position
from sources.logs.rotation import Seen, ends_before, holds, opened_of
from wire.charsets import utf16_of

# One read: about a thousand lines, which become events in a few milliseconds.
READ_BYTES = 128 * 1024
MAX_LINES = 1000
# So many bytes are compared with those read before. A difference shows that the log was cut, and
# has grown past the place since.
TAIL_BYTES = 256


class Batch(NamedTuple):
    """Lines of one file. number: which file; see Position. is_full: a limit ended the batch.

    is_after_loss: lines before these may be lost.
    """

    number: int
    lines: list[LogLine]
    is_full: bool = False
    is_after_loss: bool = False


class Reading:
    """A file, from the place where reading began.

    file: None before one was found, and after it was closed. number: see Position. start: where
    reading began. half: the beginning of a line in the file before, if its end is in this file.
    ends: the first bytes of the file, and those before start. seen_s: now, unix seconds.

    is_live: the file is or was the log: it may grow, and may be cut. identity: of the file that had
    the log's name, which is not that of its copy. end: the offset behind the last whole line.
    seen_s: when the file was last seen to hold the bytes that were read. grew_s: when it last had
    more, and succeeded_s: when another file was first seen to have begun, both monotonic.
    """

    def __init__(
        self,
        file: LogBytes | None = None,
        number: int = 0,
        start: int = 0,
        half: Half = Half(),  # noqa: B008 (immutable)
        ends: tuple[bytes, bytes] = (b"", b""),
        seen_s: float = 0.0,
    ) -> None:
        is_log = file is not None and not file.is_gzip
        self.file = file
        self.is_live = is_log
        self.identity: Identity = file.identity if file is not None and is_log else NO_FILE
        self.number = number
        self.start = self.end = start
        self.half = half
        self.head, self.tail = ends
        self.seen_s = seen_s
        self.grew_s = 0.0
        self.succeeded_s: float | None = None
        utf16 = None if file is None else utf16_of(file.read(0, HEAD_BYTES))
        self._cutter = LineCutter(start, half, utf16)

    @property
    def at(self) -> int:
        """How far the file was read."""
        return self._cutter.at

    @property
    def rest(self) -> Half:
        """The bytes read behind the last line feed."""
        return self._cutter.half

    @property
    def seen(self) -> Seen:
        return Seen(self.identity, self.head, self.tail, self.at)

    def next_bytes(self, file: LogBytes, now_s: float) -> bytes | None:
        """Return the next bytes; None if the file was cut since the last call."""
        back = len(self.tail) if self.is_live else 0
        found = file.read(self.at - back, back + READ_BYTES)
        if found[:back] != self.tail[len(self.tail) - back :]:
            return None
        # The file may have been cut, and written again, between the first bytes and the last.
        # Lines that are alike in length may end alike, but begin with a time or a number.
        told = found[: back + TAIL_BYTES] if self.is_live else b""
        head = self.head if self.is_live else b""
        if file.read(self.at - back, len(told)) != told or file.read(0, len(head)) != head:
            if back:
                return None
            raise AtWork
        self.seen_s = now_s
        return found[back:]

    def take(self, file: LogBytes, data: bytes) -> list[LogLine]:
        """Take bytes from next_bytes; return the lines that end in them, at most MAX_LINES."""
        self.grew_s, self.succeeded_s = time.monotonic(), None
        if not self.at:
            utf16 = utf16_of(data)
            if utf16 is None and data.startswith(b"\0"):
                # The log was cut while a program wrote to it without appending, which leaves a
                # hole.
                self._skip_hole(file)
                return []
            self._cutter = LineCutter(0, self.rest, utf16)
        at = self.at
        pieces = data.split(b"\n", MAX_LINES)
        if len(pieces) > MAX_LINES:
            data = data[: len(data) - len(pieces[-1])]
        lines = self._cutter.feed(data)
        if lines:
            self.end = lines[-1].end
        self.tail = (self.tail + data[-TAIL_BYTES:])[-TAIL_BYTES:]
        # Not read again, since the log may have been cut meanwhile.
        self.head = (self.head[:at] + data)[:HEAD_BYTES] if at < HEAD_BYTES else self.head
        return lines

    def is_quiet(self, file: LogBytes, now_s: float, quiet_s: float) -> bool:
        """Was the file read to its end, and not written to for so long?"""
        # Checked after the file was read to its end, so later writes are seen.
        status = file.stat()
        return status.st_size <= self.at and (
            now_s - status.st_mtime >= quiet_s or time.monotonic() - self.grew_s >= quiet_s
        )

    def finish(self) -> list[LogLine]:
        """Return the rest as a line, since no more bytes come; none if there is no rest."""
        return self._cutter.finish()

    def go_on_in_copy(self, copy: LogBytes) -> None:
        """Continue in a copy of the log from before it was cut."""
        at, back = self.at, len(self.tail)
        self.head, self.tail = copy.read(0, HEAD_BYTES), copy.read(at - back, back)
        self.close()
        self.file, self.is_live, self.succeeded_s = copy, False, None

    def is_copy_of(self, log: Identity) -> None:
        """Note that the file is a copy of this log, and that the log was cut since."""
        self.identity, self.is_live = log, False

    def close(self) -> None:
        if self.file is not None:
            self.file.close()
            self.file = None

    def _skip_hole(self, file: LogBytes) -> None:
        start = _end_of_hole(file)
        if start is not None:
            self._cutter.at = start
            self.tail = b"\0"
            self.head = file.read(0, HEAD_BYTES)


def ends_of(file: LogBytes, at: int, more: int = 0) -> tuple[bytes, bytes]:
    """Return the first bytes of file, up to `at` or so many more, and the last before `at`."""
    back = min(TAIL_BYTES, at)
    return file.read(0, max(min(HEAD_BYTES, at), more)), file.read(at - back, back)


def find_place(
    candidates: Iterable[Rotated], position: Position, last: LastLine | None, *, is_copied: bool
) -> tuple[LogBytes, tuple[bytes, bytes]] | None:
    """Return the open file of position, and its ends there; None when no candidate is that file.

    last: the line that ends at position, if that is known. is_copied: the log is still the file of
    position, so copies of it end before.
    """
    for file in opened_of(candidates):
        with contextlib.suppress(OSError):
            # Read before the check that the file holds the position: so both are of the same file.
            ends = ends_of(file, position.end, position.head.length)
            if holds(file, position, last) or (is_copied and ends_before(file, position)):
                return file, ends
        file.close()
    return None


def _end_of_hole(file: LogBytes) -> int | None:
    """Return where a file that begins with zeros has other bytes, None if it has none yet."""
    start = file.skip_hole(0)
    while (data := file.read(start, READ_BYTES)) and not data.lstrip(b"\0"):
        start += len(data)
    return start + len(data) - len(data.lstrip(b"\0")) if data else None
