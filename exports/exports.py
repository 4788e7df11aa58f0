"""Exports that are recorded beside this process: a fair queue, sharing, states, what is retained.

Way in: Exports. exports/schedule.py decides which runs, exports/runner.py runs it, and
exports/registry.py remembers it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from exports.errors import OwnerQueueFull, QueueFull
from exports.export import Export, Outcome
from exports.readers import Readers
from exports.recording_store import RecordingStore
from exports.registry import ExportRegistry
from exports.resumption import resumable, undecided
from exports.retention import MAX_EXPORTS, MAX_PER_OWNER, Limits
from exports.runner import STOP_S, Announce, Runner
from exports.service import Point, View
from exports.spec import ExportSpec
from journal import ByteReader
from wire.ranges import RangeSpec

log = logging.getLogger(__name__)

# How often it is looked for exports that nobody reads any more.
HOUSEKEEPING_S = 0.25

CANCELLED = Outcome("cancelled", "the export was cancelled")
ABANDONED = Outcome("abandoned", "nobody was reading it any more; create it again")


class Exports:
    """All exports of one recording store: a kind of ExportService.

    running: how many are recorded at once. most_open: how many may have a process, which those that
    have just begun and those that are paused have, too; None for as many as run. queued: how many
    may wait. queued_per_owner: how many of one owner may, None for as many as of all. max_bytes:
    how much the recordings may take. remembered: how many exports there may be, of any state;
    remembered_per_owner: of one owner.
    abandon_grace_s: how long one goes on that nobody reads and that is not in the background.
    """

    def __init__(
        self,
        store: RecordingStore,
        *,
        running: int,
        queued: int,
        max_bytes: int,
        abandon_grace_s: float,
        queued_per_owner: int | None = None,
        most_open: int | None = None,
        remembered: int = MAX_EXPORTS,
        remembered_per_owner: int = MAX_PER_OWNER,
        announce: Announce = lambda export, position: None,
    ) -> None:
        self._store = store
        self._max_queued = queued
        self._max_queued_per_owner = queued_per_owner
        self._abandon_grace_s = abandon_grace_s
        self._lock = threading.RLock()
        self._registry = ExportRegistry(store, Limits(max_bytes, remembered, remembered_per_owner))
        self._readers = Readers(self._lock, self._registry, store)
        self._runner = Runner(
            self._lock,
            self._registry,
            store,
            announce,
            places=running,
            most_open=max(running, most_open or running),
        )
        self._stopped = threading.Event()

    def start(self) -> None:
        """Load what is there and start the recording processes. Called once, by a process entry."""
        self._store.start()
        with self._lock:
            self._registry.load()
        self._store.wait()
        self._runner.start()
        threading.Thread(target=self._keep_house, daemon=True).start()

    def stop(self) -> None:
        """End every recording and free everything. What was not whole is gone."""
        self._stopped.set()
        self._runner.stop()
        self._store.stop(STOP_S)

    def submit(
        self, spec: ExportSpec, *, background: bool, owner: str = "", delivers: bool = False
    ) -> Export:
        fingerprint = spec.fingerprint()  # may wait for the disk
        with self._lock:
            shared = self._registry.shareable(spec.identity(), fingerprint)
            if shared is not None:
                shared.background = shared.background or background
                shared.delivered = shared.delivered or delivers
                shared.unread_since_s = time.monotonic()
                # It takes the turns of this owner as well, so that no flood of another is first.
                self._runner.schedule.join(shared.id, owner)
                self._registry.place(shared)
                return shared
            if self._runner.schedule.is_busy():
                self._check_queue(owner)
            export = self._registry.add(spec, fingerprint, background=background, owner=owner)
            export.delivered = delivers
            self._runner.submit(export, spec, owner)
            if export.state == "queued":
                self._registry.write_record(export)
        self._store.wait()
        return export

    def find(self, spec: ExportSpec) -> Export | None:
        fingerprint = spec.fingerprint()
        with self._lock:
            return self._registry.shareable(spec.identity(), fingerprint)

    def get(self, export_id: str) -> Export | None:
        with self._lock:
            return self._registry.index.by_id.get(export_id)

    def page(
        self, views: Sequence[View], before: Point | None, limit: int
    ) -> tuple[list[Export], int]:
        with self._lock:
            index = self._registry.index
            return index.page(views, before, limit), index.count(views)

    def made_at(self, address: str) -> list[Export]:
        with self._lock:
            return [export for export in self._of(address) if export.journal.size]

    def resumable(self, address: str, ranges: Sequence[RangeSpec]) -> Export | None:
        with self._lock:
            if address in self._registry.forgotten:
                return None
            return resumable(self._comparable(address), ranges, self._of(address))

    def undecided(self, address: str, ranges: Sequence[RangeSpec]) -> Export | None:
        with self._lock:
            if address in self._registry.forgotten:
                return None
            return undecided(self._comparable(address), ranges, self._of(address))

    def is_untouched(self, address: str) -> bool:
        with self._lock:
            had = any(export.journal.size for export in self._comparable(address))
            return not had and address not in self._registry.forgotten

    def read(
        self,
        export: Export,
        start: int = 0,
        stop: int | None = None,
        *,
        has_left: Callable[[], bool] = lambda: False,
        delivers: bool = True,
    ) -> ByteReader:
        with self._lock:
            return self._readers.open(export, start, stop, has_left=has_left, delivers=delivers)

    def cancel(self, export: Export) -> None:
        with self._lock:
            if export.is_open:
                self._runner.end(export, "cancelled", CANCELLED)
            elif export.retained:
                self._registry.discard(export)
        self._store.wait()

    def queue_position(self, export: Export) -> int | None:
        if export.state != "queued":
            return None
        with self._lock:
            return self._runner.queue_position(export)

    def slowest_reader(self, export: Export) -> int | None:
        with self._lock:
            return self._readers.slowest(export)

    def running(self) -> int:
        """Return how many are recorded, those that are paused included."""
        with self._lock:
            return sum(export.state == "running" for export in self._runner.exports())

    def states(self) -> Counter[str]:
        with self._lock:
            return self._registry.retention.states()

    def size_bytes(self) -> int:
        with self._lock:
            return self._registry.retention.size_bytes()

    def sent_bytes(self) -> int:
        with self._lock:
            return self._readers.sent_bytes()

    def _of(self, address: str) -> list[Export]:
        return _newest_first(self._registry.index.newest(address))

    def _comparable(self, address: str) -> list[Export]:
        return _newest_first(self._registry.index.comparable(address))

    def _check_queue(self, owner: str) -> None:
        waiting = self._runner.waiting()
        own = sum(export.owner == owner for export in waiting)
        if self._max_queued_per_owner is not None and own >= self._max_queued_per_owner:
            raise OwnerQueueFull(own)
        if len(waiting) >= self._max_queued:
            raise QueueFull(len(waiting))

    def _keep_house(self) -> None:
        while not self._stopped.wait(HOUSEKEEPING_S):
            try:
                self._give_up_the_unread()
            except Exception:
                # One bug must not end the housekeeping for good.
                log.exception("housekeeping failed")

    def _give_up_the_unread(self) -> None:
        with self._lock:
            latest_s = time.monotonic() - self._abandon_grace_s
            for export in self._runner.exports():
                unread = not export.readers and export.unread_since_s < latest_s
                if export.is_open and not export.background and unread:
                    self._runner.end(export, "cancelled", ABANDONED)


def _newest_first(exports: Iterable[Export]) -> list[Export]:
    return sorted(exports, key=lambda export: export.requested_s, reverse=True)
