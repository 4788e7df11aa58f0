"""The report of a source: a page that is sent while its figures are computed, column by column.

templates/report.html renders it: it calls a Report for each column, and marks where the text so far
is to be sent. Way in: make_blueprint.
"""

from __future__ import annotations

import errno
import logging
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from typing import TypeVar, cast
from urllib.parse import urlencode

from flask import Blueprint, Response, current_app, request, stream_template, url_for

from auth import NativeThreads, Places
from auth.native_threads import REPORTS, REPORTS_OF_ONE
from auth.request_scheduler import turn_paused
from sources.database import RowSample
from sources.errors import SourceFailed
from sources.kinds import database_of
from sources.profile import MOST_COLUMNS, Profile, SampleInfo
from sources.query import Query
from streaming.admission import asker, quota_key
from streaming.bodies import StreamedBody, sent_bytes_of
from streaming.errors import Refusal
from streaming.figures import FILTERS
from streaming.pages import query_of
from streaming.presence import make_has_left
from streaming.source_lookup import SourceLookup
from wire.connection import connection_of

log = logging.getLogger(__name__)

Found = TypeVar("Found")

# Each holds up to 256 MiB of temporary disk until its client has all of it, or has left.
MOST_OPEN = 8
MOST_OF_ONE = 4
# How long a request waits for a place.
PLACE_WAIT_S = 5.0
# After this, columns are profiled from a part of the sample, which takes some 50 ms each.
BRIEF_AFTER_S = 12.0

# How often the client of a running step is checked.
PRESENCE_CHECK_S = 0.2

# The template writes this where the text so far is to be sent; no value of streaming.figures has
# it.
SEND = "\0"
HEADERS = {"Cache-Control": "private, no-cache", "X-Accel-Buffering": "no"}
LINKED_FORMATS = ("csv", "ndjson", "parquet")


def make_blueprint(lookup: SourceLookup, threads: NativeThreads, statement_s: float) -> Blueprint:
    """Return the blueprint of /report. statement_s: how long each statement may take."""
    blueprint = Blueprint("report", __name__)
    limit = ConcurrencyLimit()
    for word, function in FILTERS.items():
        blueprint.add_app_template_filter(function, f"report_{word}")

    @blueprint.get("/report/<name>")
    def show(name: str) -> Response:
        parameters = query_of(request)
        query, rows_estimate = _read(lookup, name, parameters, asker().attributes)
        sample = database_of(query).sample(query, statement_s)
        report = Report(sample, limit, quota_key(), threads, make_has_left(request.environ))
        suffix = f"?{urlencode(parameters)}" if parameters else ""
        files = {each: f"{name}.{each}" for each in LINKED_FORMATS}
        texts = stream_template(
            "report.html",
            send=SEND,
            source=name,
            words=parameters,
            columns=query.columns[:MOST_COLUMNS],
            columns_there=len(query.columns),
            rows_estimate=rows_estimate,
            downloads={
                each: url_for("exports.download", file=file) + suffix
                for each, file in files.items()
            },
            report=report,
        )
        report.enter()
        if (client := connection_of(request.environ)) is not None:
            client.spawn(report.watch)
        page = Page(cast("Generator[str, None, None]", texts), report.leave)
        body = StreamedBody(f"report={name}", [page], sent_bytes_of(current_app), "reports")
        return Response(body, mimetype="text/html", headers=HEADERS)

    return blueprint


def _read(
    lookup: SourceLookup,
    name: str,
    parameters: list[tuple[str, str]],
    attributes: Mapping[str, str],
) -> tuple[Query, int | None]:
    """Return the query of the report, and an estimate of its rows.

    Raises as SourceLookup.read_spec.
    """
    spec = lookup.read_spec(name, "csv", parameters, attributes)
    keys = [key for key, _ in parameters]
    if "sort" in keys and "limit" not in keys:
        # Without a limit the order does not change the report, and sorting takes time.
        unsorted = [each for each in parameters if each[0] != "sort"]
        spec = lookup.read_spec(name, "csv", unsorted, attributes)
    return cast("Query", spec.query), spec.rows_estimate


class ConcurrencyLimit:
    """The limits of open and of running reports, in all and of one owner; owners take turns."""

    def __init__(self) -> None:
        self.open = Places(MOST_OPEN, MOST_OF_ONE)
        self.running = Places(REPORTS, REPORTS_OF_ONE)


class Report:
    """The steps of a report, called by the template: take(), then profile() of each column.

    owner: of the request. failure: why the last step returned None; None when it did not, or took
    too long. Each step may raise ConnectionResetError. has_left: called before and during each.
    """

    def __init__(
        self,
        sample: RowSample,
        limit: ConcurrencyLimit,
        owner: str,
        threads: NativeThreads,
        has_left: Callable[[], bool],
    ) -> None:
        self.failure: str | None = None
        self._sample = sample
        self._limit = limit
        self._owner = owner
        self._threads = threads
        self._has_left = has_left
        self._is_running = False
        self._is_over = False
        self._started_s = time.monotonic()

    def enter(self) -> None:
        """Take a place. Raises Refusal (503) when none becomes free within PLACE_WAIT_S."""
        with turn_paused():
            has_place = self._limit.open.enter(self._owner, PLACE_WAIT_S)
        if not has_place:
            message = (
                f"{MOST_OF_ONE} reports of yours, or {MOST_OPEN} in all, are running; try again"
                " when one has ended"
            )
            detail = {"most": MOST_OPEN, "most_of_one": MOST_OF_ONE}
            raise Refusal(503, "too_many_reports", message, detail)

    def leave(self) -> None:
        """Free the rows and the place; a step on another thread is interrupted."""
        self._is_over = True
        try:
            # Removing temporary tables takes a while; it does not wait for other reports.
            self._threads.files(self._sample.close)
        finally:
            self._limit.open.leave(self._owner)

    def watch(self) -> None:
        """Interrupt the running step when the client has left. Runs until the report's end."""
        while not self._is_over:
            if self._is_running and self._has_left():
                self._sample.close()
                return
            time.sleep(PRESENCE_CHECK_S)

    def take(self) -> SampleInfo | None:
        """Read the rows."""
        return self._ask(self._sample.take)

    def profile(self, index: int) -> Profile | None:
        """Profile the column with this index."""
        is_brief = self.seconds() > BRIEF_AFTER_S
        return self._ask(lambda: self._sample.profile(index, is_brief=is_brief))

    def seconds(self) -> float:
        """Return the seconds since the report was begun."""
        return time.monotonic() - self._started_s

    def _ask(self, work: Callable[[], Found]) -> Found | None:
        self.failure = None
        with self._limit.running.place(self._owner):
            self._stop_if_left()
            self._is_running = True
            try:
                return self._threads.reports(work)
            except SourceFailed as error:
                self.failure = str(error)
            finally:
                self._is_running = False
        self._stop_if_left()
        log.warning("report failed error=%s", self.failure)
        return None

    def _stop_if_left(self) -> None:
        if self._has_left():
            # The server raises the same for a client that has left, and logs no traceback.
            raise ConnectionResetError(errno.ECONNRESET, "the client has left")


class Page:
    """A rendered template as a piece of a StreamedBody: a chunk whenever it writes SEND.

    close() calls leave once, also when nothing was read.
    """

    def __init__(self, texts: Generator[str, None, None], leave: Callable[[], None]) -> None:
        self._texts = texts
        self._leave: Callable[[], None] | None = leave

    def __iter__(self) -> Iterator[bytes]:
        written: list[str] = []
        for text in self._texts:
            if text != SEND:
                written.append(text)
            elif written:
                yield "".join(written).encode()
                written.clear()
        yield "".join(written).encode()

    def close(self) -> None:
        leave, self._leave = self._leave, None
        if leave is not None:
            try:
                self._texts.close()
            finally:
                leave()
