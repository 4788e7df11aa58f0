"""Events as text: one line each, made once and read by every transport.

Pure. A line is `{"id":…,"topic":…,"name":…,"data":…,"time":…}` in this order without blanks, ended
by a line feed: its parts are found by their places, since parsing it would cost ten times as much.
Way in: format_event; id_of and the others for the parts; parse_event for events of publishers.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import lru_cache
from typing import Any, NamedTuple

from wire.cursors import CURSOR_CHARS
from wire.errors import WireError

# The notices of the server in a feed.
GAP, HEARTBEAT, RECONNECT = "gap", "heartbeat", "reconnect"
RESERVED_NAMES = frozenset([GAP, HEARTBEAT, RECONNECT])
DEFAULT_NAME = "message"

# 64 KiB fit a pipe and a socket buffer; larger data are for exports.
MAX_EVENT_BYTES = 64 * 1024

# A name is written into a line of SSE and into JSON without escapes.
_NAME = re.compile(r'[^\x00-\x1f\x7f"\\\u0085\u2028\u2029\ud800-\udfff]{1,100}')
_MEMBERS = {"name", "data"}
# draft-ietf-httpapi-idempotency-key-header; we take its quotes as part of the key.
_KEY = re.compile(r"[\x21-\x7e]{1,255}")
_SURROGATE = re.compile("[\ud800-\udfff]")

_ID_START = len('{"id":"')
_ID_END = _ID_START + CURSOR_CHARS
_TOPIC_START = _ID_END + len('","topic":"')
_TO_NAME, _TO_DATA, _TO_TIME = b'","name":"', b'","data":', b',"time":'


class MalformedEvent(WireError):
    """The text is no event, or too large. HTTP: 400."""


class NewEvent(NamedTuple):
    """An event of a publisher. data: JSON text on one line."""

    name: str
    data: str


def format_event(event_id: str, topic: str, name: str, data: str, time_s: float) -> bytes:
    """Return the line of an event. data: JSON text on one line. time_s: unix seconds."""
    head = f'{{"id":"{event_id}","topic":"{topic}","name":"{name}","data":'
    return f'{head}{data},"time":{time_s:.3f}}}\n'.encode()


def format_events(
    ids: Sequence[str], topic: str, events: Iterable[NewEvent], time_s: float
) -> list[bytes]:
    """Return the lines of events of one moment, each as format_event returns it."""
    to_name, end = f'","topic":"{topic}","name":"', f',"time":{time_s:.3f}}}\n'
    return [
        f'{{"id":"{event_id}{to_name}{name}","data":{data}{end}'.encode()
        for event_id, (name, data) in zip(ids, events, strict=True)
    ]


def id_of(line: bytes) -> bytes:
    """Return the id. Raises ValueError when line is no event's."""
    if line[_ID_END:_TOPIC_START] != b'","topic":"':
        raise ValueError("not the line of an event")
    return line[_ID_START:_ID_END]


def time_s_of(line: bytes) -> float:
    """Return the time in unix seconds. Raises ValueError when line is no event's."""
    return float(line[line.rindex(_TO_TIME) + len(_TO_TIME) : -2])


class EventParts(NamedTuple):
    """The parts of a line, unparsed. data: JSON."""

    id: bytes
    name: bytes
    data: bytes


def parts_of(line: bytes) -> EventParts:
    """Return the parts that SSE sends of an event. Raises ValueError when line is no event's."""
    name_start = line.index(_TO_NAME, _TOPIC_START) + len(_TO_NAME)
    name_end = line.index(_TO_DATA, name_start)
    data = line[name_end + len(_TO_DATA) : line.rindex(_TO_TIME)]
    return EventParts(line[_ID_START:_ID_END], line[name_start:name_end], data)


def topic_of(line: bytes) -> str:
    """Return the topic. Raises ValueError when line is no event's."""
    return line[_TOPIC_START : line.index(_TO_NAME, _TOPIC_START)].decode()


def parse_event(text: str | bytes) -> NewEvent:
    """Return the event of a publisher's JSON: {"name": …, "data": …}, name optional.

    Raises MalformedEvent, which says what would be right.
    """
    return new_event(_fields_of(text))


def parse_keyed_event(text: str | bytes) -> tuple[NewEvent, str | None]:
    """Return an event as parse_event does, and its `key`, an Idempotency-Key of its own, or None.

    Raises MalformedEvent.
    """
    fields, key = _fields_of(text), None
    if isinstance(fields, dict) and "key" in fields:
        key = fields.pop("key")
        if not isinstance(key, str) or not is_key(key):
            raise MalformedEvent("a key is a text of 1 to 255 visible ASCII characters")
    return new_event(fields), key


def is_key(text: str) -> bool:
    """Is text an Idempotency-Key?"""
    return _KEY.fullmatch(text) is not None


def _fields_of(text: str | bytes) -> Any:
    """Return text parsed as JSON, with one scanner for all calls. Raises MalformedEvent."""
    if len(text) > MAX_EVENT_BYTES:
        raise MalformedEvent(f"an event may have {MAX_EVENT_BYTES} bytes, this one has {len(text)}")
    with suppress(StopIteration, ValueError, RecursionError):
        plain = text if isinstance(text, str) else text.decode()
        fields, end = _SCAN(plain, 0)
        if end == len(plain):
            return fields
    # It has blanks around it, another encoding, or is not JSON: json.loads decides.
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise MalformedEvent(f"an event is JSON, this is not: {_cut(error)}") from error


def new_event(fields: Any) -> NewEvent:
    """Return the event of a publisher's parsed JSON.

    Raises MalformedEvent, which says what would be right.
    """
    if not isinstance(fields, dict) or "data" not in fields:
        raise MalformedEvent('an event is an object: {"name": "order", "data": …}, with data')
    if len(fields) > 1 and (unknown := fields.keys() - _MEMBERS):
        raise MalformedEvent(f"an event has name and data, not {_cut(min(unknown))!a}")
    name = fields.get("name", DEFAULT_NAME)
    if not isinstance(name, str) or not _is_name(name):
        raise MalformedEvent(
            "an event's name is a text of 1 to 100 characters without quotes, backslashes and"
            " control characters"
        )
    if name in RESERVED_NAMES:
        raise MalformedEvent(f"the name {name} is reserved for the server")
    try:
        data = _ENCODE(fields["data"])
    except (TypeError, ValueError, RecursionError) as error:
        raise MalformedEvent(f"data is not JSON: {_cut(error)}") from error
    if data.isascii():
        size_bytes = len(data)
    elif _SURROGATE.search(data):
        raise MalformedEvent("data has half of a surrogate pair, which no text can hold")
    else:
        size_bytes = len(data.encode())
    if size_bytes > MAX_EVENT_BYTES:
        raise MalformedEvent(f"data may have {MAX_EVENT_BYTES} bytes")
    return NewEvent(name, data)


def _refuse_constant(word: str) -> Any:
    raise ValueError(f"{word} is no JSON")


# Shared by all events: json would make new ones for each call.
_SCAN = json.JSONDecoder(parse_constant=_refuse_constant).scan_once  # type: ignore[attr-defined]
_ENCODE = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode


@lru_cache(256)
def _is_name(text: str) -> bool:
    return _NAME.fullmatch(text) is not None


def _cut(what: object) -> str:
    return str(what)[:100]
