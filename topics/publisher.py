"""Publishing to one topic: ids, the journal, receipts, and the word to those who push.

Way in: Publisher. With a durable topic all who publish at the same time share a write and a sync.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from journal import JournalFull, RunNative
from topics.commit import GroupCommit
from topics.errors import KeyReused, NotReady, TopicsFull
from topics.receipts import Kept, Receipt, Receipts, size_of
from topics.room import Room, Size
from topics.sequence import Sequence as Order
from topics.topic import Topic
from wire.events import NewEvent, format_events, id_of


class Publication(NamedTuple):
    """What was sent at once: one event or more.

    key: the Idempotency-Key. keys: what each event is the newest of, in a `latest` topic; None for
    their names. owner: who publishes, to whom key belongs and a new topic is counted.
    """

    events: Sequence[NewEvent]
    key: str | None = None
    keys: Sequence[str] | None = None
    owner: str = ""

    def digest(self) -> str:
        """Return what tells a retry from another use of the key."""
        return hashlib.sha256(repr([tuple(event) for event in self.events]).encode()).hexdigest()


class Publisher:
    """See the module. on_news: told of the topic when it has news for anybody; must not wait."""

    def __init__(
        self,
        topic: Topic,
        receipts: Receipts,
        order: Order,
        run_native: RunNative,
        on_news: Callable[[Topic], None],
        room: Room,
    ) -> None:
        self.topic = topic
        self._receipts = receipts
        self._order = order
        self._run_native = run_native
        self._on_news = on_news
        self._room = room
        self._group = GroupCommit(self._commit)
        # The journal appends or expires, one at a time.
        self._writing = threading.Lock()
        self._is_closed = False
        self.note_size()

    def publish(self, publication: Publication) -> Receipt:
        """Keep the events and return their receipt. Waits for the disk when the topic is durable.

        Raises KeyReused, JournalFull, TopicsFull, NotReady; then nothing is kept.
        """
        (result,) = self.publish_all([publication])
        if isinstance(result, Exception):
            raise result
        return result

    def publish_all(self, publications: list[Publication]) -> list[Receipt | Exception]:
        """Keep publications in their order, and return for each its receipt or why it is refused.

        What is behind one that finds no room has none either, so that it can be sent again in its
        order. As publish; what keeps all of them from being kept is raised.
        """
        if self.topic.rule.durable:
            return self._group.run(publications)
        (results,) = self._commit([publications])
        return results

    def expire(self) -> None:
        """Let go of what is not to be kept any more. Waits for the disk when there is something."""
        with self._writing:
            # Housekeeping goes through a list; while it waits for another, this one may be closed.
            if self._is_closed:
                return
            self.topic.records.expire(time.time())
            self.note_size()

    def note_size(self) -> None:
        """Have the room of all topics know what this one holds."""
        if self._is_closed:
            return
        records_bytes, receipts = self.topic.records.size_bytes, self._receipts
        if self.topic.rule.durable:
            size = Size(receipts.memory_bytes, records_bytes + receipts.file_bytes)
        else:
            size = Size(records_bytes + receipts.memory_bytes, 0)
        self._room.note(self.topic, size)

    def close(self) -> None:
        """Close the journal; what still waits to be kept gets NotReady."""
        self._is_closed = True
        self.topic.records.close()
        self._room.forget(self.topic)

    def _commit(self, works: list[list[Publication]]) -> list[list[Receipt | Exception]]:
        """Keep what is new of works, all or none; a publication may be refused by itself."""
        if self._is_closed:
            raise NotReady("the server is stopping: try again in a second")
        topic = self.topic
        lines: list[bytes] = []
        keys: list[str] = []
        new: dict[tuple[str, str], Kept] = {}
        results: list[list[Receipt | Exception]] = []
        self._order.take_off(topic)
        try:
            for work in works:
                own: list[Receipt | Exception] = []
                results.append(own)
                for publication in work:
                    known = self._known(publication, new)
                    if known is not None:
                        own.append(known)
                        continue
                    stamped = self._stamp(publication, topic.records.last + len(lines) + 1)
                    try:
                        self._take_room(publication, stamped, lines)
                    except (JournalFull, TopicsFull) as error:
                        own += [error] * (len(work) - len(own))
                        break
                    lines += stamped
                    keys += publication.keys or [event.name for event in publication.events]
                    count = len(publication.events)
                    receipt = Receipt(id_of(lines[-1]).decode(), topic.name, count)
                    own.append(receipt)
                    if publication.key is not None:
                        owner, key = publication.owner, publication.key
                        kept = Kept(key, publication.digest(), receipt.id, count, owner)
                        new[owner, key] = kept
            if lines:
                self._keep(lines, list(new.values()))
                topic.add(lines, keys)
        finally:
            self.note_size()
            self._order.land(topic)
            # Also of what failed: readers of several topics wait for what is in flight.
            if topic.has_news():
                self._on_news(topic)
        return results

    def _keep(self, lines: list[bytes], receipts: list[Kept]) -> None:
        """Put all of it where the topic is kept, or nothing. Raises JournalFull."""
        with self._writing:
            self._receipts.write(receipts, self._run_native)
            try:
                self.topic.records.append(lines)
            except Exception:
                self._receipts.take_back(receipts, self._run_native)
                raise
        self._receipts.add(receipts)

    def _take_room(
        self, publication: Publication, stamped: list[bytes], before: list[bytes]
    ) -> None:
        """Raise JournalFull where an event is too large for the topic, TopicsFull for all."""
        max_bytes = self.topic.rule.retention.max_bytes
        if (longest := max(map(len, stamped))) > max_bytes:
            message = f"{self.topic.name} keeps {max_bytes} bytes, and one event has {longest}"
            raise JournalFull(message)
        self._room.take(self.topic, self._growth(publication, stamped, before))

    def _growth(self, publication: Publication, stamped: list[bytes], before: list[bytes]) -> Size:
        """Return how much more the topic will hold. before: what is kept together with stamped."""
        records_bytes = self.topic.records.size_bytes + sum(map(len, before))
        free_bytes = max(0, self.topic.rule.retention.max_bytes - records_bytes)
        grown_bytes = min(sum(map(len, stamped)), free_bytes)
        receipt_bytes = size_of(publication.owner, publication.key) if publication.key else 0
        if self.topic.rule.durable:
            return Size(receipt_bytes, grown_bytes + receipt_bytes)
        return Size(grown_bytes + receipt_bytes, 0)

    def _known(
        self, publication: Publication, new: dict[tuple[str, str], Kept]
    ) -> Receipt | KeyReused | None:
        if publication.key is None:
            return None
        owner, key = publication.owner, publication.key
        kept = new.get((owner, key)) or self._receipts.get(owner, key)
        if kept is None:
            return None
        if kept.digest != publication.digest():
            return KeyReused("this Idempotency-Key came with other events before")
        return Receipt(kept.id, self.topic.name, kept.count)

    def _stamp(self, publication: Publication, first: int) -> list[bytes]:
        """Return the lines of the events, the first of which is the topic's first-th."""
        topic = self.topic
        # A clock that was set back must not take the topic with it: times never decrease.
        now_s = topic.last_time_s = max(time.time(), topic.last_time_s)
        ids = self._order.take(topic, first, len(publication.events))
        return format_events(ids, topic.name, publication.events, now_s)
