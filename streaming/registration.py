"""The blueprints of this room. Way in: register."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping

from flask import Flask

from auth import Authenticator, EndedSessions, NativeThreads
from exports.service import ExportService
from sources.catalogue.logs import LogEntry
from sources.folders.folder import Folder
from streaming import (
    archives,
    events,
    exports,
    files,
    health,
    home,
    links,
    login,
    logs,
    openapi,
    original,
    report,
    sources,
)
from streaming.rights import Rights
from streaming.source_lookup import SourceLookup
from topics import Topics
from topics.self_check import SelfCheck
from topics.status import StatusClock


def register(
    app: Flask,
    *,
    authenticator: Authenticator,
    ended_sessions: EndedSessions,
    rights: Rights,
    lookup: SourceLookup,
    folders: Mapping[str, Folder],
    followed_logs: Mapping[str, LogEntry],
    export_service: ExportService,
    topics: Topics,
    status: StatusClock,
    self_check: SelfCheck,
    threads: NativeThreads,
    refusals: Counter[str],
    statement_s: float,
    resume_wait_s: float,
) -> None:
    """Add all pages and addresses to app.

    refusals: counts of refused requests, by the code of the error. statement_s: how long a
    statement of a report may take. resume_wait_s: how long a request that resumes waits for the
    bytes that decide.
    """
    note, scheduler = authenticator.rates.note_request, authenticator.scheduler
    for blueprint in (
        login.make_blueprint(authenticator, ended_sessions),
        links.make_blueprint(authenticator, rights.find),
        home.make_blueprint(lookup, folders),
        original.make_blueprint(lambda: time.sleep(0)),
        sources.make_blueprint(lookup),
        report.make_blueprint(lookup, threads, statement_s),
        exports.make_blueprint(
            export_service, lookup, authenticator, rights, resume_wait_s=resume_wait_s
        ),
        files.make_blueprint(folders, threads.files),
        archives.make_blueprint(folders, threads.files),
        logs.make_blueprint(followed_logs, topics, threads.files),
        events.make_blueprint(topics, rights, note, scheduler),
        health.make_blueprint(
            topics, export_service, status, self_check, authenticator.clients, refusals
        ),
        openapi.make_blueprint(),
    ):
        app.register_blueprint(blueprint)
