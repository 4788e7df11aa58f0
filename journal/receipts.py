"""Receipts: what was published with which Idempotency-Key, so that a retry adds nothing.

Fences are stored beside them: the last incarnation of each producer, and whether the topic is
closed. Way in: Receipts. Those of a durable topic are in a file beside its records and are written
before the events: a receipt whose events were not kept is removed at once, or by its id at the next
start.
"""

from __future__ import annotations

import errno
import json
import logging
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, astuple, dataclass
from pathlib import Path

from journal.errors import JournalFull, StaleProducer
from journal.native import RunNative
from state.whole_file import write_whole
from wire.cursors import parse_cursor

log = logging.getLogger(__name__)

# A publisher that retries does so within minutes; the newest so many are remembered.
MAX_RECEIPTS = 10_000
# The memory of a receipt besides its key (measured: 590 bytes).
RECEIPT_BYTES = 600
# Producers of a topic that name their epoch. Forgetting one would let in its earlier incarnation,
# so one more is refused.
MAX_PRODUCERS = 1000


@dataclass(frozen=True)
class StoredReceipt:
    """A receipt with its key. digest: of the events that came with it. owner: of the key."""

    key: str
    digest: str
    id: str
    count: int
    # "" for those that were written before keys had owners.
    owner: str = ""


@dataclass(frozen=True)
class Fence:
    """What an accepted condition forbids from then on. id: of the last event that came with it.

    producer, epoch: forbids earlier incarnations of this producer; "" for none. closes: forbids
    everything.
    """

    producer: str
    epoch: int
    id: str
    closes: bool = False


Entry = StoredReceipt | Fence


class Receipts:
    """The receipts and fences of one topic. path: None keeps them in memory only.

    memory_bytes, file_bytes: their size there.
    """

    def __init__(self, path: Path | None) -> None:
        self.memory_bytes = 0
        self.file_bytes = 0
        self._path = path
        self._kept: dict[tuple[str, str], StoredReceipt] = {}
        self._fences: dict[str, Fence] = {}
        self._closing: Fence | None = None
        self._lines = 0
        self._size_bytes = 0

    def load(self, last: int) -> None:
        """Read the file. last: the ordinal of the topic's newest event. Raises OSError."""
        if self._path is None or not self._path.exists():
            return
        data = self._path.read_bytes()
        lines = data.splitlines()
        for line in lines:
            with suppress(ValueError, TypeError):  # the last one may be torn
                fields = json.loads(line)
                entry = Fence(**fields) if isinstance(fields, dict) else StoredReceipt(*fields)
                if parse_cursor(entry.id).ordinal <= last:
                    self.add([entry])
        self._lines, self.file_bytes = len(lines), len(data)
        if len(self._entries()) < len(lines) or not data.endswith(b"\n"):
            self._rewrite()

    def get(self, owner: str, key: str) -> StoredReceipt | None:
        return self._kept.get((owner, key))

    @property
    def is_closed(self) -> bool:
        """Was the topic closed by a publication?"""
        return self._closing is not None

    def check_producer(self, producer: str, epoch: int, pending: Mapping[str, Fence]) -> None:
        """Raise StaleProducer for an earlier epoch, JournalFull for one producer too many.

        pending: fences that are added together with this one, by producer.
        """
        latest = pending.get(producer) or self._fences.get(producer)
        if latest is None:
            if len(self._fences.keys() | pending.keys()) >= MAX_PRODUCERS:
                raise JournalFull(f"a topic has at most {MAX_PRODUCERS} producers with an epoch")
        elif latest.epoch > epoch:
            raise StaleProducer(f"the topic has events of epoch {latest.epoch} of this producer")

    def add(self, receipts: Iterable[Entry]) -> None:
        """Remember entries; the oldest receipts beyond MAX_RECEIPTS are forgotten."""
        for entry in receipts:
            if isinstance(entry, Fence):
                self._add_fence(entry)
                continue
            self._forget(entry.owner, entry.key)
            self._kept[entry.owner, entry.key] = entry
            self.memory_bytes += size_of(entry.owner, entry.key)
            if len(self._kept) > MAX_RECEIPTS:
                self._forget(*next(iter(self._kept)))

    def _add_fence(self, fence: Fence) -> None:
        if fence.producer:
            if fence.producer not in self._fences:
                self.memory_bytes += size_of(fence.producer, "")
            self._fences[fence.producer] = fence
        if fence.closes:
            self._closing = fence

    def _entries(self) -> list[Entry]:
        closing = self._closing
        others = [closing] if closing and closing not in self._fences.values() else []
        return [*self._fences.values(), *others, *self._kept.values()]

    def _forget(self, owner: str, key: str) -> None:
        if self._kept.pop((owner, key), None) is not None:
            self.memory_bytes -= size_of(owner, key)

    def write(self, receipts: list[Entry], run_native: RunNative) -> None:
        """Write receipts to the file, if there is one. Raises JournalFull."""
        if self._path is not None and receipts:
            run_native(lambda: self._write(receipts))

    def undo_write(self, receipts: list[Entry], run_native: RunNative) -> None:
        """Undo the last `write`, which was of receipts: their events could not be kept."""
        if self._path is not None and receipts:
            run_native(self._cut_back)

    def _write(self, receipts: list[Entry]) -> None:
        try:
            if self._lines > 2 * MAX_RECEIPTS:
                self._rewrite()
            self._append(b"".join(map(_line, receipts)))
        except OSError as error:
            raise JournalFull(os.strerror(error.errno or 0)) from error
        self._lines += len(receipts)
        self.file_bytes = self._size_bytes + sum(len(_line(entry)) for entry in receipts)

    def _append(self, data: bytes) -> None:
        assert self._path is not None
        with open(self._path, "ab", buffering=0) as file:
            self._size_bytes = file.tell()
            try:
                if file.write(data) != len(data):
                    raise OSError(errno.ENOSPC, "")
                os.fdatasync(file.fileno())
            except OSError:
                file.truncate(self._size_bytes)
                raise

    def _cut_back(self) -> None:
        assert self._path is not None
        try:
            os.truncate(self._path, self._size_bytes)
            self.file_bytes = self._size_bytes
        except OSError as error:
            log.error("file=%s error=%s", self._path, error)

    def _rewrite(self) -> None:
        assert self._path is not None
        lines = [_line(entry) for entry in self._entries()]
        write_whole(self._path, b"".join(lines))
        self._lines, self.file_bytes = len(lines), sum(map(len, lines))


def size_of(owner: str, key: str) -> int:
    """Return the memory of a receipt, in bytes."""
    return RECEIPT_BYTES + len(owner) + len(key)


def _line(entry: Entry) -> bytes:
    fields = asdict(entry) if isinstance(entry, Fence) else astuple(entry)
    return json.dumps(fields).encode() + b"\n"
