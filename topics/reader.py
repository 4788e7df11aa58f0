"""A reader: where one client is in the topics that it follows.

It reads what it has not had, oldest first whatever the topic, says what is missing, and when it has
had everything it is live: what comes then is pushed to it. A client that does not keep up becomes a
reader again. Nothing is kept for it but its places.

Way in: Topics.follow makes them; a ConnectionWriter asks `more`, a Dispatcher pushes.
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

# One write of history: larger ones are no quicker, and a client that leaves has less in vain.
CHUNK_BYTES = 64 * 1024

# Why a reader fell behind, as presence shows it.
FULL = "its connection is full"


class EventBatch(NamedTuple):
    """Events of a topic that are pushed: start <= ordinal < stop.

    newest: the id of the last. framed: the bytes in a framing, without so many of the first.
    """

    topic: Topic
    start: int
    stop: int
    newest: str
    framed: Callable[[Framing, int], bytes]


class _Item(NamedTuple):
    """Something to be told, in the order of ids: an event, or a gap before it.

    id: the cursor of a client that has had it.
    """

    id: bytes
    topic: Topic
    next_place: int
    line: bytes
    is_gap: bool


class TopicReader:
    """See the module.

    behind: why it was not live when it was not last, "" if it always was. patterns: what it
    follows. connection: the id of its client. framing: how it is written to.
    cursor: the id of what it was told last. places: the ordinal that is next, by topic.
    sent_bytes, gaps_told: what it was given, how many it was told of. writer, is_dead, end: set
    by what serves the client: where it is pushed to; whether nothing was heard of it for too long;
    what says some last bytes and ends it. ends_s: when that is due, on the monotonic clock.
    horizon: asked for an id that sorts before all that cannot be read yet of some topics.
    is_over: it has been told its last, and is told nothing more, be it on its way from the disk.
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
        """Give a live reader of one topic what has come.

        False when it is not taken; then the reader has fallen behind. Never waits.
        """
        place = self.places[batch.topic]
        if place >= batch.stop:
            return True
        assert self.writer is not None
        skip = place - batch.start
        chunk = batch.framed(self.framing, skip) if skip >= 0 else None
        # A framing may leave out all of it: there is nothing to write, and it is taken.
        if chunk is not None and (not chunk or self.writer.try_send(chunk)):
            self.sent_bytes += len(chunk)
            self.places[batch.topic] = batch.stop
            self.cursor = batch.newest
            return True
        self.live = False
        self.behind = FULL
        return False

    def more(self) -> bytes | None:
        """Return what comes next, None when the reader has had everything: it is live then.

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
                # Its framing has left out all of it: others have their turn before what is next.
                time.sleep(0)
                continue
            # A gap may have come up meanwhile.
            if not self._gaps and not self._has_missed():
                break
        self.become_live()
        return None

    def become_live(self) -> bool:
        """Be pushed to from now on, if everything was told that there is; return whether it was."""
        if self._gaps or self._has_missed():
            return False
        is_current = all(
            place > topic.records.bounds().last for topic, place in self.places.items()
        )
        if is_current:
            self.live = self._was_live = True
        return is_current

    def _history(self) -> bytes | None:
        """Return a chunk of the one topic's records: what nearly every reader is told."""
        ((topic, place),) = self.places.items()
        if self._skips(topic):
            return None
        lines = self._read(topic, place, CHUNK_BYTES)
        if not lines or len(self.places) > 1:
            # There is none, or it is damaged or evicted, or meanwhile not the only topic any more.
            return None
        self.places[topic] = place + len(lines)
        self.cursor = id_of(lines[-1]).decode()
        return self.framing.events(lines)

    # A reader that fell behind in a `latest` topic goes on with the newest, and has missed nothing.

    def _skips(self, topic: Topic) -> bool:
        return topic.rule.latest and self._was_live

    def _has_missed(self) -> bool:
        return any(
            p < t.records.bounds().first and not self._skips(t) for t, p in self.places.items()
        )

    def _read(self, topic: Topic, place: int, max_bytes: int) -> list[bytes]:
        """Return records from place on; [] where they are damaged: then there is a gap."""
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
        # Asked first: while one topic is read, what comes in another is left for the next time.
        before = self._horizon(self.places)
        share_bytes = CHUNK_BYTES // len(self.places) if self.places else 0
        for topic, place in list(self.places.items()):
            if place > topic.records.bounds().last:
                continue
            found = self._items(topic, place, share_bytes)
            if not found and not self._skips(topic):
                # What was there was evicted, or is damaged: first of all that gap.
                return []
            items += found
            if found and found[-1].next_place <= topic.records.bounds().last:
                # What comes next of this topic may come before what others have.
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
        """Return the gaps, which come first: a client that is cut off after them knows of them.

        One that ends behind what comes next does not move the cursor; it is rather told again.
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
    """Return the line of a gap. cursor: its id, that of a client that has had it."""
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
