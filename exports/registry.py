"""The registry: which exports are remembered, and what is written down of them.

A call costs the same however many there are. Not thread-safe: the lock of Exports is held around
every call, so only `load` waits for the store. Way in: ExportRegistry.
"""

from __future__ import annotations

import json
import logging
import secrets
import time
from functools import partial

from exports.export import DISCARDED, MADE_ROOM, NOT_WHOLE, Export, Outcome
from exports.forgotten import Forgotten
from exports.index import Index
from exports.recording_store import Found, RecordingStore
from exports.retention import ExportRetention, Limits
from exports.spec import STEM_CHARS, ExportSpec

log = logging.getLogger(__name__)

INTERRUPTED = Outcome("interrupted", "the server ended while it was recorded; create it again")


class ExportRegistry:
    """See the module. index: finds exports. retention: what they take. forgotten: of addresses."""

    def __init__(self, store: RecordingStore, limits: Limits) -> None:
        self.index = Index()
        self.retention = ExportRetention(limits)
        self.forgotten = Forgotten(store.records.note_forgotten)
        self._store = store

    def load(self) -> None:
        """Read what an earlier process has left: whole recordings stay, torn ones are removed."""
        self.forgotten.load(self._store.records.forgotten())
        for export_id in self._store.records.ids():
            found = self._store.find(export_id)
            # A server that ends beside this one may still write it.
            if found is None or not found.is_being_written:
                self._load_one(export_id, found)
        for export_id in self._store.ids():
            self._check_bytes(export_id)
        for export in self.retention.to_forget_by_force():
            self._forget(export)
        self.make_room()

    def _load_one(self, export_id: str, found: Found | None) -> None:
        size = found.size if found else 0
        try:
            record = json.loads(self._store.records.read(export_id))
            export = Export.from_record(record, partial(self._store.open, export_id))
        except (ValueError, KeyError, TypeError, AttributeError):
            log.warning("record unreadable id=%s", export_id)
            self.forgotten.add(export_id)
            self._store.records.remove(export_id)
            return
        if export.ended_s is not None:
            export.unread_since_s -= max(0.0, time.time() - export.ended_s)
        self._add(export)
        is_whole = found is not None and size == export.journal.size
        if export.is_open:
            export.tear(self._store.open(export_id, size=size), INTERRUPTED)
            if not export.journal.size:
                # It may have had bytes that a power loss took, or get some from a server beside us.
                self.forgotten.add(export.id)
        elif export.retained and not (export.state == "complete" and is_whole):
            export.retained, export.why_gone = False, NOT_WHOLE
        else:
            self.place(export)
            return  # it is as its record says
        self.write_record(export)

    def _check_bytes(self, export_id: str) -> None:
        """Remove bytes that no export has, unless another server still writes them."""
        known = self.index.by_id.get(export_id)
        if known is not None and known.retained:
            return
        found = self._store.find(export_id)
        if found is not None and found.is_being_written:
            self.forgotten.add_elsewhere(export_id)  # the next start finds what became of it
            return
        if known is None:
            self.forgotten.add(export_id)
        self._store.remove(export_id)

    def add(
        self, spec: ExportSpec, fingerprint: str | None, *, background: bool, owner: str = ""
    ) -> Export:
        """Return a new export for spec, without any bytes.

        Forgets what is over the limits then. Raises OwnerExportsFull or ExportsFull.
        """
        for export in self.retention.to_forget(owner):
            self._forget(export)
        # An id begins with the stem of its address, so that bytes without a record still tell it.
        address = spec.address()
        export_id = address[:STEM_CHARS] + secrets.token_hex(8)
        export = Export(
            export_id,
            address,
            spec.identity(),
            spec.source,
            spec.extension,
            spec.selection,
            self._store.open(export_id),
            background,
            fingerprint,
            spec.rows_estimate,
            visibility_key=spec.visibility_key,
            owner=owner,
            definition=spec.definition,
        )
        self._add(export)
        self.place(export)
        return export

    def _add(self, export: Export) -> None:
        self.index.add(export)
        self.retention.add(export)

    def place(self, export: Export) -> None:
        """Take in what has become of an export: whether it is under way, read, and retained."""
        if export.id in self.index.by_id:
            self.retention.place(export)

    def shareable(self, identity: str, fingerprint: str | None) -> Export | None:
        """Return the retained export with this identity of data that has not changed since."""
        return None if fingerprint is None else self.index.shareable(identity, fingerprint)

    def make_room(self) -> bool:
        """Discard what nobody reads, the longest unread first, until all fits. Does it now?"""
        exports = self.retention.to_discard()
        for export in exports or ():
            self.discard(export, MADE_ROOM)
        return exports is not None

    def discard(self, export: Export, why: str = DISCARDED) -> None:
        """Keep the export in memory only: its bytes go. why: as Export.why_gone."""
        export.retained, export.why_gone = False, why
        self.tidy(export)
        self.write_record(export)

    def tidy(self, export: Export) -> None:
        """Remove the bytes of an export that does not retain them, once nobody reads them."""
        self.place(export)
        if not export.retained and not export.readers:
            self._store.remove(export.id)

    def write_record(self, export: Export) -> None:
        """Write what is to be known after a restart. A full disk costs nothing but that."""
        if export.id in self.index.by_id:
            self.place(export)
            self._store.records.write(export.id, json.dumps(export.to_record()))
            export.saved_bytes = export.journal.size

    def _forget(self, export: Export) -> None:
        self.index.remove(export)
        self.retention.remove(export)
        # Noted before the record goes: without both, a bare Range could be answered wrongly.
        self.forgotten.add(export.id)
        self._store.records.remove(export.id)
        self._store.remove(export.id)
