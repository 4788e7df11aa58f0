"""The packets of Engine.IO and Socket.IO, as they are written and read.

Pure: text and bytes in, packets out, or BadPacket. A packet that goes to many is encoded once for
each transport. Reading is strict where python-socketio guesses: what Node's parser refuses is
refused. Way in: Packet, read_payload, read_packet, payload_frames; event_packet, ack_packet,
text_packet; read_head, read_event, put_attachments.
Sources: https://github.com/socketio/engine.io-protocol (4), socketio/socket.io-protocol (5).
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from sockets.engineio.errors import BadPacket
from sockets.engineio.frames import binary_frame, text_frame

# Engine.IO
OPEN, CLOSE, PING, PONG, MESSAGE, UPGRADE, NOOP = range(7)
SEPARATOR = "\x1e"

# Socket.IO
CONNECT, DISCONNECT, EVENT, ACK, CONNECT_ERROR, BINARY_EVENT, BINARY_ACK = range(7)
# Handlers of ours have some of these names: a client that emits one is none, or means harm.
RESERVED_EVENTS = frozenset(
    ("connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener")
)
# They are kept until the last has come; their bytes have a bound of their own.
MAX_ATTACHMENTS = 32
# Whatever a handler does with it, Python's recursion bears that.
MAX_DEPTH = 200

_HEAD = re.compile(
    r"(?P<kind>[0-6])"
    r"(?:(?P<attachments>[0-9]{1,4})-)?"
    r"(?:(?P<namespace>/[^,]*)(?:,|\Z))?"
    r"(?P<id>[0-9]{1,18})?"
)


class Packet:
    """What is sent to clients as a whole: one Engine.IO packet, or a message with attachments.

    parts: the packets; text with its type, or a binary message's bytes.
    """

    __slots__ = ("_frame", "_payload", "parts")

    def __init__(self, *parts: str | bytes) -> None:
        self.parts = parts
        self._frame: bytes | None = None
        self._payload: bytes | None = None

    @property
    def frame(self) -> bytes:
        """As WebSocket frames."""
        if self._frame is None:
            frames = [
                text_frame(part.encode()) if isinstance(part, str) else binary_frame(part)
                for part in self.parts
            ]
            self._frame = b"".join(frames)
        return self._frame

    @property
    def payload(self) -> bytes:
        """As (a part of) the body of a poll's answer."""
        if self._payload is None:
            texts = [
                part if isinstance(part, str) else "b" + base64.b64encode(part).decode()
                for part in self.parts
            ]
            self._payload = SEPARATOR.join(texts).encode()
        return self._payload


class Received(NamedTuple):
    """An Engine.IO packet of a client. data: of a message, text or bytes; of others text."""

    kind: int
    data: str | bytes


def read_payload(body: bytes) -> Iterator[Received]:
    """Yield the packets of the body of a POST. Raises BadPacket."""
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise BadPacket("a payload is UTF-8") from error
    for part in _split(text):
        if part.startswith("b"):
            try:
                yield Received(MESSAGE, base64.b64decode(part[1:], validate=True))
            except ValueError as error:
                raise BadPacket("a binary packet is base64") from error
        else:
            yield read_packet(part)


def _split(text: str) -> Iterator[str]:
    """Yield the parts, one at a time: a megabyte may have half a million."""
    start = 0
    while (end := text.find(SEPARATOR, start)) >= 0:
        yield text[start:end]
        start = end + 1
    yield text[start:]


def read_packet(message: str | bytes) -> Received:
    """Return the packet that a WebSocket message is. Raises BadPacket."""
    if isinstance(message, bytes):
        return Received(MESSAGE, message)
    if not message or message[0] not in "0123456":
        raise BadPacket("a packet begins with its type")
    return Received(ord(message[0]) - ord("0"), message[1:])


def payload_frames(payload: bytes) -> bytes:
    """Return the frames of what was written for a poll."""
    frames = [
        binary_frame(base64.b64decode(part[1:])) if part.startswith(b"b") else text_frame(part)
        for part in payload.split(SEPARATOR.encode())
    ]
    return b"".join(frames)


# Socket.IO


class Event(NamedTuple):
    """A Socket.IO packet of a client. data: by kind; id: of the acknowledgement, None without."""

    kind: int
    namespace: str
    id: int | None
    data: Any
    attachments: int


class Head(NamedTuple):
    """What stands before the data of a packet. start: where that begins."""

    kind: int
    namespace: str
    id: int | None
    attachments: int
    start: int


def read_head(text: str) -> Head:
    """Return the head of the packet that a text message is. Raises BadPacket."""
    head = _HEAD.match(text)
    if head is None:
        raise BadPacket("a Socket.IO packet begins with its type")
    kind = int(head["kind"])
    is_binary = kind in (BINARY_EVENT, BINARY_ACK)
    if is_binary != (head["attachments"] is not None):
        raise BadPacket("a binary packet says how many attachments it has, others have none")
    attachments = int(head["attachments"] or 0)
    if attachments > MAX_ATTACHMENTS:
        raise BadPacket(f"a packet has at most {MAX_ATTACHMENTS} attachments")
    ack_id = None if head["id"] is None else int(head["id"])
    if kind in (ACK, BINARY_ACK) and ack_id is None:
        raise BadPacket("an acknowledgement has the number of what it acknowledges")
    namespace = (head["namespace"] or "/").partition("?")[0]
    return Head(kind, namespace, ack_id, attachments, head.end())


def read_event(text: str) -> Event:
    """Return the packet that a text message is. Raises BadPacket."""
    head = read_head(text)
    data = _read_json(text[head.start :])
    if not _fits(head.kind, data):
        raise BadPacket("what a packet carries does not fit its type")
    return Event(head.kind, head.namespace, head.id, data, head.attachments)


def put_attachments(data: list[Any], attachments: list[bytes]) -> list[Any]:
    """Put the attachments in their places in data, however deep; return it. Raises BadPacket."""
    waiting: list[list[Any] | dict[str, Any]] = [data]
    while waiting:
        container: Any = waiting.pop()
        items = container.items() if isinstance(container, dict) else enumerate(container)
        for place, item in items:
            if isinstance(item, dict) and item.get("_placeholder") is True:
                container[place] = _attachment(item, attachments)
            elif isinstance(item, list | dict):
                waiting.append(item)
    return data


def _attachment(placeholder: dict[str, Any], attachments: list[bytes]) -> bytes:
    number = placeholder.get("num")
    if type(number) is not int or not 0 <= number < len(attachments):
        raise BadPacket("a placeholder has the number of an attachment")
    return attachments[number]


def event_packet(
    name: str, arguments: list[Any], namespace: str, ack_id: int | None = None
) -> Packet:
    """Return an event for clients. arguments: JSON values, with bytes anywhere in them."""
    return _packet(EVENT, [name, *arguments], namespace, ack_id)


def ack_packet(arguments: list[Any], namespace: str, ack_id: int) -> Packet:
    """Return the acknowledgement of a client's event."""
    return _packet(ACK, arguments, namespace, ack_id)


def text_packet(kind: int, namespace: str, data: Any = None) -> Packet:
    """Return a CONNECT, DISCONNECT or CONNECT_ERROR."""
    return Packet(_text(kind, data, namespace, None))


def _packet(kind: int, data: list[Any], namespace: str, ack_id: int | None) -> Packet:
    attachments: list[bytes] = []
    data = _take_attachments(data, attachments)
    if not attachments:
        return Packet(_text(kind, data, namespace, ack_id))
    kind = BINARY_EVENT if kind == EVENT else BINARY_ACK
    return Packet(_text(kind, data, namespace, ack_id, f"{len(attachments)}-"), *attachments)


def _text(kind: int, data: Any, namespace: str, ack_id: int | None, attachments: str = "") -> str:
    place = "" if namespace == "/" else namespace + ","
    number = "" if ack_id is None else str(ack_id)
    written = "" if data is None else write_json(data)
    return f"{MESSAGE}{kind}{attachments}{place}{number}{written}"


def _take_attachments(data: Any, attachments: list[bytes]) -> Any:
    """Return data with placeholders for the bytes in it, which go to attachments."""
    if isinstance(data, bytes | bytearray | memoryview):
        attachments.append(bytes(data))
        return {"_placeholder": True, "num": len(attachments) - 1}
    if isinstance(data, list | tuple):
        return [_take_attachments(item, attachments) for item in data]
    if isinstance(data, dict):
        return {key: _take_attachments(value, attachments) for key, value in data.items()}
    return data


def _read_json(text: str) -> Any:
    if not text:
        return None
    try:
        data = _parse_json(text)
    except (ValueError, RecursionError) as error:
        raise BadPacket("what a packet carries is JSON") from error
    if text.count("[") + text.count("{") > MAX_DEPTH:
        _check_depth(data)
    return data


def _check_depth(data: Any) -> None:
    level = [data]
    for _ in range(MAX_DEPTH):
        items = [item.values() if isinstance(item, dict) else item for item in level]
        level = [each for item in items for each in item if isinstance(each, list | dict)]
        if not level:
            return
    raise BadPacket(f"what a packet carries is nested at most {MAX_DEPTH} deep")


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


# json.dumps and loads would make these anew each time.
write_json = json.JSONEncoder(separators=(",", ":")).encode
_parse_json = json.JSONDecoder(parse_constant=_refuse_constant).decode


def _fits(kind: int, data: Any) -> bool:
    if kind == CONNECT:
        return data is None or isinstance(data, dict)
    if kind == DISCONNECT:
        return data is None
    if kind in (EVENT, BINARY_EVENT):
        return (
            isinstance(data, list)
            and bool(data)
            and isinstance(data[0], str)
            and data[0] not in RESERVED_EVENTS
        )
    # A CONNECT_ERROR is the server's alone.
    return kind in (ACK, BINARY_ACK) and isinstance(data, list)
