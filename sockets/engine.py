"""Socket.IO on our own Engine.IO, in flask_socketio.SocketIO.

A broadcast is encoded and framed once and written straight to every client; one client's backlog,
mistake or failing handler is its own affair. Way in: make_socketio. Sources: the Socket.IO protocol
5 (https://github.com/socketio/socket.io-protocol), and what Node's server does, by whose suite
tests/system/test_engine.py goes.
"""

from __future__ import annotations

import inspect
import io
import logging
import math
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from time import monotonic, sleep
from typing import Any, NamedTuple

import flask_socketio
import socketio
from engineio.packet import MESSAGE as ENGINE_MESSAGE
from engineio.packet import Packet as EnginePacket
from flask import Flask

from auth import Clients, RequestIdentity, SocketLimits
from auth.access import AccessError, TooMany
from auth.request_scheduler import TURN_S, end_turn
from sockets.answers import answer_of
from sockets.engineio.errors import BadPacket, NoRoom
from sockets.engineio.members import MAX_HELD, Callback, Member, Members
from sockets.engineio.packets import (
    BINARY_EVENT,
    CONNECT,
    CONNECT_ERROR,
    DISCONNECT,
    EVENT,
    Head,
    Packet,
    ack_packet,
    event_packet,
    put_attachments,
    read_event,
    read_head,
    text_packet,
)
from sockets.engineio.polling import PollWriter
from sockets.engineio.sessions import EngineServer
from sockets.engineio.websocket import FrameWriter

log = logging.getLogger(__name__)
# What the classes above ours say on INFO names events; on WARNING they say what somebody should do.
_upstream_log = logging.getLogger(f"{__name__}.upstream")
_upstream_log.setLevel(logging.WARNING)

INTERNAL_ERROR = {
    "ok": False,
    "error": "internal_error",
    "message": "the server made a mistake; it is in its log",
    "status": 500,
    "detail": {},
}

# Between the CONNECT and what the connect handler has emitted: in one read with it, that would
# come before a client has had a chance to listen for it.
CONNECT_PAUSE_S = 0.002
# It carries a token, and comes before anything is known of the client.
MAX_CONNECT_CHARS = 64 * 1024

# What is kept of the request that opened a session, besides the header fields.
_KEPT = (
    "REQUEST_METHOD", "SCRIPT_NAME", "PATH_INFO", "QUERY_STRING", "SERVER_NAME", "SERVER_PORT",
    "SERVER_PROTOCOL", "REMOTE_ADDR", "REMOTE_PORT", "wsgi.url_scheme",
)  # fmt: skip
# Fields that were about that one request.
_DROPPED = (
    "HTTP_CONNECTION", "HTTP_UPGRADE", "HTTP_ACCEPT_ENCODING", "HTTP_CACHE_CONTROL", "HTTP_PRAGMA",
    "HTTP_SEC_WEBSOCKET_KEY", "HTTP_SEC_WEBSOCKET_VERSION", "HTTP_SEC_WEBSOCKET_EXTENSIONS",
)  # fmt: skip


_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


class KeptEnviron:
    """A WSGI environ in a fifth of the space: one text, made an environ again for each handler."""

    __slots__ = ("_app", "_text")

    def __init__(self, environ: Mapping[str, Any]) -> None:
        self._app = environ.get("flask.app")
        names = [name for name in environ if name.startswith("HTTP_") and name not in _DROPPED]
        names += [name for name in _KEPT if name in environ]
        # Neither names nor values hold a NUL: HTTP refuses it.
        self._text = "\0".join(f"{name}\0{environ[name]}" for name in names)

    def environ(self) -> dict[str, Any]:
        """Return an environ, the caller's own."""
        parts = iter(self._text.split("\0"))
        environ: dict[str, Any] = dict(zip(parts, parts, strict=True))
        environ["flask.app"] = self._app
        environ["wsgi.input"] = io.BytesIO()
        environ["wsgi.errors"] = sys.stderr
        environ["wsgi.version"] = (1, 0)
        environ["wsgi.multithread"] = True
        environ["wsgi.multiprocess"] = environ["wsgi.run_once"] = False
        return environ


class _Half(NamedTuple):
    """A binary packet that waits for its attachments: as the text it is, in UTF-8."""

    head: Head
    text: bytes
    attachments: list[bytes]

    def size(self) -> int:
        return len(self.text) + sum(map(len, self.attachments))


class Server(socketio.Server):  # type: ignore[misc]
    """The Socket.IO server inside; what is not said here is as in socketio.Server.

    Handlers run one after the other in the greenlet of their client, so there is no `call`.
    """

    eio: EngineServer
    manager: Members

    def __init__(self, **options: Any) -> None:
        super().__init__(
            client_manager=Members(),
            async_handlers=False,
            logger=_upstream_log,
            engineio_logger=_upstream_log,
            **options,
        )
        self.eio.on_upgrade = self._handle_eio_upgrade
        self.eio.on_over = self._handle_eio_over
        self.note: Callable[[str], None] = _nothing
        # How many arguments a handler takes, at least and at most.
        self._arities: dict[Any, tuple[int, float]] = {}
        self._broadcasting = threading.Lock()
        self._repeated: dict[tuple[str, str], Packet] = {}

    def _engineio_server_class(self) -> type[EngineServer]:
        return EngineServer

    # Sending

    def emit_to(
        self,
        members: list[Member],
        event: str,
        data: Any,
        namespace: str,
        callback: Callback | None = None,
        only_free: bool = False,
    ) -> None:
        """Emit an event. data: its argument, a tuple of them, or None for none.

        only_free: clients that are busy do without. A broadcast waits for the one before it, and
        lets others have their turn.
        """
        arguments = [] if data is None else list(data) if isinstance(data, tuple) else [data]
        if callback is not None:
            for member in members:
                ack_id = self.manager.await_ack(member, callback)
                self._give(member, event_packet(event, arguments, namespace, ack_id))
            return
        if not members:
            return
        packet = event_packet(event, arguments, namespace)
        if len(members) == 1:
            self._give(members[0], packet, only_free)
            return
        with self._broadcasting:
            turn_ends_s = monotonic() + TURN_S
            for member in members:
                self._give(member, packet, only_free)
                if monotonic() > turn_ends_s:
                    sleep(0)
                    turn_ends_s = monotonic() + TURN_S

    def tick(self, event: str, data: Any, namespace: str) -> None:
        """Emit an event to all who are free: it is only worth something now."""
        members = self.manager.addressed(namespace, None, None)
        self.emit_to(members, event, data, namespace, only_free=True)

    def repeat(self, sid: str, event: str, data: Any, namespace: str) -> None:
        """Emit to one client an event that is the same for all of them: it is encoded once."""
        packet = self._repeated.get((namespace, event))
        if packet is None:
            packet = self._repeated[namespace, event] = event_packet(event, [data], namespace)
        member = self.manager.member(sid, namespace)
        if member is not None:
            self._give(member, packet)

    def writer_of(self, sid: str, namespace: str) -> PollWriter | FrameWriter | None:
        """Return where a client's events go, None when it is gone. It changes with an upgrade."""
        member = self.manager.member(sid, namespace)
        session = self.eio.sockets.get(member.session) if member else None
        return session.writer if session else None

    def _give(self, member: Member, packet: Packet, only_free: bool = False) -> None:
        if member.held is None:
            self._deliver(member.session, packet, only_free)
        elif not only_free and len(member.held) < MAX_HELD:
            member.held.append(packet)

    def _deliver(self, eio_sid: str, packet: Packet, only_free: bool = False) -> None:
        session = self.eio.sockets.get(eio_sid)
        if session is None:
            # Flask-SocketIO's test client has no session; it listens here.
            for part in packet.parts:
                data = part[1:] if isinstance(part, str) else part
                self._send_eio_packet(eio_sid, EnginePacket(ENGINE_MESSAGE, data))
        elif only_free:
            session.try_send(packet)
        else:
            session.send(packet)

    def _send_eio_packet(self, eio_sid: str, eio_pkt: Any) -> None:
        """Send nothing: the session is gone."""

    def _send_packet(self, eio_sid: str, pkt: Any) -> None:
        """Send a packet of socketio's own; `disconnect` of the class above does."""
        encoded = pkt.encode()
        text, *attachments = encoded if isinstance(encoded, list) else [encoded]
        self._deliver(eio_sid, Packet(f"{ENGINE_MESSAGE}{text}", *attachments))

    # Receiving

    def _handle_eio_connect(self, eio_sid: str, environ: Mapping[str, Any]) -> None:
        self.environ[eio_sid] = KeptEnviron(environ)

    def get_environ(self, sid: str, namespace: str | None = None) -> dict[str, Any] | None:
        eio_sid = self.manager.eio_sid_from_sid(sid, namespace or "/")
        kept = self.environ.get(eio_sid)
        return kept.environ() if isinstance(kept, KeptEnviron) else kept

    def _handle_eio_message(self, eio_sid: str, data: str | bytes) -> None:
        """Do what a message asks for. Raises BadPacket."""
        half: _Half | None = self._binary_packet.get(eio_sid)
        if isinstance(data, bytes):
            if half is None:
                raise BadPacket("bytes belong to an event that has announced them")
            self._attach(eio_sid, half, data)
            return
        if half is not None:
            raise BadPacket("an event's attachments follow it at once")
        head = read_head(data)
        if head.kind != CONNECT and not self.manager.sids_of(eio_sid):
            raise BadPacket("connect to a namespace first")
        if head.kind == CONNECT and len(data) > MAX_CONNECT_CHARS:
            raise BadPacket(f"a CONNECT has at most {MAX_CONNECT_CHARS} characters")
        if head.attachments:
            self._keep(eio_sid, _Half(head, data.encode(), []))
        else:
            self._handle(eio_sid, head, data, [])

    def _attach(self, eio_sid: str, half: _Half, data: bytes) -> None:
        half.attachments.append(data)
        if len(half.attachments) < half.head.attachments:
            self._keep(eio_sid, half)
            return
        self._check_size(half)
        self._drop_half(eio_sid)
        self._handle(eio_sid, half.head, half.text.decode(), half.attachments)

    def _keep(self, eio_sid: str, half: _Half) -> None:
        self._check_size(half)
        identity = self.eio.clients.identity(eio_sid)
        try:
            unfinished = self.eio.socket_limits.unfinished
            unfinished.keep(eio_sid, identity.quota_key if identity else "", half.size())
        except TooMany as error:
            raise NoRoom(str(error)) from error
        self._binary_packet[eio_sid] = half

    def _check_size(self, half: _Half) -> None:
        most = self.eio.max_http_buffer_size
        if half.size() > most:
            raise BadPacket(f"an event may have {most} bytes with its attachments")

    def _drop_half(self, eio_sid: str) -> None:
        self._binary_packet.pop(eio_sid, None)
        self.eio.socket_limits.unfinished.forget(eio_sid)

    def _handle(self, eio_sid: str, head: Head, text: str, attachments: list[bytes]) -> None:
        if head.kind == CONNECT:
            self._handle_connect(eio_sid, head.namespace, text)
            return
        sid = self.manager.sid_from_eio_sid(eio_sid, head.namespace)
        if sid is None or not self.manager.is_connected(sid, head.namespace):
            read_event(text)
            # It was on its way when the server closed the namespace.
            self._note_unsolicited(eio_sid)
        elif head.kind in (EVENT, BINARY_EVENT):
            self._run(eio_sid, sid, head, text, attachments)
        else:
            data = read_event(text).data
            if head.kind == DISCONNECT:
                self._leave(sid, head.namespace, self.reason.CLIENT_DISCONNECT)
            elif head.id is not None:
                whole = put_attachments(data, attachments)
                if not self._acknowledge(sid, head.namespace, head.id, whole):
                    self._note_unsolicited(eio_sid)

    def _note_unsolicited(self, eio_sid: str) -> None:
        if session := self.eio.sockets.get(eio_sid):
            session.note_unsolicited()

    # Connecting

    def _handle_connect(self, eio_sid: str, namespace: str, text: str) -> None:
        identity = self.eio.clients.identity(eio_sid)
        try:
            self.note(identity.quota_key if identity else "")
            data = read_event(text).data
        except AccessError as error:
            told = {"message": str(error), "data": self._refuse(error)}
            self._deliver(eio_sid, text_packet(CONNECT_ERROR, namespace, told))
            return
        sid = self.manager.pre_connect(eio_sid, namespace) if self._serves(namespace) else None
        if sid is None:
            invalid = {"message": "Invalid namespace"}
            self._deliver(eio_sid, text_packet(CONNECT_ERROR, namespace, invalid))
            return
        member = self.manager.member(sid, namespace)
        assert member is not None
        refused = self._ask_to_connect(sid, namespace, data or None)
        if refused is not None:
            self.manager.disconnect(sid, namespace)
            self._deliver(eio_sid, text_packet(CONNECT_ERROR, namespace, refused))
            self._forget_if_gone(eio_sid)
        elif member.is_leaving:
            # The client left while the handler ran, which has done what the other one undoes.
            self._undo(sid, namespace, self.reason.TRANSPORT_CLOSE)
            self._forget_if_gone(eio_sid)
        else:
            self._deliver(eio_sid, text_packet(CONNECT, namespace, {"sid": sid}))
            if member.held:
                end_turn()
                sleep(CONNECT_PAUSE_S)
            held = member.held or []
            self.manager.connect(sid, namespace)
            for packet in held:
                self._deliver(eio_sid, packet)
            if session := self.eio.sockets.get(eio_sid):
                session.connect_by_s = None

    def _serves(self, namespace: str) -> bool:
        return namespace in self.handlers or namespace in self.namespace_handlers

    def _ask_to_connect(self, sid: str, namespace: str, auth: Any) -> dict[str, Any] | None:
        """Run the connect handler; return why it refuses, None when it does not."""
        environ = self.get_environ(sid, namespace)
        try:
            answer = self._trigger_event("connect", namespace, sid, environ, auth)
        except socketio.exceptions.ConnectionRefusedError as refusal:
            reason: dict[str, Any] = refusal.error_args
            return reason
        except ConnectionRefusedError:
            answer = False
        except Exception:
            log.exception("connect handler failed namespace=%s connection=%s", namespace, sid)
            return {"message": INTERNAL_ERROR["error"], "data": INTERNAL_ERROR}
        return {"message": "Connection rejected by server"} if answer is False else None

    # Leaving

    def disconnect(
        self, sid: str, namespace: str | None = None, ignore_queue: bool = False
    ) -> None:
        namespace = namespace or "/"
        member = self.manager.member(sid, namespace)
        if member is not None and self.manager.is_connected(sid, namespace):
            self._deliver(member.session, text_packet(DISCONNECT, namespace))
            self._leave(sid, namespace, self.reason.SERVER_DISCONNECT)

    def _handle_eio_disconnect(self, eio_sid: str, reason: str) -> None:
        self._drop_half(eio_sid)
        for namespace, sid in self.manager.sids_of(eio_sid):
            if self.manager.is_connected(sid, namespace):
                self._leave(sid, namespace, reason)
            else:
                # Its connect handler runs, and will be undone when it is through.
                self.manager.pre_disconnect(sid, namespace)
        self._forget_if_gone(eio_sid)

    def _forget_if_gone(self, eio_sid: str) -> None:
        if eio_sid not in self.eio.sockets and not self.manager.sids_of(eio_sid):
            self.environ.pop(eio_sid, None)

    def _leave(self, sid: str, namespace: str, reason: str) -> None:
        eio_sid = self.manager.pre_disconnect(sid, namespace) or ""
        self._drop_half(eio_sid)
        self._undo(sid, namespace, reason)
        session = self.eio.sockets.get(eio_sid)
        if session is not None and not self.manager.sids_of(eio_sid):
            session.await_connect(self.eio.connect_timeout_s)

    def _undo(self, sid: str, namespace: str, reason: str) -> None:
        try:
            self._trigger_event("disconnect", namespace, sid, reason)
        except Exception:
            log.exception("disconnect handler failed namespace=%s connection=%s", namespace, sid)
        finally:
            self.manager.disconnect(sid, namespace)

    # Events

    def _run(self, eio_sid: str, sid: str, head: Head, text: str, attachments: list[bytes]) -> None:
        """Run the handler of an event and acknowledge it, whatever becomes of that.

        It is counted before anything is made of its text. Raises BadPacket.
        """
        heard = getattr(self.namespace_handlers.get(head.namespace), "heard", _nothing)
        name = ""
        try:
            heard(sid)
            name, *arguments = put_attachments(read_event(text).data, attachments)
            answer = self._answer(name, head.namespace, sid, arguments)
        except AccessError as error:
            answer = self._refuse(error)
        except BadPacket:
            raise
        except Exception:
            log.exception("handler failed event=%.40r connection=%s", name, sid)
            answer = INTERNAL_ERROR
        if head.id is None:
            return
        given = [] if answer is None else list(answer) if isinstance(answer, tuple) else [answer]
        try:
            packet = ack_packet(given, head.namespace, head.id)
        except Exception:
            # What the handler has returned is no JSON.
            log.exception("handler failed event=%.40r connection=%s", name, sid)
            packet = ack_packet([INTERNAL_ERROR], head.namespace, head.id)
        self._deliver(eio_sid, packet)

    def _refuse(self, error: AccessError) -> dict[str, Any]:
        answer = answer_of(error)
        self.eio.refusals[answer["error"]] += 1
        return answer

    def _answer(self, name: str, namespace: str, sid: str, arguments: list[Any]) -> Any:
        """Return what the handler does, or what is wrong with the event."""
        handler = self.namespace_handlers.get(namespace)
        method = getattr(handler, f"on_{name}", None)
        if method is not None:
            if (namespace, name) not in self._arities:
                self._arities[namespace, name] = _arity(method)
            least, most = self._arities[namespace, name]
            if not least <= len(arguments) <= most:
                return _refusal(400, "malformed", f"{name} takes other arguments")
        elif handler is not None and not self._get_event_handler(name, namespace, ())[0]:
            return _refusal(404, "unknown_event", "there is no such event here")
        answer = self._trigger_event(name, namespace, sid, *arguments)
        if answer is self.not_handled:
            return _refusal(404, "unknown_event", "there is no such event here")
        return answer

    def _acknowledge(self, sid: str, namespace: str, ack_id: int, data: list[Any]) -> bool:
        """Return whether anything waited for it."""
        member = self.manager.member(sid, namespace)
        try:
            return member is not None and self.manager.acknowledge(member, ack_id, data)
        except Exception:
            log.exception("acknowledgement failed connection=%s", sid)
            return True

    # Changing the transport, and the end of a session's time

    def _handle_eio_upgrade(self, eio_sid: str) -> None:
        self._tell(eio_sid, "upgraded")

    def _handle_eio_over(self, eio_sid: str) -> None:
        self._tell(eio_sid, "over")

    def _tell(self, eio_sid: str, what: str) -> None:
        """Call what of each namespace handler that has it, for the clients of a session."""
        for namespace, sid in self.manager.sids_of(eio_sid):
            method = getattr(self.namespace_handlers.get(namespace), what, None)
            if method is not None:
                try:
                    method(sid)
                except Exception:
                    log.exception("%s failed namespace=%s connection=%s", what, namespace, sid)


def _nothing(*of: Any) -> None:
    pass


def _arity(method: Callable[..., Any]) -> tuple[int, float]:
    """Return how many positional arguments a method takes, at least and at most."""
    parameters = inspect.signature(method).parameters.values()
    one_each = [each for each in parameters if each.kind in _POSITIONAL]
    least = sum(each.default is inspect.Parameter.empty for each in one_each)
    if any(each.kind is inspect.Parameter.VAR_POSITIONAL for each in parameters):
        return least, math.inf
    return least, len(one_each)


def _refusal(status: int, code: str, message: str) -> dict[str, Any]:
    return {"ok": False, "error": code, "message": message, "status": status, "detail": {}}


class _Middleware:
    """The WSGI application in front of Flask's: /socket.io/ is the server's."""

    def __init__(self, server: Server, app: Flask, path: str) -> None:
        self._server = server
        self._app = app
        self._wsgi_app = app.wsgi_app
        self._path = f"/{path.strip('/')}/"

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        if environ["PATH_INFO"] == self._path:
            environ["flask.app"] = self._app
            answer: Iterable[bytes] = self._server.handle_request(environ, start_response)
            return answer
        return self._wsgi_app(environ, start_response)


class SocketIO(flask_socketio.SocketIO):  # type: ignore[misc]
    """Flask-SocketIO on our server. See flask_socketio.SocketIO.

    A namespace handler that has a method `upgraded(sid)` is told when a client has changed from
    polling to WebSocket, at once and before anything else is sent: its writer is another one then.
    One that has `over(sid)` is told of a client whose session has lasted for long enough, before it
    is closed.
    One that has a method `heard(sid)` is told of every event, before it is looked at; AccessError
    from there is the acknowledgement. Sessions of Flask are not kept between events
    (manage_session). Only namespaces that have handlers can be connected to.
    """

    server: Server
    server_options: dict[str, Any]

    def init_app(self, app: Flask, **options: Any) -> None:
        app.extensions["socketio"] = self
        options = {**self.server_options, **options}
        self.manage_session = False
        path = options.pop("path", None) or options.pop("resource", None) or "socket.io"
        self.server_options = options
        self.server = Server(**options)
        self.async_mode = self.server.async_mode
        for message, handler, namespace in self.handlers:
            self.server.on(message, handler, namespace=namespace)
        for namespace_handler in self.namespace_handlers:
            self.server.register_namespace(namespace_handler)
        self.sockio_mw = _Middleware(self.server, app, path)
        app.wsgi_app = self.sockio_mw  # type: ignore[method-assign]

    def tick(self, event: str, data: Any, namespace: str = "/") -> None:
        """Emit to all who are free; a client that is busy does without."""
        self.server.tick(event, data, namespace)

    def repeat(self, sid: str, event: str, data: Any, namespace: str = "/") -> None:
        """Emit to one client an event whose data is the same for all: it is encoded once."""
        self.server.repeat(sid, event, data, namespace)

    def writer_of(self, sid: str, namespace: str = "/") -> PollWriter | FrameWriter | None:
        """Return where a client's events go, None when it is gone. It changes with an upgrade.

        Its `transport` says what it takes: "websocket" frames, "polling" payloads.
        """
        return self.server.writer_of(sid, namespace)

    def counts(self) -> dict[str, int]:
        """Return how many clients there are by transport: polling, websocket."""
        return self.server.eio.counts()

    def guard(
        self,
        take_turn: Callable[[dict[str, Any]], None],
        admit: Callable[[dict[str, Any], str | None], RequestIdentity],
        clients: Clients,
        note: Callable[[str], None],
        refusals: Counter[str],
        socket_limits: SocketLimits,
    ) -> None:
        """Have every request of a session go through admit, in a turn; see EngineServer.

        clients: where sessions are counted. note: called with the owner of a session that asks for
        a namespace; raises AccessError. refusals: where what is refused or cut off is counted, by
        its code. socket_limits: what all sockets share.
        """
        self.server.note = note
        engine = self.server.eio
        engine.take_turn, engine.admit, engine.clients = take_turn, admit, clients
        engine.refusals, engine.socket_limits = refusals, socket_limits

    def close(self, sid: str, namespace: str = "/") -> None:
        """Disconnect a client, and end the session that it is on."""
        member = self.server.manager.member(sid, namespace)
        self.server.disconnect(sid, namespace)
        if member is not None:
            self.server.eio.disconnect(member.session)

    def close_all(self, code: int, text: str) -> None:
        """Close every client. code, text: what a WebSocket is closed with."""
        self.server.eio.disconnect(code=code, text=text)


def make_socketio(
    app: Flask | None = None, *, connection_s: float = 0.0, **options: Any
) -> SocketIO:
    """Return Flask-SocketIO on our server.

    connection_s: how long a session may last, 0 for any time. options: those of
    flask_socketio.SocketIO, and connect_timeout_s and upgrade_timeout_s (engineio/sessions.py).
    """
    return SocketIO(app, connection_s=connection_s, **options)
