"""The runner: has exports recorded as the schedule says, and takes in what the recorders report.

Rows never come through here: recording processes write where the store says (exports/recorder.py)
and report how far they are. Way in: Runner.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from itertools import islice
from typing import Any, NamedTuple

from exports.chain import MAX_MARKS
from exports.export import Export, Outcome
from exports.job import Job
from exports.recorders import Recorders
from exports.recording_store import RecordingStore
from exports.registry import ExportRegistry
from exports.schedule import CHANCE_S, Do, Move, Phase, Schedule
from exports.spec import ExportSpec
from exports.trial import WAITED
from sources.folders.tree import Tree

log = logging.getLogger(__name__)

# How long a stop waits for what has just been completed to be on the disk.
STOP_S = 10.0

# After a bug the schedule is asked again.
RETRY_S = 0.25

# A running export's chain is written down each time that it has twice the bytes, from here on.
FIRST_SAVED_BYTES = 1 << 20

# Of so many earlier exports of an address it is looked where they ended, for marks.
MAX_LOOKED_AT = 64

STOPPED = Outcome("interrupted", "the server was stopped; create it again")

# Called at every change of an export, with its place in the queue if it has one; must not wait.
Announce = Callable[[Export, int | None], None]


class _Underway(NamedTuple):
    """An export that is queued or running, or whose process has not quite ended yet."""

    export: Export
    job: Job
    fingerprint: Callable[[], str | None]


class Runner:
    """See the module. lock: that of the registry; it is held around every call but start and stop.

    places, most_open: as Schedule's, which is `schedule`.
    """

    def __init__(
        self,
        lock: threading.RLock,
        registry: ExportRegistry,
        store: RecordingStore,
        announce: Announce,
        *,
        places: int,
        most_open: int,
    ) -> None:
        self._lock = lock
        self._all_ended = threading.Condition(lock)
        self._registry = registry
        self._store = store
        self._announce = announce
        self._underway: dict[str, _Underway] = {}
        self._recorders = Recorders(self._on_report, self._on_lost)
        self.schedule = Schedule(places, most_open, self._recorders.used_s)
        self._turned = threading.Event()
        self._stopped = threading.Event()

    # What others call.

    def start(self) -> None:
        self._recorders.start()
        threading.Thread(target=self._keep_turns, daemon=True).start()

    def stop(self) -> None:
        """End every recording and every process. What was not whole is gone."""
        self._stopped.set()
        self._turned.set()
        with self._lock:
            for export in self.exports():
                if export.is_open:
                    self.end(export, "failed", STOPPED)
            # What is whole may still be on its way to the disk, and is not known after a restart
            # before it is there.
            self._all_ended.wait_for(lambda: not self._underway, STOP_S)
        self._recorders.stop()

    def submit(self, export: Export, spec: ExportSpec, owner: str) -> None:
        """Put a new export into the queue, or begin it."""
        target = self._store.target(export.id)
        job = Job(export.id, target, spec.extension, spec.excel, spec.query, spec.source)
        self._underway[export.id] = _Underway(export, job, spec.fingerprint)
        self.schedule.add(export.id, owner, _lock_of(job), export.rows_estimate)
        self._announce(export, self.queue_position(export))
        self._take_turns()

    def end(self, export: Export, state: str, why: Outcome) -> None:
        """End an export without its bytes. The job stays until its process has exited."""
        has_process = self.schedule.phase(export.id) is not Phase.WAITING
        export.end(state, why)
        self._announce(export, None)
        log.info("export %s id=%s code=%s", state, export.id, why.code)
        if has_process:
            self.schedule.ending(export.id)
            self._recorders.kill(export.id)
        else:
            self._forget(export)
        self._registry.tidy(export)
        self._registry.write_record(export)

    def exports(self) -> list[Export]:
        """Return the exports that are queued or running, or whose process has not ended yet."""
        return [each.export for each in self._underway.values()]

    def waiting(self) -> list[Export]:
        """Return the queue, first the one that is next."""
        return [self._underway[each].export for each, _ in self.schedule.order()]

    def queue_position(self, export: Export) -> int | None:
        """Return its place in the queue, 1 for the next; None when it does not wait."""
        places = enumerate(self.schedule.order(), 1)
        return next((place for place, (each, _) in places if each == export.id), None)

    # The schedule.

    def _keep_turns(self) -> None:
        while not self._stopped.is_set():
            try:
                with self._lock:
                    self._take_turns()
                    self._turned.clear()
                    now_s = time.monotonic()
                    due_s = self.schedule.due_s(now_s)
            except Exception:
                # One bug must not stop the turns for good.
                log.exception("turns failed")
                due_s, now_s = RETRY_S, 0.0
            self._turned.wait(None if due_s is None else due_s - now_s)

    def _take_turns(self) -> None:
        """Do what the schedule says now, and let it be asked again when it is due."""
        while not self._stopped.is_set() and (moves := self.schedule.moves(time.monotonic())):
            for move in moves:
                self._make(move)
        self._turned.set()

    def _make(self, move: Move) -> None:
        if move.id not in self._underway:
            return  # it could not be started
        export = self._underway[move.id].export
        if move.do is Do.BEGIN:
            self._record(export)
        elif move.do in (Do.TRY, Do.STAY):
            self._record(export, chance_s=CHANCE_S, may_stay=move.do is Do.STAY)
        else:
            export.paused = move.do is Do.PAUSE
            (self._recorders.pause if export.paused else self._recorders.resume)(export.id)
            self._announce(export, None)

    def _record(self, export: Export, *, chance_s: float = 0.0, may_stay: bool = False) -> None:
        newest = islice(self._registry.index.newest(export.address), MAX_LOOKED_AT)
        ends = dict.fromkeys(each.journal.size for each in newest if each.journal.size)
        job = self._underway[export.id].job._replace(
            marks=tuple(ends)[:MAX_MARKS], chance_s=chance_s, may_stay=may_stay
        )
        try:
            self._recorders.record(job)
        except OSError as error:  # there is no descriptor left, or no process
            message = f"no recording could be started: {error.strerror}"
            self.end(export, "failed", Outcome("not_started", message))
            self._forget(export)
        else:
            if not chance_s:
                self._begin(export)

    def _begin(self, export: Export) -> None:
        export.state, export.started_s = "running", time.time()
        self._announce(export, None)
        self._registry.write_record(export)

    # What the recorders report.

    def _on_report(self, report: dict[str, Any]) -> None:
        entry = self._underway.get(report["id"])
        if entry is None:
            return
        export = entry.export
        # Asked without the lock: it may wait for the disk.
        opened = entry.fingerprint() if "opened" in report else None
        with self._lock:
            if export.id not in self._underway:
                return
            if "opened" in report:
                # What was committed between the spec and the snapshot makes it unfit to share.
                if export.fingerprint != opened:
                    export.fingerprint = None
                self._on_opened(export, is_pausable=report["pausable"])
            elif "pausable" in report:
                self._on_opened(export, is_pausable=True)
            elif "volatile" in report:
                export.fingerprint = None
            elif "failed" in report and export.is_open:
                self.end(export, "failed", Outcome(report["failed"], report["message"]))
            elif "exited" in report:
                self._on_exit(export, report["exited"])
            elif export.is_open:
                self._on_progress(export, report)

    def _on_opened(self, export: Export, *, is_pausable: bool) -> None:
        self.schedule.opened(export.id, time.monotonic(), is_pausable=is_pausable)
        if export.state == "queued":
            self._begin(export)
        self._take_turns()

    def _on_progress(self, export: Export, report: dict[str, Any]) -> None:
        export.grow(report)
        if "complete" in report:
            if export.paused:  # in the moment between
                self._recorders.resume(export.id)
            self.schedule.ending(export.id)
            export.end("complete", sha256=report["digest"])
            log.info("export complete id=%s rows=%d", export.id, export.rows)
            self._announce(export, None)
        elif not self._registry.make_room():
            max_bytes = self._registry.retention.limits.max_bytes
            message = f"recordings may take {max_bytes} bytes and all are in use"
            self.end(export, "failed", Outcome("no_room", message))
        else:
            if export.journal.size >= 2 * max(export.saved_bytes, FIRST_SAVED_BYTES):
                self._registry.write_record(export)  # or a crash would leave nothing to compare
            self._announce(export, None)

    def _on_exit(self, export: Export, status: int) -> None:
        if export.state == "queued":
            # It was tried; what it lacks is a place, or whatever has ended it ends it again.
            self.schedule.undone(export.id, has_waited=status == WAITED)
            self._take_turns()
            return
        if export.is_open:
            message = f"the recording process ended unexpectedly (status {status})"
            self.end(export, "failed", Outcome("recorder_lost", message))
        self._registry.tidy(export)
        # Complete, but not safely on the disk: it serves now and is not known after a restart.
        if status == 0 or export.state != "complete":
            self._registry.write_record(export)
        self._registry.make_room()
        self._forget(export)
        self._take_turns()

    def _forget(self, export: Export) -> None:
        """It is not under way any more: it has no process, and waits for none."""
        self._underway.pop(export.id, None)
        self.schedule.remove(export.id)
        if not self._underway:
            self._all_ended.notify_all()

    def _on_lost(self) -> None:
        with self._lock:
            self._recorders.forget()
            handed_over = [
                export
                for export in self.exports()
                if self.schedule.phase(export.id) is not Phase.WAITING
            ]
            for export in handed_over:
                self._on_exit(export, -1)


def _lock_of(job: Job) -> str:
    """Return the same for jobs that wait for the same writers."""
    return job.query.path if isinstance(job.query, Tree) else job.query.database
