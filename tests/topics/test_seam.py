"""The seam between history and what is pushed: whatever happens when, nobody misses anything.

Publishers, pumps and followers are green threads that wait for a disk and for sockets with little
room; a random number decides what happens next. Every failure names the seed that brings it back.
"""

import random
import tempfile
from pathlib import Path

import pytest

from journal import JournalFull
from tests.topics.world import AMPLE, AMPLE_ROOM, World
from topics import Patterns, Rule

FEW = AMPLE._replace(max_records=6)
TOPICS = ("memory/a", "memory/b", "disk/a", "disk/b")
PATTERNS = (*TOPICS, "memory/*", "disk/*", "memory/a,disk/a", "disk/a,disk/b", "*")
ROOMS = (0, 150, 2_000, AMPLE_ROOM)

# What happens, and how often it does beside the others.
STEPS = {
    "go_on": 60, "publish": 20, "push": 12, "take": 10, "come_back": 4, "follow": 3, "beat": 3,
    "expire": 3, "change_the_disk": 2, "settle": 1,
}  # fmt: skip


class Log:
    """What one client was told, over all its connections."""

    def __init__(self, text):
        self.patterns = Patterns.parse(text)
        self.start, self.places, self.told, self.follower = None, None, [], None

    @property
    def items(self):
        return self.told + (self.follower.items if self.follower else [])

    @property
    def last_id(self):
        return self.items[-1]["id"] if self.items else self.start


class Seam:
    """Does what can happen, in any order; at the end all that is due has to be told."""

    def __init__(self, seed, folder, retention):
        self.random = random.Random(seed)
        self.retention = retention
        rules = [Rule("memory/*", False, retention), Rule("disk/*", True, retention)]
        self.world = World(folder, rules)
        self.hub, self.topics = self.world.hub, self.world.topics
        self.logs = []

    def run(self, steps):
        names = self.random.choices(list(STEPS), list(STEPS.values()), k=steps)
        for name in names:
            getattr(self, name)()

    def connected(self):
        """One of those that are, None when nobody is."""
        connected = [log for log in self.logs if log.follower]
        return self.random.choice(connected) if connected else None

    def go_on(self):
        for _ in range(self.random.randint(1, 3)):
            if ready := self.hub.ready():
                self.hub.turn(self.random.choice(ready))

    def publish(self):
        topic, count = self.random.choice(TOPICS), self.random.randint(1, 3)
        self.hub.spawn(lambda: self.run_publish(topic, count))

    def run_publish(self, topic, count):
        try:
            self.world.publish(topic, *range(count))
        except JournalFull:
            assert topic.startswith("disk/")

    def follow(self):
        if len(self.logs) < 4:
            self.logs.append(Log(self.random.choice(PATTERNS)))
            self.connect(self.logs[-1], self.random.choice([None, "all", "1h"]))

    def connect(self, log, since):
        room, is_tls = self.random.choice(ROOMS), self.random.random() < 0.2

        def run():
            follower = self.world.follow(log.patterns.text, since, room=room, is_tls=is_tls)
            if log.start is None:
                log.start, log.places = follower.start, follower.places
            log.follower = follower

        self.hub.spawn(run)

    def come_back(self):
        log = self.connected()
        # Of several topics: see test_a_gap_that_was_not_told_yet_is_told_to_who_comes_back.
        if log and (self.retention is AMPLE or log.patterns.text in TOPICS):
            log.told, follower = log.items, log.follower
            follower.cut()
            log.follower = None
            self.connect(log, log.last_id)

    def take(self):
        if log := self.connected():
            log.follower.line.room += self.random.choice(ROOMS)

    def push(self):
        self.topics.dispatcher.flush()

    def expire(self):
        self.hub.spawn(self.world.expire)

    def beat(self):
        self.world.beat()

    def change_the_disk(self):
        self.hub.is_full = not self.hub.is_full

    def settle(self):
        """Now and then everybody has caught up."""
        self.hub.is_full = False
        for log in self.logs:
            if log.follower:
                log.follower.line.room = AMPLE_ROOM
        self.world.settle()

    def check(self):
        self.settle()
        self.settle()
        assert not self.hub.threads
        for log in self.logs:
            self.world.check_told(log.patterns, log.start, log.items, log.places)
            assert log.follower.reader.live


@pytest.fixture
def small(monkeypatch):
    """Everything is so small that it overflows."""
    # One event or two are a chunk, and four are not pushed.
    monkeypatch.setattr("topics.reader.CHUNK_BYTES", 250)
    monkeypatch.setattr("topics.topic.MAX_BATCH_BYTES", 500)
    monkeypatch.setattr("journal.memory_log.STOP_S", 0)
    # Every read waits for the disk: what is in the page cache, only the kernel knows.
    monkeypatch.setattr("journal.segments.read_cached", lambda fd, start, length: b"")


def run_seed(seed, retention):
    with tempfile.TemporaryDirectory() as folder:
        seam = Seam(seed, Path(folder), retention)
        try:
            seam.run(steps=250)
            seam.check()
        except Exception as error:
            error.add_note(f"seed {seed}")
            raise
        finally:
            seam.world.close()


@pytest.mark.parametrize("block", range(10))
@pytest.mark.parametrize("retention", [AMPLE, FEW], ids=["everything is kept", "a few are kept"])
def test_nobody_misses_anything_and_nobody_gets_anything_twice(block, retention, small):
    for seed in range(40 * block, 40 * block + 40):
        run_seed(seed, retention)
