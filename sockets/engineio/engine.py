"""Engine.IO as a WSGI application: every request of every session comes here.

A session has no queue, no writer's thread and no timer. Packets go straight to the session's
writer, which has a limit; one thread watches all sessions. The talk of a WebSocket runs the
handlers, one after the other, so a client's events are handled in their order and a slow handler
slows down its own client only.

Way in: EngineServer. Source: https://github.com/socketio/engine.io-protocol, version 4; where it is
silent, the behaviour of Node's server, whose suite the tests follow. tests/system/test_engine.py
shows where python-engineio's server differs, each defect with a test of both.
"""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from http import HTTPStatus
from time import monotonic
from typing import Any
from urllib.parse import parse_qs

from sockets.engineio.acceptor import Acceptor, no_connection
from sockets.engineio.contract import Admission, Environ, Everybody, Requester
from sockets.engineio.cors import AllowOrigin, cors_headers, is_same_origin
from sockets.engineio.errors import (
    BadSession,
    ForeignOrigin,
    NoConnection,
    SocketError,
    shape_of,
)
from sockets.engineio.handshake import is_upgrade
from sockets.engineio.packets import MESSAGE, OPEN, Packet, write_json
from sockets.engineio.polls import poll, post
from sockets.engineio.session import Session
from sockets.engineio.sessions import EngineOptions, EngineSessions
from sockets.engineio.upgrades import leave, probe, talk
from sockets.engineio.watch import Watch
from sockets.engineio.websocket import Talk, WebSocket

log = logging.getLogger(__name__)

# The most packets that python-engineio's client takes in the answer to one poll; with more it stops
# polling without an error. Other clients take any number.
PYTHON_PACKETS = 16

StartResponse = Callable[..., Any]
Query = Mapping[str, list[str]]


class EngineServer:
    """See the module. Its sessions need handlers: `engine.sessions.handlers = …`.

    acceptor: takes connections over for WebSockets; None for polling only. admission: which clients
    may connect. refusals: counts of refusals and cuts, by code. allow_origin: which pages may
    connect; None: no check, and no CORS fields. credentials: whether pages of other origins may
    send credentials. headers: more fields for every answer.
    """

    def __init__(
        self,
        options: EngineOptions | None = None,
        *,
        acceptor: Acceptor | None = None,
        admission: Admission | None = None,
        refusals: Counter[str] | None = None,
        allow_origin: AllowOrigin | None = is_same_origin,
        credentials: bool = True,
        headers: Iterable[tuple[str, str]] = (),
    ) -> None:
        self.options = options or EngineOptions()
        self.admission: Admission = admission or Everybody()
        self.acceptor = acceptor or Acceptor(no_connection, _no_writer)
        counter = Counter[str]() if refusals is None else refusals
        self.sessions = EngineSessions(self.options, self.admission, counter)
        self._watch = Watch(self.sessions)
        self._allow_origin = allow_origin
        self._credentials = credentials
        self._headers = tuple(headers)

    def send(self, sid: str, data: str | bytes) -> None:
        """Send a message to a client."""
        if session := self.sessions.by_id.get(sid):
            session.send(Packet(data if isinstance(data, bytes) else f"{MESSAGE}{data}"))

    def stop(self) -> None:
        """Stop watching the sessions."""
        self._watch.stop()

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request, or take its connection over for a WebSocket."""
        self.admission.take_turn(environ)
        try:
            return self._handle(environ, start_response)
        finally:
            self.acceptor.schedule.end()

    def _handle(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        query = parse_qs(environ.get("QUERY_STRING", ""))
        try:
            requester = self.admission.admit(environ, query.get("sid", [None])[0])
            body = self._route(environ, query, requester)
        except SocketError as error:
            return self._refuse(environ, start_response, error)
        if body is None:
            return []
        return self._answer(environ, start_response, 200, "text/plain; charset=UTF-8", body, ())

    def _refuse(
        self, environ: Environ, start_response: StartResponse, error: SocketError
    ) -> Iterable[bytes]:
        self.sessions.refusals[error.code] += 1
        body = json.dumps(shape_of(error.status, error.code, str(error))).encode()
        fields = error.headers.items()
        kind = "application/json"
        return self._answer(environ, start_response, error.status, kind, body, fields)

    def _answer(
        self,
        environ: Environ,
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
            *self._headers,
            *more,
            *cors_headers(environ, self._allow_origin, credentials=self._credentials),
        ]
        start_response(f"{status} {HTTPStatus(status).phrase}", headers)
        return [body]

    def _route(self, environ: Environ, query: Query, requester: Requester) -> bytes | None:
        """Return the body of an answer 200, None for a WebSocket. Raises SocketError."""
        self._check_origin(environ)
        method = environ["REQUEST_METHOD"]
        if method == "OPTIONS":
            return b""
        transport = query.get("transport", [""])[0]
        transports = self.options.transports
        if transport not in transports:
            raise BadSession(f"transport= is one of {', '.join(transports)}")
        if (transport == "websocket") != is_upgrade(environ):
            raise BadSession("transport=websocket, and nothing else, asks for an upgrade")
        sids = query.get("sid")
        if sids is None:
            if query.get("EIO") != ["4"]:
                raise BadSession("EIO=4 is spoken here: Socket.IO 3 and newer")
            if method != "GET":
                raise BadSession("a session is opened by GET")
            return self._open(environ, transport, requester)
        if transport == "websocket":
            self._upgrade(self._find(sids[0]), environ, requester)
            return None
        session = self.sessions.awaited.get(sids[0]) or self._find(sids[0])
        return self._poll(session, environ, requester)

    def _check_origin(self, environ: Environ) -> None:
        """Refuse requests of another site's pages, also polls: admit would let polls pass."""
        origin = environ.get("HTTP_ORIGIN")
        if origin and self._allow_origin is not None and not self._allow_origin(origin, environ):
            text = "a page of another site may not connect"
            log.warning("refused address=%s reason=%s", environ.get("REMOTE_ADDR") or "local", text)
            raise ForeignOrigin(text)

    def _find(self, sid: str) -> Session:
        session = self.sessions.by_id.get(sid)
        if session is not None and monotonic() >= session.due_s:
            self._watch.look_at(session)
        if session is None or session.closed:
            raise BadSession("there is no such session: open another one")
        return session

    def _open(self, environ: Environ, transport: str, requester: Requester) -> bytes | None:
        now_s, options = monotonic(), self.options
        times_s = now_s + options.ping_interval_s, now_s + options.connect_timeout_s
        session = Session(*times_s, options.end_of_session(), _most_packets(environ))
        self.admission.enter(session.sid, requester, self.sessions.cut)
        packet = self._open_packet(session.sid, environ, transport)
        if transport == "websocket":
            try:
                websocket = self._accept(
                    environ, lambda _: talk(self.sessions, session), requester, packet.frame
                )
            except SocketError:
                self.admission.leave(session.sid)
                raise
            session.change_to(websocket)
        self.sessions.open(session, environ)
        self._watch.start()
        return None if session.upgraded else packet.payload

    def _open_packet(self, sid: str, environ: Environ, transport: str) -> Packet:
        options = self.options
        can_upgrade = options.allow_upgrades and "websocket" in options.transports
        can_upgrade = can_upgrade and transport == "polling"
        can_upgrade = can_upgrade and self.acceptor.connection_of(environ) is not None
        fields = {
            "sid": sid,
            "upgrades": ["websocket"] if can_upgrade else [],
            "pingInterval": round(options.ping_interval_s * 1000),
            "pingTimeout": round(options.ping_timeout_s * 1000),
            "maxPayload": options.max_payload_bytes,
        }
        return Packet(f"{OPEN}{write_json(fields)}")

    def _poll(self, session: Session, environ: Environ, requester: Requester) -> bytes:
        if session.upgraded:
            raise BadSession("the session has changed to a WebSocket")
        if connection := self.acceptor.connection_of(environ):
            connection.is_awaited = partial(self.sessions.awaited.__contains__, session.sid)
        schedule = self.acceptor.schedule
        if environ["REQUEST_METHOD"] == "GET":
            return poll(self.sessions, session, schedule)
        if environ["REQUEST_METHOD"] != "POST":
            raise BadSession("a session takes GET to poll and POST to send")
        # A message to a session that ends is dropped, as on a WebSocket that is being closed. After
        # an error the client would give up before its last poll.
        if not session.closed:
            unfinished = self.acceptor.unfinished
            post(self.sessions, session, environ, requester.quota_key, schedule, unfinished)
        return b"ok"

    def _upgrade(self, session: Session, environ: Environ, requester: Requester) -> None:
        if self.acceptor.connection_of(environ) is None:
            raise NoConnection("WebSockets need the server that gunicorn.conf.py starts")
        if session.websocket is not None or not self.options.allow_upgrades:
            # As Node does: the client sees a close, not a refusal.
            self._accept(environ, leave, requester)
            return
        begin = partial(probe, self.sessions, session)
        session.websocket = self._accept(environ, begin, requester)
        session.upgrade_by_s = monotonic() + self.options.upgrade_timeout_s
        session.set_due()

    def _accept(
        self,
        environ: Environ,
        begin: Callable[[WebSocket], Talk],
        requester: Requester,
        first: bytes = b"",
    ) -> WebSocket:
        most = self.options.max_payload_bytes
        return self.acceptor.serve(
            environ, begin, requester.quota_key, max_message_bytes=most, first=first
        )


def _most_packets(environ: Environ) -> int | None:
    """Return how many packets a client takes in the answer to one poll, None for any number."""
    return PYTHON_PACKETS if "python" in environ.get("HTTP_USER_AGENT", "").lower() else None


def _no_writer(connection: Any, on_gone: Callable[[], None]) -> Any:
    raise NotImplementedError("there is no connection to write to")
