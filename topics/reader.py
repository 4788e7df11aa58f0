"""A reader: the place of one client in the topics that it follows.

It reads the events that it has not had, oldest first over all topics, and reports missing ones.
When it has had everything it is live: new events are pushed to it. If its client does not keep up,
it reads again. It holds no events, only its places.

Way in: Topics.follow makes readers; a ConnectionWriter calls `more`, a Dispatcher pushes.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterable
from typing import NamedTuple

from journal import JournalFailed
from topics.connection_writer import EventWriter
from topics.names import Patterns
from topics.topic import DAMAGED, EXPIRED, TOO_SLOW, Gap, Topic
from wire.events import GAP, format_event, id_of
from wire.framing import Framing

# The size of one write of history: larger ones are no quicker, and are wasted if the client leaves.
CHUNK_BYTES = 64 * 1024

# The reason why a reader fell behind, as presence shows it.
FULL = "its connection is full"


class EventBatch(NamedTuple):
    """Events of a topic that are pushed: start <= ordinal < stop.

    newest: the id of the last. framed: returns the bytes in a framing, without so many of the
    first.
    """

    topic: Topic
    start: int
    stop: int
    newest: str
    framed: Callable[[Framing, int], bytes]


class _Item(NamedTuple):
    """The next item to send, in the order of ids: an event, or a gap before it.

    id: the cursor of a client that has received it.
    """

    id: bytes
    topic: Topic
    next_place: int
    line: bytes
    is_gap: bool


class TopicReader:
    """See the module.

    behind: the reason when it was last not live, "" if it always was. patterns: those that it
    follows. connection: the id of its client. framing: the form of its bytes. cursor: the id of the
    last item that was sent. places: the next ordinal, by topic. sent_bytes, gaps_told: the bytes
    and the number of gaps that were sent. The transport of the client sets writer: the destination
    of pushes; is_dead: whether no byte of the client arrived for too long; end: sends some last
    bytes and ends the reader. ends_s: when that is due, on the monotonic clock. horizon: returns an
    id that sorts before all events of some topics that cannot be read yet. is_over: the last bytes
    were sent, and no more follow, not even events that are on their way from the disk.
    """

    __slots__ = (
        "__weakref__", "_gaps", "_horizon", "_was_live", "behind", "connection", "cursor", "end",
        "ends_s", "framing", "gaps_told", "is_dead", "is_over", "live", "patterns", "places",
        "sent_bytes", "writer",
    )  # fmt: skip

    def __init__(
        self,
        patterns: Patterns,
        connection: str,
        framing: Framing,
        horizon: Callable[[Iterable[Topic]], bytes],
    ) -> None:
        self.patterns = patterns
        self.connection = connection
        self.framing = framing
        self.cursor = ""
        self.places: dict[Topic, int] = {}
        self.writer: EventWriter | None = None
        self.live = False
        self.is_over = False
        self.sent_bytes = 0
        self.gaps_told = 0
        self.behind = ""
        self.is_dead: Callable[[], bool] = _never
        self.end: Callable[[bytes], None] = _ignore
        self.ends_s = math.inf
        self._horizon = horizon
        self._was_live = False
        self._gaps: dict[Topic, Gap] = {}

    def begin(self, topic: Topic, place: int, gap: Gap | None = None) -> None:
        """Follow topic from the ordinal place on; gap: what is missing before it."""
        self.places[topic] = place
        if gap is not None:
            self._gaps[topic] = gap

    def push(self, batch: EventBatch) -> bool:
        """Push new events to a live reader of one topic.

        Return False if they are not taken; then the reader has fallen behind. Never waits.
        """
        place = self.places[batch.topic]
        if place >= batch.stop:
            return True
        assert self.writer is not None
        skip = place - batch.start
        chunk = batch.framed(self.framing, skip) if skip >= 0 else None
        # A framing may leave out all events: there is nothing to write, and they count as taken.
        if chunk is not None and (not chunk or self.writer.try_send(chunk)):
            self.sent_bytes += len(chunk)
            self.places[batch.topic] = batch.stop
            self.cursor = batch.newest
            return True
        self.live = False
        self.behind = FULL
        return False

    def more(self) -> bytes | None:
        """Return the next bytes, None if the reader has had everything: it is live then.

        May wait for a disk.
        """
        while True:
            self._look_for_gaps()
            told = self._history() if len(self.places) == 1 and not self._gaps else None
            if told is None and (items := self._next()):
                told = self._told(items)
            if self.is_over:
                return None
            if told:
                self.sent_bytes += len(told)
                return told
            if told is not None:
                # The framing has left out all events: others have their turn before the next ones.
                time.sleep(0)
                continue
            # A gap may have arisen meanwhile.
            if not self._gaps and not self._has_missed():
                break
        self.become_live()
        return None

    def become_live(self) -> bool:
        """Become live if every event was sent; return whether it was."""
        if self._gaps or self._has_missed():
            return False
        is_current = all(
            place > topic.records.bounds().last for topic, place in self.places.items()
        )
        if is_current:
            self.live = self._was_live = True
        return is_current

    def _history(self) -> bytes | None:
        """Return a chunk of the one topic's records: the case of nearly every reader."""
        ((topic, place),) = self.places.items()
        if self._skips(topic):
            return None
        lines = self._read(topic, place, CHUNK_BYTES)
        if not lines or len(self.places) > 1:
            # There is no record, or it is damaged or evicted, or the reader follows more topics by
            # now.
            return None
        self.places[topic] = place + len(lines)
        self.cursor = id_of(lines[-1]).decode()
        return self.framing.events(lines)

    # A reader that fell behind in a `latest` topic continues with the newest events, and has no
    # gap.

    def _skips(self, topic: Topic) -> bool:
        return topic.rule.latest and self._was_live

    def _has_missed(self) -> bool:
        return any(
            p < t.records.bounds().first and not self._skips(t) for t, p in self.places.items()
        )

    def _read(self, topic: Topic, place: int, max_bytes: int) -> list[bytes]:
        """Return records from place on; [] if they are damaged: then there is a gap."""
        try:
            return topic.records.read(place, max_bytes)
        except JournalFailed:
            after = max(place + 1, topic.records.after(self.cursor.encode()))
            self._gaps[topic] = topic.gap(self.cursor, after, after - place, DAMAGED)
            self.places[topic] = after
            return []

    def _look_for_gaps(self) -> None:
        for topic, place in list(self.places.items()):
            first = topic.records.bounds().first
            if place < first and not self._skips(topic):
                known = self._gaps.get(topic)
                reason = known.reason if known else TOO_SLOW if self._was_live else EXPIRED
                before = known.lost if known else 0
                lost = None if before is None else before + first - place
                since = known.since if known else self.cursor
                self._gaps[topic] = topic.gap(since, first, lost, reason)
                self.places[topic] = first

    def _next(self) -> list[_Item]:
        """Return the gaps and the next of all topics, in the order of their ids."""
        items: list[_Item] = []
        # Called first: while one topic is read, new events of another are left for the next time.
        before = self._horizon(self.places)
        share_bytes = CHUNK_BYTES // len(self.places) if self.places else 0
        for topic, place in list(self.places.items()):
            if place > topic.records.bounds().last:
                continue
            found = self._items(topic, place, share_bytes)
            if not found and not self._skips(topic):
                # The record was evicted or is damaged: the gap comes first.
                return []
            items += found
            if found and found[-1].next_place <= topic.records.bounds().last:
                # The next record of this topic may come before those of other topics.
                before = min(before, found[-1].id + b"~")
        items = sorted([item for item in items if item.id < before], key=lambda item: item.id)
        return [*self._gap_items(items[0].id if items else before), *items]

    def _told(self, items: list[_Item]) -> bytes:
        for _, topic, next_place, _, is_gap in items:
            self.places[topic] = next_place
            if is_gap:
                del self._gaps[topic]
                self.gaps_told += 1
                if not topic.is_there:
                    del self.places[topic]
        self.cursor = items[-1].id.decode()
        if not any(item.is_gap for item in items):
            return self.framing.events([item.line for item in items])
        framing = self.framing
        pieces = [
            framing.notice(GAP, item.line) if item.is_gap else framing.events([item.line])
            for item in items
        ]
        return framing.between.join(filter(None, pieces))

    def _gap_items(self, before: bytes) -> list[_Item]:
        """Return the gaps. They are sent first: a client that is cut off after them knows of them.

        A gap that ends behind the next event does not move the cursor; it may be reported again.
        """
        cursor = self.cursor
        items = []
        for topic, gap in sorted(self._gaps.items(), key=lambda each: each[1].to):
            cursor = gap.to if gap.to.encode() < before else cursor
            line = gap_line(gap, cursor)
            items.append(_Item(cursor.encode(), topic, self.places[topic], line, True))
        return items

    def _items(self, topic: Topic, place: int, max_bytes: int) -> list[_Item]:
        if self._skips(topic):
            found = self._newest(topic, place, max_bytes)
        else:
            found = list(enumerate(self._read(topic, place, max_bytes), place))
        return [_Item(id_of(line), topic, ordinal + 1, line, False) for ordinal, line in found]

    def _newest(self, topic: Topic, place: int, max_bytes: int) -> list[tuple[int, bytes]]:
        """Return the newest of each key from place on with their ordinals, of about max_bytes."""
        found = []
        for ordinal in topic.newest_from(place):
            for line in topic.records.read(ordinal, 1)[:1]:
                found.append((ordinal, line))
                max_bytes -= len(line)
            if max_bytes <= 0:
                break
        return found


def gap_line(gap: Gap, cursor: str) -> bytes:
    """Return the line of a gap. cursor: its id, the cursor of a client that has received it."""
    data = {
        "from": gap.since,
        "to": gap.to,
        "lost": gap.lost,
        "reason": gap.reason,
        "refetch": gap.refetch,
    }
    return format_event(cursor, gap.topic, GAP, json.dumps(data), time.time())


def _never() -> bool:
    return False


def _ignore(last: bytes) -> None:
    pass
