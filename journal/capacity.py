"""The bytes that all topics of a log hold together, and their limit.

Way in: Capacity. Knows nothing of records: each topic notes its own size.
"""

from __future__ import annotations

from journal.errors import TopicsFull
from journal.event_log import Size

NOTHING = Size(0, 0)
# 512 MiB and 10 GiB.
DEFAULT_LIMIT = Size(512 * 1024**2, 10 * 1024**3)


class Capacity:
    """limit: of all topics together. memory_bytes, disk_bytes: what they noted last."""

    def __init__(self, limit: Size) -> None:
        self.memory_bytes = 0
        self.disk_bytes = 0
        self._limit = limit
        self._sizes: dict[str, Size] = {}

    def note(self, topic: str, size: Size) -> None:
        """Note what a topic holds now."""
        before = self._sizes.get(topic, NOTHING)
        self._sizes[topic] = size
        self.memory_bytes += size[0] - before[0]
        self.disk_bytes += size[1] - before[1]

    def forget(self, topic: str) -> None:
        self.note(topic, NOTHING)
        del self._sizes[topic]

    def reserve(self, topic: str, growth: Size, *, is_exempt: bool) -> None:
        """Reserve bytes for what a topic is about to keep, until its next note.

        Raises TopicsFull when all topics would exceed the limit, unless this one is exempt.
        """
        limit = self._limit
        memory_bytes = self.memory_bytes + growth[0]
        disk_bytes = self.disk_bytes + growth[1]
        if not is_exempt:
            if growth[0] and memory_bytes > limit[0]:
                raise TopicsFull(f"all topics have {limit.memory_bytes} bytes in memory")
            if growth[1] and disk_bytes > limit[1]:
                raise TopicsFull(f"all topics have {limit.disk_bytes} bytes on the disk")
        before = self._sizes.get(topic, NOTHING)
        self.memory_bytes, self.disk_bytes = memory_bytes, disk_bytes
        self._sizes[topic] = Size(before[0] + growth[0], before[1] + growth[1])
