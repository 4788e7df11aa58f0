"""The one order of all events: each gets the next position of this incarnation of the log.

An event of a durable topic gets its position before it is on the disk, and can be read only after
that. A reader of several topics must not get a later position first: so this class tracks which
topics have events in flight.
"""

from __future__ import annotations

from collections.abc import Iterable

from wire.cursors import ORDINAL_BITS, Cursor, format_cursor, format_cursors


class Sequence:
    """epoch: of this incarnation, 0 until it has begun. position: of the newest event."""

    def __init__(self) -> None:
        self.epoch = 0
        self.position = 0
        self._in_flight: dict[str, int] = {}

    def take(self, mark: int, first: int, count: int) -> list[str]:
        """Return the ids of the next count events. first: the ordinal of the first in its topic.

        mark: the topic's, see topic_mark.
        """
        at = Cursor(self.epoch, self.position + 1, first, mark)
        self.position += count
        return format_cursors(at, count)

    def begin(self, topic: str) -> None:
        """Note that events of topic get their ids from now on and cannot be read yet."""
        self._in_flight[topic] = self.position + 1

    def end(self, topic: str) -> None:
        """Note that they can be read, or never will be."""
        del self._in_flight[topic]

    def is_quiet(self) -> bool:
        """Is nothing in flight?"""
        return not self._in_flight

    def horizon(self, topics: Iterable[str]) -> bytes:
        """Return an id that sorts before all events of topics that are in flight or to come."""
        positions = [self._in_flight[topic] for topic in topics if topic in self._in_flight]
        return format_cursor(Cursor(self.epoch, min(positions, default=self.position + 1))).encode()

    def now(self) -> str:
        """Return the cursor after every event that can be read, whatever the topic."""
        stable = min(self._in_flight.values(), default=self.position + 1) - 1
        return format_cursor(Cursor(self.epoch, stable, (1 << ORDINAL_BITS) - 1))

    def is_ahead(self, cursor: Cursor) -> bool:
        """Is the cursor ahead of every id so far?"""
        return cursor[:2] > (self.epoch, self.position)
