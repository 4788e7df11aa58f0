"""create_app: build the parts from the settings and put them together. Starts nothing.

Way in: create_app. The parts are in `app.extensions["headwater"]`, for the entry that starts them.
"""

from __future__ import annotations

import secrets
from dataclasses import replace
from functools import partial
from typing import NamedTuple

from flask import Flask

import sockets.registration
import streaming.registration
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
from auth.origins import Origins
from exports.announcer import Announcer
from exports.disk_store import DiskStore
from exports.exports import Exports
from journal import EVENTS, DiskLog, Retention, RunNative, Size, run_here
from settings import Settings
from sockets.registration import EventRights, SocketParts
from sources.catalogue.catalogue import Catalogue
from sources.catalogue.checked import checked_catalogue
from sources.folders.folder import Folder
from sources.logs.follower import LogFollowers
from sources.statement_watch import StatementWatch
from state import State
from streaming.admission import can, register_admission
from streaming.application import Application
from streaming.bodies import sent_bytes_of
from streaming.errors import answer_error, register_errors
from streaming.login import register_sessions
from streaming.policies import OF_PAGES, STANDING, apply_policies
from streaming.rights import Rights
from streaming.source_lookup import SourceLookup
from topics import Rule, Topics
from topics.rules import BUILT_IN
from topics.self_check import SelfCheck
from topics.status import StatusClock


class Parts(NamedTuple):
    """The parts that a process entry starts, in this order, and stops."""

    authenticator: Authenticator
    topics: Topics
    exports: Exports
    status: StatusClock
    self_check: SelfCheck
    statements: StatementWatch
    sockets: SocketParts
    logs: LogFollowers

    def drain(self) -> None:
        """End all streams that would not end by themselves; clients are told to reconnect."""
        self.logs.stop()
        self.topics.drain()
        self.sockets.drain()


def create_app(
    settings: Settings,
    *,
    run_native: RunNative = run_here,
    key: bytes | None = None,
    mount: str = "",
) -> Flask:
    """Return the application.

    run_native: runs a function that may block, on one of auth.native_threads.IN_ALL native threads.
    key: signs browser sessions and links; None for a key that lives as long as the application.
    mount: the path below which the application is, for addresses in events; addresses in answers
    have the mount of the request. Raises CatalogueError with all problems of the catalogue, and
    StateError.
    """
    catalogue = checked_catalogue(settings.catalogue, settings.instance)
    app = Application(__name__, STANDING, OF_PAGES)
    apply_policies(app, settings.origins or (), settings.bytes_per_s, settings.proxies)
    refusals = register_errors(app)
    threads = NativeThreads(run_native)
    state = State(settings.instance)
    topics = _make_topics(settings, catalogue, mount, threads)
    exports = _make_exports(settings, Announcer(topics, mount), state, threads)
    folders = {
        name: Folder(name, entry.path, hidden=entry.hidden, instance=settings.instance)
        for name, entry in catalogue.folders.items()
    }
    lookup = SourceLookup(
        catalogue.sources, folders, threads, partial(can, "read"), settings.statement_s
    )
    rights = Rights(lookup.definitions, exports)
    ended = EndedSessions(state, threads.authenticator)
    authenticator = _make_authenticator(
        app, settings, key or secrets.token_bytes(32), state, ended, threads.authenticator
    )
    authenticator.grants = rights.grants
    register_admission(app, authenticator)
    status = StatusClock(
        topics,
        connections=topics.subscriptions.connections,
        exports_running=exports.running,
        sent_bytes=lambda: (
            topics.subscriptions.sent_bytes() + exports.sent_bytes() + sent_bytes_of(app).total()
        ),
    )
    self_check = SelfCheck(topics)
    streaming.registration.register(
        app,
        authenticator=authenticator,
        ended_sessions=ended,
        rights=rights,
        lookup=lookup,
        folders=folders,
        followed_logs=catalogue.logs,
        export_service=exports,
        topics=topics,
        status=status,
        self_check=self_check,
        threads=threads,
        refusals=refusals,
        statement_s=settings.statement_s,
        resume_wait_s=settings.resume_wait_s,
    )
    socket_parts = sockets.registration.register(
        app,
        authenticator=authenticator,
        rights=EventRights(rights.find_to_end, rights.narrow, rights.hides),
        exports=exports,
        topics=topics,
        refusals=refusals,
        connection_s=settings.connection_s,
        answer_error=answer_error,
    )
    logs = LogFollowers(catalogue.logs.values(), state, topics, threads.files)
    app.extensions["headwater"] = Parts(
        authenticator, topics, exports, status, self_check, StatementWatch(), socket_parts, logs
    )
    return app


def _make_topics(
    settings: Settings, catalogue: Catalogue, mount: str, threads: NativeThreads
) -> Topics:
    most = Size(settings.topics_memory_max_bytes, settings.topics_disk_max_bytes)
    log = DiskLog(settings.instance / "topics", EVENTS, most, threads.commits)
    rules = _topic_rules(catalogue, mount)
    return Topics(log, rules, settings.topics_per_principal, settings.connection_s)


def _make_exports(
    settings: Settings, announcer: Announcer, state: State, threads: NativeThreads
) -> Exports:
    return Exports(
        DiskStore(settings.instance / "recordings", state, threads.files),
        running=settings.exports_running,
        most_open=settings.exports_open,
        queued=settings.exports_queued,
        queued_per_owner=settings.exports_queued_per_principal,
        remembered=settings.exports_remembered,
        remembered_per_owner=settings.exports_remembered_per_principal,
        max_bytes=settings.recordings_max_bytes,
        abandon_grace_s=settings.abandon_grace_s,
        announce=announcer.announce,
    )


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
