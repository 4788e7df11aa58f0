"""Record one export: read the rows, encode them, write the journal, say how far it has come.

Runs in a process of its own, which may be killed at any moment. Way in: record.
"""

from __future__ import annotations

import io
import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Any, TypeVar

from encoders import EncodeError, first_bytes, open_encoder
from exports import disk_store
from exports.chain import Chain
from exports.job import Job
from exports.recording_store import RecordingTarget
from exports.trial import Trial
from journal import Complete, Failed, Journal, JournalFull
from journal.errors import FULL
from sources.errors import FolderError, SourceFailed
from sources.folders.tarballs import pack_folder
from sources.folders.tree import Tree
from sources.query import Query
from sources.rows import Rows, TypedRows, one_row, open_rows
from wire.formats import parse_extension

# Progress is reported at most this often, so that a thousand small batches do not become as many
# wake-ups of the server.
REPORT_EVERY_S = 0.02

# A download begins after this time at the latest, so that no client or proxy gives up waiting.
BEGIN_LATE_S = 1.0

# Read while the batch before is encoded (1,000,000 rows: 0.60 s, without 0.75 s); two ahead are no
# quicker than one.
BATCHES_AHEAD = 1

# How each kind of recording store is written.
WRITERS: dict[str, Callable[[RecordingTarget], Journal]] = {disk_store.KIND: disk_store.open_writer}

Item = TypeVar("Item")

Report = Callable[[dict[str, Any]], None]


def record(job: Job, report: Report) -> None:
    """Fill the recording that job names, reporting through report.

    Reports are `{"opened": true, "pausable"}` once the snapshot is taken, pausable being whether no
    writer waits for its end, `{"volatile": true}` once the rows are found to depend on the clock,
    `{"rows", "bytes", "digest"}` as they come, and one last `{"complete": true, "rows", "bytes",
    "digest"}` or `{"failed": code, "message"}`. digest: the sha256 of those bytes; beside it are
    all `links` if there are new ones. A job with a chance reports only once it has passed.
    """
    try:
        _Recording(job, report).run()
    except (SourceFailed, FolderError) as error:
        report({"failed": "source_failed", "message": str(error)})
    except EncodeError as error:
        report({"failed": "cannot_encode", "message": str(error)})
    except (JournalFull, OSError) as error:
        # The rows of a typed format are on that disk, too, until they are encoded.
        if isinstance(error, JournalFull) or error.errno in FULL:
            message = "the disk that holds the recordings is full"
            report({"failed": "disk_full", "message": message})
        else:
            message = f"the recording could not be written: {error.strerror}"
            report({"failed": "not_written", "message": message})


class _Recording:
    """The journal of one export as the sink of its encoder, which counts, hashes and reports."""

    def __init__(self, job: Job, report: Report) -> None:
        self._job = job
        self._send = report
        self._trial = Trial(job.chance_s) if job.chance_s else None
        self._journal = WRITERS[job.target.kind](job.target)
        self._chain = Chain(job.marks)
        # The timer's thread reports, too: bytes and their digest have to be of one moment.
        self._lock = threading.Lock()
        self._rows = 0
        self._source: Rows | None = None  # until it is reported that its rows depend on the clock
        self._reported_s = 0.0
        # The header of text is written before the first row, and kept back for it: a query that
        # fails early then fails with a status. One that only takes long begins without it.
        self._begin_late = threading.Timer(BEGIN_LATE_S, self._report_progress)
        self._begin_late.daemon = True
        # Bytes that the encoder is still to write and that the journal has already.
        self._ahead = b""

    def run(self) -> None:
        try:
            if isinstance(self._job.query, Tree):
                self._pack_folder(self._job.query)
            else:
                self._record_rows(self._job.query)
            self._begin_late.cancel()
            self._pass()
        except BaseException:
            self._begin_late.cancel()
            if self._trial is not None:
                self._trial.end()
            self._journal.finish(Failed("failed", "not whole"))
            raise
        # Readers have their end now; that it is on the disk is known when this process has ended.
        with self._lock:
            self._report({"complete": True, **self._progress()})
        self._journal.finish(Complete(self._chain.digest()))

    def _report(self, fields: dict[str, Any]) -> None:
        (self._send if self._trial is None else self._trial.report)(fields)

    def _opened(self, *, is_pausable: bool) -> None:
        if is_pausable and self._job.may_stay:
            self._pass()
        if self._trial is not None:
            self._trial.opened()
        # A trial is over before it can be paused, and with it what a writer waits for.
        self._report({"opened": True, "pausable": is_pausable or self._trial is not None})

    def _pass(self) -> None:
        """Let the trial be over, if this is one: write and report what it has."""
        if self._trial is None:
            return
        reports, written = self._trial.end()
        self._trial = None
        for fields in reports:
            self._report(fields)
        for data in written:
            self._append(data)
        if written:
            self._report_progress()

    def _pack_folder(self, tree: Tree) -> None:
        self._opened(is_pausable=True)
        self._begin_late.start()
        self._rows = pack_folder(tree, self, self._count)

    def _record_rows(self, query: Query) -> None:
        file_format = parse_extension(self._job.extension)
        assert file_format is not None, self._job.extension
        if file_format.format.typed:
            # All rows are read before the first is written, which may take long: begin at once
            # all the same, so that no client or proxy gives up waiting.
            self._begin(first_bytes(file_format))
        with ExitStack() as opened:
            source = opened.enter_context(closing(open_rows(query)))
            self._source = source
            self._opened(is_pausable=not source.blocks_writers())
            rows: Rows | TypedRows = source
            count = self._count
            if file_format.format.typed:
                scratch = Path(self._job.target.scratch)
                typed = source.typed(read_ahead(source, BATCHES_AHEAD), scratch, count)
                source.close()
                self._report({"pausable": True})
                rows = opened.enter_context(closing(typed))
                count = self._count_again
            encoder = open_encoder(
                file_format, rows.columns, self, excel=self._job.excel, title=self._job.source
            )
            self._begin_late.start()
            done = 0
            for batch in read_ahead(rows, BATCHES_AHEAD):
                encoder.write(batch)
                done += batch.num_rows
                count(done)
        encoder.close()

    def _count(self, rows: int) -> None:
        self._rows = rows
        if self._source is not None and self._source.has_asked_the_clock():
            self._report({"volatile": True})
            self._source = None
        self._report_progress()

    def _count_again(self, rows: int) -> None:
        """All have been counted as they were read."""
        self._report_progress()

    def _begin(self, data: bytes) -> None:
        self.write(data)
        self._ahead = data
        self._report_progress()

    def write(self, data: bytes | memoryview, /) -> int:
        if self._ahead and data:
            again, left = min(len(data), len(self._ahead)), self._ahead
            assert data[:again] == left[:again], "the file begins with other bytes"
            self._ahead = left[again:]
            self.write(memoryview(data)[again:])
        elif data and self._trial is not None:
            self._trial.write(data)
        elif data:
            self._append(data)
        return len(data)

    def _append(self, data: bytes | memoryview) -> None:
        with self._lock:
            self._journal.append(data)
            self._chain.append(data)

    def _report_progress(self) -> None:
        if self._trial is not None:
            return
        with self._lock:
            now_s = time.monotonic()
            if now_s - self._reported_s >= REPORT_EVERY_S:
                self._reported_s = now_s
                self._report(self._progress())

    def _progress(self) -> dict[str, Any]:
        progress = {"rows": self._rows, "bytes": self._chain.size, "digest": self._chain.digest()}
        links = self._chain.news()
        return progress if links is None else {**progress, "links": list(links.items())}


def read_ahead(items: Iterable[Item], ahead: int) -> Iterator[Item]:
    """Yield the items, taken on a thread of their own up to `ahead` before they are asked for.

    An error among the items is raised here. Closing this ends the thread after its present item.
    """
    ready: queue.Queue[tuple[Item | None, BaseException | None]] = queue.Queue(ahead)
    closed = threading.Event()

    def take() -> None:
        try:
            for item in items:
                ready.put((item, None))
                if closed.is_set():
                    return
            ready.put((None, None))
        except BaseException as error:  # noqa: BLE001 (it is raised again on the other side)
            ready.put((None, error))

    thread = threading.Thread(target=take, daemon=True)
    thread.start()
    try:
        while True:
            item, error = ready.get()
            if error is not None:
                raise error
            if item is None:
                return
            yield item
    finally:
        closed.set()
        while thread.is_alive():
            with suppress(queue.Empty):
                ready.get(timeout=0.01)


def warm_up() -> None:
    """Do once what the first export of a process would wait for: lazy loading. 90 ms."""
    file_format = parse_extension("csv")
    assert file_format is not None
    with closing(open_rows(one_row())) as rows:
        encoder = open_encoder(file_format, rows.columns, io.BytesIO())
        for batch in read_ahead(rows, BATCHES_AHEAD):
            encoder.write(batch)
        encoder.close()
