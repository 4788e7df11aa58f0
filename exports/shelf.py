"""The shelf: the exports that are remembered, and those whose bytes are kept.

Each export is `<id>.data` (the journal) and `<id>.json` (its record) in one folder. A call costs
the same however many there are. Not thread-safe: the runner's lock is held around every call, so
only `load` waits for the disk; what others change there is left to run_later.
"""

from __future__ import annotations

import json
import logging
import secrets
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from exports.errands import Work, do
from exports.errors import OwnerShelfFull, ShelfFull
from exports.export import (
    DISCARDED,
    MADE_ROOM,
    NOT_WHOLE,
    STEM_CHARS,
    Export,
    Order,
    Outcome,
    record_path,
)
from exports.index import Index, Point, View
from exports.spares import Spares
from journal import DiskJournal, RunNative
from journal.disk import is_being_written

log = logging.getLogger(__name__)

# How many exports are remembered, and how many of one owner, unless told otherwise. Each takes 3 to
# 20 KB of memory, for its chain.
MAX_EXPORTS = 5000
MAX_PER_OWNER = 1000

# The stems of what is forgotten are a bit each, so that any number of them takes 4 MiB. Two stems
# with the same bit only cost a resume: after 100,000 forgotten ones that is one in 42.
FORGOTTEN_BITS = 1 << 22

INTERRUPTED = Outcome("interrupted", "the server ended while it was recorded; create it again")


class _Ended(NamedTuple):
    """What is counted of an export that is not under way."""

    state: str
    size: int


class Shelf:
    """All exports of one folder.

    max_bytes: what their journals may take together. run_native: runs what may wait for the disk.
    run_later: has work done in the order of the calls. max_exports: how many are remembered in all,
    max_per_owner: of those that one owner has asked for; those in use are not forgotten for it.
    """

    def __init__(
        self,
        folder: Path,
        max_bytes: int,
        run_native: RunNative,
        run_later: Callable[[Work], None] = do,
        *,
        max_exports: int = MAX_EXPORTS,
        max_per_owner: int = MAX_PER_OWNER,
    ) -> None:
        self.max_bytes = max_bytes
        self._max_exports = max_exports
        self._max_per_owner = max_per_owner
        self._folder = folder
        self._run_native = run_native
        self._run_later = run_later
        self._index = Index()
        self._spares = Spares()
        self._under_way: dict[str, Export] = {}
        self._ended: dict[str, _Ended] = {}
        self._ended_bytes = 0
        self._ended_states: Counter[str] = Counter()
        self._owned: Counter[str] = Counter()
        # The records that are to be written, by path.
        self._drafts: dict[Path, str] = {}
        # Of the stems of exports that are not remembered any more.
        self._forgotten = bytearray(FORGOTTEN_BITS)
        self._forgotten_path = folder / "forgotten"
        # The stems of what another server writes.
        self._elsewhere: set[str] = set()

    def load(self) -> None:
        """Read what an earlier process has left: whole recordings stay, torn ones are removed."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if self._forgotten_path.exists():
            for stem in self._forgotten_path.read_text().split():
                self._forgotten[_bit_of(stem)] = 1
        for path in sorted(self._folder.glob("*.json"), key=lambda path: path.stat().st_mtime):
            self._load_one(path)
        for data in self._folder.glob("*.data"):
            known = self._index.by_id.get(data.stem)
            if known is not None and known.kept:
                continue
            if is_being_written(data):
                # By a server that ends beside this one. The next start finds what became of it.
                self._elsewhere.add(data.stem[:STEM_CHARS])
                continue
            if known is None:
                self._note_forgotten(data.stem)
            self._run_later(data.unlink)
        self._fit()
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
            self._run_later(path.unlink)
            return
        if export.ended_s is not None:
            export.unread_since_s -= max(0.0, time.time() - export.ended_s)
        self._add(export)
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
            self.place(export)
            return  # it is as its record says
        self.write_record(export)

    def add(
        self, order: Order, fingerprint: str | None, *, prepared: bool, owner: str = ""
    ) -> Export:
        """Return a new export for order, with an empty journal.

        Forgets what is over the bounds then. Raises OwnerShelfFull or ShelfFull.
        """
        self._make_place(owner)
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
        self._add(export)
        self.place(export)
        return export

    def _add(self, export: Export) -> None:
        self._index.add(export)
        self._owned[export.owner] += 1

    def place(self, export: Export) -> None:
        """Take in what has become of an export: whether it is under way, read, and kept."""
        if export.id not in self._index.by_id:
            return
        self._uncount(export)
        if export.is_open:
            self._under_way[export.id] = export
        else:
            ended = _Ended(export.state, export.journal.size if export.kept else 0)
            self._ended[export.id] = ended
            self._ended_bytes += ended.size
            self._ended_states[ended.state] += 1
        if export.is_open or export.readers:
            self._spares.take(export)
        else:
            self._spares.put(export)

    def _uncount(self, export: Export) -> None:
        self._under_way.pop(export.id, None)
        ended = self._ended.pop(export.id, None)
        if ended is not None:
            self._ended_bytes -= ended.size
            self._ended_states[ended.state] -= 1

    def exports(self) -> Iterable[Export]:
        return self._index.by_id.values()

    def get(self, export_id: str) -> Export | None:
        return self._index.by_id.get(export_id)

    def newest(self, address: str) -> Iterator[Export]:
        """Yield the exports of an address, newest first."""
        return self._index.newest(address)

    def comparable(self, address: str) -> Iterator[Export]:
        """Yield the exports of which a client of this address may have bytes, newest first."""
        return self._index.comparable(address)

    def page(self, views: Sequence[View], before: Point | None, limit: int) -> list[Export]:
        """Return so many exports of the views, newest first, from the one before a point on."""
        return self._index.page(views, before, limit)

    def count(self, views: Iterable[View]) -> int:
        """Return how many exports the views have."""
        return self._index.count(views)

    def states(self) -> Counter[str]:
        """Return how many are in each state."""
        return self._ended_states + Counter(each.state for each in self._under_way.values())

    def size_bytes(self) -> int:
        """Return the size of all recordings that are kept."""
        return self._ended_bytes + sum(e.journal.size for e in self._under_way.values() if e.kept)

    def shareable(self, identity: str, fingerprint: str | None) -> Export | None:
        """Return the kept export with this identity of data that has not changed since."""
        return None if fingerprint is None else self._index.shareable(identity, fingerprint)

    def make_room(self) -> bool:
        """Discard what nobody reads, the longest unread first, until all fits. Does it now?"""
        surplus = self.size_bytes() - self.max_bytes
        if surplus > self._spares.size:
            return False  # nobody loses anything for what does not fit all the same
        while surplus > 0 and (export := self._spares.longest_unread()) is not None:
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
        self.place(export)
        if not export.kept and not export.readers:
            # To free the blocks of a large file takes the file system a while.
            self._run_later(partial(export.journal.path.unlink, missing_ok=True))

    def write_record(self, export: Export) -> None:
        """Write what is to be known after a restart. A disk that is full only costs that."""
        path = record_path(export.journal.path)
        if export.id not in self._index.by_id:
            return
        self.place(export)
        is_due = path in self._drafts
        self._drafts[path] = json.dumps(export.to_record())
        export.saved_bytes = export.journal.size

        def write() -> str | None:
            text = self._drafts.pop(path, None)
            if text is None:
                return None  # it is forgotten
            draft = path.with_suffix(".json.new")
            try:
                draft.write_text(text)
                draft.replace(path)
            except OSError as error:
                return f"record not written id={path.stem} error={error.strerror}"
            return None

        if not is_due:
            # A rename waits for the file system's journal, which waits for others' fsync.
            self._run_later(write)

    def _make_place(self, owner: str) -> None:
        """Forget what is too many with one more of this owner."""
        while self._owned[owner] >= self._max_per_owner:
            export = self._spares.to_forget(owner)
            if export is None:
                raise OwnerShelfFull(self._owned[owner])
            self._forget(export)
        while len(self._index.by_id) >= self._max_exports:
            export = self._spares.to_forget(None)
            if export is None:
                raise ShelfFull(len(self._index.by_id))
            self._forget(export)

    def _fit(self) -> None:
        """Forget what is too many of what was loaded, also what may be resumed."""
        for owner, count in list(self._owned.items()):
            self._forget_by_force(owner, count - self._max_per_owner)
        self._forget_by_force(None, len(self._index.by_id) - self._max_exports)

    def _forget_by_force(self, owner: str | None, surplus: int) -> None:
        for _ in range(surplus):
            export = self._spares.to_forget(owner, by_force=True)
            if export is not None:
                self._forget(export)

    def _forget(self, export: Export) -> None:
        self._index.remove(export)
        self._spares.take(export)
        self._uncount(export)
        self._owned[export.owner] -= 1
        if not self._owned[export.owner]:
            del self._owned[export.owner]
        record = record_path(export.journal.path)
        self._drafts.pop(record, None)
        # Noted before the record goes: without both, a bare Range could be answered wrongly.
        self._note_forgotten(export.id)

        def remove() -> None:
            record.unlink(missing_ok=True)
            export.journal.path.unlink(missing_ok=True)

        self._run_later(remove)

    def _note_forgotten(self, export_id: str) -> None:
        stem = export_id[:STEM_CHARS]
        bit = _bit_of(stem)
        if self._forgotten[bit]:
            return
        self._forgotten[bit] = 1

        def write() -> str | None:
            try:
                with open(self._forgotten_path, "a") as file:
                    file.write(stem + "\n")
            except OSError as error:
                return f"not noted as forgotten id={export_id} error={error.strerror}"
            return None

        self._run_later(write)

    def has_forgotten(self, address: str) -> bool:
        """May there have been an export of this stem that is not remembered any more?"""
        stem = address[:STEM_CHARS]
        return stem in self._elsewhere or bool(self._forgotten[_bit_of(stem)])


def _bit_of(stem: str) -> int:
    return zlib.crc32(stem.encode()) % FORGOTTEN_BITS
