"""The namespace /live and the addresses under /ws. Way in: register."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from flask import Flask, Response

from auth import Authenticator
from auth.access import Principal
from auth.answers import SECURITY_HEADERS
from exports.export import Export
from exports.service import ExportService
from sockets import feeds
from sockets.admission import SocketAdmission
from sockets.connections import make_acceptor
from sockets.engineio.errors import SocketError
from sockets.extension import SocketIO
from sockets.live import Live
from topics import Patterns, Topics
from topics.lifetime import end_of
from topics.ticker import Ticker
from wire.framing import Framing


class EventRights(NamedTuple):
    """The exports that a principal may see and end; see streaming.rights.Rights."""

    find_to_end: Callable[[Principal, str], Export | None]
    narrow: Callable[[Principal, Patterns, Framing], Framing]
    hides: Callable[[Principal, str], bool]


class SocketParts(NamedTuple):
    """The parts that a process entry starts and stops."""

    live: Live
    ticker: Ticker
    broadcasts: feeds.Broadcasts

    def start(self) -> None:
        for part in self:
            part.start()

    def stop(self) -> None:
        for part in reversed(self):
            part.stop()

    def drain(self) -> None:
        """End all connections that would not end by themselves."""
        self.live.stop()
        self.broadcasts.stop()


def register(
    app: Flask,
    *,
    authenticator: Authenticator,
    rights: EventRights,
    exports: ExportService,
    topics: Topics,
    refusals: Counter[str],
    connection_s: float,
    answer_error: Callable[..., Response],
) -> SocketParts:
    """Add /live, /ws/events, /ws/live and POST /broadcast to app.

    refusals: counts of refused requests, by the code of the error. connection_s: the lifetime of a
    connection. answer_error: makes a response of a status, a code, a message, details and headers.
    """
    origins = authenticator.credentials.origins
    acceptor = make_acceptor(authenticator.scheduler)
    socketio = SocketIO(
        app,
        acceptor=acceptor,
        admission=SocketAdmission(authenticator),
        refusals=refusals,
        headers=SECURITY_HEADERS.items(),
        end_of_session=partial(end_of, connection_s),
        cors_allowed_origins=lambda origin, environ: origins.allow(environ),
        cors_credentials=False,
    )
    live = Live(topics, exports, authenticator, *rights, refusals)
    socketio.on_namespace(live)
    parts = SocketParts(live, Ticker(), feeds.Broadcasts())
    app.register_blueprint(
        feeds.make_blueprint(
            topics,
            parts.ticker,
            parts.broadcasts,
            live.broadcast,
            authenticator.rates.note_request,
            rights.narrow,
            acceptor,
            connection_s,
        )
    )

    @app.errorhandler(SocketError)
    def say(error: SocketError) -> Response:
        return answer_error(error.status, error.code, str(error), {}, error.headers)

    return parts
