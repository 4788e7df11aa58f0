"""Where a reader of events begins: `since=`, the same on every transport.

Pure. Way in: parse_since.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from wire.cursors import Cursor, MalformedCursor, parse_cursor

_AGE = re.compile(r"([0-9]{1,9})(ms|s|m|h|d)")
_UNIT_S = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}


class Now(NamedTuple):
    """Events from now on."""


class All(NamedTuple):
    """All kept events."""


class Age(NamedTuple):
    """Events that are at most so many seconds old."""

    seconds: float


class After(NamedTuple):
    """Events after a cursor. text: the cursor as it was sent."""

    cursor: Cursor
    text: str


Since = Now | All | Age | After


def parse_since(text: str | None) -> Since:
    """Return where to begin. text: a cursor, `all`, an age as 5m, None or "" for now.

    Raises MalformedCursor.
    """
    if not text:
        return Now()
    if text == "all":
        return All()
    if age := _AGE.fullmatch(text):
        return Age(int(age[1]) * _UNIT_S[age[2]])
    try:
        return After(parse_cursor(text), text)
    except MalformedCursor as error:
        raise MalformedCursor(
            f"since is a cursor, all, or an age like 30s, 5m, 2h: {error}"
        ) from error
