"""The one order of all events: each gets the next position of this life of the server.

An event of a durable topic has its position before it is on the disk, and can be read only after
that. Those who follow several topics must not be given a later position first: so what is in flight
is known here.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from pathlib import Path

from topics.topic import Topic
from wire.cursors import ORDINAL_BITS, Cursor, format_cursor, format_cursors


class Sequence:
    """epoch: this life of the server, 0 until it has begun. position: of the newest event."""

    def __init__(self) -> None:
        self.epoch = 0
        self.position = 0
        self._in_flight: dict[Topic, int] = {}

    def begin(self, path: Path) -> None:
        """Begin a life that comes after all before it, also if the clock was set back.

        path: the file that remembers the last one. Raises OSError, ValueError.
        """
        before = int(path.read_text()) if path.exists() else 0
        epoch = max(time.time_ns() // 1_000_000, before + 1)
        fresh = path.with_suffix(".new")
        with open(fresh, "w") as file:
            file.write(str(epoch))
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
        self.epoch = epoch

    def next(self, topic: Topic, ordinal: int) -> str:
        """Return the id of the next event, which is the how-manieth of its topic."""
        return self.take(topic, ordinal, 1)[0]

    def take(self, topic: Topic, first: int, count: int) -> list[str]:
        """Return the ids of the next events, the first of which is the first-th of its topic."""
        at = Cursor(self.epoch, self.position + 1, first, topic.mark)
        self.position += count
        return format_cursors(at, count)

    def take_off(self, topic: Topic) -> None:
        """Say that events of topic get their ids from now on and cannot be read yet."""
        self._in_flight[topic] = self.position + 1

    def land(self, topic: Topic) -> None:
        """Say that they can, or never will."""
        del self._in_flight[topic]

    def is_quiet(self) -> bool:
        """Is nothing in flight?"""
        return not self._in_flight

    def first_to_come(self, topics: Iterable[Topic]) -> bytes:
        """Return an id that sorts before all of topics that are in flight or not there yet."""
        positions = [self._in_flight[topic] for topic in topics if topic in self._in_flight]
        return format_cursor(Cursor(self.epoch, min(positions, default=self.position + 1))).encode()

    def now(self) -> str:
        """Return the cursor after everything that can be read, whatever the topic."""
        stable = min(self._in_flight.values(), default=self.position + 1) - 1
        return format_cursor(Cursor(self.epoch, stable, (1 << ORDINAL_BITS) - 1))

    def is_ahead(self, cursor: Cursor) -> bool:
        """Is the cursor ahead of everything that was given out?"""
        return cursor[:2] > (self.epoch, self.position)
