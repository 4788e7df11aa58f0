"""Flask-SocketIO on the protocol stack of sockets.engineio. Way in: SocketIO."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from math import inf
from typing import Any

import flask_socketio
from flask import Flask

from sockets.engineio.acceptor import Acceptor
from sockets.engineio.contract import Admission, FrameWriter
from sockets.engineio.cors import AllowOrigin, is_same_origin
from sockets.engineio.engine import EngineServer
from sockets.engineio.polling import PollWriter
from sockets.engineio.sessions import EngineOptions
from sockets.handlers import arity_of
from sockets.server import FlaskServer

# Flask-SocketIO's name of each of EngineOptions, and two more of its options.
_ENGINE_OPTIONS = {
    "ping_interval": "ping_interval_s",
    "ping_timeout": "ping_timeout_s",
    "max_http_buffer_size": "max_payload_bytes",
    "allow_upgrades": "allow_upgrades",
    "transports": "transports",
    "connect_timeout_s": "connect_timeout_s",
    "upgrade_timeout_s": "upgrade_timeout_s",
}
_POSITIVE = ("ping_interval", "ping_timeout", "max_http_buffer_size")
_TRANSPORTS = ("polling", "websocket")
OPTIONS = (*_ENGINE_OPTIONS, "cors_allowed_origins", "cors_credentials", "path", "resource")
# Options that are only accepted with the value that applies anyway.
FIXED = {"async_mode": "threading", "async_handlers": False, "manage_session": False}

WSGI = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class SocketIO(flask_socketio.SocketIO):  # type: ignore[misc]
    """Flask-SocketIO; see flask_socketio.SocketIO.

    An event is encoded and framed once and written straight to every client. One client's backlog,
    mistake or failing handler affects no other client. Handlers of one client run one after the
    other, so there is no `call`. Flask's sessions are not kept between events. Clients can connect
    only to namespaces that have handlers. Options with another meaning raise ValueError.

    acceptor, admission, refusals, headers: see EngineServer. end_of_session: see EngineOptions.
    options: those of OPTIONS, as in Flask-SocketIO; None is the default.

    Three more methods of a namespace are called if it has them. `upgraded(sid)`: a client has
    changed from polling to WebSocket; called at once and before anything else is sent, since its
    writer is another one then. `over(sid)`: a session has reached its longest time; called before
    it is closed. `heard(sid)`: an event has arrived; called before its text is parsed. Refused
    or AccessError from a handler is the acknowledgement, or the answer to a refused CONNECT.
    """

    server: FlaskServer
    server_options: dict[str, Any]

    def __init__(
        self,
        app: Flask | None = None,
        *,
        acceptor: Acceptor | None = None,
        admission: Admission | None = None,
        refusals: Counter[str] | None = None,
        headers: Iterable[tuple[str, str]] = (),
        end_of_session: Callable[[], float] = lambda: inf,
        **options: Any,
    ) -> None:
        self._engine_parts: dict[str, Any] = {
            "acceptor": acceptor, "admission": admission, "refusals": refusals, "headers": headers,
        }  # fmt: skip
        self._end_of_session = end_of_session
        check_options(options)
        super().__init__(app, **options)

    def init_app(self, app: Flask, **options: Any) -> None:
        check_options(options)
        given = {**self.server_options, **options}
        options = {name: value for name, value in given.items() if value is not None}
        self.manage_session = False
        self.async_mode = FIXED["async_mode"]
        engine = EngineServer(
            engine_options(options, self._end_of_session),
            allow_origin=origin_rule(options.get("cors_allowed_origins")),
            credentials=options.get("cors_credentials", True),
            **self._engine_parts,
        )
        self.server = FlaskServer(engine)
        for message, handler, namespace in self.handlers:
            self.server.on(message, handler, namespace)
        for namespace_handler in self.namespace_handlers:
            self.server.register_namespace(namespace_handler)
        path = options.get("path") or options.get("resource") or "socket.io"
        app.extensions["socketio"] = self
        self.sockio_mw = Middleware(engine, app, path)
        app.wsgi_app = self.sockio_mw  # type: ignore[method-assign]

    def run(self, *arguments: Any, **options: Any) -> None:
        """Refuse: only the server of gunicorn.conf.py hands connections over."""
        raise RuntimeError("start it by `gunicorn -c gunicorn.conf.py`")

    def stop(self) -> None:
        """Refuse: the server is gunicorn's."""
        raise RuntimeError("stop it by a signal: SIGTERM to gunicorn")

    def repeat(self, sid: str, event: str, data: Any, namespace: str = "/") -> None:
        """Emit to one client an event whose data is the same for all: it is encoded once."""
        member = self.server.sockets.members.find(sid, namespace)
        if member is not None:
            self.server.sockets.emitter.repeat(member, event, data, namespace)

    def writer_of(self, sid: str, namespace: str = "/") -> PollWriter | FrameWriter | None:
        """Return the writer of a client, None if the client is gone. It changes with an upgrade.

        Depending on the client's transport it takes frames or payloads: see `server.transport`.
        """
        return self.server.sockets.writer_of(sid, namespace)

    def counts(self) -> dict[str, int]:
        """Return how many clients there are by transport: polling, websocket."""
        return self.server.engine.sessions.counts()

    def close(self, sid: str, namespace: str = "/") -> None:
        """Disconnect a client, and end its session."""
        self.server.sockets.close(sid, namespace)

    def close_all(self, code: int, text: str) -> None:
        """Close every client. code, text: of the close of a WebSocket."""
        self.server.engine.sessions.close_all(code, text)


class Middleware:
    """The WSGI application in front of Flask's: the engine answers /socket.io/."""

    def __init__(self, engine: EngineServer, app: Flask, path: str) -> None:
        self._engine = engine
        self._app = app
        self.wsgi_app: WSGI = app.wsgi_app
        self._path = f"/{path.strip('/')}/"

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        if environ["PATH_INFO"] == self._path:
            environ["flask.app"] = self._app
            return self._engine(environ, start_response)
        return self.wsgi_app(environ, start_response)


def check_options(options: Mapping[str, Any]) -> None:
    """Raise ValueError, which names the first option that this server does not support."""
    for name, value in options.items():
        if name in FIXED and value in (FIXED[name], None):
            continue
        if name in FIXED:
            raise ValueError(f"{name}={value!r} is not supported: only {FIXED[name]!r} is")
        if name not in OPTIONS:
            raise ValueError(f"{name}= is not supported; supported are {', '.join(OPTIONS)}")
        if value is not None:
            _check_value(name, value)


def _check_value(name: str, value: Any) -> None:
    is_pair = name == "ping_interval" and isinstance(value, tuple)
    if name in _POSITIVE and not (_is_pair(value) if is_pair else _is_positive(value)):
        raise ValueError(f"{name}={value!r} is not supported: it is a number above 0")
    if name == "transports" and not _are_transports(value):
        raise ValueError(f"{name}={value!r} is not supported: only polling and websocket are")


def _is_positive(value: Any) -> bool:
    return isinstance(value, int | float) and 0 < value < inf


def _is_pair(value: tuple[Any, ...]) -> bool:
    # An interval, and how much more a client is given.
    return len(value) == 2 and _is_positive(value[0]) and (value[1] == 0 or _is_positive(value[1]))


def _are_transports(value: Any) -> bool:
    names = _names_in(value) if isinstance(value, Collection) else ()
    return bool(names) and all(name in _TRANSPORTS for name in names)


def _names_in(transports: Any) -> tuple[Any, ...]:
    return (transports,) if isinstance(transports, str) else tuple(transports)


def engine_options(
    options: Mapping[str, Any], end_of_session: Callable[[], float]
) -> EngineOptions:
    """Return the Engine.IO options for Flask-SocketIO's options."""
    named = {_ENGINE_OPTIONS[name]: options[name] for name in _ENGINE_OPTIONS if name in options}
    interval = named.get("ping_interval_s")
    if isinstance(interval, tuple):
        named["ping_interval_s"] = sum(interval)
    if transports := named.get("transports"):
        named["transports"] = _names_in(transports)
    return EngineOptions(**named, end_of_session=end_of_session)


def origin_rule(allowed: Any) -> AllowOrigin | None:
    """Return the rule for Flask-SocketIO's `cors_allowed_origins`."""
    if allowed is None:
        return is_same_origin
    if callable(allowed):
        rule: AllowOrigin = allowed
        takes_environ = arity_of(allowed)[1] > 1
        return rule if takes_environ else lambda origin, environ: allowed(origin)
    if allowed == []:
        return None
    origins = [allowed] if isinstance(allowed, str) else list(allowed)
    return lambda origin, environ: "*" in origins or origin in origins
