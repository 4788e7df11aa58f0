"""One topic of an event log of this process: its records, its receipts, and the commit of both.

Way in: TopicLog. Concurrent appends to a durable topic share a write and a sync.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from journal.capacity import Capacity
from journal.commit import GroupCommit
from journal.errors import (
    ConditionFailed,
    JournalFull,
    KeyReused,
    NotReady,
    SequenceConflict,
    TopicClosed,
    TopicsFull,
)
from journal.event_log import NewEvents, PayloadLayout, Policy, Publication, Receipt, Size
from journal.native import RunNative
from journal.receipts import Entry, Fence, Receipts, StoredReceipt, size_of
from journal.records import Records
from journal.sequence import Sequence as Order
from wire.cursors import topic_mark

Result = Receipt | Exception


class Shared(NamedTuple):
    """What the topics of a log share. notify: called with new events of a topic; must not wait."""

    layout: PayloadLayout
    order: Order
    capacity: Capacity
    run_native: RunNative
    notify: Callable[[NewEvents], None]


class _Batch:
    """What a commit is about to keep. last: the ordinal of the topic's newest event before it."""

    __slots__ = ("fences", "is_closed", "keys", "last", "lines", "receipts", "size_bytes")

    def __init__(self, last: int, *, is_closed: bool) -> None:
        self.last = last
        self.lines: list[bytes] = []
        self.size_bytes = 0
        self.keys: list[str] = []
        self.receipts: dict[tuple[str, str], StoredReceipt] = {}
        self.fences: dict[str, Fence] = {}
        self.is_closed = is_closed


class TopicLog:
    """See the module. It is a Retained. maker: the principal that has created the topic."""

    def __init__(
        self,
        name: str,
        policy: Policy,
        records: Records,
        receipts: Receipts,
        maker: str,
        shared: Shared,
    ) -> None:
        self.name = name
        self.maker = maker
        self.records = records
        # Reads go straight there.
        self.bounds, self.read = records.bounds, records.read
        self.after, self.since = records.after, records.since
        # Looked up once rather than in each append, which takes some 14 us.
        self._is_durable, self._is_latest = policy.is_durable, policy.is_latest
        self._max_bytes, self._is_exempt = policy.retention.max_bytes, policy.is_exempt
        self._layout, self._order, self._capacity, self._run_native, self._notify = shared
        self._receipts = receipts
        self._mark = topic_mark(name)
        self._newest_of: dict[str, int] = {}
        self._group = GroupCommit(self._commit)
        # Held by an append to the records, or by their expiry.
        self._writing = threading.Lock()
        self._is_closed = False
        newest = records.read(records.last, 1)
        self._last_time_s = self._layout.record.time_s_of(newest[0]) if newest else 0.0
        self._note_size()

    def append(self, publications: Sequence[Publication]) -> list[Result]:
        """See EventLog.append. Waits for the disk when the topic is durable."""
        if self._is_durable:
            return self._group.run(publications)
        (results,) = self._commit([publications])
        return results

    def newest(self, start: int) -> list[int]:
        """See Retained.newest."""
        self._forget_evicted()
        return [ordinal for ordinal in self._newest_of.values() if ordinal >= start]

    def expire(self, now_s: float) -> None:
        """Evict events beyond the policy. Waits for the disk when there are any."""
        with self._writing:
            # The topic may be closed while housekeeping waits for another one.
            if self._is_closed:
                return
            self.records.expire(now_s)
            self._note_size()

    def close(self) -> None:
        """Close the records; appends that still wait get NotReady."""
        self._is_closed = True
        self.records.close()
        self._capacity.forget(self.name)

    def _note_size(self) -> None:
        """Note the size of this topic in the capacity of all topics."""
        if self._is_closed:
            return
        records_bytes, receipts = self.records.size_bytes, self._receipts
        if self._is_durable:
            size = Size(receipts.memory_bytes, records_bytes + receipts.file_bytes)
        else:
            size = Size(records_bytes + receipts.memory_bytes, 0)
        self._capacity.note(self.name, size)

    # Appending.

    def _commit(self, works: list[Sequence[Publication]]) -> list[list[Result]]:
        """Keep the new publications of works, all or none; a single one may be refused."""
        if self._is_closed:
            raise NotReady("the server is stopping: try again in a second")
        batch = _Batch(self.records.last, is_closed=self._receipts.is_closed)
        new_lines: list[bytes] = []
        self._order.begin(self.name)
        try:
            results = [self._accept_all(work, batch) for work in works]
            if batch.lines:
                self._keep(batch)
                new_lines = batch.lines
        finally:
            self._note_size()
            self._order.end(self.name)
            # After a failure too: readers of several topics wait for what is in flight.
            first = self.records.last + 1 - len(new_lines)
            self._notify(NewEvents(self.name, first, new_lines))
        return results

    def _accept_all(self, work: Sequence[Publication], batch: _Batch) -> list[Result]:
        """Add publications to batch; return the receipt of each, or its refusal."""
        results: list[Result] = []
        for publication in work:
            try:
                known = publication.key is not None and self._known(publication, batch)
                results.append(known or self._accept(publication, batch))
            except (KeyReused, ConditionFailed) as error:
                results.append(error)
            except (JournalFull, TopicsFull) as error:
                return results + [error] * (len(work) - len(results))
        return results

    def _known(self, publication: Publication, batch: _Batch) -> Receipt | None:
        """Return the receipt of an earlier use of the publication's key. Raises KeyReused."""
        owner, key = publication.owner, publication.key or ""
        kept = batch.receipts.get((owner, key)) or self._receipts.get(owner, key)
        if kept is None:
            return None
        if kept.digest != publication.digest():
            raise KeyReused("this Idempotency-Key was used before, with other events")
        return Receipt(kept.id, self.name, kept.count)

    def _accept(self, publication: Publication, batch: _Batch) -> Receipt:
        """Add a publication to batch. Raises ConditionFailed, JournalFull, TopicsFull."""
        last = batch.last + len(batch.lines)
        if batch.is_closed or publication.condition is not None:
            self._check(publication, batch, last)
        ids, lines = self._stamp(publication, last + 1)
        size_bytes = self._reserve(publication, lines, batch)
        batch.lines += lines
        batch.size_bytes += size_bytes
        if self._is_latest:
            key_of = self._layout.key_of
            batch.keys += publication.keys or map(key_of, publication.events)
        owner, key, count = publication.owner, publication.key, len(lines)
        receipt = Receipt(ids[-1], self.name, count)
        if key is not None:
            batch.receipts[owner, key] = StoredReceipt(
                key, publication.digest(), ids[-1], count, owner
            )
        if condition := publication.condition:
            producer = condition.producer or ""
            if producer or condition.closes:
                fence = Fence(producer, condition.epoch, ids[-1], condition.closes)
                batch.fences[producer] = fence
            batch.is_closed = condition.closes
        return receipt

    def _check(self, publication: Publication, batch: _Batch, last: int) -> None:
        """Raise ConditionFailed where the publication may not follow the event last."""
        if batch.is_closed:
            raise TopicClosed(f"{self.name} is closed: it accepts no more events")
        condition = publication.condition
        if condition is None:
            return
        if condition.expected is not None and condition.expected != last:
            raise SequenceConflict(f"{self.name} has {last} events, not {condition.expected}")
        if condition.producer is not None:
            self._receipts.check_producer(condition.producer, condition.epoch, batch.fences)

    def _stamp(self, publication: Publication, first: int) -> tuple[list[str], list[bytes]]:
        """Return the ids and the lines of the events. first: the ordinal of the first."""
        # Times never decrease, even if the clock was set back.
        now_s = self._last_time_s = max(time.time(), self._last_time_s)
        ids = self._order.take(self._mark, first, len(publication.events))
        return ids, self._layout.lines_of(ids, self.name, publication.events, now_s)

    def _reserve(self, publication: Publication, lines: list[bytes], batch: _Batch) -> int:
        """Reserve bytes for lines, which come behind batch; return their size.

        Raises JournalFull for an event that is too large for the topic, TopicsFull.
        """
        max_bytes = self._max_bytes
        if (longest := max(map(len, lines))) > max_bytes:
            raise JournalFull(f"{self.name} keeps {max_bytes} bytes, and one event has {longest}")
        size_bytes = sum(map(len, lines))
        free_bytes = max(0, max_bytes - self.records.size_bytes - batch.size_bytes)
        grown_bytes = min(size_bytes, free_bytes)
        receipt_bytes = size_of(publication.owner, publication.key) if publication.key else 0
        growth = (
            Size(receipt_bytes, grown_bytes + receipt_bytes)
            if self._is_durable
            else Size(grown_bytes + receipt_bytes, 0)
        )
        self._capacity.reserve(self.name, growth, is_exempt=self._is_exempt)
        return size_bytes

    def _keep(self, batch: _Batch) -> None:
        """Store all of batch or nothing. Raises JournalFull."""
        entries: list[Entry] = [*batch.receipts.values(), *batch.fences.values()]
        with self._writing:
            self._receipts.write(entries, self._run_native)
            try:
                self.records.append(batch.lines)
            except Exception:
                self._receipts.undo_write(entries, self._run_native)
                raise
        if entries:
            self._receipts.add(entries)
        if batch.keys:
            self._note_newest(batch)

    def _note_newest(self, batch: _Batch) -> None:
        first = self.records.last + 1 - len(batch.lines)
        for ordinal, key in enumerate(batch.keys, first):
            self._newest_of.pop(key, None)
            self._newest_of[key] = ordinal
        if len(self._newest_of) > 2 * (self.records.last + 1 - self.records.first):
            # At least half of them are of evicted events.
            self._forget_evicted()

    def _forget_evicted(self) -> None:
        first = self.records.first
        self._newest_of = {key: n for key, n in self._newest_of.items() if n >= first}
