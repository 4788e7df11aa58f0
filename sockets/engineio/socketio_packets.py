"""The packets of Socket.IO: written and read.

Pure: text and bytes in, packets out, or BadPacket. Reading is strict where python-socketio guesses:
packets that Node's parser refuses are refused. Way in: event_packet, ack_packet, text_packet;
read_head, read_event, put_attachments. Source: https://github.com/socketio/socket.io-protocol (5).
"""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple

from sockets.engineio.errors import BadPacket
from sockets.engineio.packets import MESSAGE, Packet, write_json

CONNECT, DISCONNECT, EVENT, ACK, CONNECT_ERROR, BINARY_EVENT, BINARY_ACK = range(7)
# Handlers of the server have some of these names: only a broken or malicious client emits one.
RESERVED_EVENTS = frozenset(
    ("connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener")
)
# Attachments are held until the last has arrived; their bytes have a limit of their own.
MAX_ATTACHMENTS = 32
# Python's recursion limit allows any handling of data of this depth.
MAX_DEPTH = 200

_HEAD = re.compile(
    r"(?P<kind>[0-6])"
    r"(?:(?P<attachments>[0-9]{1,4})-)?"
    r"(?:(?P<namespace>/[^,]*)(?:,|\Z))?"
    r"(?P<id>[0-9]{1,18})?"
)


class Event(NamedTuple):
    """A Socket.IO packet of a client. data: by kind; id: of the acknowledgement, None without."""

    kind: int
    namespace: str
    id: int | None
    data: Any
    attachments: int


class PacketHead(NamedTuple):
    """The part before the data of a packet. start: where the data begins."""

    kind: int
    namespace: str
    id: int | None
    attachments: int
    start: int


def read_head(text: str) -> PacketHead:
    """Return the head of the packet in a text message. Raises BadPacket."""
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
    return PacketHead(kind, namespace, ack_id, attachments, head.end())


def read_event(text: str) -> Event:
    """Return the packet in a text message. Raises BadPacket."""
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


# json.loads would make a decoder each time.
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
    # Only the server sends a CONNECT_ERROR.
    return kind in (ACK, BINARY_ACK) and isinstance(data, list)
