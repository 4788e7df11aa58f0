"""Lines of logs as events: what an event of a topic logs/<name> says, and how that is read as text.

Pure. The data of an event is `{"line":…,"file":n,"end":n}`, with `,"cut":n` for a line that was too
long; in this order and without blanks, so that a line is found by its place.
Way in: log_event, for who publishes; text_of, for who shows or searches; place_of.
"""

from __future__ import annotations

import json
from typing import NamedTuple

from wire.events import NewEvent, parts_of

LINE = "line"

_START = b',"data":{"line":"'
_STOP = b'","file":'


class Place(NamedTuple):
    """Of a line. file: of which generation of the log. end: the offset behind it in that file."""

    line: str
    file: int
    end: int
    cut: int


def log_event(line: str, file: int, end: int, cut: int) -> NewEvent:
    """Return the event of a line. cut: how many bytes of it were left out."""
    rest = f',"cut":{cut}' if cut else ""
    text = json.dumps(line, ensure_ascii=False)
    return NewEvent(LINE, f'{{"line":{text},"file":{file},"end":{end}{rest}}}')


def place_of(event: bytes) -> Place:
    """Return what an event of log_event says. Raises ValueError for another one."""
    fields = json.loads(parts_of(event).data)
    try:
        return Place(fields["line"], fields["file"], fields["end"], fields.get("cut", 0))
    except (TypeError, KeyError) as error:
        raise ValueError("not the event of a log's line") from error


def text_of(event: bytes) -> bytes:
    """Return the line that an event of log_event tells. Raises ValueError for another one."""
    start = event.index(_START) + len(_START)
    # Quotes in the line have a backslash before them, so this is the first that it can be.
    raw = event[start : event.index(_STOP, start)]
    if b"\\" not in raw:
        return raw
    text: str = json.loads(b'"%b"' % raw)
    return text.encode()


def cut_of(event: bytes) -> int:
    """Return how many bytes of the line were left out."""
    data = event[event.rindex(_STOP) : event.rindex(b',"time":')]
    return int(data.rpartition(b',"cut":')[2].rstrip(b"}")) if b'"cut":' in data else 0
