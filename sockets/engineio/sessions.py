"""Engine.IO: sessions over polling and WebSocket, and the change from the one to the other.

A subclass of engineio.Server that keeps its interface and none of its machinery: a session has no
queue, no writer and no timer. What is sent goes straight to the session's writer, which has a
bound; one thread watches all sessions, sends the pings and finds the dead. The talk of a WebSocket
runs the handlers, one after the other, so a client's events are handled in their order and a slow
handler slows down nobody but its client.

Way in: EngineServer, for sockets/server.py. Source:
https://github.com/socketio/engine.io-protocol, version 4; where that says nothing, what Node's
server does, by whose suite the tests go. The defects of engineio.Server that this mends are listed
in tests/system/test_engine.py, each with a test of the stock server beside the one of this.
"""

from __future__ import annotations

import json
import logging
import math
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from http import HTTPStatus
from time import monotonic, sleep
from typing import Any
from urllib.parse import parse_qs

import engineio

from auth import Clients, RequestIdentity, SocketLimits
from auth.access import AccessError, CrossOrigin
from auth.answers import SECURITY_HEADERS, log_refusal
from auth.identity import identity_of
from auth.request_scheduler import TURN_S, RequestScheduler, end_turn, turn_for_reading
from auth.unfinished import Unfinished
from sockets.answers import http_answer_of
from sockets.engineio.errors import BadPacket, BadSession, NoConnection, SocketError
from sockets.engineio.handshake import is_upgrade
from sockets.engineio.packets import (
    CLOSE,
    MESSAGE,
    NOOP,
    OPEN,
    PING,
    PONG,
    SEPARATOR,
    UPGRADE,
    Packet,
    Received,
    payload_frames,
    read_packet,
    read_payload,
    write_json,
)
from sockets.engineio.polling import PollWriter
from sockets.engineio.unsolicited import note_unsolicited
from sockets.engineio.websocket import FrameWriter, Talk, WebSocket, serve
from topics.connection_writer import UNREAD
from topics.lifetime import end_of
from wire.connection import connection_of

log = logging.getLogger(__name__)

PING_PACKET = Packet(str(PING))
CLOSE_PACKET = Packet(str(CLOSE))
NOOP_PACKET = Packet(str(NOOP))
PROBE, PROBED = f"{PING}probe", f"{PONG}probe"

# Node's: a client has so long to join a namespace, and from the probe to the upgrade.
CONNECT_TIMEOUT_S = 45.0
UPGRADE_TIMEOUT_S = 10.0
# How often the sessions are looked through: ten thousand take a millisecond. Short intervals, as
# tests have them, are looked after more often.
WATCH_S = 1.0
WATCH_SHARE = 0.05
# By how much a session may outlast its time so that nothing of it is cut.
MOST_LATE_S = 5.0
# How long a poll that is being answered may hold the change to WebSocket up.
HAND_OVER_S = 2.0

# engineio.payload.Payload.max_decode_packets: with more, python-engineio's client stops polling
# without a word. Others take what there is.
PYTHON_PACKETS = 16

# How it is counted that no pong came.
SILENT = "silent"

# A polling client whose session is closed is told so by its present poll, or its next one: within
# so long.
LAST_POLL_S = 4.0

# RFC 6455, 7.4.1
NORMAL, GOING_AWAY, PROTOCOL_ERROR = 1000, 1001, 1002
# The IANA registry of close codes.
SERVICE_RESTART = 1012

StartResponse = Callable[..., Any]


class Session:
    """A client, on one of the transports.

    writer: where everything for it goes. upgraded: that is a WebSocket's, which takes frames;
    otherwise it takes payloads. closed: it is no session any more. is_handling: a handler of this
    client runs, so nothing is read from it. due_s: when the watch has to look at it.
    """

    __slots__ = (
        "__weakref__",
        "awaits_pong",
        "closed",
        "connect_by_s",
        "delivered_at_ping",
        "due_s",
        "ends_s",
        "is_handling",
        "is_posting",
        "next_s",
        "paid_until_s",
        "pinged_at_s",
        "session",
        "sid",
        "upgrade_by_s",
        "upgraded",
        "websocket",
        "writer",
    )  # fmt: skip

    def __init__(
        self, sid: str, next_s: float, connect_by_s: float, max_packets: int | None = None
    ) -> None:
        self.sid = sid
        self.writer: PollWriter | FrameWriter = PollWriter(self.look_soon, max_packets)
        self.websocket: WebSocket | None = None
        self.upgraded = False
        self.closed = False
        self.is_handling = False
        self.is_posting = False
        # What engineio.Server calls so: the application's own, made when it is asked for.
        self.session: dict[str, Any] | None = None
        # The next ping, or until when the pong has to come.
        self.next_s = next_s
        self.awaits_pong = False
        self.pinged_at_s = 0.0
        self.delivered_at_ping = 0
        self.connect_by_s: float | None = connect_by_s
        self.upgrade_by_s: float | None = None
        # When it has lasted for as long as one may.
        self.ends_s = math.inf
        self.due_s = 0.0
        # See sockets.engineio.unsolicited.
        self.paid_until_s = 0.0
        self.set_due()

    def send(self, packet: Packet) -> bool:
        """Send a packet, or keep it for a moment; False when it will not arrive. Never waits."""
        return self.writer.send_control(packet.frame if self.upgraded else packet.payload)

    def try_send(self, packet: Packet) -> bool:
        """Send a packet if the client is free for it. Never waits."""
        return self.writer.try_send(packet.frame if self.upgraded else packet.payload)

    def await_connect(self, timeout_s: float) -> None:
        """End it unless it is in a namespace again by then."""
        self.connect_by_s = monotonic() + timeout_s
        self.set_due()

    def note_unsolicited(self) -> None:
        """Count a packet that says nothing. Raises TooManyFrames."""
        self.paid_until_s = note_unsolicited(self.paid_until_s)

    def look_soon(self) -> None:
        """Have the watch look at it the next time."""
        self.due_s = 0.0

    def set_due(self) -> None:
        times_s = (self.next_s, self.connect_by_s, self.upgrade_by_s, self.ends_s)
        self.due_s = min(time_s for time_s in times_s if time_s is not None)

    def may_end(self) -> bool:
        """Tell whether nothing is lost if it ends now: no request, no answer is under way."""
        if monotonic() > self.ends_s + MOST_LATE_S:
            return True
        is_told = self.is_handling or self.is_posting or self.upgrade_by_s is not None
        # A client that polls has had everything when it waits, or asks again.
        return not is_told and (self.upgraded or not self.writer.busy)

    def note_ping(self, now_s: float) -> None:
        """Remember what shows later that somebody is there."""
        self.pinged_at_s = now_s
        if self.websocket is not None and self.upgraded:
            self.delivered_at_ping = self.writer.sent_bytes - self.websocket.undelivered_bytes()

    def is_alive(self) -> bool:
        """Tell whether a missing pong has other reasons than that nobody is there."""
        if self.is_handling:
            return True
        if self.websocket is None or not self.upgraded:
            return False
        if self.websocket.last_heard_s > self.pinged_at_s:
            return True
        # The ping may be on its way still, behind what a slow connection takes bit by bit.
        undelivered = self.websocket.undelivered_bytes()
        has_moved = self.writer.sent_bytes - undelivered > self.delivered_at_ping
        return has_moved and (self.writer.busy or undelivered > 0)


class EngineServer(engineio.Server):  # type: ignore[misc]
    """See the module. Options are engineio.Server's.

    connect_timeout_s: how long a client may take to join a namespace. upgrade_timeout_s: and from
    asking for a WebSocket to changing over to it. on_upgrade: called with the id of a session that
    has just changed; it must not wait. websockets: how many sessions are on WebSocket. refusals:
    what was refused or cut off, by its code. take_turn: called with each request; waits for a turn
    to answer it in. admit: called with each request and the id of the session it names, None
    for none; returns whose it is, raises AccessError. clients: where sessions are counted, and cut.
    socket_limits: what all sockets share.
    """

    sockets: dict[str, Session]

    def __init__(
        self,
        *,
        connect_timeout_s: float = CONNECT_TIMEOUT_S,
        upgrade_timeout_s: float = UPGRADE_TIMEOUT_S,
        connection_s: float = 0.0,
        **options: Any,
    ) -> None:
        super().__init__(async_mode="threading", monitor_clients=False, **options)
        self.connect_timeout_s = connect_timeout_s
        self.upgrade_timeout_s = upgrade_timeout_s
        self.connection_s = connection_s
        self.interval_s = self.ping_interval + self.ping_interval_grace_period
        self.on_upgrade: Callable[[str], None] = _nothing
        self.on_over: Callable[[str], None] = _nothing
        self.admit: Callable[[dict[str, Any], str | None], RequestIdentity] = _anybody
        self.clients = Clients(sys.maxsize)
        self.socket_limits = SocketLimits(RequestScheduler(), Unfinished())
        self.take_turn: Callable[[dict[str, Any]], object] = self._take_turn_of_address
        # One object, not one for each session.
        self._cut = self._cut_off
        self.refusals: Counter[str] = Counter()
        self.websockets = 0
        self._is_watched = False
        self._stopped = threading.Event()
        # Closed sessions whose last poll is awaited, by their ids.
        self._awaited: dict[str, Session] = {}

    # What engineio.Server offers.

    def send(self, sid: str, data: Any) -> None:
        """Send a message to a client. data: text, bytes, or what becomes JSON."""
        if not isinstance(data, str | bytes):
            data = json.dumps(data, separators=(",", ":"))
        packet = Packet(data if isinstance(data, bytes) else f"{MESSAGE}{data}")
        if session := self.sockets.get(sid):
            session.send(packet)

    def get_session(self, sid: str) -> dict[str, Any]:
        session = self._get_socket(sid)
        if session.session is None:
            session.session = {}
        kept: dict[str, Any] = session.session
        return kept

    def disconnect(self, sid: str | None = None, code: int = NORMAL, text: str = "") -> None:
        """Close a session, or all. code, text: what a WebSocket is closed with."""
        sessions = self.sockets.values() if sid is None else filter(None, [self.sockets.get(sid)])
        turn_ends_s = monotonic() + TURN_S
        for session in list(sessions):
            self.close_session(session, self.reason.SERVER_DISCONNECT, code, text)
            if monotonic() > turn_ends_s:
                sleep(0)
                turn_ends_s = monotonic() + TURN_S

    def counts(self) -> dict[str, int]:
        """Return how many clients there are by transport."""
        return {"polling": len(self.sockets) - self.websockets, "websocket": self.websockets}

    def shutdown(self) -> None:
        """Watch no longer."""
        self._stopped.set()

    # HTTP

    def _take_turn_of_address(self, environ: dict[str, Any]) -> None:
        self.socket_limits.scheduler.take(identity_of(environ, None).quota_key)

    def handle_request(
        self, environ: dict[str, Any], start_response: StartResponse
    ) -> Iterable[bytes]:
        """Answer a request, or take its connection over for a WebSocket."""
        self.take_turn(environ)
        try:
            return self._handle(environ, start_response)
        finally:
            end_turn()

    def _handle(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        query = parse_qs(environ.get("QUERY_STRING", ""))
        try:
            identity = self.admit(environ, query.get("sid", [None])[0])
            body = self._route(environ, query, identity)
        except (SocketError, AccessError) as error:
            return self._refuse(environ, start_response, error)
        if body is None:
            return []
        return self._answer(environ, start_response, 200, "text/plain; charset=UTF-8", body, ())

    def _refuse(
        self,
        environ: dict[str, Any],
        start_response: StartResponse,
        error: SocketError | AccessError,
    ) -> Iterable[bytes]:
        log_refusal(error, environ.get("REMOTE_ADDR"))
        shape, headers = http_answer_of(error)
        self.refusals[shape["error"]] += 1
        body = json.dumps(shape).encode()
        kind = "application/json"
        return self._answer(environ, start_response, shape["status"], kind, body, headers.items())

    def _answer(
        self,
        environ: dict[str, Any],
        start_response: StartResponse,
        status: int,
        kind: str,
        body: bytes,
        more: Iterable[tuple[str, str]],
    ) -> Iterable[bytes]:
        headers = [
            ("Content-Type", kind),
            ("Content-Length", str(len(body))),
            ("Cache-Control", "no-store"),
            *SECURITY_HEADERS.items(),
            *more,
            *self._cors_headers(environ),
        ]
        start_response(f"{status} {HTTPStatus(status).phrase}", headers)
        return [body]

    def _route(
        self, environ: dict[str, Any], query: Mapping[str, list[str]], identity: RequestIdentity
    ) -> bytes | None:
        """Return the body of an answer 200, None for a WebSocket.

        Raises SocketError, CrossOrigin.
        """
        self._check_origin(environ)
        method = environ["REQUEST_METHOD"]
        if method == "OPTIONS":
            return b""
        transport = query.get("transport", [""])[0]
        if transport not in self.transports:
            raise BadSession(f"transport= is one of {', '.join(self.transports)}")
        if (transport == "websocket") != is_upgrade(environ):
            raise BadSession("transport=websocket, and nothing else, asks for an upgrade")
        sids = query.get("sid")
        if sids is None:
            if query.get("EIO") != ["4"]:
                raise BadSession("EIO=4 is spoken here: Socket.IO 3 and newer")
            if method != "GET":
                raise BadSession("a session is opened by GET")
            return self._open(environ, transport, identity)
        awaited = self._awaited.get(sids[0]) if transport == "polling" else None
        session = awaited or self._find(sids[0])
        if transport == "websocket":
            self._upgrade(session, environ, identity)
            return None
        if session.upgraded:
            raise BadSession("the session has changed to a WebSocket")
        if client := connection_of(environ):
            client.is_awaited = partial(self._awaited.__contains__, session.sid)
        if method == "GET":
            return self._poll(session)
        if method == "POST":
            # What is said to a session that ends is dropped, as on a WebSocket that is being
            # closed. An error would make the client give up before it has polled.
            return b"ok" if session.closed else self._post(session, environ, identity)
        raise BadSession("a session is polled by GET, and told by POST")

    def _check_origin(self, environ: dict[str, Any]) -> None:
        """Refuse what a page of another site asks, polls too: admit lets it see other pages."""
        origin = environ.get("HTTP_ORIGIN")
        if origin and self.cors_allowed_origins != []:
            allowed = self._cors_allowed_origins(environ)
            if allowed is not None and origin not in allowed:
                raise CrossOrigin("a page of another site may not connect")

    def _find(self, sid: str) -> Session:
        session = self.sockets.get(sid)
        if session is not None and monotonic() >= session.due_s:
            self._look_at(session)
        if session is None or session.closed:
            raise BadSession("there is no such session: open another one")
        return session

    def _open(
        self, environ: dict[str, Any], transport: str, identity: RequestIdentity
    ) -> bytes | None:
        now_s = monotonic()
        sid = self.generate_id()
        self.clients.enter(sid, identity, self._cut)
        times_s = now_s + self.interval_s, now_s + self.connect_timeout_s
        session = Session(sid, *times_s, _most_packets(environ))
        session.ends_s = end_of(self.connection_s)
        session.set_due()
        packet = self._open_packet(sid, environ, transport)
        if transport == "websocket":
            talk = partial(self._talk, session)
            try:
                websocket = self._serve(environ, talk, identity, packet.frame)
            except SocketError:
                self.clients.leave(sid)
                raise
            session.websocket, session.writer, session.upgraded = websocket, websocket.writer, True
            self.websockets += 1
        self.sockets[sid] = session
        self._start_watch()
        self._trigger_event("connect", sid, environ, run_async=False)
        return None if session.upgraded else packet.payload

    def _open_packet(self, sid: str, environ: dict[str, Any], transport: str) -> Packet:
        can_upgrade = self.allow_upgrades and "websocket" in self.transports
        can_upgrade = can_upgrade and transport == "polling"
        is_ours = connection_of(environ) is not None
        fields = {
            "sid": sid,
            "upgrades": ["websocket"] if can_upgrade and is_ours else [],
            "pingInterval": round(self.interval_s * 1000),
            "pingTimeout": round(self.ping_timeout * 1000),
            "maxPayload": self.max_http_buffer_size,
        }
        return Packet(f"{OPEN}{write_json(fields)}")

    # Polling

    def _poll(self, session: Session) -> bytes:
        writer = session.writer
        assert isinstance(writer, PollWriter)
        if writer.is_polled:
            self.close_session(session, self.reason.TRANSPORT_ERROR)
            raise BadSession("a session is polled once at a time")
        is_told = session.closed or session.is_posting or session.upgrade_by_s is not None
        if monotonic() >= session.ends_s and not is_told and not writer.has_rest:
            self._send_back(session)
        answer = writer.poll()
        if session.closed and writer.is_over:
            self._forget(session)
        return answer

    def _post(self, session: Session, environ: dict[str, Any], identity: RequestIdentity) -> bytes:
        if session.is_posting:
            self.close_session(session, self.reason.TRANSPORT_ERROR)
            raise BadSession("a session is told one thing at a time")
        session.is_posting = True
        scheduler, unfinished = self.socket_limits
        try:
            unfinished.keep(session, identity.quota_key, self._body_bytes(environ))
            stream = environ["wsgi.input"]
            with turn_for_reading(stream):
                body = stream.read(self.max_http_buffer_size + 1)
            if len(body) > self.max_http_buffer_size:
                text = f"a payload may have {self.max_http_buffer_size} bytes"
                raise BadSession(text, HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
            turn_ends_s = scheduler.go_on(identity.quota_key, monotonic() + TURN_S)
            for packet in read_payload(body):
                if session.closed:
                    break
                self._hear(session, packet)
                turn_ends_s = scheduler.go_on(identity.quota_key, turn_ends_s)
        except (BadPacket, BadSession):
            self.close_session(session, self.reason.TRANSPORT_ERROR)
            raise
        finally:
            session.is_posting = False
            unfinished.forget(session)
        return b"ok"

    def _cut_off(self, sid: str) -> None:
        """End a session whose credential is good no more: nobody is told anything of it."""
        self.disconnect(sid)
        if awaited := self._awaited.get(sid):
            self._forget(awaited)

    def _forget(self, session: Session) -> None:
        """Expect no poll of a closed session any more."""
        self._awaited.pop(session.sid, None)
        self.clients.leave(session.sid)

    def _body_bytes(self, environ: dict[str, Any]) -> int:
        """Return how much of a body is read at most."""
        most: int = self.max_http_buffer_size
        return min(int(environ.get("CONTENT_LENGTH") or most), most)

    # WebSocket

    def _talk(self, session: Session, websocket: WebSocket) -> Talk:
        """Hear what comes until it is over."""
        try:
            while not session.closed:
                self._hear(session, read_packet((yield)))
        except BadPacket as error:
            self.refusals[error.code] += 1
            reason = self.reason.TRANSPORT_ERROR
            self.close_session(session, reason, error.close_code, str(error))
        finally:
            self.close_session(session, self.reason.TRANSPORT_CLOSE)

    def _serve(
        self,
        environ: dict[str, Any],
        talk: Callable[[WebSocket], Talk],
        identity: RequestIdentity,
        first: bytes = b"",
    ) -> WebSocket:
        most = self.max_http_buffer_size
        return serve(
            environ,
            talk,
            identity.quota_key,
            self.socket_limits,
            max_message_bytes=most,
            first=first,
        )

    def _upgrade(
        self, session: Session, environ: dict[str, Any], identity: RequestIdentity
    ) -> None:
        if connection_of(environ) is None:
            raise NoConnection("WebSockets need the server that gunicorn.conf.py starts")
        if session.websocket is not None or not self.allow_upgrades:
            # As Node does: a client sees that it is closed, not that it is refused.
            self._serve(environ, _leave, identity)
            return
        session.websocket = self._serve(environ, partial(self._probe, session), identity)
        session.upgrade_by_s = monotonic() + self.upgrade_timeout_s
        session.set_due()

    def _probe(self, session: Session, websocket: WebSocket) -> Talk:
        """See whether the WebSocket carries; then change to it. Otherwise the polls go on."""
        polls = session.writer
        assert isinstance(polls, PollWriter)
        try:
            if (yield) != PROBE:
                return
            websocket.send_text(PROBED)
            # Ends the poll that waits; what there is from now on is for the WebSocket.
            polls.hold(NOOP_PACKET.payload)
            if (yield) == str(UPGRADE) and not session.closed:
                self._change_over(session, polls, websocket)
        finally:
            session.upgrade_by_s = None
            if not session.upgraded:
                session.websocket = None
                polls.hold(None)
        if session.upgraded:
            yield from self._talk(session, websocket)

    def _change_over(self, session: Session, polls: PollWriter, websocket: WebSocket) -> None:
        ends_s = monotonic() + HAND_OVER_S
        while polls.is_polled and monotonic() < ends_s:
            # A client waits for the end of its poll before it changes, but who knows.
            sleep(TURN_S)
        if session.closed or polls.is_polled:
            return
        # Nobody else has a turn from here on, so nothing is lost or comes twice.
        mail = polls.hand_over(NOOP_PACKET.payload)
        session.writer, session.upgraded = websocket.writer, True
        self.websockets += 1
        if mail:
            websocket.writer.send_control(payload_frames(SEPARATOR.encode().join(mail)))
        self.on_upgrade(session.sid)

    # Both

    def _hear(self, session: Session, packet: Received) -> None:
        """Do what a packet asks for. Raises BadPacket."""
        if packet.kind == PONG and session.awaits_pong:
            session.awaits_pong = False
            session.next_s = monotonic() + self.interval_s
            session.set_due()
        elif packet.kind == MESSAGE:
            session.is_handling = True
            try:
                self.handlers["message"](session.sid, packet.data)
            finally:
                session.is_handling = False
        elif packet.kind == CLOSE:
            reason = self.reason.CLIENT_DISCONNECT
            self.close_session(session, reason, last=NOOP_PACKET)
        elif packet.kind in (PONG, UPGRADE, NOOP):
            session.note_unsolicited()
        else:
            raise BadPacket("a client sends no such packet")

    def close_session(
        self,
        session: Session,
        reason: str,
        code: int = NORMAL,
        text: str = "",
        last: Packet = CLOSE_PACKET,
    ) -> None:
        """Close a session; again is harmless. Never waits but in handlers of its end.

        reason: for the handlers. code, text: what a WebSocket is closed with. last: what a poll
        that waits is answered with.
        """
        if session.closed:
            return
        session.closed = True
        self.sockets.pop(session.sid, None)
        self.websockets -= session.upgraded
        writer, is_awaited = session.writer, False
        if isinstance(writer, PollWriter):
            self.refusals[UNREAD] += writer.overflowed
            is_awaited = reason == self.reason.SERVER_DISCONNECT and not writer.gone
            writer.close(last.payload)
        if is_awaited:
            session.due_s = monotonic() + LAST_POLL_S
            self._awaited[session.sid] = session
        else:
            self.clients.leave(session.sid)
        if session.websocket is not None:
            session.websocket.close(code, text)
        self._trigger_event("disconnect", session.sid, reason, run_async=False)

    def _send_back(self, session: Session) -> None:
        """Close a session that has lasted for long enough; its client comes back."""
        self.on_over(session.sid)
        self.close_session(session, self.reason.SERVER_DISCONNECT, SERVICE_RESTART, "connect again")

    # The watch

    def _start_watch(self) -> None:
        if not self._is_watched:
            self._is_watched = True
            threading.Thread(target=self._watch, name="engine watch", daemon=True).start()

    def _watch(self) -> None:
        """Look at every session that is due, for ever."""
        spans_s = (self.interval_s, self.ping_timeout, self.connect_timeout_s)
        tick_s = min(WATCH_S, *(span_s * WATCH_SHARE for span_s in spans_s))
        while not self._stopped.wait(tick_s):
            turn_ends_s = monotonic() + TURN_S
            for session in list(self.sockets.values()):
                now_s = monotonic()
                if now_s >= session.due_s:
                    try:
                        self._look_at(session)
                    except Exception:
                        log.exception("cannot look after session=%s", session.sid)
                if now_s > turn_ends_s:
                    sleep(0)
                    turn_ends_s = monotonic() + TURN_S
            for session in list(self._awaited.values()):
                if monotonic() >= session.due_s:
                    self._forget(session)

    def _look_at(self, session: Session) -> None:
        """Send a ping that is due, or end what is over."""
        now_s = monotonic()
        if session.writer.gone and not session.upgraded:
            self.close_session(session, self.reason.TRANSPORT_ERROR)
        elif session.connect_by_s is not None and now_s >= session.connect_by_s:
            text = "connect to a namespace"
            self.close_session(session, self.reason.TRANSPORT_CLOSE, PROTOCOL_ERROR, text)
        elif now_s >= session.ends_s and session.may_end():
            self._send_back(session)
        elif now_s >= session.next_s:
            self._ping_or_end(session, now_s)
        if session.upgrade_by_s is not None and now_s >= session.upgrade_by_s:
            session.upgrade_by_s = None
            if session.websocket is not None:
                session.websocket.cut()
        session.set_due()

    def _ping_or_end(self, session: Session, now_s: float) -> None:
        if session.awaits_pong:
            if not session.is_alive():
                self.refusals[SILENT] += 1
                reason = self.reason.PING_TIMEOUT
                self.close_session(session, reason, GOING_AWAY, "no pong came")
                return
            session.note_ping(now_s)
            session.next_s = now_s + self.ping_timeout
        else:
            # On time, unless the hub was held for so long that this would cost clients theirs.
            is_late = now_s - session.next_s > self.ping_timeout / 2
            session.next_s = (now_s if is_late else session.next_s) + self.ping_timeout
            session.awaits_pong = True
            session.send(PING_PACKET)
            session.note_ping(now_s)


def _most_packets(environ: dict[str, Any]) -> int | None:
    """Return how many packets a client takes in the answer to one poll, None for any number."""
    return PYTHON_PACKETS if "python" in environ.get("HTTP_USER_AGENT", "").lower() else None


def _leave(websocket: WebSocket) -> Talk:
    """Talk about nothing."""
    yield from ()


def _anybody(environ: Mapping[str, Any], sid: str | None) -> RequestIdentity:
    return identity_of(environ, None)


def _nothing(*of: Any) -> None:
    pass
