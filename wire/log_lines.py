"""Lines of logs as events: what an event of a topic logs/<name> says, and how that is read as text.

Pure. The data of an event is `{"line":…,"file":n,"end":n}`, with `,"cut":n` for a line that was too
long; in this order and without blanks, so that a line is found by its place. Where lines of the log
itself are lost, there is an event `gap` among them, as those that readers are told.
Way in: log_event, gap_event, for who publishes; text_of, is_gap, for who shows; place_of.
"""

from __future__ import annotations

import json
from typing import NamedTuple

from wire.events import GAP, NewEvent, parts_of

LINE = "line"

_START = b',"data":{"line":"'
_STOP = b'","file":'
_NAME = b'","name":"'
_GAP = b'gap","data":'

# Why there is a gap: the follower was away, and does not find the file again that it was in.
ROTATED = "rotated"


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


def gap_event(newest: str | None, refetch: str) -> NewEvent:
    """Return the event that says that lines before the next one may be lost.

    newest: the id of the last event before it. refetch: the address of all that is kept.
    """
    # It is an event of the topic itself, so one goes on from its own id.
    data = {"from": newest, "to": None, "lost": None, "reason": ROTATED, "refetch": refetch}
    return NewEvent(GAP, json.dumps(data))


def is_gap(event: bytes) -> bool:
    """Is it an event of gap_event?"""
    return event.startswith(_GAP, event.find(_NAME) + len(_NAME))


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
