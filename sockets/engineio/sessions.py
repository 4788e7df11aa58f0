"""The Engine.IO sessions of a server: the open ones, messages to them, and their end.

Way in: EngineSessions. An Application handles them: Socket.IO, or any protocol with messages.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from time import monotonic, sleep
from typing import Protocol

from sockets.engineio.contract import TURN_S, Admission, Environ
from sockets.engineio.errors import BadPacket
from sockets.engineio.packets import CLOSE, MESSAGE, NOOP, PONG, UPGRADE, Packet, Received
from sockets.engineio.polling import UNREAD, PollWriter
from sockets.engineio.session import (
    CLIENT_DISCONNECT,
    SERVER_DISCONNECT,
    Session,
)

log = logging.getLogger(__name__)

CLOSE_PACKET = Packet(str(CLOSE))
NOOP_PACKET = Packet(str(NOOP))

# A polling client learns of the end of its session from its present or next poll, within so long.
LAST_POLL_S = 4.0

# RFC 6455, 7.4.1, and the IANA registry of close codes for the last.
NORMAL, SERVICE_RESTART = 1000, 1012


class SessionHandlers(Protocol):
    """Handles sessions. Called in the greenlet of a client, one call after the other."""

    def opened(self, sid: str, environ: Environ, /) -> None:
        """A client has opened a session. environ: of that request."""

    def message(self, sid: str, data: str | bytes, /) -> None:
        """Handle a message. Raises BadPacket, which closes the session."""

    def upgraded(self, sid: str, /) -> None:
        """A session has just changed to WebSocket. Must not wait."""

    def over(self, sid: str, /) -> None:
        """A session has reached its longest time; it is closed next. Must not wait."""

    def closed(self, sid: str, reason: str, /) -> None:
        """A session has ended. reason: one of the module session."""


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """How an Engine.IO server behaves.

    connect_timeout_s: how long a client may take to join a namespace, upgrade_timeout_s: and from
    the request of a WebSocket to the change; both have Node's values. end_of_session: returns when
    a session ends that begins now, on the monotonic clock.
    """

    ping_interval_s: float = 25.0
    ping_timeout_s: float = 20.0
    max_payload_bytes: int = 1_000_000
    transports: tuple[str, ...] = ("polling", "websocket")
    allow_upgrades: bool = True
    connect_timeout_s: float = 45.0
    upgrade_timeout_s: float = 10.0
    end_of_session: Callable[[], float] = lambda: inf


class EngineSessions:
    """See the module.

    by_id: the open sessions. awaited: closed sessions whose last poll is awaited. websockets: how
    many are on WebSocket. handlers: set before a client connects. refusals: counts of refusals and
    cuts, by code.
    """

    def __init__(
        self, options: EngineOptions, admission: Admission, refusals: Counter[str]
    ) -> None:
        self.options = options
        self.admission = admission
        self.refusals = refusals
        self.handlers: SessionHandlers
        self.by_id: dict[str, Session] = {}
        self.awaited: dict[str, Session] = {}
        self.websockets = 0
        # One object for all sessions.
        self.cut = self._cut_off

    def counts(self) -> dict[str, int]:
        """Return how many clients there are by transport."""
        return {"polling": len(self.by_id) - self.websockets, "websocket": self.websockets}

    def open(self, session: Session, environ: Environ) -> None:
        """Add a session that was admitted."""
        self.websockets += session.upgraded
        self.by_id[session.sid] = session
        self.handlers.opened(session.sid, environ)

    def hear(self, session: Session, packet: Received) -> None:
        """Handle a packet of a client. Raises BadPacket."""
        if packet.kind == PONG and session.awaits_pong:
            session.awaits_pong = False
            session.next_s = monotonic() + self.options.ping_interval_s
            session.set_due()
        elif packet.kind == MESSAGE:
            session.is_handling = True
            try:
                self.handlers.message(session.sid, packet.data)
            finally:
                session.is_handling = False
        elif packet.kind == CLOSE:
            self.close(session, CLIENT_DISCONNECT, last=NOOP_PACKET)
        elif packet.kind in (PONG, UPGRADE, NOOP):
            session.note_unsolicited()
        else:
            raise BadPacket("a client sends no such packet")

    def close(
        self,
        session: Session,
        reason: str,
        code: int = NORMAL,
        text: str = "",
        last: Packet = CLOSE_PACKET,
    ) -> None:
        """Close a session; a second call does nothing. Only handlers of its end may wait.

        reason: for the handlers. code, text: of the close of a WebSocket. last: the answer to a
        poll that waits.
        """
        if session.closed:
            return
        session.closed = True
        self.by_id.pop(session.sid, None)
        self.websockets -= session.upgraded
        writer, is_awaited = session.writer, False
        if isinstance(writer, PollWriter):
            self.refusals[UNREAD] += writer.overflowed
            is_awaited = reason == SERVER_DISCONNECT and not writer.gone
            writer.close(last.payload)
        if is_awaited:
            session.due_s = monotonic() + LAST_POLL_S
            self.awaited[session.sid] = session
        else:
            self.admission.leave(session.sid)
        if session.websocket is not None:
            session.websocket.close(code, text)
        try:
            self.handlers.closed(session.sid, reason)
        except Exception:
            log.exception("the end of a session failed session=%s", session.sid)

    def close_id(self, sid: str) -> None:
        """Close the session of this id, if there is one."""
        if session := self.by_id.get(sid):
            self.close(session, SERVER_DISCONNECT)

    def close_all(self, code: int, text: str) -> None:
        """Close every session. code, text: of the close of a WebSocket."""
        turn_ends_s = monotonic() + TURN_S
        for session in list(self.by_id.values()):
            self.close(session, SERVER_DISCONNECT, code, text)
            if monotonic() > turn_ends_s:
                sleep(0)
                turn_ends_s = monotonic() + TURN_S

    def send_back(self, session: Session) -> None:
        """Close a session that has reached its longest time; its client reconnects."""
        self.handlers.over(session.sid)
        self.close(session, SERVER_DISCONNECT, SERVICE_RESTART, "connect again")

    def forget(self, session: Session) -> None:
        """Stop expecting a poll of a closed session."""
        self.awaited.pop(session.sid, None)
        self.admission.leave(session.sid)

    def _cut_off(self, sid: str) -> None:
        """End a session whose credential is no longer valid, without a last poll."""
        self.close_id(sid)
        if awaited := self.awaited.get(sid):
            self.forget(awaited)
