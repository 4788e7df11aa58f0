"""Everybody who reads topics: clients that are pushed to, those that only poll, the server's own.

Way in: Subscriptions. Knows no transport.
"""

from __future__ import annotations

from collections import Counter
from weakref import WeakSet

from topics.lifetime import end_of
from topics.reader import TopicReader
from topics.topic import Topic


class Subscriptions:
    """readers: the clients that follow something. connection_s: how long one may, 0 for ever."""

    def __init__(self, connection_s: float) -> None:
        self.readers: dict[TopicReader, None] = {}
        # Whom events are pushed to: clients, and the server's own.
        self._pushed: dict[TopicReader, None] = {}
        # Also those that only poll, and those that have not begun to follow yet.
        self.made: WeakSet[TopicReader] = WeakSet()
        self._connection_s = connection_s
        self._sent_bytes = 0
        self._gaps_told = 0

    def follow(self, reader: TopicReader, *, is_bounded: bool = True) -> None:
        """Push to reader's writer from now on, after what it has not had, until it is gone.

        is_bounded: it is told to come back when it has lasted for as long as one may.
        """
        self.readers[reader] = None
        if is_bounded:
            reader.ends_s = end_of(self._connection_s)
        self.watch(reader)

    def watch(self, reader: TopicReader) -> None:
        """Push to reader as well, without counting it: it is the server's own, and no client."""
        assert reader.writer is not None
        self._pushed[reader] = None
        for topic in reader.places:
            topic.readers[reader] = None
        # Nearly all that come have nothing to catch up with: no thread is started to find that out.
        reader.writer.feed_from(reader, at_once=not reader.become_live())

    def leave(self, reader: TopicReader) -> None:
        """Push nothing to reader any more; again is harmless."""
        if reader not in self.made:
            return
        self.made.discard(reader)
        self.readers.pop(reader, None)
        self._pushed.pop(reader, None)
        self._sent_bytes += reader.sent_bytes
        self._gaps_told += reader.gaps_told
        for topic in reader.places:
            topic.readers.pop(reader, None)
        if reader.writer is not None:
            reader.writer.forget(reader)

    def begin(self, topic: Topic) -> None:
        """Have all whose patterns match follow a topic that is new, from its next event on."""
        for reader in self.made:
            if reader.patterns.match(topic.name):
                reader.begin(topic, topic.last + 1)
                if reader in self._pushed:
                    topic.readers[reader] = None

    def end(self, topic: Topic) -> bool:
        """Have nobody follow topic any more; False where one has not had all of it: then all do."""
        readers = [reader for reader in self.made if topic in reader.places]
        if any(reader.places[topic] <= topic.last for reader in readers):
            return False
        for reader in readers:
            del reader.places[topic]
        topic.readers.clear()
        return True

    def behind(self) -> int:
        """Return how many readers read what they have missed."""
        return sum(not reader.live for reader in self.readers)

    def gaps_told(self) -> int:
        """Return how many gaps readers have been told of so far."""
        return self._gaps_told + sum(reader.gaps_told for reader in self.readers)

    def sent_bytes(self) -> int:
        """Return how many bytes of events readers have been given so far."""
        return self._sent_bytes + sum(reader.sent_bytes for reader in self.readers)

    def connections(self) -> dict[str, int]:
        """Return how many readers there are, by transport."""
        return dict(Counter(reader.framing.transport for reader in self.readers))
