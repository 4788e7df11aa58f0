"""create_app: build the parts from the settings and put them together. Starts nothing.

Way in: create_app. What it built is `app.extensions["headwater"]`, for the entry that starts it.
"""

from __future__ import annotations

import secrets
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from flask import Flask, Response
from flask_cors import CORS
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.routing import PathConverter

from auth import (
    Authenticator,
    Clients,
    Credentials,
    EndedSessions,
    Links,
    NativeThreads,
    Rates,
    Tokens,
)
from auth.answers import SECURITY_HEADERS
from auth.origins import Origins
from exports.announcer import Announcer
from exports.disk_store import DiskStore
from exports.exports import Exports
from journal import EVENTS, DiskLog, Retention, RunNative, Size, run_here
from settings import Settings
from sockets import feeds
from sockets.admission import SocketAdmission
from sockets.connections import make_acceptor
from sockets.engineio.errors import SocketError
from sockets.extension import SocketIO
from sockets.live import Live
from sources.catalogue.catalogue import Catalogue, load_catalogue, sample_catalogue
from sources.catalogue.check import check_catalogue
from sources.errors import CatalogueError
from sources.folders.folder import Folder
from sources.logs.follower import LogFollowers
from sources.statement_watch import StatementWatch
from state import State
from streaming import archives, files, health, home, links, login, openapi, original, report
from streaming import events as events_blueprint
from streaming import exports as exports_blueprint
from streaming import logs as logs_blueprint
from streaming import sources as sources_blueprint
from streaming.admission import can, register_admission
from streaming.application import Application
from streaming.bodies import sent_bytes_of
from streaming.errors import answer_error, register_errors
from streaming.login import register_sessions
from streaming.pace import Paced
from streaming.rights import Rights
from streaming.source_lookup import SourceLookup
from topics import Rule, Topics
from topics.lifetime import end_of
from topics.rules import BUILT_IN
from topics.self_check import SelfCheck
from topics.status import StatusClock
from topics.ticker import Ticker

# A form or a JSON object with a selection; nothing else is sent to us.
MAX_BODY_BYTES = 64 * 1024

# A page loads what we serve ourselves, and runs no script and takes no style that is written in it.
PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:;"
    " media-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none';"
    " frame-ancestors 'none'"
)


# What every answer bears: it shows what its reader may see.
STANDING = [*SECURITY_HEADERS.items(), ("Cache-Control", "private, no-cache")]
OF_PAGES = [
    ("Content-Security-Policy", PAGE_POLICY),
    ("Cross-Origin-Opener-Policy", "same-origin"),
]

# What a page of another site may see of an answer's head.
EXPOSED = (
    "Content-Disposition", "Content-Range", "ETag", "Headwater-Connection", "Headwater-Cursor",
    "Headwater-Export", "Location", "Repr-Digest", "Retry-After", "X-Request-ID",
)  # fmt: skip


class AnyPath(PathConverter):
    """Flask's `path`, which would take no line feed; a file's name may have one."""

    regex = "(?s:[^/].*?)"


class Parts(NamedTuple):
    """What a process entry starts, in this order, and stops."""

    authenticator: Authenticator
    topics: Topics
    exports: Exports
    status: StatusClock
    self_check: SelfCheck
    statements: StatementWatch
    live: Live
    ticker: Ticker
    broadcasts: feeds.Broadcasts
    logs: LogFollowers

    def drain(self) -> None:
        """End what would never end by itself: everybody who follows something comes back later."""
        self.logs.stop()
        self.topics.drain()
        self.live.stop()
        self.broadcasts.stop()


def create_app(
    settings: Settings,
    *,
    run_native: RunNative = run_here,
    key: bytes | None = None,
    mount: str = "",
) -> Flask:
    """Return the application.

    run_native: runs a function that may block, on one of auth.native_threads.IN_ALL native threads.
    key: signs browser sessions and links; None for one that is gone with the application. mount:
    the path below which it is, for addresses in events; those in answers have that of the request.
    Raises CatalogueError with everything that is wrong with the catalogue, and StateError.
    """
    catalogue = _read_catalogue(settings)
    most = Size(settings.topics_memory_max_bytes, settings.topics_disk_max_bytes)
    rules = _topic_rules(catalogue, mount)
    threads = NativeThreads(run_native)
    event_log = DiskLog(settings.instance / "topics", EVENTS, most, threads.commits)
    topics = Topics(event_log, rules, settings.topics_per_principal, settings.connection_s)
    exports = Exports(
        DiskStore(settings.instance / "recordings", threads.files),
        running=settings.exports_running,
        most_open=settings.exports_open,
        queued=settings.exports_queued,
        queued_per_owner=settings.exports_queued_per_principal,
        remembered=settings.exports_remembered,
        remembered_per_owner=settings.exports_remembered_per_principal,
        max_bytes=settings.recordings_max_bytes,
        abandon_grace_s=settings.abandon_grace_s,
        announce=Announcer(topics, mount).announce,
    )
    status = StatusClock(
        topics,
        connections=topics.subscriptions.connections,
        exports_running=exports.running,
        sent_bytes=lambda: (
            topics.subscriptions.sent_bytes() + exports.sent_bytes() + sent_bytes_of(app).total()
        ),
    )
    self_check = SelfCheck(topics)
    ticker = Ticker()
    broadcasts = feeds.Broadcasts()
    folders = {
        name: Folder(name, entry.path, hidden=entry.hidden)
        for name, entry in catalogue.folders.items()
    }
    lookup = SourceLookup(
        catalogue.sources, folders, threads, partial(can, "read"), settings.statement_s
    )
    app = Application(__name__, STANDING, OF_PAGES)
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY_BYTES
    app.url_map.converters["path"] = AnyPath
    refusals = register_errors(app)
    state = State(settings.instance)
    ended = EndedSessions(state, threads.authenticator)
    authenticator = _make_authenticator(
        app, settings, key or secrets.token_bytes(32), state, ended, threads.authenticator
    )
    rights = Rights(lookup.definitions, exports)
    authenticator.grants = rights.grants
    register_admission(app, authenticator)
    origins = authenticator.credentials.origins
    acceptor = make_acceptor(authenticator.scheduler)
    socketio = SocketIO(
        app,
        acceptor=acceptor,
        admission=SocketAdmission(authenticator),
        refusals=refusals,
        headers=SECURITY_HEADERS.items(),
        end_of_session=partial(end_of, settings.connection_s),
        cors_allowed_origins=lambda origin, environ: origins.allow(environ),
        cors_credentials=False,
    )
    live = Live(
        topics, exports, authenticator,
        rights.find_to_end, rights.narrow, rights.hides, refusals,
    )  # fmt: skip
    socketio.on_namespace(live)
    logs = LogFollowers(catalogue.logs.values(), state, topics, threads.files)
    app.extensions["headwater"] = Parts(
        authenticator,
        topics,
        exports,
        status,
        self_check,
        StatementWatch(),
        live,
        ticker,
        broadcasts,
        logs,
    )
    app.register_blueprint(login.make_blueprint(authenticator, ended))
    app.register_blueprint(links.make_blueprint(authenticator, rights.find))
    app.register_blueprint(home.make_blueprint(lookup, folders))
    app.register_blueprint(original.make_blueprint(lambda: time.sleep(0)))
    app.register_blueprint(sources_blueprint.make_blueprint(lookup))
    app.register_blueprint(report.make_blueprint(lookup, threads, settings.statement_s))
    app.register_blueprint(
        exports_blueprint.make_blueprint(
            exports, lookup, authenticator, rights, resume_wait_s=settings.resume_wait_s
        )
    )
    app.register_blueprint(files.make_blueprint(folders, threads.files))
    app.register_blueprint(archives.make_blueprint(folders, threads.files))
    app.register_blueprint(logs_blueprint.make_blueprint(catalogue.logs, topics, threads.files))
    app.register_blueprint(
        events_blueprint.make_blueprint(
            topics, rights, authenticator.rates.note_request, authenticator.scheduler
        )
    )
    app.register_blueprint(
        feeds.make_blueprint(
            topics,
            ticker,
            broadcasts,
            live.broadcast,
            authenticator.rates.note_request,
            rights.narrow,
            acceptor,
            settings.connection_s,
        )
    )
    app.register_blueprint(
        health.make_blueprint(topics, exports, status, self_check, authenticator.clients, refusals)
    )
    app.register_blueprint(openapi.make_blueprint())
    app.register_error_handler(SocketError, _say_socket_error)
    if settings.bytes_per_s:
        app.after_request(partial(_slow_down, bytes_per_s=settings.bytes_per_s))
    if settings.origins:
        app.after_request(_vary_by_origin)
        CORS(app, origins=list(settings.origins), expose_headers=EXPOSED)
    if settings.proxies:
        hops = settings.proxies
        app.wsgi_app = ProxyFix(  # type: ignore[method-assign]
            app.wsgi_app, x_for=hops, x_proto=hops, x_host=hops
        )
    return app


def _make_authenticator(
    app: Flask,
    settings: Settings,
    key: bytes,
    state: State,
    ended: EndedSessions,
    run_native: RunNative,
) -> Authenticator:
    tokens = Tokens(state)
    tokens.refresh()
    credentials = Credentials(
        tokens,
        Links(key, state, run_native),
        Origins(settings.origins or ()),
        register_sessions(app, key),
        ended,
        is_open=bool(settings.open),
    )
    return Authenticator(
        credentials,
        Clients(settings.connections_per_principal),
        Rates(settings.requests_per_minute),
        sessions_unknown=settings.sessions_without_token,
        run_native=run_native,
    )


def _read_catalogue(settings: Settings) -> Catalogue:
    if settings.catalogue is None:
        catalogue = sample_catalogue(settings.instance)
        # A command may be the first to come here, and the folders above have no mode of ours.
        settings.instance.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Where nobody has put anything there, they are empty.
        for folder in catalogue.folders.values():
            folder.path.mkdir(parents=True, exist_ok=True)
        for log in catalogue.logs.values():
            log.path.parent.mkdir(parents=True, exist_ok=True)
    else:
        catalogue = load_catalogue(settings.catalogue)
    # The state first: to check a database opens it.
    if problems := _check_apart(catalogue, settings.instance) or check_catalogue(catalogue):
        raise CatalogueError(problems)
    return catalogue


def _check_apart(catalogue: Catalogue, instance: Path) -> list[str]:
    """Return what in the catalogue is our own state; see state/database.py."""
    own = instance.resolve()
    databases = {
        name: Path(str(source.database)).resolve()
        for name, source in catalogue.sources.items()
        if hasattr(source, "database")
    }
    return [
        f"folders.{name}.path: it holds the instance folder, where the keys and the state are"
        for name, folder in catalogue.folders.items()
        if own.is_relative_to(folder.path.resolve())
    ] + [
        f"sources.{name}.database: it is the state of this server"
        for name, database in databases.items()
        if database == own / "state.db"
    ]


def _topic_rules(catalogue: Catalogue, mount: str) -> list[Rule]:
    declared = [
        Rule(
            topic.pattern,
            topic.durable,
            Retention(topic.retain_events, topic.retain_s, topic.retain_bytes),
            topic.latest,
        )
        for topic in catalogue.topics.values()
    ]
    logs = [
        Rule(
            f"logs/{log.name}",
            durable=True,
            retention=Retention(log.retain_lines, log.retain_s, log.retain_bytes),
            writable=False,
            refetch=f"/logs/{log.name}?lines=all",
        )
        for log in catalogue.logs.values()
    ]
    return [replace(rule, mount=mount) for rule in (*BUILT_IN, *declared, *logs)]


def _say_socket_error(error: SocketError) -> Response:
    return answer_error(error.status, error.code, str(error), {}, error.headers)


def _vary_by_origin(response: Any) -> Any:
    response.vary.add("Origin")
    return response


def _slow_down(response: Any, bytes_per_s: int) -> Any:
    if response.direct_passthrough:
        response.response = Paced(response.response, bytes_per_s)
    return response
