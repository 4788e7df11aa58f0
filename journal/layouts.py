"""Two layouts of payloads: events as lines of JSON, and bare bytes.

Way in: EVENTS, BARE; payload_of for what a bare line holds.
"""

from __future__ import annotations

from collections.abc import Sequence

from journal.event_log import PayloadLayout
from journal.records import Layout
from wire.cursors import CURSOR_CHARS
from wire.events import NewEvent, format_events, id_of, time_s_of

# A record is one line: line feeds and backslashes in a payload are escaped.
_ESCAPE, _LINE_FEED = b"\\", b"\n"
_ESCAPED, _ESCAPED_LINE_FEED = b"\\\\", b"\\n"


def _name_of(event: NewEvent) -> str:
    return event.name


# The events of wire.events, NewEvent each.
EVENTS = PayloadLayout(Layout(id_of, time_s_of), format_events, _name_of)


def _bare_lines(
    ids: Sequence[str], topic: str, payloads: Sequence[bytes], time_s: float
) -> list[bytes]:
    """`<id> <time> <payload>`; the topic is not in the line."""
    return [
        f"{record_id} {time_s:.3f} ".encode()
        + payload.replace(_ESCAPE, _ESCAPED).replace(_LINE_FEED, _ESCAPED_LINE_FEED)
        + _LINE_FEED
        for record_id, payload in zip(ids, payloads, strict=True)
    ]


def _bare_id_of(line: bytes) -> bytes:
    if line[CURSOR_CHARS : CURSOR_CHARS + 1] != b" ":
        raise ValueError("not a line of a bare payload")
    return line[:CURSOR_CHARS]


def _bare_time_s_of(line: bytes) -> float:
    return float(line[CURSOR_CHARS + 1 : line.index(b" ", CURSOR_CHARS + 1)])


def _no_key(payload: bytes) -> str:
    return ""


# Payloads are bytes.
BARE = PayloadLayout(Layout(_bare_id_of, _bare_time_s_of), _bare_lines, _no_key)


def payload_of(line: bytes) -> bytes:
    """Return the payload of a line of BARE. Raises ValueError when it is none."""
    start = line.index(b" ", CURSOR_CHARS + 1) + 1
    parts = line[start:-1].split(_ESCAPED)
    return _ESCAPE.join(part.replace(_ESCAPED_LINE_FEED, _LINE_FEED) for part in parts)
