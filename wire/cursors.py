"""Cursors: a position in a journal as text, the same on every transport.

Pure: knows nothing of journals. Clients keep the text and hand it back; they may compare two of the
same journal as strings, and nothing else. It is an event's `id`, so it must survive a URL, a header
and a line of SSE as it is.
Way in: format_cursor, parse_cursor. The alphabet is RFC 4648's base32hex (section 7) in lower case,
the one whose characters sort as their values; the number is padded in front, not behind.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from wire.errors import WireError

# Unix milliseconds fit until the year 10889.
EPOCH_BITS = 48

# What SQLite, C and Java hold in a signed integer.
POSITION_BITS = 63

_ALPHABET = "0123456789abcdefghijklmnopqrstuv"
_BITS = EPOCH_BITS + POSITION_BITS
_CHARS = -(-_BITS // 5)
_TEXT = re.compile(f"[0-9a-v]{{{_CHARS}}}")


class Cursor(NamedTuple):
    """Where a reader is: cursors order as (epoch, position).

    epoch: which life of the journal; it grows when the journal starts anew, 0 <= epoch < 2**48.
    position: in that life, 0 <= position < 2**63.
    """

    epoch: int
    position: int


class MalformedCursor(WireError):
    """The text is not a cursor that format_cursor wrote. HTTP: 400."""


def format_cursor(cursor: Cursor) -> str:
    """Return the one text of a cursor: 23 characters that sort as the cursors do.

    Raises ValueError when epoch or position is out of its bounds.
    """
    if not (0 <= cursor.epoch < 1 << EPOCH_BITS and 0 <= cursor.position < 1 << POSITION_BITS):
        raise ValueError(f"no cursor has the epoch {cursor.epoch}, position {cursor.position}")
    number = cursor.epoch << POSITION_BITS | cursor.position
    return "".join(_ALPHABET[number >> shift & 31] for shift in range(5 * (_CHARS - 1), -1, -5))


def parse_cursor(text: str) -> Cursor:
    """Return the cursor that text stands for; only the text of format_cursor is taken.

    Raises MalformedCursor; its message is for the client and does not repeat the text.
    """
    if not _TEXT.fullmatch(text):
        raise MalformedCursor(
            f"a cursor is {_CHARS} characters of 0-9 and a-v, exactly as an event's id showed it"
        )
    # Digits of base 32 are those of the alphabet, and _TEXT has bounded how many.
    number = int(text, 32)
    if number >> _BITS:
        raise MalformedCursor("this cursor is larger than any that was given out")
    return Cursor(number >> POSITION_BITS, number & (1 << POSITION_BITS) - 1)
