"""All topics: publishing to them, following them, and what happens to them by itself.

Way in: Topics. Knows no transport and no green library; `start` is for the process entry.
"""

from __future__ import annotations

import fcntl
import logging
import math
import random
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import IO
from weakref import WeakSet

from journal import DiskRecords, JournalFailed, Layout, MemoryRecords, Records, RunNative, run_here
from topics.dispatcher import Dispatcher
from topics.errors import FutureCursor, NotReady, NotWritable, UnknownTopic
from topics.lifetime import end_of
from topics.names import Patterns, check_name
from topics.publisher import Publication, Publisher
from topics.reader import Reader
from topics.receipts import Receipt, Receipts
from topics.room import Limits, Room
from topics.rules import Rule, find_rule
from topics.sequence import Sequence as Order
from topics.topic import Topic
from wire.cursors import topic_mark
from wire.events import HEARTBEAT, RECONNECT, format_event, id_of, time_s_of
from wire.framing import Framing
from wire.since import After, Since

log = logging.getLogger(__name__)

# A topic with nothing in it takes a few KB; a catalogue's pattern lets anybody make them. Those of
# the server and those that the catalogue names are not counted.
MAX_TOPICS = 1000
LAYOUT = Layout(id_of, time_s_of)

HOUSEKEEPING_S = 1.0
# Half of what proxies commonly wait; each reader has its own second of them.
HEARTBEAT_S = 15
# On shutdown readers come back spread over this, none before the next process may listen.
RECONNECT_MS = range(500, 5500)
# Who has been connected for long enough comes back to this one; the ends are spread already.
RETURN_MS = range(100, 600)
LOCK_TICK_S = 0.05
# A topic's folder is named as it is, with one sign for another: names of 200 characters fit.
_SLASH = ","
# How long an event that is on its way to the disk may take when the server stops.
STOP_S = 5.0

DEFAULT_LIMITS = Limits()


class Topics:
    """See the module.

    folder: holds the durable topics. rules: which topics there may be. run_native: runs what waits
    for the disk. limits: of what clients make. connection_s: how long one reader is pushed to, 0
    for any time. readers: everybody who follows something. room: what all topics hold.
    """

    def __init__(
        self,
        folder: Path,
        rules: Sequence[Rule],
        run_native: RunNative = run_here,
        limits: Limits = DEFAULT_LIMITS,
        connection_s: float = 0.0,
    ) -> None:
        self.rules = rules
        self.readers: dict[Reader, None] = {}
        # Whom events are pushed to: clients, and the server's own.
        self._pushed: dict[Reader, None] = {}
        # Also who only polls, and who has not begun to follow yet.
        self._made: WeakSet[Reader] = WeakSet()
        self.dispatcher = Dispatcher()
        self._folder = folder
        self._run_native = run_native
        self._connection_s = connection_s
        self._order = Order()
        self._publishers: dict[str, Publisher] = {}
        self.room = Room(limits)
        # On the disk, and could not be opened.
        self._unopened: set[str] = set()
        self._making = threading.Lock()
        self._sent_bytes = 0
        self._gaps_told = 0
        self._lock_file: IO[str] | None = None
        self._stopped = threading.Event()

    # Starting and stopping.

    def start(self) -> None:
        """Open what is kept; push, expire and beat from now on. By a process entry, once.

        Where the process before us still has the folder, that happens as soon as it lets go; what
        is asked meanwhile raises NotReady.
        """
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self._take_folder():
            self._load()
        else:
            log.info("waiting for the process before us to let go of %s", self._folder)
            threading.Thread(target=self._wait_for_folder, daemon=True).start()
        self.dispatcher.start()
        threading.Thread(target=self._keep_house, daemon=True).start()

    def drain(self) -> None:
        """Tell every reader to come back, each at another moment, and close the topics."""
        self.dispatcher.flush()
        self.stop()
        # One of each connection, which may have several, is told.
        last = {reader.connection: reader for reader in self.readers}
        for reader in self.readers:
            reader.is_over = True
        for index, reader in enumerate(last.values()):
            self._send_back(reader, RECONNECT_MS[index * len(RECONNECT_MS) // len(last)])

    def stop(self) -> None:
        """Close everything; again is harmless."""
        if self._stopped.is_set():
            return
        self._stopped.set()
        self.dispatcher.stop()
        ends = time.monotonic() + STOP_S
        while not self._order.is_quiet() and time.monotonic() < ends:
            time.sleep(LOCK_TICK_S)
        for publisher in self._publishers.values():
            publisher.close()
        if self._lock_file is not None:
            self._lock_file.close()

    def _take_folder(self) -> bool:
        file = open(self._folder / "@lock", "w")  # noqa: SIM115 (held until stop)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            return False
        self._lock_file = file
        return True

    def _wait_for_folder(self) -> None:
        while not self._stopped.wait(LOCK_TICK_S):
            if self._run_native(self._take_folder):
                self._load()
                return

    def _load(self) -> None:
        """Begin a new epoch, and open every durable topic that is there."""
        self._run_native(lambda: self._order.begin(self._folder / "@epoch"))
        for folder in self._run_native(self._folders):
            name = folder.name.replace(_SLASH, "/")
            rule = find_rule(self.rules, name)
            if rule is not None and rule.durable:
                try:
                    made = self._make(name, rule)
                except JournalFailed as error:
                    self._unopened.add(name)
                    log.error("cannot open topic=%s error=%s", name, error)
                    continue
                if not made.topic.last:
                    # Nothing was ever published to it: it has no place yet.
                    del self._publishers[name]
                    made.close()

    def _folders(self) -> list[Path]:
        return sorted(folder for folder in self._folder.iterdir() if folder.is_dir())

    def _check_ready(self) -> None:
        if not self.is_open:
            raise NotReady("the server is starting or stopping: try again in a second")

    # Topics and publishing.

    def all(self) -> list[Topic]:
        """Return the topics that were published to, by name."""
        return [self._publishers[name].topic for name in sorted(self._publishers)]

    def get(self, name: str) -> Topic | None:
        """Return the topic of that name, None when nothing was published to it yet."""
        found = self._publishers.get(name)
        return found.topic if found else None

    def newest_event(self, name: str) -> bytes | None:
        """Return the newest event that is kept of a topic, as a line; None if there is none.

        Also one whose publisher was killed before it had its receipt. The topic comes into being.
        Raises NotReady, MalformedTopic, UnknownTopic, JournalFailed.
        """
        self._check_ready()
        found = self._publishers.get(name) or self._make(name, self.rule_of(name))
        records = found.topic.records
        lines = records.read(records.last, 1)
        return lines[0] if lines else None

    def rule_of(self, name: str) -> Rule:
        """Return the rule of a topic that there may be. Raises MalformedTopic, UnknownTopic."""
        rule = find_rule(self.rules, check_name(name))
        if rule is None:
            raise UnknownTopic(f"there is no topic {name}; GET /events lists what there may be")
        return rule

    def publish(self, name: str, publication: Publication, *, by_client: bool = True) -> Receipt:
        """Keep the events and return their receipt; then everybody who follows gets them.

        Waits for the disk when the topic is durable. Raises MalformedTopic, UnknownTopic,
        NotWritable, TooManyTopics, TopicQuota, TopicsFull, KeyReused, NotReady, and JournalFull:
        then nothing is kept.
        """
        owner = publication.owner if by_client else None
        return self._publisher(name, owner).publish(publication)

    def publish_all(
        self, name: str, publications: list[Publication], owner: str
    ) -> list[Receipt | Exception]:
        """Keep what one client publishes one after another; return each receipt, or why not.

        As publish; what keeps all of it from being kept is raised.
        """
        return self._publisher(name, owner).publish_all(publications)

    def check_writable(self, name: str) -> None:
        """Raise what publish would raise for its name alone."""
        self._check_ready()
        if not self.rule_of(name).writable:
            raise NotWritable(f"only the server itself publishes to {name}")

    def _publisher(self, name: str, owner: str | None) -> Publisher:
        """Return the topic's publisher. owner: of the client that asks, None for the server."""
        self._check_ready()
        found = self._publishers.get(check_name(name))
        rule = found.topic.rule if found else self.rule_of(name)
        if owner is not None and not rule.writable:
            raise NotWritable(f"only the server itself publishes to {name}")
        return found or self._make(name, rule, owner)

    def close(self, name: str) -> bool:
        """Let go of a topic in memory, and of what it kept; it may come into being again.

        False when it stays: it is on the disk, or there are readers that have not had all of it.
        """
        found = self._publishers.get(name)
        if found is None:
            return True
        topic = found.topic
        readers = [reader for reader in self._made if topic in reader.places]
        if topic.rule.durable or any(reader.places[topic] <= topic.last for reader in readers):
            return False
        del self._publishers[name]
        for reader in readers:
            del reader.places[topic]
        topic.readers.clear()
        found.close()
        return True

    @property
    def is_open(self) -> bool:
        """Can it be published and followed? Not before start, nor once it is stopped."""
        return bool(self._order.epoch) and not self._stopped.is_set()

    def behind(self) -> int:
        """Return how many readers read what they have missed."""
        return sum(not reader.live for reader in self.readers)

    def size_bytes(self) -> int:
        """Return the size of all topics' journals."""
        return sum(topic.records.size_bytes for topic in self.all())

    def gaps_told(self) -> int:
        """Return how many gaps readers have been told of so far."""
        return self._gaps_told + sum(reader.gaps_told for reader in self.readers)

    def sent_bytes(self) -> int:
        """Return how many bytes of events readers have been given so far."""
        return self._sent_bytes + sum(reader.sent_bytes for reader in self.readers)

    def connections(self) -> dict[str, int]:
        """Return how many readers there are, by transport."""
        return dict(Counter(reader.framing.transport for reader in self.readers))

    @property
    def published(self) -> int:
        """How many events there have been in this life of the server."""
        return self._order.position

    def _make(self, name: str, rule: Rule, owner: str | None = None) -> Publisher:
        """Return the publisher of a topic that is made if need be.

        owner: the client's that makes it, None for what is on the disk or the server publishes.
        """
        with self._making:
            # Somebody else may have made it while this one waited.
            if found := self._publishers.get(name):
                return found
            if owner is not None and name not in self._unopened:
                others = [each.topic for each in self._publishers.values()]
                self.room.check_new(rule, owner, others, MAX_TOPICS)
            return self._make_alone(name, rule, owner or "")

    def _make_alone(self, name: str, rule: Rule, owner: str) -> Publisher:
        records, receipts, maker = self._open_journal(name, rule, owner)
        if self._stopped.is_set():
            records.close()
        self._check_ready()
        topic = Topic(name, rule, records, self._order.epoch, maker)
        ring = self.dispatcher.ring
        made = Publisher(topic, receipts, self._order, self._run_native, ring, self.room)
        self._publishers[name] = made
        self._unopened.discard(name)
        for reader in self._made:
            if reader.patterns.match(name):
                reader.begin(topic, topic.last + 1)
                if reader in self._pushed:
                    topic.readers[reader] = None
        return made

    def _open_journal(self, name: str, rule: Rule, owner: str) -> tuple[Records, Receipts, str]:
        """Return a topic's journal and receipts, and its maker; owner: of one that is new."""
        if not rule.durable:
            return MemoryRecords(LAYOUT, rule.retention), Receipts(None), owner
        folder = self._folder / name.replace("/", _SLASH)

        def open_on_disk() -> tuple[Records, Receipts, str]:
            records = DiskRecords(folder, LAYOUT, rule.retention, self._run_native)
            receipts = Receipts(folder / "receipts")
            receipts.load(records.last)
            return records, receipts, _maker_of(folder, owner, is_new=not records.last)

        try:
            return self._run_native(open_on_disk)
        except OSError as error:
            raise JournalFailed("unreadable", str(error)) from error

    # Following.

    def reader(
        self,
        patterns: Patterns,
        since: Since,
        connection: str,
        framing: Framing,
        not_before_s: float = 0.0,
    ) -> Reader:
        """Return a reader that begins at since; for one that is to be pushed to, see follow.

        not_before_s: unix seconds; older events are not told, and no gap of them.
        It makes no topic; what comes into being later is followed from its first event on. Raises
        MalformedTopic, UnknownTopic, FutureCursor, NotReady, JournalFailed.
        """
        self._check_ready()
        if isinstance(since, After) and self._order.is_ahead(since.cursor):
            raise FutureCursor("since is ahead of everything that this server has published")
        absent = []
        for name in sorted(patterns.names):
            rule = self.rule_of(name)
            if name not in self._publishers and self._may_have_had(name, rule, since):
                if name in self._unopened:
                    self._make(name, rule)
                else:
                    # The client may have events of it, and we have none: it is told so.
                    absent.append(self._absent(name, rule))
        reader = Reader(patterns, connection, framing, self._order.first_to_come)
        reader.cursor = self._order.now()
        self._made.add(reader)
        topics = [topic for topic in self.all() if patterns.match(topic.name)]
        for topic in topics:
            # One may be closed while another one's disk is waited for.
            if self.get(topic.name) is topic:
                place, gap = topic.seek(since, time.time())
                first = topic.records.since(not_before_s) if not_before_s else 0
                reader.begin(topic, max(place, first), gap if place >= first else None)
        for topic in (*absent, *self._lost(patterns, since)):
            place, gap = topic.seek(since, time.time())
            if gap is not None and isinstance(since, After):
                # It leads nobody back to what others have had of other topics.
                reader.begin(topic, place, gap._replace(to=max(gap.to, since.text)))
        reader.cursor = since.text if isinstance(since, After) else self._start_of(reader)
        return reader

    def _may_have_had(self, name: str, rule: Rule, since: Since) -> bool:
        """Can who comes with since have been told of a topic that there is not?"""
        if not isinstance(since, After):
            return False
        is_of_before = not rule.durable and since.cursor.epoch < self._order.epoch
        return is_of_before or since.cursor.mark == topic_mark(name)

    def _lost(self, patterns: Patterns, since: Since) -> list[Topic]:
        """Return an empty topic for each pattern whose topics ended with the life of since.

        Nobody knows any more which there were in memory: their gap has the name of the pattern.
        """
        if not isinstance(since, After) or since.cursor.epoch >= self._order.epoch:
            return []
        lost = []
        for name in {both for rule in self.rules for both in patterns.common(rule.pattern)}:
            rule = find_rule(self.rules, name)
            if rule is not None and not rule.durable:
                lost.append(self._absent(name, replace(rule, refetch=Rule.refetch)))
        return lost

    def _absent(self, name: str, rule: Rule) -> Topic:
        """Return a topic that is not there, for the gap in front of it."""
        records = MemoryRecords(LAYOUT, rule.retention)
        return Topic(name, rule, records, self._order.epoch, is_there=False)

    def _start_of(self, reader: Reader) -> str:
        """Return the cursor after which comes what the reader will be told."""
        begins = {}
        for topic, place in list(reader.places.items()):
            if place <= topic.last or len(reader.places) == 1:
                reader.places[topic], begins[topic] = topic.start_from(place)
        # That of a single topic tells later how many were lost.
        others = [] if begins and len(reader.places) == 1 else [reader.cursor]
        return min([*begins.values(), *others])

    def follow(self, reader: Reader, *, is_bounded: bool = True) -> None:
        """Push to reader's outlet from now on, after what it has not had, until it is gone.

        is_bounded: it is told to come back when it has lasted for as long as one may.
        """
        self.readers[reader] = None
        if is_bounded:
            reader.ends_s = end_of(self._connection_s)
        self.watch(reader)

    def watch(self, reader: Reader) -> None:
        """Push to reader as well, without counting it: it is the server's own, and no client."""
        assert reader.outlet is not None
        self._pushed[reader] = None
        for topic in reader.places:
            topic.readers[reader] = None
        # Nearly all who come have nothing to catch up with: no thread is started to find that out.
        reader.outlet.feed_from(reader, at_once=not reader.become_live())

    def leave(self, reader: Reader) -> None:
        """Push nothing to reader any more; again is harmless."""
        if reader not in self._made:
            return
        self._made.discard(reader)
        self.readers.pop(reader, None)
        self._pushed.pop(reader, None)
        self._sent_bytes += reader.sent_bytes
        self._gaps_told += reader.gaps_told
        for topic in reader.places:
            topic.readers.pop(reader, None)
        if reader.outlet is not None:
            reader.outlet.forget(reader)

    # What happens by itself.

    def _keep_house(self) -> None:
        second = 0
        while not self._stopped.wait(HOUSEKEEPING_S):
            second += 1
            try:
                self._end_old()
                self._expire()
                self._beat(second)
            except Exception:
                # One mistake of ours must not end the housekeeping for good.
                log.exception("housekeeping failed")

    def _end_old(self) -> None:
        """Have those come back who have lasted for long enough."""
        now_s = time.monotonic()
        for reader in [reader for reader in self.readers if reader.ends_s <= now_s]:
            self.send_back([reader])

    def send_back(self, readers: Sequence[Reader]) -> None:
        """Tell the client of these readers, all of one connection, to go on from its cursors.

        What a reader was given before still arrives. Nothing comes after this.
        """
        for reader in readers:
            reader.is_over = True
            reader.ends_s = math.inf
        self._send_back(readers[-1], random.choice(RETURN_MS))

    def _send_back(self, reader: Reader, after_ms: int) -> None:
        reader.end(self._notice(reader, RECONNECT, f'{{"after_ms":{after_ms}}}'))

    def _expire(self) -> None:
        for publisher in list(self._publishers.values()):
            publisher.expire()

    def _beat(self, second: int) -> None:
        """Send this second's share of the heartbeats; drop who is dead."""
        for reader in list(self.readers):
            if id(reader) // 64 % HEARTBEAT_S != second % HEARTBEAT_S or reader.outlet is None:
                continue
            if reader.is_dead():
                reader.outlet.close()
            elif reader.live and not reader.outlet.busy:
                reader.outlet.offer(self._notice(reader, HEARTBEAT, "{}"))

    def _notice(self, reader: Reader, name: str, data: str) -> bytes:
        """Return what the server says by itself, with the id of what the reader was told last."""
        line = format_event(reader.cursor, reader.patterns.text, name, data, time.time())
        return reader.framing.notice(name, line)


def _maker_of(folder: Path, owner: str, *, is_new: bool) -> str:
    """Return who has made the topic of this folder. owner: who makes it now, "" for nobody.

    It is written down: a restart gives nobody another share. Raises OSError.
    """
    path = folder / "maker"
    if owner and is_new:
        path.write_text(owner, "utf-8", "surrogatepass")
    try:
        return path.read_text("utf-8", "surrogatepass")
    except (FileNotFoundError, UnicodeDecodeError):
        return ""
