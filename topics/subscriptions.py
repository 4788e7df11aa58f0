"""All readers of topics: clients that are pushed to, those that poll, and the server's own.

Way in: Subscriptions. Knows no transport.
"""

from __future__ import annotations

from collections import Counter
from weakref import WeakSet

from topics.lifetime import end_of
from topics.reader import TopicReader
from topics.topic import Topic


class Subscriptions:
    """readers: of clients that follow topics. connection_s: their longest lifetime, 0 for none."""

    def __init__(self, connection_s: float) -> None:
        self.readers: dict[TopicReader, None] = {}
        # Readers that are pushed to: of clients, and the server's own.
        self._pushed: dict[TopicReader, None] = {}
        # All readers, also those that poll or do not follow yet.
        self.made: WeakSet[TopicReader] = WeakSet()
        self._connection_s = connection_s
        self._sent_bytes = 0
        self._gaps_told = 0

    def follow(self, reader: TopicReader, *, is_bounded: bool = True) -> None:
        """Push to reader's writer from now on, after events that it has not had, until it leaves.

        is_bounded: it has to reconnect at the end of its lifetime.
        """
        self.readers[reader] = None
        if is_bounded:
            reader.ends_s = end_of(self._connection_s)
        self.watch(reader)

    def watch(self, reader: TopicReader) -> None:
        """Push to reader without counting it: it is the server's own."""
        assert reader.writer is not None
        self._pushed[reader] = None
        for topic in reader.places:
            topic.readers[reader] = None
        # Nearly all new readers have nothing to catch up with: those need no thread.
        reader.writer.feed_from(reader, at_once=not reader.become_live())

    def leave(self, reader: TopicReader) -> None:
        """Stop pushing to reader. Idempotent."""
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
        """Have all readers whose patterns match follow a new topic, from its next event on."""
        for reader in self.made:
            if reader.patterns.match(topic.name):
                reader.begin(topic, topic.last + 1)
                if reader in self._pushed:
                    topic.readers[reader] = None

    def end(self, topic: Topic) -> bool:
        """End all readers of topic; False, without effect, if one has not had all its events."""
        readers = [reader for reader in self.made if topic in reader.places]
        if any(reader.places[topic] <= topic.last for reader in readers):
            return False
        for reader in readers:
            del reader.places[topic]
        topic.readers.clear()
        return True

    def behind(self) -> int:
        """Return the number of readers that are catching up."""
        return sum(not reader.live for reader in self.readers)

    def gaps_told(self) -> int:
        """Return the number of gaps that were sent to readers so far."""
        return self._gaps_told + sum(reader.gaps_told for reader in self.readers)

    def sent_bytes(self) -> int:
        """Return the bytes of events that were sent to readers so far."""
        return self._sent_bytes + sum(reader.sent_bytes for reader in self.readers)

    def connections(self) -> dict[str, int]:
        """Return the number of readers by transport."""
        return dict(Counter(reader.framing.transport for reader in self.readers))
