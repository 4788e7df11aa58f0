"""How many bytes all topics of a log hold, and may hold together.

Way in: Capacity. Knows nothing of records: topics note what they hold.
"""

from __future__ import annotations

from journal.errors import TopicsFull
from journal.event_log import Size

NOTHING = Size(0, 0)
# 512 MiB and 10 GiB.
AMPLE = Size(512 * 1024**2, 10 * 1024**3)


class Capacity:
    """most: what all topics may hold. memory_bytes, disk_bytes: what they noted last."""

    def __init__(self, most: Size) -> None:
        self.memory_bytes = 0
        self.disk_bytes = 0
        self._most = most
        self._sizes: dict[str, Size] = {}

    def note(self, topic: str, size: Size) -> None:
        """Take in what a topic holds now."""
        before = self._sizes.get(topic, NOTHING)
        self._sizes[topic] = size
        self.memory_bytes += size[0] - before[0]
        self.disk_bytes += size[1] - before[1]

    def forget(self, topic: str) -> None:
        self.note(topic, NOTHING)
        del self._sizes[topic]

    def take(self, topic: str, growth: Size, *, has_place: bool) -> None:
        """Set bytes aside for what a topic is about to keep, until its next note.

        Raises TopicsFull when all topics would hold more than they may, unless it has its place.
        """
        most = self._most
        memory_bytes = self.memory_bytes + growth[0]
        disk_bytes = self.disk_bytes + growth[1]
        if not has_place:
            if growth[0] and memory_bytes > most[0]:
                raise TopicsFull(f"all topics have {most.memory_bytes} bytes in memory")
            if growth[1] and disk_bytes > most[1]:
                raise TopicsFull(f"all topics have {most.disk_bytes} bytes on the disk")
        before = self._sizes.get(topic, NOTHING)
        self.memory_bytes, self.disk_bytes = memory_bytes, disk_bytes
        self._sizes[topic] = Size(before[0] + growth[0], before[1] + growth[1])
