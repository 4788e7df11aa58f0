"""Cursors: the position of a reader of events as text, the same on every transport.

Pure: knows nothing of journals. Clients keep the text and send it back; they may compare two of
them as strings, nothing else. It is an event's `id`, so it must survive a URL, a header and a line
of SSE unchanged.
Way in: format_cursor, parse_cursor. The alphabet is RFC 4648's base32hex (section 7) in lower case,
whose characters sort as their values; the number is padded in front, not behind.
"""

from __future__ import annotations

import re
import zlib
from typing import NamedTuple

from wire.errors import WireError

# Unix milliseconds fit until the year 2109.
EPOCH_BITS = 42
# A million events a second for two years.
POSITION_BITS = 46
ORDINAL_BITS = 46
MARK_BITS = 16

CURSOR_CHARS = 30

_ALPHABET = "0123456789abcdefghijklmnopqrstuv"
_TEXT = re.compile(f"[0-9a-v]{{{CURSOR_CHARS}}}")
# Two characters at a time, for speed: an event may be published every few microseconds.
_PAIRS = [high + low for high in _ALPHABET for low in _ALPHABET]
_SHIFTS = range(5 * (CURSOR_CHARS - 2), -1, -10)
# The bits behind the first 16 characters; and the step from one event to the next of its topic.
_FRONT_BITS = 70
_NEXT = (1 << ORDINAL_BITS + MARK_BITS) + (1 << MARK_BITS)
_WIDTHS = (EPOCH_BITS, POSITION_BITS, ORDINAL_BITS, MARK_BITS)


class Cursor(NamedTuple):
    """The position of a reader. Cursors sort in the order of the events of all topics.

    epoch: the incarnation of the event log; a later one is larger. position: the number of the
    event in that incarnation, over all topics, from 1. So one cursor is enough for any set of
    topics. ordinal: the number of the event in its topic, from 1; it tells how many events a
    reader has missed after they were evicted. mark: the topic of the ordinal (see topic_mark).
    """

    epoch: int
    position: int
    ordinal: int = 0
    mark: int = 0


class MalformedCursor(WireError):
    """The text is not one that format_cursor returns. HTTP: 400."""


def topic_mark(topic: str) -> int:
    """Return the mark of a topic's cursors: 16 bits, never 0, which stands for no topic."""
    return zlib.crc32(topic.encode()) % 0xFFFF + 1


def format_cursor(cursor: Cursor) -> str:
    """Return the text of a cursor: 30 characters that sort as the cursors do.

    Raises ValueError when a part is out of bounds.
    """
    number = 0
    for part, bits in zip(cursor, _WIDTHS, strict=True):
        if not 0 <= part < 1 << bits:
            raise ValueError(f"no cursor has the parts {tuple(cursor)}")
        number = number << bits | part
    return "".join([_PAIRS[number >> shift & 1023] for shift in _SHIFTS])


def format_cursors(first: Cursor, count: int) -> list[str]:
    """Return the texts of count cursors, from first on, of successive events of one topic.

    Raises ValueError as format_cursor.
    """
    if count == 1:
        return [format_cursor(first)]
    last = first._replace(position=first.position + count, ordinal=first.ordinal + count)
    start = 0
    for part, most, bits in zip(first, last, _WIDTHS, strict=True):
        if not 0 <= part <= most < 1 << bits:
            raise ValueError(f"no cursor has the parts {tuple(first)}, or those behind it")
        start = start << bits | part
    texts, front, text = [], -1, ""
    for number in range(start, start + count * _NEXT, _NEXT):
        if number >> _FRONT_BITS != front:
            # These characters are the same for 256 events.
            front = number >> _FRONT_BITS
            text = "".join([_PAIRS[number >> shift & 1023] for shift in _SHIFTS[:8]])
        texts.append(
            f"{text}{_PAIRS[number >> 60 & 1023]}{_PAIRS[number >> 50 & 1023]}"
            f"{_PAIRS[number >> 40 & 1023]}{_PAIRS[number >> 30 & 1023]}"
            f"{_PAIRS[number >> 20 & 1023]}{_PAIRS[number >> 10 & 1023]}{_PAIRS[number & 1023]}"
        )
    return texts


def parse_cursor(text: str) -> Cursor:
    """Return the cursor of a text of format_cursor.

    Raises MalformedCursor; its message is for the client and does not repeat the text.
    """
    if not _TEXT.fullmatch(text):
        raise MalformedCursor(
            f"a cursor is {CURSOR_CHARS} characters of 0-9 and a-v, exactly as in an event's id"
        )
    # The alphabet has the digits of base 32, and _TEXT bounds their number.
    number = int(text, 32)
    parts = []
    for bits in reversed(_WIDTHS):
        parts.append(number & (1 << bits) - 1)
        number >>= bits
    return Cursor(*reversed(parts))
