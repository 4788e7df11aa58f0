"""All topics: publishing to them, following them, and their housekeeping.

Way in: Topics. Knows no transport and no green library; `start` is for the process entry.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable, Sequence

from journal import EventLog, NewEvents, NotReady, Publication, Receipt
from topics.dispatcher import Dispatcher
from topics.errors import FutureCursor, NotWritable
from topics.missing import absent, lost, may_have_had
from topics.names import Patterns
from topics.notices import beat, end_old, send_all_back, send_back
from topics.quota import MAX_PER_OWNER
from topics.reader import TopicReader
from topics.registry import TopicRegistry
from topics.rules import Rule
from topics.subscriptions import Subscriptions
from topics.topic import Topic
from wire.framing import Framing
from wire.since import After, Since

log = logging.getLogger(__name__)

HOUSEKEEPING_S = 1.0
OPEN_TICK_S = 0.05


class Topics:
    """See the module.

    event_log: keeps the events; opened by start, closed by stop. rules: of the possible topics.
    per_owner: the most topics of a pattern that a principal may create. connection_s: the longest
    lifetime of a reader, 0 for none. readers: of clients that follow topics.
    """

    def __init__(
        self,
        event_log: EventLog,
        rules: Sequence[Rule],
        per_owner: int = MAX_PER_OWNER,
        connection_s: float = 0.0,
    ) -> None:
        self.log = event_log
        self.rules = rules
        self.dispatcher = Dispatcher()
        self.subscriptions = Subscriptions(connection_s)
        # The interface of the parts, for callers.
        self.readers = self.subscriptions.readers
        self.follow, self.watch = self.subscriptions.follow, self.subscriptions.watch
        self.leave, self.send_back = self.subscriptions.leave, send_back
        self._registry = TopicRegistry(event_log, rules, per_owner, self.subscriptions)
        self.all, self.get = self._registry.all, self._registry.get
        self.rule_of = self._registry.rule_of
        self._stopped = threading.Event()
        event_log.subscribe(self._on_new_events, self._registry.add)

    # Starting and stopping.

    def start(self) -> None:
        """Open the log; push, expire and send heartbeats from now on. By a process entry, once.

        If the process before us still has the log, it is opened as soon as that has closed it;
        until then calls raise NotReady.
        """
        if self.log.try_open():
            self._registry.load()
        else:
            log.info("waiting for the process before us to close the event log")
            threading.Thread(target=self._wait_for_log, daemon=True).start()
        self.dispatcher.start()
        threading.Thread(target=self._keep_house, daemon=True).start()

    def drain(self) -> None:
        """Have every reader reconnect, each at another moment, and close the topics."""
        self.dispatcher.flush()
        self.stop()
        send_all_back(self.readers)

    def stop(self) -> None:
        """Close everything. Idempotent."""
        if self._stopped.is_set():
            return
        self._stopped.set()
        self.dispatcher.stop()
        self.log.close()

    def _wait_for_log(self) -> None:
        while not self._stopped.wait(OPEN_TICK_S):
            if self.log.try_open():
                self._registry.load()
                return

    def _check_ready(self) -> None:
        if not self.is_open:
            raise NotReady("the server is starting or stopping: try again in a second")

    # Topics and publishing.

    def newest_event(self, name: str) -> bytes | None:
        """Return the newest kept event of a topic, as a line; None if there is none.

        Also one whose publisher was killed before it had its receipt. The topic is created if
        needed. Raises NotReady, MalformedTopic, UnknownTopic, JournalFailed.
        """
        self._check_ready()
        found = self.get(name) or self._registry.make(name, self.rule_of(name))
        lines = found.records.read(found.records.bounds().last, 1)
        return lines[0] if lines else None

    def publish(self, name: str, publication: Publication, *, by_client: bool = True) -> Receipt:
        """Keep the events and return their receipt; all readers get them.

        Waits for the disk when the topic is durable. If it raises, nothing is kept: MalformedTopic,
        UnknownTopic, NotWritable, TooManyTopics, TopicQuota, TopicsFull, KeyReused, NotReady,
        JournalFull.
        """
        owner = publication.owner if by_client else None
        (result,) = self._append(name, [publication], owner)
        if isinstance(result, Exception):
            raise result
        return result

    def publish_all(
        self, name: str, publications: list[Publication], owner: str
    ) -> list[Receipt | Exception]:
        """Keep publications of one client in their order; return each receipt, or its error.

        As publish; it raises only errors that concern all of them.
        """
        return self._append(name, publications, owner)

    def check_writable(self, name: str) -> None:
        """Raise as publish would for the topic's name alone."""
        self._check_ready()
        if not self.rule_of(name).writable:
            raise NotWritable(f"only the server itself publishes to {name}")

    def _append(
        self, name: str, publications: list[Publication], owner: str | None
    ) -> list[Receipt | Exception]:
        """See EventLog.append; creates the topic if needed. owner: None for the server itself."""
        self._check_ready()
        found = self.get(name) if isinstance(name, str) else None
        rule = found.rule if found else self.rule_of(name)
        if owner is not None and not rule.writable:
            raise NotWritable(f"only the server itself publishes to {name}")
        if found is None:
            self._registry.make(name, rule, owner)
        return self.log.append(name, publications)

    def close(self, name: str) -> bool:
        """Remove a topic in memory with its events; it may be created again.

        False when it stays: it is on the disk, or some reader has not had all its events.
        """
        topic = self.get(name)
        if topic is None:
            return True
        if topic.rule.durable or not self.subscriptions.end(topic):
            return False
        self._registry.forget(name)
        return True

    @property
    def is_open(self) -> bool:
        """Are the topics open? Not before start, nor after stop."""
        return bool(self.log.epoch) and not self._stopped.is_set()

    def size_bytes(self) -> int:
        """Return the size of the kept events of all topics."""
        return sum(topic.records.bounds().size_bytes for topic in self.all())

    @property
    def published(self) -> int:
        """The number of events of this incarnation of the log."""
        return self.log.published

    def _on_new_events(self, events: NewEvents) -> None:
        topic = self.get(events.topic)
        if topic is None:
            return
        if events.lines:
            topic.add(events.first, events.lines)
        if topic.has_pending():
            self.dispatcher.ring(topic)

    # Following.

    def reader(
        self,
        patterns: Patterns,
        since: Since,
        connection: str,
        framing: Framing,
        not_before_s: float = 0.0,
    ) -> TopicReader:
        """Return a reader that begins at since; for one that is pushed to, see Subscriptions.

        not_before_s: unix seconds; older events are left out, without a gap.
        It creates no topic; topics that are created later are followed from their first event on.
        Raises MalformedTopic, UnknownTopic, FutureCursor, NotReady, JournalFailed.
        """
        self._check_ready()
        if isinstance(since, After) and self.log.is_ahead(since.cursor):
            raise FutureCursor("since is ahead of everything that this server has published")
        epoch, missing = self.log.epoch, list[Topic]()
        for name in sorted(patterns.names):
            rule = self.rule_of(name)
            if self.get(name) is None and may_have_had(name, rule, since, epoch):
                if name in self._registry.unopened:
                    self._registry.make(name, rule)
                else:
                    # The client may have events of it, and we have none: that is a gap.
                    missing.append(absent(name, rule, epoch))
        reader = TopicReader(patterns, connection, framing, self._horizon)
        reader.cursor = self.log.now()
        self.subscriptions.made.add(reader)
        topics = [topic for topic in self.all() if patterns.match(topic.name)]
        for topic in topics:
            # A topic may be closed while this waits for another one's disk.
            if self.get(topic.name) is topic:
                place, gap = topic.seek(since, time.time())
                first = topic.records.since(not_before_s) if not_before_s else 0
                reader.begin(topic, max(place, first), gap if place >= first else None)
        for topic in (*missing, *lost(patterns, since, self.rules, epoch)):
            place, gap = topic.seek(since, time.time())
            if gap is not None and isinstance(since, After):
                # A gap does not lead back behind the client's cursor.
                reader.begin(topic, place, gap._replace(to=max(gap.to, since.text)))
        reader.cursor = since.text if isinstance(since, After) else _start_of(reader)
        return reader

    def _horizon(self, topics: Iterable[Topic]) -> bytes:
        return self.log.horizon(topic.name for topic in topics)

    # Housekeeping.

    def _keep_house(self) -> None:
        second = 0
        while not self._stopped.wait(HOUSEKEEPING_S):
            second += 1
            try:
                end_old(self.readers)
                self.log.expire(time.time())
                beat(self.readers, second)
            except Exception:
                # One bug must not end the housekeeping for good.
                log.exception("housekeeping failed")


def _start_of(reader: TopicReader) -> str:
    """Return the cursor before the first event of the reader."""
    begins = {}
    for topic, place in list(reader.places.items()):
        if place <= topic.last or len(reader.places) == 1:
            reader.places[topic], begins[topic] = topic.start_from(place)
    # The cursor of a single topic alone: its ordinal tells later how many events were lost.
    others = [] if begins and len(reader.places) == 1 else [reader.cursor]
    return min([*begins.values(), *others])
