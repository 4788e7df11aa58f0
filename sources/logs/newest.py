"""Where to begin in a log that was never followed: with its newest lines, a bounded share.

Everything here waits for a disk. Way in: find_newest.
"""

from __future__ import annotations

import contextlib
from typing import NamedTuple

from sources.logs.bytes import AtWork, LogBytes, Rotated, open_now
from sources.logs.lines import Half, LineCutter
from wire.charsets import utf16_of

BLOCK_BYTES = 256 * 1024
# The size of a compressed file is known only after it is read: one or two seconds of work. Larger
# files are left out.
MOST_UNPACKED_BYTES = 256 * 1024 * 1024


class Share(NamedTuple):
    """A limit: so many lines, of so many bytes in all."""

    lines: int
    size_bytes: int


class _Begin(NamedTuple):
    """Where to begin in a file. left: the rest of the share, for older files; None for none."""

    start: int
    left: Share | None


def find_newest(files: list[Rotated], share: Share) -> tuple[LogBytes, int] | None:
    """Return the file to begin with, open, and where in it; None if there is none.

    files: the log and its rotated files, the oldest first. A file that cannot be read ends the
    search, and older ones are left out.
    """
    found: tuple[LogBytes, int] | None = None
    left = share
    for rotated in reversed(files):
        try:
            file = open_now(rotated)
        except AtWork:
            if found is not None:
                found[0].close()
            raise
        except OSError:
            break
        begin = None
        with contextlib.suppress(OSError):
            begin = begin_unpacked(file, left) if file.is_gzip else _begin_plain(file, left)
        if begin is None:
            file.close()
            break
        if found is not None:
            found[0].close()
        found = (file, begin.start)
        if begin.left is None:
            break
        left = begin.left
    return found


def _begin_plain(file: LogBytes, share: Share) -> _Begin:
    """Search from the end of a file for the beginning of the share."""
    stop = size_bytes = file.stat().st_size
    least = max(0, size_bytes - share.size_bytes)
    if utf16 := utf16_of(file.read(0, BLOCK_BYTES)):
        return _begin_utf16(file, utf16, size_bytes, share)
    lines = 0
    while stop > least:
        start = max(least, stop - BLOCK_BYTES)
        block = file.read(start, stop - start)
        count = block.count(b"\n")
        if lines + count > share.lines:
            return _Begin(start + _after_lines(block, lines + count - share.lines), None)
        lines += count
        stop = start
    if least:
        return _Begin(_next_line(file, least), None)
    return _Begin(0, _rest(share, lines, size_bytes))


def _begin_utf16(file: LogBytes, utf16: str, size_bytes: int, share: Share) -> _Begin:
    """The same for a file in UTF-16, whose lines are not counted."""
    least = size_bytes - share.size_bytes
    if least <= 0:
        return _Begin(0, _rest(share, 0, size_bytes))
    # Begin in the middle of the last unit before; a line feed in it counts.
    start = (least - 1) // 2 * 2
    cutter = LineCutter(start, Half(), utf16)
    while block := file.read(cutter.at, BLOCK_BYTES):
        if lines := cutter.feed(block):
            return _Begin(lines[0].end, None)
    return _Begin(cutter.at, None)


def begin_unpacked(file: LogBytes, share: Share) -> _Begin | None:
    """The same for a compressed file, which is read twice.

    Return None if it is too large, or has become shorter meanwhile.
    """
    lines = size_bytes = 0
    utf16 = utf16_of(file.read(0, BLOCK_BYTES))
    while block := file.read(size_bytes, BLOCK_BYTES):
        lines += block.count(b"\n")
        size_bytes += len(block)
        if size_bytes > MOST_UNPACKED_BYTES:
            return None
    if utf16:
        return _begin_utf16(file, utf16, size_bytes, share)
    skipped, least = lines - share.lines, size_bytes - share.size_bytes
    if skipped <= 0 and least <= 0:
        return _Begin(0, _rest(share, lines, size_bytes))
    start = 0
    while skipped > 0:
        block = file.read(start, BLOCK_BYTES)
        if not block:
            # The file was whole a moment ago.
            return None
        count = block.count(b"\n")
        start += _after_lines(block, skipped) if count >= skipped else len(block)
        skipped -= count
    return _Begin(max(start, _next_line(file, least) if least > 0 else 0), None)


def _rest(share: Share, lines: int, size_bytes: int) -> Share | None:
    left = Share(share.lines - lines, share.size_bytes - size_bytes)
    return left if min(left) > 0 else None


def _after_lines(block: bytes, count: int) -> int:
    """Return where the first count lines of block end."""
    end = 0
    for _ in range(count):
        end = block.index(b"\n", end) + 1
    return end


def _next_line(file: LogBytes, offset: int) -> int:
    """Return where the first line at or behind offset begins."""
    start = offset - 1
    while block := file.read(start, BLOCK_BYTES):
        if found := block.find(b"\n") + 1:
            return start + found
        start += len(block)
    return start
