"""Recordings on the disk: `<id>.data` each, in one folder; their records are in state.db.

Way in: DiskStore, which is a kind of exports.recording_store.RecordingStore; open_writer, for
recorders.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from exports.recording_store import Found, RecordingTarget
from exports.state_records import StateRecords
from exports.work_queue import WorkQueue
from journal import DiskJournal, End, RunNative, run_here
from journal.disk import is_being_written
from state import State

KIND = "disk"


class DiskStore:
    """See the module. run_native: runs what may wait for the disk."""

    def __init__(self, folder: Path, state: State, run_native: RunNative = run_here) -> None:
        self._folder = folder.absolute()
        self._run_native = run_native
        self._work = WorkQueue(run_native)
        self.records = StateRecords(state, self._work.ask)

    def start(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._work.start()

    def wait(self) -> None:
        self._work.wait()

    def stop(self, timeout_s: float) -> None:
        self._work.stop(timeout_s)

    def ids(self) -> Iterator[str]:
        return (path.stem for path in self._folder.glob("*.data"))

    def find(self, export_id: str) -> Found | None:
        path = self._path(export_id)
        try:
            is_written = is_being_written(path)
            return Found(path.stat().st_size, is_written)
        except FileNotFoundError:
            return None

    def open(self, export_id: str, *, size: int = 0, end: End | None = None) -> DiskJournal:
        path = self._path(export_id)
        return DiskJournal(path, size=size, end=end, run_native=self._run_native)

    def target(self, export_id: str) -> RecordingTarget:
        return RecordingTarget(KIND, str(self._path(export_id)), str(self._folder))

    def remove(self, export_id: str) -> None:
        # To free the blocks of a large file takes the file system a while.
        self._work.ask(partial(self._path(export_id).unlink, missing_ok=True))

    def _path(self, export_id: str) -> Path:
        return self._folder / f"{export_id}.data"


def open_writer(target: RecordingTarget) -> DiskJournal:
    """Return the journal that the recorder of a target writes."""
    return DiskJournal(Path(target.address))
