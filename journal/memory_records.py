"""A journal of records in memory: fast, bounded, lost with the process.

Way in: MemoryRecords. Its records are one list that grows at its end; evicted records stay in front
of `first` until it is worth copying the rest.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import accumulate

from journal.errors import JournalFull
from journal.records import Bounds, Layout, Retention

# The list is copied without its dead front when that is this part of it: so each record is copied
# about seven times (some 10 ns in all), and memory is an eighth above what is kept.
_DEAD_PART = 8

# A shorter dead front is not removed.
_DEAD_MIN = 64


class MemoryRecords:
    """Append-only lines in memory; `append` itself keeps to max_records and max_bytes."""

    def __init__(self, layout: Layout, retention: Retention) -> None:
        self.first = 1
        self.last = 0
        self.size_bytes = 0
        self.evicted: bytes | None = b""
        self._layout = layout
        self._retention = retention
        # The ordinal of the list's first line, and the list. Replaced together, so that a reader on
        # another thread has both of one moment: it asks for `last` before and for `first` after.
        self._held: tuple[int, list[bytes]] = (1, [])

    def bounds(self) -> Bounds:
        return Bounds(self.first, self.last, self.size_bytes, self.evicted)

    def append(self, lines: Sequence[bytes]) -> int:
        size_bytes = sum(map(len, lines))
        retention = self._retention
        if size_bytes > retention.max_bytes and max(map(len, lines)) > retention.max_bytes:
            raise JournalFull(f"one record alone is more than {retention.max_bytes} bytes")
        self._held[1].extend(lines)
        self.size_bytes += size_bytes
        self.last += len(lines)
        if self.size_bytes > retention.max_bytes or self.last - self.first >= retention.max_records:
            self._keep_to_bounds()
        return self.last

    def read(self, start: int, max_bytes: int) -> list[bytes]:
        if start > self.last:
            return []
        base, held = self._held
        first = self.first
        if start < first:
            return []
        # As many as would fit if all were of one size, then cut to those that do.
        usual_bytes = self.size_bytes // (self.last - first + 1) or 1
        lines = held[start - base : start - base + max_bytes // usual_bytes + 1]
        if sum(map(len, lines)) > max_bytes:
            fitting = bisect_right(list(accumulate(map(len, lines))), max_bytes)
            return lines[: fitting or 1]
        return lines

    def after(self, record_id: bytes) -> int:
        last = self.last
        base, held = self._held
        start, stop = self.first - base, last + 1 - base
        return base + bisect_right(held, record_id, start, stop, key=self._layout.id_of)

    def since(self, time_s: float) -> int:
        last = self.last
        base, held = self._held
        start, stop = self.first - base, last + 1 - base
        return base + bisect_left(held, time_s, start, stop, key=self._layout.time_s_of)

    def expire(self, now_s: float) -> int:
        before = self.first
        self._evict(self.since(now_s - self._retention.max_age_s))
        return self.first - before

    def close(self) -> None:
        # Empty for a concurrent reader: its place is before `first`.
        self.first, self.size_bytes = self.last + 1, 0
        self._held = (self.first, [])

    def _keep_to_bounds(self) -> None:
        """Evict the oldest until the rest is within max_records and max_bytes."""
        base, held = self._held
        first = max(self.first, self.last + 1 - self._retention.max_records)
        size_bytes = self.size_bytes - sum(map(len, held[self.first - base : first - base]))
        while size_bytes > self._retention.max_bytes:
            size_bytes -= len(held[first - base])
            first += 1
        self._evict(first)

    def _evict(self, first: int) -> None:
        """Keep only the records from first on."""
        base, held = self._held
        if first > self.first:
            self.evicted = self._layout.id_of(held[first - 1 - base])
        self.size_bytes -= sum(map(len, held[self.first - base : first - base]))
        self.first = first
        dead = first - base
        if dead > _DEAD_MIN and dead * _DEAD_PART > len(held):
            self._held = (first, held[dead:])
