"""The readers of exports: which there are, and how much they have read.

Way in: Readers.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from itertools import chain

from exports.export import Export
from exports.recording_store import RecordingStore
from exports.registry import ExportRegistry
from journal import ByteReader


class Readers:
    """See the module. lock: that of the registry; it is held around every call."""

    def __init__(
        self, lock: threading.RLock, registry: ExportRegistry, store: RecordingStore
    ) -> None:
        self._lock = lock
        self._registry = registry
        self._store = store
        # Of each export.
        self._open: dict[str, set[ByteReader]] = {}
        self._sent_bytes = 0

    def open(
        self,
        export: Export,
        start: int,
        stop: int | None,
        *,
        has_left: Callable[[], bool],
        delivers: bool,
    ) -> ByteReader:
        """Return a reader, as ExportService.read does."""
        export.check_retained()
        export.delivered = export.delivered or delivers
        export.readers += 1
        reader = ByteReader(
            export.journal,
            start,
            stop,
            has_left=has_left,
            on_close=lambda reader: self._on_close(export, reader, delivers),
        )
        self._open.setdefault(export.id, set()).add(reader)
        self._registry.place(export)
        self._sent_bytes -= start
        return reader

    def slowest(self, export: Export) -> int | None:
        """Return the position of the one furthest behind, None with no reader."""
        positions = (reader.position for reader in self._open.get(export.id, ()))
        return min(positions, default=None)

    def sent_bytes(self) -> int:
        """Return how many bytes all have read so far."""
        readers = chain.from_iterable(self._open.values())
        return self._sent_bytes + sum(reader.position for reader in readers)

    def _on_close(self, export: Export, reader: ByteReader, delivered: bool) -> None:
        with self._lock:
            self._open[export.id].discard(reader)
            if not self._open[export.id]:
                del self._open[export.id]
            self._sent_bytes += reader.position
            had_end = export.state == "complete" and reader.position >= export.journal.size
            export.was_fetched |= delivered and had_end
            export.was_cut |= delivered and not had_end
            export.readers -= 1
            export.unread_since_s = time.monotonic()
            if not export.readers:
                export.journal.close()
                self._registry.tidy(export)
        if not export.retained:
            self._store.wait()
