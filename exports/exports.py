"""The export runner: a fair queue, a bounded number recorded at once, sharing, what is kept.

Way in: Exports.submit and Exports.read. Which runs when is said by exports/schedule.py. Rows never
come through here: recording processes write the journals' files (exports/recorder.py) and report
how far they are.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Any, NamedTuple

from exports.chain import MAX_MARKS
from exports.errands import Errands
from exports.errors import OwnerQueueFull, QueueFull
from exports.export import Export, Order, Outcome
from exports.index import Point, View
from exports.job import Job
from exports.recorders import Recorders
from exports.resumption import resumable, undecided
from exports.schedule import CHANCE_S, Do, Move, Phase, Schedule
from exports.shelf import MAX_EXPORTS, MAX_PER_OWNER, Shelf
from exports.trial import WAITED
from journal import Reader, RunNative, run_here
from sources.folders.tree import Tree
from wire.ranges import RangeSpec

log = logging.getLogger(__name__)

# How often it is looked for exports that nobody reads any more.
HOUSEKEEPING_S = 0.25

# How long a stop waits for what has just been completed to be on the disk.
STOP_S = 10.0

# A running export's chain is written down each time that it has twice the bytes, from here on.
FIRST_SAVED_BYTES = 1 << 20

# Of so many earlier exports of an address it is looked where they ended, for marks.
MAX_LOOKED_AT = 64

CANCELLED = Outcome("cancelled", "the export was cancelled")
ABANDONED = Outcome("abandoned", "nobody was reading it any more; create it again")
STOPPED = Outcome("interrupted", "the server was stopped; create it again")


class _Underway(NamedTuple):
    """An export that is queued or running, or whose process has not quite ended yet."""

    export: Export
    job: Job
    fingerprint: Callable[[], str | None]


class Exports:
    """All exports of one instance folder. Thread-safe; everything that is kept is in `folder`.

    running: how many are recorded at once. most_open: how many may have a process, which those that
    have just begun and those that are paused have, too; None for as many as run. queued: how many
    may wait. queued_per_owner: how many of one owner may, None for as many as of all. max_bytes:
    how much the recordings may take. remembered: how many exports there may be, of any state;
    remembered_per_owner: of one owner.
    abandon_grace_s: how long one goes on that nobody reads and nobody prepares. run_native: runs
    what may wait for the disk. announce: told of every change of an export, with its place in the
    queue if it has one; must not wait.
    """

    def __init__(
        self,
        folder: Path,
        *,
        running: int,
        queued: int,
        max_bytes: int,
        abandon_grace_s: float,
        queued_per_owner: int | None = None,
        most_open: int | None = None,
        remembered: int = MAX_EXPORTS,
        remembered_per_owner: int = MAX_PER_OWNER,
        run_native: RunNative = run_here,
        announce: Callable[[Export, int | None], None] = lambda export, position: None,
    ) -> None:
        self._announce = announce
        self._sent_bytes = 0
        # By export.
        self._reading: dict[str, set[Reader]] = {}
        self._max_queued = queued
        self._max_queued_per_owner = queued_per_owner
        self._abandon_grace_s = abandon_grace_s
        self._lock = threading.RLock()
        self._all_ended = threading.Condition(self._lock)
        self._errands = Errands(run_native)
        self._shelf = Shelf(
            folder.absolute(),
            max_bytes,
            run_native,
            self._errands.ask,
            max_exports=remembered,
            max_per_owner=remembered_per_owner,
        )
        self._underway: dict[str, _Underway] = {}
        self._recorders = Recorders(self._on_report, self._on_lost)
        open_too = max(running, most_open or running)
        self._schedule = Schedule(running, open_too, self._recorders.used_s)
        self._turned = threading.Event()
        self._stopped = threading.Event()

    # What others call.

    def start(self) -> None:
        """Load what is kept and start the recording processes. Called once, by a process entry."""
        self._errands.start()
        with self._lock:
            self._shelf.load()
        self._errands.wait()
        self._recorders.start()
        threading.Thread(target=self._keep_house, daemon=True).start()
        threading.Thread(target=self._keep_turns, daemon=True).start()

    def stop(self) -> None:
        """End every recording and free everything. What was not whole is gone."""
        self._stopped.set()
        self._turned.set()
        with self._lock:
            for export, *_ in list(self._underway.values()):
                if export.is_open:
                    self._end(export, "failed", STOPPED)
            # What is whole may still be on its way to the disk, and is not known after a restart
            # before it is there.
            self._all_ended.wait_for(lambda: not self._underway, STOP_S)
        self._recorders.stop()
        self._errands.stop(STOP_S)

    def submit(
        self, order: Order, *, prepared: bool, owner: str = "", gives: bool = False
    ) -> Export:
        """Return an export for order: one that has the same bytes if there is one, or a new one.

        prepared: it is to go on with no reader. owner: who asks, whose turn it is to take. gives:
        a client is to get its bytes now. A new one is on the disk when this returns. Raises
        QueueFull, OwnerQueueFull, ShelfFull or OwnerShelfFull.
        """
        fingerprint = order.fingerprint()  # may wait for the disk
        with self._lock:
            shared = self._shelf.shareable(order.identity(), fingerprint)
            if shared is not None:
                shared.prepared = shared.prepared or prepared
                shared.given = shared.given or gives
                shared.unread_since_s = time.monotonic()
                self._join(shared, owner)
                self._shelf.place(shared)
                return shared
            if self._schedule.is_busy():
                self._check_queue(owner)
            export = self._shelf.add(order, fingerprint, prepared=prepared, owner=owner)
            export.given = gives
            path = str(export.journal.path)
            job = Job(export.id, path, order.extension, order.excel, order.query, order.source)
            self._underway[export.id] = _Underway(export, job, order.fingerprint)
            self._schedule.add(export.id, owner, _lock_of(job), export.rows_estimate)
            self._announce(export, self.queue_position(export))
            self._take_turns()
            if export.state == "queued":
                self._shelf.write_record(export)
        self._errands.wait()
        return export

    def find(self, order: Order) -> Export | None:
        """Return the export that submit would share, None when it would make a new one."""
        fingerprint = order.fingerprint()
        with self._lock:
            return self._shelf.shareable(order.identity(), fingerprint)

    def made_at(self, address: str) -> list[Export]:
        """Return the exports of an address, of any data and state, that have had bytes.

        Newest first.
        """
        with self._lock:
            return [export for export in self._of(address) if export.journal.size]

    def resumable(self, address: str, specs: Sequence[RangeSpec]) -> Export | None:
        """Return the export that a bare Range goes on with (exports/resumption.py), or None."""
        with self._lock:
            if self._shelf.has_forgotten(address):
                return None
            return resumable(self._comparable(address), specs, self._of(address))

    def undecided(self, address: str, specs: Sequence[RangeSpec]) -> Export | None:
        """Return the export that may become resumable (exports/resumption.py), or None."""
        with self._lock:
            if self._shelf.has_forgotten(address):
                return None
            return undecided(self._comparable(address), specs, self._of(address))

    def is_untouched(self, address: str) -> bool:
        """Is it certain that no client has any byte of this address, of whatever definition?"""
        with self._lock:
            had = any(export.journal.size for export in self._comparable(address))
            return not had and not self._shelf.has_forgotten(address)

    def get(self, export_id: str) -> Export | None:
        with self._lock:
            return self._shelf.get(export_id)

    def all(self) -> list[Export]:
        """Return every export that is remembered, newest first."""
        with self._lock:
            return _newest_first(self._shelf.exports())

    def page(
        self, views: Sequence[View], before: Point | None, limit: int
    ) -> tuple[list[Export], int]:
        """Return so many exports of the views, newest first, and how many the views have.

        before: the point behind which the page begins, None for the newest.
        """
        with self._lock:
            return self._shelf.page(views, before, limit), self._shelf.count(views)

    def states(self) -> Counter[str]:
        """Return how many exports are in each state."""
        with self._lock:
            return self._shelf.states()

    def waiting(self) -> list[Export]:
        """Return the queue, first the one that is next."""
        with self._lock:
            return [self._underway[each].export for each, _ in self._schedule.order()]

    def cancel(self, export: Export) -> None:
        """End an export now and free what it holds; one that has ended loses its bytes."""
        with self._lock:
            if export.is_open:
                self._end(export, "cancelled", CANCELLED)
            elif export.kept:
                self._shelf.discard(export)
        self._errands.wait()

    def queue_position(self, export: Export) -> int | None:
        """Return its place in the queue, 1 for the next; None when it does not wait."""
        if export.state != "queued":
            return None
        with self._lock:
            places = enumerate(self._schedule.order(), 1)
            return next((place for place, (each, _) in places if each == export.id), None)

    def slowest_reader(self, export: Export) -> int | None:
        """Return how many bytes the one furthest behind has been given; None with no reader."""
        with self._lock:
            positions = (reader.position for reader in self._reading.get(export.id, ()))
            return min(positions, default=None)

    def running(self) -> int:
        """Return how many are recorded, those that are paused included."""
        with self._lock:
            return sum(export.state == "running" for export, *_ in self._underway.values())

    def size_bytes(self) -> int:
        """Return the size of all recordings that are kept."""
        with self._lock:
            return self._shelf.size_bytes()

    def sent_bytes(self) -> int:
        """Return how many bytes of exports clients have been sent so far."""
        with self._lock:
            reading = chain.from_iterable(self._reading.values())
            return self._sent_bytes + sum(reader.position for reader in reading)

    def read(
        self,
        export: Export,
        start: int = 0,
        stop: int | None = None,
        *,
        has_left: Callable[[], bool] = lambda: False,
        gives: bool = True,
    ) -> Reader:
        """Return a reader of its bytes; while there is one, they are kept. Raises RecordingGone.

        gives: a client is to get what is read.
        """
        with self._lock:
            export.check_kept()
            export.given = export.given or gives
            export.readers += 1
            reader = Reader(
                export.journal,
                start,
                stop,
                has_left=has_left,
                on_close=lambda reader: self._on_reader_gone(export, reader, gives),
            )
            self._reading.setdefault(export.id, set()).add(reader)
            self._shelf.place(export)
            self._sent_bytes -= start
            return reader

    def _of(self, address: str) -> list[Export]:
        return _newest_first(self._shelf.newest(address))

    def _comparable(self, address: str) -> list[Export]:
        return _newest_first(self._shelf.comparable(address))

    # What happens by itself.

    def _on_reader_gone(self, export: Export, reader: Reader, gave: bool) -> None:
        with self._lock:
            self._reading[export.id].discard(reader)
            if not self._reading[export.id]:
                del self._reading[export.id]
            self._sent_bytes += reader.position
            had_end = export.state == "complete" and reader.position >= export.journal.size
            export.was_fetched |= gave and had_end
            export.was_cut |= gave and not had_end
            export.readers -= 1
            export.unread_since_s = time.monotonic()
            if not export.readers:
                export.journal.close()
                self._shelf.tidy(export)
        if not export.kept:
            self._errands.wait()

    def _check_queue(self, owner: str) -> None:
        waiting = self.waiting()
        own = sum(export.owner == owner for export in waiting)
        if self._max_queued_per_owner is not None and own >= self._max_queued_per_owner:
            raise OwnerQueueFull(own)
        if len(waiting) >= self._max_queued:
            raise QueueFull(len(waiting))

    def _join(self, export: Export, owner: str) -> None:
        """Let it take the turns of this owner as well, so that it is not behind another's flood."""
        self._schedule.join(export.id, owner)

    def _keep_turns(self) -> None:
        while not self._stopped.is_set():
            try:
                with self._lock:
                    self._take_turns()
                    self._turned.clear()
                    now_s = time.monotonic()
                    due_s = self._schedule.due_s(now_s)
            except Exception:
                # One mistake of ours must not stop the turns for good.
                log.exception("turns failed")
                due_s, now_s = HOUSEKEEPING_S, 0.0
            self._turned.wait(None if due_s is None else due_s - now_s)

    def _take_turns(self) -> None:
        """Do what the schedule says now, and let it be asked again when it is due."""
        while not self._stopped.is_set() and (moves := self._schedule.moves(time.monotonic())):
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
        newest = islice(self._shelf.newest(export.address), MAX_LOOKED_AT)
        ends = dict.fromkeys(each.journal.size for each in newest if each.journal.size)
        job = self._underway[export.id].job._replace(
            marks=tuple(ends)[:MAX_MARKS], chance_s=chance_s, may_stay=may_stay
        )
        try:
            self._recorders.record(job)
        except OSError as error:  # there is no descriptor left, or no process
            message = f"no recording could be started: {error.strerror}"
            self._end(export, "failed", Outcome("not_started", message))
            self._forget(export)
        else:
            if not chance_s:
                self._begin(export)

    def _begin(self, export: Export) -> None:
        export.state, export.started_s = "running", time.time()
        self._announce(export, None)
        self._shelf.write_record(export)

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
                # What was committed between the order and the snapshot makes it unfit to share.
                if export.fingerprint != opened:
                    export.fingerprint = None
                self._on_opened(export, is_pausable=report["pausable"])
            elif "pausable" in report:
                self._on_opened(export, is_pausable=True)
            elif "volatile" in report:
                export.fingerprint = None
            elif "failed" in report and export.is_open:
                self._end(export, "failed", Outcome(report["failed"], report["message"]))
            elif "exited" in report:
                self._on_exit(export, report["exited"])
            elif export.is_open:
                self._on_progress(export, report)

    def _on_opened(self, export: Export, *, is_pausable: bool) -> None:
        self._schedule.opened(export.id, time.monotonic(), is_pausable=is_pausable)
        if export.state == "queued":
            self._begin(export)
        self._take_turns()

    def _on_progress(self, export: Export, report: dict[str, Any]) -> None:
        export.grow(report)
        if "complete" in report:
            if export.paused:  # in the moment between
                self._recorders.resume(export.id)
            self._schedule.ending(export.id)
            export.end("complete", sha256=report["digest"])
            log.info("export complete id=%s rows=%d", export.id, export.rows)
            self._announce(export, None)
        elif not self._shelf.make_room():
            message = f"recordings may take {self._shelf.max_bytes} bytes and all are in use"
            self._end(export, "failed", Outcome("no_room", message))
        else:
            if export.journal.size >= 2 * max(export.saved_bytes, FIRST_SAVED_BYTES):
                self._shelf.write_record(export)  # or a crash would leave nothing to compare
            self._announce(export, None)

    def _on_exit(self, export: Export, status: int) -> None:
        if export.state == "queued":
            # It was tried; what it lacks is a place, or whatever has ended it ends it again.
            self._schedule.undone(export.id, has_waited=status == WAITED)
            self._take_turns()
            return
        if export.is_open:
            message = f"the recording process ended unexpectedly (status {status})"
            self._end(export, "failed", Outcome("recorder_lost", message))
        self._shelf.tidy(export)
        # Complete, but not safely on the disk: it serves now and is not known after a restart.
        if status == 0 or export.state != "complete":
            self._shelf.write_record(export)
        self._shelf.make_room()
        self._forget(export)
        self._take_turns()

    def _forget(self, export: Export) -> None:
        """It is not under way any more: it has no process, and waits for none."""
        self._underway.pop(export.id, None)
        self._schedule.remove(export.id)
        if not self._underway:
            self._all_ended.notify_all()

    def _on_lost(self) -> None:
        with self._lock:
            self._recorders.forget()
            handed_over = [
                export
                for export, *_ in self._underway.values()
                if self._schedule.phase(export.id) is not Phase.WAITING
            ]
            for export in handed_over:
                self._on_exit(export, -1)

    def _end(self, export: Export, state: str, why: Outcome) -> None:
        """End an export without its bytes. The job stays until its process has exited."""
        has_process = self._schedule.phase(export.id) is not Phase.WAITING
        export.end(state, why)
        self._announce(export, None)
        log.info("export %s id=%s code=%s", state, export.id, why.code)
        if has_process:
            self._schedule.ending(export.id)
            self._recorders.kill(export.id)
        else:
            self._forget(export)
        self._shelf.tidy(export)
        self._shelf.write_record(export)

    def _keep_house(self) -> None:
        while not self._stopped.wait(HOUSEKEEPING_S):
            try:
                self._give_up_the_unread()
            except Exception:
                # One mistake of ours must not end the housekeeping for good.
                log.exception("housekeeping failed")

    def _give_up_the_unread(self) -> None:
        with self._lock:
            latest_s = time.monotonic() - self._abandon_grace_s
            for export, *_ in list(self._underway.values()):
                unread = not export.readers and export.unread_since_s < latest_s
                if export.is_open and not export.prepared and unread:
                    self._end(export, "cancelled", ABANDONED)


def _lock_of(job: Job) -> str:
    """Return the same for jobs that wait for the same writers."""
    return job.query.path if isinstance(job.query, Tree) else job.query.database


def _newest_first(exports: Iterable[Export]) -> list[Export]:
    return sorted(exports, key=lambda export: export.requested_s, reverse=True)
