"""How events look on /live: Socket.IO packets, in WebSocket frames or in payloads for polling.

Pure: takes lines of wire/events.py. An event is the packet `event` with the line as its argument,
so no line is encoded again. Way in: LIVE_FRAMES, LIVE_PAYLOADS, each a wire.framing.Framing.
Source: Socket.IO protocol v5 and Engine.IO protocol v4, https://socket.io/docs/v4/.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

from sockets.engineio.frames import text_frame
from wire.events import GAP, HEARTBEAT, RECONNECT, id_of, parts_of, topic_of
from wire.log_lines import is_gap

NAMESPACE = "/live"
# Engine.IO: a message; Socket.IO: an event of the namespace.
_HEAD = b"42/live,"
# Engine.IO: between the packets of a payload.
_SEPARATOR = b"\x1e"


def event_packet(line: bytes) -> bytes:
    """Return the packet that emits the event of a line, or the gap that a log has there."""
    if is_gap(line):
        return notice_packet(GAP, line)
    return b'%b["event",%b]' % (_HEAD, line[:-1])


def notice_packet(name: str, line: bytes) -> bytes:
    """Return the packet that emits a message of the server itself."""
    topic = topic_of(line)
    newest = id_of(line).decode()
    fields = json.loads(parts_of(line).data)
    if name == GAP:
        fields = {"topic": topic, "id": newest, **fields}
    elif name == HEARTBEAT:
        fields = {"topic": topic, "newest": newest}
    else:
        assert name == RECONNECT
    return b"%b%b" % (_HEAD, json.dumps([name, fields], separators=(",", ":")).encode())


class LiveFraming:
    """Packets of /live in the form of a transport.

    piece: returns the bytes of a packet in a write. between: the bytes between two packets.
    """

    def __init__(self, transport: str, piece: Callable[[bytes], bytes], between: bytes) -> None:
        self.transport = transport
        self.between = between
        self._piece = piece

    def events(self, lines: Sequence[bytes]) -> bytes:
        piece = self._piece
        return self.between.join([piece(event_packet(line)) for line in lines])

    def notice(self, name: str, line: bytes) -> bytes:
        return self._piece(notice_packet(name, line))


LIVE_FRAMES = LiveFraming("socket.io", text_frame, b"")
LIVE_PAYLOADS = LiveFraming("socket.io polling", bytes, _SEPARATOR)
