"""The packets of Engine.IO: written and read.

Pure: text and bytes in, packets out, or BadPacket. A packet for many clients is encoded once for
each transport. Way in: Packet, read_payload, read_packet, payload_frames. Source:
https://github.com/socketio/engine.io-protocol (4).
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import NamedTuple

from sockets.engineio.errors import BadPacket
from sockets.engineio.frames import binary_frame, text_frame

OPEN, CLOSE, PING, PONG, MESSAGE, UPGRADE, NOOP = range(7)
SEPARATOR = "\x1e"

# json.dumps would make an encoder each time.
write_json = json.JSONEncoder(separators=(",", ":")).encode


class Packet:
    """A unit that is sent as a whole: one Engine.IO packet, or a message with attachments.

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
    """Return the packet in a WebSocket message. Raises BadPacket."""
    if isinstance(message, bytes):
        return Received(MESSAGE, message)
    if not message or message[0] not in "0123456":
        raise BadPacket("a packet begins with its type")
    return Received(ord(message[0]) - ord("0"), message[1:])


def payload_frames(payload: bytes) -> bytes:
    """Return the frames of packets that were written for a poll."""
    frames = [
        binary_frame(base64.b64decode(part[1:])) if part.startswith(b"b") else text_frame(part)
        for part in payload.split(SEPARATOR.encode())
    ]
    return b"".join(frames)
