"""A small world around topics: threads that take turns when told to, and clients that fill up.

Everything real but time and the network: green threads are greenlets that run until they wait, a
connection is a Line that takes as many bytes as it has room for.
"""

import json
import resource
import threading
import time
from collections.abc import Callable
from contextlib import contextmanager
from itertools import pairwise
from types import MappingProxyType, SimpleNamespace
from typing import NamedTuple

import pytest
from greenlet import getcurrent, greenlet

from journal import EVENTS, DiskLog, JournalError, Retention, Size
from topics import ConnectionWriter, Patterns, Publication, Rule, TopicError, Topics
from topics.notices import beat
from topics.quota import MAX_PER_OWNER
from wire.cursors import format_cursor, parse_cursor
from wire.events import GAP, HEARTBEAT, RECONNECT, NewEvent
from wire.framing import NDJSON
from wire.since import parse_since

AMPLE = Retention(max_records=1_000_000, max_age_s=1e9, max_bytes=1 << 30)
RULES = [
    Rule("memory/*", durable=False, retention=AMPLE),
    Rule("disk/*", durable=True, retention=AMPLE),
    Rule("latest/*", durable=False, retention=AMPLE, latest=True),
    Rule("few/*", durable=False, retention=AMPLE._replace(max_records=5)),
    Rule("few-on-disk/*", durable=True, retention=AMPLE._replace(max_records=5)),
    Rule("own", durable=False, retention=AMPLE, writable=False, refetch="/fresh/{topic}"),
]
AMPLE_ROOM = 1 << 40


class Limits(NamedTuple):
    """Of what clients make: topics of a pattern, and the bytes of all topics."""

    per_owner: int = MAX_PER_OWNER
    memory_bytes: int = 512 * 1024**2
    disk_bytes: int = 10 * 1024**3


DEFAULT_LIMITS = Limits()


class Thread(greenlet):
    """With a name to know it by."""

    def __init__(self, work, parent):
        super().__init__(work, parent)
        self.name = getattr(work, "__qualname__", repr(work))

    def __repr__(self):
        return self.name


class Hub:
    """Green threads that take turns. threads: those that go on, with what they wait for."""

    def __init__(self) -> None:
        self._main, self._ident = getcurrent(), threading.get_ident()
        self.threads: dict[greenlet, Callable[[], object]] = {}
        self.is_full = False

    def spawn(self, work):
        self.threads[Thread(work, self._main)] = bool_of(True)

    def wait(self, condition=lambda: True):
        """Let the others go on, at least until condition; the test itself never waits."""
        if threading.get_ident() != self._ident:
            return
        if getcurrent() is self._main:
            assert condition(), "the test itself cannot wait"
        else:
            self.threads[getcurrent()] = condition
            self._main.switch()

    def ready(self):
        return [thread for thread, condition in self.threads.items() if condition()]

    def turn(self, thread):
        """Let a thread run until it waits."""
        thread.switch()
        if thread.dead:
            del self.threads[thread]

    def run(self):
        """Let all run until each has ended or waits for something that does not come."""
        while ready := self.ready():
            self.turn(ready[0])

    def run_native(self, work):
        """As eventlet's tpool: others take turns before the work, and after it."""
        self.wait()
        try:
            with full_disk(self.is_full):
                return work()
        finally:
            self.wait()

    def threading(self):
        """What eventlet patches in the module of this name."""
        return {"Lock": lambda: GreenLock(self), "Condition": lambda: GreenCondition(self)}


def bool_of(value):
    return lambda: value


class GreenLock:
    """As eventlet's: who waits for it lets others go on."""

    def __init__(self, hub):
        self.hub, self.is_held = hub, False

    def __enter__(self):
        if self.is_held:
            self.hub.wait(lambda: not self.is_held)
        self.is_held = True

    def __exit__(self, *error):
        self.is_held = False


class GreenCondition(GreenLock):
    """Of threading.Condition what group commit uses; whose turn it is, the hub decides."""

    def wait_for(self, predicate):
        if not predicate():
            self.__exit__()
            self.hub.wait(lambda: predicate() and not self.is_held)
            self.__enter__()

    def notify_all(self):
        pass


@contextmanager
def full_disk(is_full=True):
    """No file can grow."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    if is_full:
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


class Line:
    """A connection with room for so many bytes more. got: what it has taken."""

    def __init__(self, hub, room=AMPLE_ROOM):
        self.hub, self.room, self.got = hub, room, b""
        self.is_cut = False

    def setsockopt(self, level, option, value):
        pass

    def send(self, data):
        if self.is_cut:
            raise ConnectionResetError
        if not self.room:
            raise BlockingIOError
        taken = bytes(data[: self.room])
        self.got += taken
        self.room -= len(taken)
        return len(taken)

    def sendall(self, data):
        data = memoryview(data)
        while data:
            self.hub.wait(lambda: self.room or self.is_cut)
            data = data[self.send(data) :]


class Client:
    """What the worker would hand to a writer. is_tls: it cannot say what the socket takes."""

    def __init__(self, hub, line, *, is_tls=False):
        self.socket = line
        self.send_now = None if is_tls else line.send
        self.spawn = hub.spawn
        self.refusals = []

    def take_over(self):
        pass

    def failed(self, error):
        pass

    def refused(self, code):
        self.refusals.append(code)


class Follower:
    """One who follows topics. items: what it was told; start: where it began."""

    def __init__(
        self, world, text, since=None, room=AMPLE_ROOM, framing=NDJSON, connection="c", **how
    ):
        self.world, self.patterns, self.connection = world, Patterns.parse(text), connection
        self.ended = []
        self.connect(since, room, framing, **how)

    def connect(self, since, room=AMPLE_ROOM, framing=NDJSON, *, is_tls=False, is_own=False):
        topics, hub = self.world.topics, self.world.hub
        self.reader = topics.reader(self.patterns, parse_since(since), self.connection, framing)
        self.start = self.reader.cursor
        self.places = self._places(since)
        self.line = Line(hub, room)
        hub.wait()
        self.writer = ConnectionWriter(Client(hub, self.line, is_tls=is_tls), lambda: None)
        self.reader.writer = self.writer
        self.reader.end = lambda last: self.writer.finish(last, lambda: self.ended.append(last))
        (topics.watch if is_own else topics.follow)(self.reader)

    def _places(self, since):
        """Where it begins in each topic, if it has no cursor that says so."""
        if since is None:
            return {topic.name: topic.last + 1 for topic in self.reader.places}
        is_cursor = len(since) > len("all")
        return {} if is_cursor else {t.name: place for t, place in self.reader.places.items()}

    def cut(self):
        self.line.is_cut = True
        self.world.topics.leave(self.reader)
        self.writer.close()

    @property
    def items(self):
        whole = self.line.got[: self.line.got.rfind(b"\n") + 1]
        return [json.loads(line) for line in whole.splitlines() if line]

    @property
    def events(self):
        return [item for item in self.items if item["name"] not in (GAP, HEARTBEAT, RECONNECT)]

    @property
    def data(self):
        return [item["data"] for item in self.events]

    @property
    def gaps(self):
        return [item["data"] for item in self.items if item["name"] == GAP]

    @property
    def last_id(self):
        return self.items[-1]["id"] if self.items else self.start


class World:
    """Topics without threads of their own. published: all ids that were acknowledged, by topic."""

    def __init__(self, folder, rules=RULES, limits=DEFAULT_LIMITS):
        self.hub = Hub()
        self.patch = pytest.MonkeyPatch()
        green = SimpleNamespace(**{**vars(threading), **self.hub.threading()})
        for module in ("journal.commit", "journal.topic_log", "topics.registry"):
            self.patch.setattr(f"{module}.threading", green)
        self.folder = folder
        self.rules = rules
        self.limits = limits
        self.published = {}
        self.open()

    def open(self):
        most = Size(self.limits.memory_bytes, self.limits.disk_bytes)
        log = DiskLog(self.folder, EVENTS, most, self.hub.run_native)
        self.topics = Topics(log, self.rules, self.limits.per_owner)
        others = threading.enumerate()
        self.topics.start()
        # It is the test that pushes.
        self.topics.dispatcher.stop()
        for thread in threading.enumerate():
            if thread.name == "dispatcher" and thread not in others:
                thread.join()

    def restart(self):
        self.topics.stop()
        self.open()

    def close(self):
        self.topics.stop()
        self.patch.undo()

    def publish(self, topic, *data, key=None, keys=None, by_client=True, owner=""):
        """Publish an event for each of data, whose name is `message`; the receipt."""
        events = [NewEvent("message", json.dumps(each)) for each in data]
        publication = Publication(events, key, keys, owner)
        receipt = self.topics.publish(topic, publication, by_client=by_client)
        ids = self.published.get(topic, [])
        self.published[topic] = sorted({*ids, *ids_of(receipt)})
        return receipt

    def try_publish(self, topic, *data, **how):
        """The receipt, or the error."""
        try:
            return self.publish(topic, *data, **how)
        except (TopicError, JournalError) as error:
            return error

    def follow(self, text, since=None, **how):
        return Follower(self, text, since, **how)

    def settle(self):
        """Let everything happen that would happen by itself."""
        while True:
            self.hub.run()
            self.topics.dispatcher.flush()
            if not self.hub.ready():
                return

    def line(self, room=AMPLE_ROOM):
        return Line(self.hub, room)

    def beat(self):
        for second in range(15):
            beat(self.topics.readers, second)

    def expire(self):
        self.topics.log.expire(time.time())

    def check_told(self, patterns, start, items, places=MappingProxyType({})):
        """After start every event was told once and in order, or is counted by a gap.

        places: where somebody began who had no cursor. What came before that may be told too: its
        id may be greater than that of something that was in flight, where start is.
        """
        told = [item for item in items if item["name"] not in (HEARTBEAT, RECONNECT)]
        for one, other in pairwise([{"id": start}, *told]):
            assert one["id"] < other["id"] or (other["name"], other["id"]) == (GAP, one["id"])
        for topic, published in self.published.items():
            if patterns.match(topic):
                after = {each: ordinal_of(each) for each in published if each > start}
                due = {each for each in after if after[each] >= places.get(topic, 0)}
                check_topic(after, due, [item for item in told if item["topic"] == topic])


def check_topic(published, due, told):
    got = {item["id"] for item in told if item["name"] != GAP}
    missing = [each for each in published if each not in got]
    assert got <= set(published)
    for gap in [item["data"] for item in told if item["name"] == GAP]:
        lost = [each for each in missing if gap["from"] < each <= gap["to"]]
        missing = [each for each in missing if each not in lost]
        if gap["lost"] is None:
            assert gap["reason"] in ("expired", "restarted")
        else:
            assert gap["lost"] > 0
            assert len(due.intersection(lost)) <= gap["lost"] <= len(lost)
    assert not due.intersection(missing)


def ordinal_of(event_id):
    return parse_cursor(event_id).ordinal


def ids_of(receipt):
    """The ids of all events of a publication."""
    last = parse_cursor(receipt.id)
    return [
        format_cursor(last._replace(position=last.position - n, ordinal=last.ordinal - n))
        for n in reversed(range(receipt.count))
    ]


def publish_each(world, topic, *data):
    return [world.publish(topic, each).id for each in data]
