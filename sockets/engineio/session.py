"""A client's Engine.IO session, on polling or on a WebSocket. Way in: Session."""

from __future__ import annotations

import math
import secrets
from time import monotonic
from typing import Any

from sockets.engineio.contract import FrameWriter
from sockets.engineio.packets import Packet
from sockets.engineio.polling import PollWriter
from sockets.engineio.tcp import undelivered_bytes
from sockets.engineio.unsolicited import note_unsolicited
from sockets.engineio.websocket import WebSocket

# By how much a session may exceed its time so that no request of it is cut.
MOST_LATE_S = 5.0

# Why a session has ended, for handlers: the names of python-engineio.
SERVER_DISCONNECT, CLIENT_DISCONNECT = "server disconnect", "client disconnect"
PING_TIMEOUT = "ping timeout"
TRANSPORT_CLOSE, TRANSPORT_ERROR = "transport close", "transport error"


def new_id() -> str:
    """Return an id that was never used and cannot be guessed."""
    return secrets.token_urlsafe(15)


class Session:
    """A client, on one of the transports.

    writer: takes everything for the client. upgraded: the writer is a WebSocket's, which takes
    frames; otherwise it takes payloads. closed: the session has ended. is_handling: a handler of
    this client runs, so nothing is read from it. data: the application's own, None until there is
    some. due_s: when the watch has to check the session. next_s: when the next ping is due, or the
    deadline of its pong. connect_by_s: the deadline for joining a namespace, None if the client has
    joined. upgrade_by_s: the deadline for a requested WebSocket. ends_s: when the session has
    reached its longest time.
    """

    __slots__ = (
        "__weakref__", "awaits_pong", "closed", "connect_by_s", "data", "delivered_at_ping",
        "due_s", "ends_s", "is_handling", "is_posting", "next_s", "paid_until_s", "pinged_at_s",
        "sid", "upgrade_by_s", "upgraded", "websocket", "writer",
    )  # fmt: skip

    def __init__(
        self,
        next_s: float,
        connect_by_s: float,
        ends_s: float = math.inf,
        max_packets: int | None = None,
    ) -> None:
        self.sid = new_id()
        self.writer: PollWriter | FrameWriter = PollWriter(self.look_soon, max_packets)
        self.websocket: WebSocket | None = None
        self.upgraded = False
        self.closed = False
        self.is_handling = False
        self.is_posting = False
        self.data: dict[str, Any] | None = None
        self.next_s = next_s
        self.awaits_pong = False
        self.pinged_at_s = 0.0
        self.delivered_at_ping = 0
        self.connect_by_s: float | None = connect_by_s
        self.upgrade_by_s: float | None = None
        self.ends_s = ends_s
        self.due_s = 0.0
        # See note_unsolicited.
        self.paid_until_s = 0.0
        self.set_due()

    def send(self, packet: Packet) -> bool:
        """Send a packet, or hold it for a moment; False if it will not arrive. Never waits."""
        return self.writer.send_control(packet.frame if self.upgraded else packet.payload)

    def try_send(self, packet: Packet) -> bool:
        """Send a packet if the client is not busy. Never waits."""
        return self.writer.try_send(packet.frame if self.upgraded else packet.payload)

    def change_to(self, websocket: WebSocket) -> None:
        """Continue over a WebSocket from now on."""
        self.websocket, self.writer, self.upgraded = websocket, websocket.writer, True

    def await_connect(self, timeout_s: float) -> None:
        """End the session unless it is in a namespace again by then."""
        self.connect_by_s = monotonic() + timeout_s
        self.set_due()

    def note_unsolicited(self) -> None:
        """Count a packet without content. Raises TooManyFrames."""
        self.paid_until_s = note_unsolicited(self.paid_until_s)

    def look_soon(self) -> None:
        """Make the watch check the session the next time."""
        self.due_s = 0.0

    def set_due(self) -> None:
        times_s = (self.next_s, self.connect_by_s, self.upgrade_by_s, self.ends_s)
        self.due_s = min(time_s for time_s in times_s if time_s is not None)

    def may_end(self) -> bool:
        """Tell whether an end now loses nothing: no request and no answer is under way."""
        if monotonic() > self.ends_s + MOST_LATE_S:
            return True
        is_busy = self.is_handling or self.is_posting or self.upgrade_by_s is not None
        # A polling client has received everything when it waits, or polls again.
        return not is_busy and (self.upgraded or not self.writer.busy)

    def note_ping(self, now_s: float) -> None:
        """Remember values that later show that the client is alive."""
        self.pinged_at_s = now_s
        if self.websocket is not None and self.upgraded:
            undelivered = undelivered_bytes(self.websocket.connection.socket)
            self.delivered_at_ping = self.writer.sent_bytes - undelivered

    def is_alive(self) -> bool:
        """Tell whether a missing pong has another reason than that the client is gone."""
        if self.is_handling:
            return True
        if self.websocket is None or not self.upgraded:
            return False
        if self.websocket.last_heard_s > self.pinged_at_s:
            return True
        # The ping may still be on its way, behind other data on a slow connection.
        undelivered = undelivered_bytes(self.websocket.connection.socket)
        has_moved = self.writer.sent_bytes - undelivered > self.delivered_at_ping
        return has_moved and (self.writer.busy or undelivered > 0)
