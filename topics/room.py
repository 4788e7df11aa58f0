"""How much room topics have: how many clients may make, and the bytes of all of them.

A topic that the catalogue names, and one of the server, always has its place: its own retention
bounds it. The limits here refuse only topics of a pattern, of which clients make any number.
Way in: Room. Knows nothing of journals: publishers note what they hold.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from topics.errors import TooManyTopics, TopicQuota, TopicsFull
from topics.rules import Rule
from topics.topic import Topic


class Limits(NamedTuple):
    """per_owner: topics that one owner makes of one pattern. memory_bytes, disk_bytes: of all."""

    per_owner: int = 250
    memory_bytes: int = 512 * 1024**2
    disk_bytes: int = 10 * 1024**3


class Size(NamedTuple):
    """Bytes of a topic: its events, and the receipts of its publishers."""

    memory_bytes: int
    disk_bytes: int


NOTHING = Size(0, 0)


class Room:
    """memory_bytes, disk_bytes: what all topics hold, as their publishers noted it last."""

    def __init__(self, limits: Limits) -> None:
        self.memory_bytes = 0
        self.disk_bytes = 0
        self._limits = limits
        self._sizes: dict[Topic, Size] = {}

    def note(self, topic: Topic, size: Size) -> None:
        """Take in what a topic holds now."""
        before = self._sizes.get(topic, NOTHING)
        self.memory_bytes += size.memory_bytes - before.memory_bytes
        self.disk_bytes += size.disk_bytes - before.disk_bytes
        self._sizes[topic] = size

    def forget(self, topic: Topic) -> None:
        self.note(topic, NOTHING)
        del self._sizes[topic]

    def take(self, topic: Topic, growth: Size) -> None:
        """Set bytes aside for what a topic is about to keep, until its next note.

        Raises TopicsFull when all topics would hold more than they may.
        """
        limits = self._limits
        memory_bytes = self.memory_bytes + growth.memory_bytes
        disk_bytes = self.disk_bytes + growth.disk_bytes
        if not topic.rule.has_place:
            if growth.memory_bytes and memory_bytes > limits.memory_bytes:
                raise TopicsFull(f"all topics have {limits.memory_bytes} bytes in memory")
            if growth.disk_bytes and disk_bytes > limits.disk_bytes:
                raise TopicsFull(f"all topics have {limits.disk_bytes} bytes on the disk")
        before = self._sizes.get(topic, NOTHING)
        self.memory_bytes, self.disk_bytes = memory_bytes, disk_bytes
        self._sizes[topic] = Size(before[0] + growth[0], before[1] + growth[1])

    def check_new(self, rule: Rule, owner: str, topics: Collection[Topic], most: int) -> None:
        """Refuse owner one more topic of a rule when there are as many as there may be.

        topics: all that there are. most: how many of patterns there may be. Raises TopicQuota,
        TooManyTopics.
        """
        if rule.has_place:
            return
        of_patterns = [topic for topic in topics if not topic.rule.has_place]
        if len(of_patterns) >= most:
            raise TooManyTopics(f"there are {most} topics of patterns, and there may not be more")
        own = [t for t in of_patterns if t.maker == owner and t.rule.pattern == rule.pattern]
        if len(own) >= self._limits.per_owner:
            message = f"one principal makes at most {self._limits.per_owner} topics"
            raise TopicQuota(f"{message} of {rule.pattern}")
