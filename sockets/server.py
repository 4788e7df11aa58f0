"""The Socket.IO server as Flask-SocketIO calls it; sockets.engineio does the work.

Way in: FlaskServer, the `server` of a SocketIO. It has the methods of python-socketio's server that
flask_socketio and its test client use. Source: python-socketio 5.18, flask_socketio 5.7.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import flask_socketio
from engineio.packet import MESSAGE as ENGINE_MESSAGE
from engineio.packet import Packet as EnginePacket

from sockets.engineio.engine import EngineServer
from sockets.engineio.members import Callback
from sockets.engineio.packets import Packet
from sockets.engineio.server import SocketIOServer
from sockets.handlers import FlaskHandlers


class FlaskServer:
    """See the module. engine: serves the sessions. sockets: the server itself."""

    def __init__(self, engine: EngineServer) -> None:
        self._handlers = FlaskHandlers(self.session_id_of)
        self.engine = engine
        self.sockets = SocketIOServer(engine, self._handlers)
        # Flask-SocketIO's test client has no session; it receives packets here.
        self.sockets.emitter.undelivered = self._send_to_test_client
        self.environ = self._handlers.environs
        self.manager = SimpleNamespace(
            initialize=lambda: None, sid_from_eio_sid=self.sockets.members.sid_of
        )
        self.eio = SimpleNamespace()
        self._handle_eio_connect = self.sockets.opened
        self._handle_eio_message = self.sockets.message

    def on(self, event: str, handler: Callable[..., Any], namespace: str | None = None) -> None:
        self._handlers.add(event, handler, namespace or "/")

    def register_namespace(self, namespace: flask_socketio.Namespace) -> None:
        namespace._set_server(self)
        self._handlers.add_namespace(namespace)

    def emit(
        self,
        event: str,
        data: Any = None,
        to: Any = None,
        room: Any = None,
        skip_sid: Any = None,
        namespace: str | None = None,
        callback: Callback | None = None,
        *,
        volatile: bool = False,
        ignore_queue: bool = False,
    ) -> None:
        """Emit an event. data: its argument, a tuple of them, or None for none.

        to, room: a sid, a room, several, or None for all. skip_sid: clients that are left out.
        volatile: as in Node's server, busy clients are left out. ignore_queue: has no effect, since
        there is no queue.
        """
        place = namespace or "/"
        arguments = [] if data is None else list(data) if isinstance(data, tuple) else [data]
        members = self.sockets.members.addressed(place, to or room, skip_sid)
        self.sockets.emitter.emit(members, event, arguments, place, callback, volatile=volatile)

    def call(self, *arguments: Any, **options: Any) -> None:
        """Refuse: handlers of a client run one after the other, so a call would wait for itself."""
        raise RuntimeError("call is not supported: emit with a callback instead")

    def enter_room(self, sid: str, room: str, namespace: str | None = None) -> None:
        if not isinstance(room, str):
            raise TypeError(f"a room is a text: {room!r}")
        self.sockets.members.enter_room(sid, namespace or "/", room)

    def leave_room(self, sid: str, room: str, namespace: str | None = None) -> None:
        self.sockets.members.leave_room(sid, namespace or "/", room)

    def close_room(self, room: str, namespace: str | None = None) -> None:
        self.sockets.members.close_room(room, namespace or "/")

    def rooms(self, sid: str, namespace: str | None = None) -> list[str]:
        return self.sockets.members.rooms_of(sid, namespace or "/")

    def disconnect(self, sid: str, namespace: str | None = None) -> None:
        self.sockets.disconnect(sid, namespace or "/")

    def transport(self, sid: str, namespace: str | None = None) -> str:
        """Return `websocket` or `polling`. Raises KeyError if the client is gone."""
        session = self.sockets.session_of(sid, namespace or "/")
        if session is None:
            raise KeyError("Session not found")
        return "websocket" if session.upgraded else "polling"

    def get_environ(self, sid: str, namespace: str | None = None) -> dict[str, Any] | None:
        return self._handlers.environ_of(sid, namespace or "/")

    def get_session(self, sid: str, namespace: str | None = None) -> dict[str, Any]:
        """Return the data that handlers store for a client. Raises KeyError if it is gone."""
        session = self.sockets.session_of(sid, namespace or "/")
        if session is None:
            raise KeyError("Session not found")
        if session.data is None:
            session.data = {}
        kept: dict[str, Any] = session.data.setdefault(namespace or "/", {})
        return kept

    def save_session(self, sid: str, data: Mapping[str, Any], namespace: str | None = None) -> None:
        kept = self.get_session(sid, namespace)
        if data is not kept:
            kept.clear()
            kept.update(data)

    @contextmanager
    def session(self, sid: str, namespace: str | None = None) -> Iterator[dict[str, Any]]:
        yield self.get_session(sid, namespace)

    def start_background_task(
        self, target: Callable[..., Any], *arguments: Any, **named: Any
    ) -> threading.Thread:
        task = threading.Thread(target=target, args=arguments, kwargs=named, daemon=True)
        task.start()
        return task

    def sleep(self, seconds: float = 0) -> None:
        time.sleep(seconds)

    def session_id_of(self, sid: str, namespace: str) -> str | None:
        """Return the Engine.IO session of a client, None if it is gone."""
        member = self.sockets.members.find(sid, namespace)
        return member.session if member else None

    def _send_to_test_client(self, session: str, packet: Packet) -> None:
        for part in packet.parts:
            data = part[1:] if isinstance(part, str) else part
            self._send_eio_packet(session, EnginePacket(ENGINE_MESSAGE, data))

    def _send_eio_packet(self, eio_sid: str, eio_pkt: EnginePacket) -> None:
        """Send nothing: the session is gone. The test client replaces this function."""
