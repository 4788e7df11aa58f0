"""Socket.IO over Engine.IO: clients join namespaces, send events and acknowledge them.

A client's mistake or failing handler is answered, and affects no other client. Handlers run one
after the other in the greenlet of their client. Way in: SocketIOServer. Sources: the Socket.IO
protocol 5 (https://github.com/socketio/socket.io-protocol), and the behaviour of Node's server,
whose suite tests/system/test_engine.py follows.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from time import sleep
from typing import Any, Protocol

from sockets.engineio.attachments import HalfEvents
from sockets.engineio.contract import Environ, FrameWriter
from sockets.engineio.emitter import Emitter
from sockets.engineio.engine import EngineServer
from sockets.engineio.errors import (
    INTERNAL_ERROR,
    BadPacket,
    ConnectRefused,
    Refused,
    refusal,
)
from sockets.engineio.members import Members, Membership
from sockets.engineio.polling import PollWriter
from sockets.engineio.session import (
    CLIENT_DISCONNECT,
    SERVER_DISCONNECT,
    TRANSPORT_CLOSE,
    Session,
    new_id,
)
from sockets.engineio.socketio_packets import (
    BINARY_EVENT,
    CONNECT,
    CONNECT_ERROR,
    DISCONNECT,
    EVENT,
    PacketHead,
    ack_packet,
    put_attachments,
    read_event,
    read_head,
    text_packet,
)

log = logging.getLogger(__name__)

# The pause between the CONNECT and the events of the connect handler: if both came in one read, the
# events would come before the client can listen for them.
CONNECT_PAUSE_S = 0.002
# A CONNECT carries a token, and comes before the client is identified.
MAX_CONNECT_CHARS = 64 * 1024


class NamespaceHandlers(Protocol):
    """The application's handling of namespaces and events. session: an id in Engine.IO."""

    def opened(self, session: str, environ: Environ, /) -> None:
        """A session has begun. environ: of its first request."""

    def forget(self, session: str, /) -> None:
        """A session has ended, and no handler of its clients runs any more."""

    def serves(self, namespace: str, /) -> bool:
        """Tell whether there is such a namespace."""

    def connect(self, namespace: str, sid: str, auth: Any, /) -> None:
        """Admit a client. auth: the data in its CONNECT. Raises ConnectRefused and Refused."""

    def heard(self, namespace: str, sid: str, /) -> None:
        """Count an event, before its text is parsed. Raises Refused."""

    def event(self, namespace: str, sid: str, name: str, arguments: list[Any], /) -> Any:
        """Handle an event; return its acknowledgement: None, a value or a tuple. Raises Refused."""

    def disconnect(self, namespace: str, sid: str, reason: str, /) -> None:
        """Undo what `connect` has done."""

    def upgraded(self, namespace: str, sid: str, /) -> None:
        """A client has changed to WebSocket: its writer is another one."""

    def over(self, namespace: str, sid: str, /) -> None:
        """A client's session has reached its longest time; it is closed next."""


class SocketIOServer:
    """See the module. From now on it handles the sessions of engine."""

    def __init__(self, engine: EngineServer, handlers: NamespaceHandlers) -> None:
        self.engine = engine
        self.sessions = engine.sessions
        self.members = Members(new_id)
        self.emitter = Emitter(engine.sessions)
        self._handlers = handlers
        self._halves = HalfEvents(
            engine.admission, engine.acceptor.unfinished, engine.options.max_payload_bytes
        )
        engine.sessions.handlers = self

    def session_of(self, sid: str, namespace: str) -> Session | None:
        """Return the session of a client, None if it is gone."""
        member = self.members.find(sid, namespace)
        return self.sessions.by_id.get(member.session) if member else None

    def writer_of(self, sid: str, namespace: str) -> PollWriter | FrameWriter | None:
        """Return the writer of a client, None if it is gone. It changes with an upgrade."""
        session = self.session_of(sid, namespace)
        return session.writer if session else None

    # Called by sessions: see SessionHandlers.

    def opened(self, session: str, environ: Environ) -> None:
        self._handlers.opened(session, environ)

    def message(self, session: str, data: str | bytes) -> None:
        if isinstance(data, bytes):
            if half := self._halves.attach(session, data):
                self._handle(session, half.head, half.text.decode(), half.attachments)
            return
        if session in self._halves:
            raise BadPacket("an event's attachments follow it at once")
        head = read_head(data)
        if head.kind != CONNECT and not self.members.sids_of(session):
            raise BadPacket("connect to a namespace first")
        if head.kind == CONNECT and len(data) > MAX_CONNECT_CHARS:
            raise BadPacket(f"a CONNECT has at most {MAX_CONNECT_CHARS} characters")
        if head.attachments:
            self._halves.begin(session, head, data)
        else:
            self._handle(session, head, data, [])

    def upgraded(self, session: str) -> None:
        self._tell(session, self._handlers.upgraded)

    def over(self, session: str) -> None:
        self._tell(session, self._handlers.over)

    def closed(self, session: str, reason: str) -> None:
        self._halves.drop(session)
        for namespace, sid in self.members.sids_of(session):
            member = self.members.find(sid, namespace)
            if member is not None and member.is_connected:
                self._leave(member, namespace, reason)
            elif member is not None:
                # Its connect handler still runs, and is undone when it ends.
                member.is_leaving = True
        self._forget_if_gone(session)

    def _tell(self, session: str, tell: Callable[[str, str], None]) -> None:
        for namespace, sid in self.members.sids_of(session):
            try:
                tell(namespace, sid)
            except Exception:
                log.exception("a handler failed namespace=%s connection=%s", namespace, sid)

    # Packets

    def _handle(self, session: str, head: PacketHead, text: str, attachments: list[bytes]) -> None:
        if head.kind == CONNECT:
            self._connect(session, head.namespace, text)
            return
        sid = self.members.sid_of(session, head.namespace)
        member = self.members.find(sid, head.namespace)
        if member is None or not member.is_connected:
            read_event(text)
            # The packet was on its way when the server closed the namespace.
            self._note_unsolicited(session)
        elif head.kind in (EVENT, BINARY_EVENT):
            self._run(member, head, text, attachments)
        else:
            data = read_event(text).data
            if head.kind == DISCONNECT:
                self._leave(member, head.namespace, CLIENT_DISCONNECT)
            elif head.id is not None:
                whole = put_attachments(data, attachments)
                if not self._acknowledge(member, head.id, whole):
                    self._note_unsolicited(session)

    def _note_unsolicited(self, session_id: str) -> None:
        if session := self.sessions.by_id.get(session_id):
            session.note_unsolicited()

    def _connect(self, session_id: str, namespace: str, text: str) -> None:
        deliver = self.emitter.deliver
        try:
            self.engine.admission.note_request(self.engine.admission.quota_key_of(session_id))
            auth = read_event(text).data
        except Refused as error:
            deliver(session_id, text_packet(CONNECT_ERROR, namespace, self._refuse_connect(error)))
            return
        serves = self._handlers.serves(namespace)
        member = self.members.add(session_id, namespace) if serves else None
        if member is None:
            invalid = {"message": "Invalid namespace"}
            deliver(session_id, text_packet(CONNECT_ERROR, namespace, invalid))
            return
        refused = self._ask_to_connect(member, namespace, auth or None)
        if refused is not None:
            self.members.remove(member.sid, namespace)
            deliver(session_id, text_packet(CONNECT_ERROR, namespace, refused))
            self._forget_if_gone(session_id)
            return
        if not member.is_leaving:
            deliver(session_id, text_packet(CONNECT, namespace, {"sid": member.sid}))
            self._deliver_held(member)
        if member.is_leaving:
            # The client has left meanwhile: undo the work of the handler.
            self._undo(member, namespace, TRANSPORT_CLOSE)
            self._forget_if_gone(session_id)

    def _deliver_held(self, member: Membership) -> None:
        """Send the events of the connect handler; from now on events go straight out."""
        if member.held:
            self.engine.acceptor.schedule.end()
            sleep(CONNECT_PAUSE_S)
        held, member.held = member.held or [], None
        for packet in held:
            self.emitter.deliver(member.session, packet)
        if session := self.sessions.by_id.get(member.session):
            session.connect_by_s = None

    def _ask_to_connect(self, member: Membership, namespace: str, auth: Any) -> Any:
        """Run the connect handler; return the reason of a refusal, None if it admits the client."""
        try:
            self._handlers.connect(namespace, member.sid, auth)
        except ConnectRefused as error:
            return error.answer
        except Refused as error:
            return self._refuse_connect(error)
        except Exception:
            failed = "connect handler failed namespace=%s connection=%s"
            log.exception(failed, namespace, member.sid)
            return {"message": INTERNAL_ERROR["error"], "data": INTERNAL_ERROR}
        return None

    def _run(
        self, member: Membership, head: PacketHead, text: str, attachments: list[bytes]
    ) -> None:
        """Run the handler of an event and acknowledge the event, also after an error.

        The event is counted before its text is parsed. Raises BadPacket.
        """
        name = ""
        try:
            self._handlers.heard(head.namespace, member.sid)
            name, *arguments = put_attachments(read_event(text).data, attachments)
            answer = self._handlers.event(head.namespace, member.sid, name, arguments)
        except Refused as error:
            answer = self._refuse(error)
        except BadPacket:
            raise
        except Exception:
            log.exception("handler failed event=%.40r connection=%s", name, member.sid)
            answer = INTERNAL_ERROR
        if head.id is None:
            return
        given = [] if answer is None else list(answer) if isinstance(answer, tuple) else [answer]
        try:
            packet = ack_packet(given, head.namespace, head.id)
        except Exception:
            # The result of the handler is not JSON.
            log.exception("handler failed event=%.40r connection=%s", name, member.sid)
            packet = ack_packet([INTERNAL_ERROR], head.namespace, head.id)
        self.emitter.deliver(member.session, packet)

    def _refuse_connect(self, error: Refused) -> dict[str, Any]:
        return {"message": str(error), "data": self._refuse(error)}

    def _refuse(self, error: Refused) -> dict[str, Any]:
        self.sessions.refusals[error.code] += 1
        return refusal(error.status, error.code, str(error))

    def _acknowledge(self, member: Membership, ack_id: int, data: list[Any]) -> bool:
        """Return whether a callback waited for the acknowledgement."""
        try:
            return member.acknowledge(ack_id, data)
        except Exception:
            log.exception("acknowledgement failed connection=%s", member.sid)
            return True

    # Leaving

    def disconnect(self, sid: str, namespace: str) -> None:
        """Remove a client from a namespace; a second call does nothing."""
        member = self.members.find(sid, namespace)
        if member is not None and member.is_connected:
            self.emitter.deliver(member.session, text_packet(DISCONNECT, namespace))
            self._leave(member, namespace, SERVER_DISCONNECT)

    def close(self, sid: str, namespace: str) -> None:
        """Disconnect a client, and end its session."""
        member = self.members.find(sid, namespace)
        self.disconnect(sid, namespace)
        if member is not None:
            self.sessions.close_id(member.session)

    def _forget_if_gone(self, session: str) -> None:
        if session not in self.sessions.by_id and not self.members.sids_of(session):
            self._handlers.forget(session)

    def _leave(self, member: Membership, namespace: str, reason: str) -> None:
        member.is_leaving = True
        self._halves.drop(member.session)
        self._undo(member, namespace, reason)
        session = self.sessions.by_id.get(member.session)
        if session is not None and not self.members.sids_of(member.session):
            session.await_connect(self.engine.options.connect_timeout_s)

    def _undo(self, member: Membership, namespace: str, reason: str) -> None:
        try:
            self._handlers.disconnect(namespace, member.sid, reason)
        except Exception:
            failed = "disconnect handler failed namespace=%s connection=%s"
            log.exception(failed, namespace, member.sid)
        finally:
            self.members.remove(member.sid, namespace)
