"""Lines of logs as events of the topic logs/<name>, and back.

Pure. The data of an event is `{"line":…,"file":n,"end":n}`, with `,"cut":n` for a line that was too
long; in this order and without blanks, so that a line is found by its place. An event `gap` among
them, like the gaps of readers, says that lines of the log itself were lost.
Way in: log_event, gap_event to publish; text_of, is_gap to show; place_of.
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

# The reason of a gap: after a pause the follower does not find its file again.
ROTATED = "rotated"


class Place(NamedTuple):
    """A line and its place. file: the generation of the log. end: the offset behind the line.

    cut: the bytes of it that were left out.
    """

    line: str
    file: int
    end: int
    cut: int


def log_event(line: str, file: int, end: int, cut: int) -> NewEvent:
    """Return the event of a line. cut: the bytes of it that were left out."""
    rest = f',"cut":{cut}' if cut else ""
    text = json.dumps(line, ensure_ascii=False)
    return NewEvent(LINE, f'{{"line":{text},"file":{file},"end":{end}{rest}}}')


def gap_event(newest: str | None, refetch: str) -> NewEvent:
    """Return the event for lines that may be lost before the next one.

    newest: the id of the last event before it. refetch: the address of all kept events.
    """
    # A reader resumes from the id of this event itself, which is one of the topic.
    data = {"from": newest, "to": None, "lost": None, "reason": ROTATED, "refetch": refetch}
    return NewEvent(GAP, json.dumps(data))


def is_gap(event: bytes) -> bool:
    """Is it an event of gap_event?"""
    return event.startswith(_GAP, event.find(_NAME) + len(_NAME))


def place_of(event: bytes) -> Place:
    """Return the place of a line, from its event. Raises ValueError for other events."""
    fields = json.loads(parts_of(event).data)
    try:
        return Place(fields["line"], fields["file"], fields["end"], fields.get("cut", 0))
    except (TypeError, KeyError) as error:
        raise ValueError("not the event of a log's line") from error


def text_of(event: bytes) -> bytes:
    """Return the text of a line, from its event. Raises ValueError for other events."""
    start = event.index(_START) + len(_START)
    # Quotes in the line have a backslash before them, so the first match is the end.
    raw = event[start : event.index(_STOP, start)]
    if b"\\" not in raw:
        return raw
    text: str = json.loads(b'"%b"' % raw)
    return text.encode()


def cut_of(event: bytes) -> int:
    """Return the bytes of the line that were left out."""
    data = event[event.rindex(_STOP) : event.rindex(b',"time":')]
    return int(data.rpartition(b',"cut":')[2].rstrip(b"}")) if b'"cut":' in data else 0
