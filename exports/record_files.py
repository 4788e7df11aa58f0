"""Records of exports as files: `<id>.json` each, and `forgotten` with a stem a line.

Way in: RecordFiles, which is a kind of exports.recording_store.ExportRecords.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from exports.work_queue import Work


class RecordFiles:
    """See the module. run_later: has work done in the order of the calls."""

    def __init__(self, folder: Path, run_later: Callable[[Work], None]) -> None:
        self._folder = folder
        self._run_later = run_later
        # What is to be written, by id.
        self._drafts: dict[str, str] = {}
        self._forgotten = folder / "forgotten"

    def ids(self) -> Iterable[str]:
        paths = sorted(self._folder.glob("*.json"), key=lambda path: path.stat().st_mtime)
        return (path.stem for path in paths)

    def read(self, export_id: str) -> bytes:
        try:
            return self._path(export_id).read_bytes()
        except OSError:
            return b""

    def write(self, export_id: str, text: str) -> None:
        self._drafts[export_id] = text
        # A rename waits for the file system's journal, which waits for others' fsync.
        self._run_later(partial(self._write_now, export_id))

    def _write_now(self, export_id: str) -> str | None:
        text = self._drafts.pop(export_id, None)
        if text is None:
            return None  # a newer one was written in its place
        path = self._path(export_id)
        draft = path.with_suffix(".json.new")
        try:
            draft.write_text(text)
            draft.replace(path)
        except OSError as error:
            return f"record not written id={export_id} error={error.strerror}"
        return None

    def remove(self, export_id: str) -> None:
        self._run_later(partial(self._path(export_id).unlink, missing_ok=True))

    def forgotten(self) -> Iterable[str]:
        return self._forgotten.read_text().split() if self._forgotten.exists() else ()

    def note_forgotten(self, stem: str) -> None:
        def write() -> str | None:
            try:
                with open(self._forgotten, "a") as file:
                    file.write(stem + "\n")
            except OSError as error:
                return f"not noted as forgotten stem={stem} error={error.strerror}"
            return None

        self._run_later(write)

    def _path(self, export_id: str) -> Path:
        return self._folder / f"{export_id}.json"
