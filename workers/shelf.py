"""The shelf: the exports that are remembered, and those whose bytes are kept.

Each export is `<id>.data` (the journal) and `<id>.json` (its record) in one folder. Not
thread-safe: the runner's lock is held around every call.
"""

from __future__ import annotations

import json
import logging
import secrets
from collections.abc import Iterable
from contextlib import suppress
from functools import partial
from pathlib import Path

from journal import DiskJournal, RunNative
from journal.disk import is_being_written
from workers.export import (
    DISCARDED,
    MADE_ROOM,
    NOT_WHOLE,
    STEM_CHARS,
    Export,
    Order,
    Outcome,
    record_path,
)

log = logging.getLogger(__name__)

# How many ended exports are remembered without their bytes: what became of them can be asked,
# and a resumed download is only answered when no other production can have been its beginning.
MAX_REMEMBERED = 1000

INTERRUPTED = Outcome("interrupted", "the server ended while it was recorded; ask for it again")


class Shelf:
    """All exports of one folder.

    max_bytes: what their journals may take together. run_native: runs what may wait for the disk.
    """

    def __init__(self, folder: Path, max_bytes: int, run_native: RunNative) -> None:
        self.max_bytes = max_bytes
        self._folder = folder
        self._run_native = run_native
        self._exports: dict[str, Export] = {}
        # The stems of the addresses of exports that are not remembered any more.
        self._forgotten: set[str] = set()
        self._forgotten_path = folder / "forgotten"

    def load(self) -> None:
        """Read what an earlier process has left: whole recordings stay, torn ones are removed."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if self._forgotten_path.exists():
            self._forgotten.update(self._forgotten_path.read_text().split())
        for path in sorted(self._folder.glob("*.json"), key=lambda path: path.stat().st_mtime):
            self._load_one(path)
        for data in self._folder.glob("*.data"):
            known = self._exports.get(data.stem)
            if known is None:
                self._note_forgotten(data.stem)
            if not (known and known.kept) and not is_being_written(data):
                data.unlink()
        self.make_room()

    def _load_one(self, path: Path) -> None:
        data = path.with_suffix(".data")
        if data.exists() and is_being_written(data):
            return  # by a server that is still ending, beside us
        journal = partial(DiskJournal, data, run_native=self._run_native)
        try:
            export = Export.from_record(json.loads(path.read_bytes()), journal)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            log.warning("record unreadable path=%s", path.name)
            self._note_forgotten(path.stem)
            path.unlink()
            return
        self._exports[export.id] = export
        is_whole = data.exists() and data.stat().st_size == export.journal.size
        if export.is_open:
            size = data.stat().st_size if data.exists() else 0
            export.tear(journal(size=size), INTERRUPTED)
            if not export.journal.size:
                # It may have had bytes that a power loss took, or get some from a server beside us.
                self._note_forgotten(export.id)
        elif export.kept and not (export.state == "complete" and is_whole):
            export.kept, export.why_gone = False, NOT_WHOLE
        else:
            return  # it is as its record says
        self.write_record(export)

    def add(
        self, order: Order, fingerprint: str | None, *, prepared: bool, owner: str = ""
    ) -> Export:
        """Return a new export for order, with an empty journal."""
        # An id begins with the stem of its address, so that a file whose record is lost tells it.
        address = order.address()
        export_id = address[:STEM_CHARS] + secrets.token_hex(8)
        path = self._folder / f"{export_id}.data"
        export = Export(
            export_id,
            address,
            order.identity(),
            order.source,
            order.extension,
            order.selection,
            DiskJournal(path, run_native=self._run_native),
            prepared,
            fingerprint,
            order.rows_estimate,
            audience=order.audience,
            owner=owner,
            definition=order.definition,
        )
        self._exports[export_id] = export
        self._forget()
        return export

    def exports(self) -> Iterable[Export]:
        return self._exports.values()

    def get(self, export_id: str) -> Export | None:
        return self._exports.get(export_id)

    def shareable(self, identity: str, fingerprint: str | None) -> Export | None:
        """Return the kept export with this identity of data that has not changed since."""
        if fingerprint is None:
            return None
        for export in self._exports.values():
            if export.kept and (export.identity, export.fingerprint) == (identity, fingerprint):
                return export
        return None

    def make_room(self) -> bool:
        """Discard what nobody reads, the longest unread first, until all fits. Does it now?"""
        kept = [export for export in self._exports.values() if export.kept]
        unread = [export for export in kept if not export.readers and not export.is_open]
        surplus = sum(export.journal.size for export in kept) - self.max_bytes
        if surplus > sum(export.journal.size for export in unread):
            return False  # nobody loses anything for what does not fit all the same
        for export in sorted(unread, key=lambda export: export.unread_since_s):
            if surplus > 0:
                surplus -= export.journal.size
                self.discard(export, MADE_ROOM)
        return True

    def discard(self, export: Export, why: str = DISCARDED) -> None:
        """Keep the export in memory only: its bytes go. why: as Export.why_gone."""
        export.kept, export.why_gone = False, why
        self.tidy(export)
        self.write_record(export)

    def tidy(self, export: Export) -> None:
        """Remove the bytes of an export that does not keep them, once nobody reads them."""
        if not export.kept and not export.readers:
            # To free the blocks of a large file takes the file system a while.
            self._run_native(partial(export.journal.path.unlink, missing_ok=True))

    def write_record(self, export: Export) -> None:
        """Write what is to be known after a restart. A disk that is full only costs that."""
        path = record_path(export.journal.path)
        if export.id not in self._exports:
            return
        text = json.dumps(export.to_record())
        export.saved_bytes = export.journal.size

        def write() -> None:
            draft = path.with_suffix(".json.new")
            draft.write_text(text)
            draft.replace(path)

        try:
            # A rename waits for the file system's journal, which waits for others' fsync.
            self._run_native(write)
        except OSError as error:
            log.warning("record not written id=%s error=%s", export.id, error.strerror)

    def _forget(self) -> None:
        gone = [e for e in self._exports.values() if not e.kept and not e.readers and not e.is_open]
        for export in gone[: max(0, len(gone) - MAX_REMEMBERED)]:
            del self._exports[export.id]
            record_path(export.journal.path).unlink(missing_ok=True)
            self._note_forgotten(export.id)

    def _note_forgotten(self, export_id: str) -> None:
        stem = export_id[:STEM_CHARS]
        if stem not in self._forgotten:
            self._forgotten.add(stem)
            with suppress(OSError), open(self._forgotten_path, "a") as file:
                file.write(stem + "\n")

    def has_forgotten(self, address: str) -> bool:
        """May there have been an export of this stem that is not remembered any more?"""
        return address[:STEM_CHARS] in self._forgotten
