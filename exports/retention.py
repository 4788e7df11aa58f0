"""Retention: how much all exports take, and which are discarded or forgotten for others.

Pure but for the clock: it only says which; exports/registry.py does it. Every step costs the same
however many there are, but to make room takes a look at all that is idle. Not thread-safe.
Way in: ExportRetention.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from exports.errors import ExportsFull, OwnerExportsFull
from exports.export import Export
from exports.idle import IdleExports

# How many exports are remembered, and how many of one owner, unless told otherwise. Each takes 3 to
# 20 KB of memory, for its chain.
MAX_EXPORTS = 5000
MAX_PER_OWNER = 1000


class Limits(NamedTuple):
    """What all exports may take.

    max_bytes: of recordings. max_exports: how many exports are remembered, max_per_owner: of those
    that one owner has asked for; those in use are not forgotten for it.
    """

    max_bytes: int
    max_exports: int = MAX_EXPORTS
    max_per_owner: int = MAX_PER_OWNER


class _Ended(NamedTuple):
    """What is counted of an export that is not under way."""

    state: str
    size: int


class ExportRetention:
    """See the module."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._idle = IdleExports()
        self._under_way: dict[str, Export] = {}
        self._ended: dict[str, _Ended] = {}
        self._ended_bytes = 0
        self._ended_states: Counter[str] = Counter()
        self._owned: Counter[str] = Counter()

    def add(self, export: Export) -> None:
        """Count a new export; `place` says what it is."""
        self._owned[export.owner] += 1

    def place(self, export: Export) -> None:
        """Take in what has become of an export: whether it is under way, read, and retained."""
        self._uncount(export)
        if export.is_open:
            self._under_way[export.id] = export
        else:
            ended = _Ended(export.state, export.journal.size if export.retained else 0)
            self._ended[export.id] = ended
            self._ended_bytes += ended.size
            self._ended_states[ended.state] += 1
        if export.is_open or export.readers:
            self._idle.take(export)
        else:
            self._idle.put(export)

    def remove(self, export: Export) -> None:
        self._idle.take(export)
        self._uncount(export)
        self._owned[export.owner] -= 1
        if not self._owned[export.owner]:
            del self._owned[export.owner]

    def _uncount(self, export: Export) -> None:
        self._under_way.pop(export.id, None)
        ended = self._ended.pop(export.id, None)
        if ended is not None:
            self._ended_bytes -= ended.size
            self._ended_states[ended.state] -= 1

    def _count(self) -> int:
        return len(self._under_way) + len(self._ended)

    def states(self) -> Counter[str]:
        """Return how many are in each state."""
        return self._ended_states + Counter(each.state for each in self._under_way.values())

    def size_bytes(self) -> int:
        """Return the size of all recordings that are retained."""
        under_way = (each.journal.size for each in self._under_way.values() if each.retained)
        return self._ended_bytes + sum(under_way)

    def to_discard(self) -> Iterator[Export] | None:
        """Yield what is to lose its bytes so that all fits, the longest unread first.

        Each is discarded before the next is asked for. None where that would not suffice: nobody
        loses anything for what does not fit all the same.
        """
        surplus = self.size_bytes() - self.limits.max_bytes
        return None if surplus > self._idle.size else self._take_longest_unread(surplus)

    def _take_longest_unread(self, surplus: int) -> Iterator[Export]:
        while surplus > 0 and (export := self._idle.longest_unread()) is not None:
            surplus -= export.journal.size
            yield export

    def to_forget(self, owner: str) -> Iterator[Export]:
        """Yield what is too many with one more of this owner.

        Each is forgotten before the next is asked for. Raises OwnerExportsFull or ExportsFull.
        """
        while self._owned[owner] >= self.limits.max_per_owner:
            export = self._idle.to_forget(owner)
            if export is None:
                raise OwnerExportsFull(self._owned[owner])
            yield export
        while self._count() >= self.limits.max_exports:
            export = self._idle.to_forget(None)
            if export is None:
                raise ExportsFull(self._count())
            yield export

    def to_forget_by_force(self) -> Iterator[Export]:
        """Yield what is too many of all, also what may be resumed; as to_forget does."""
        for owner, count in list(self._owned.items()):
            yield from self._surplus_of(owner, count - self.limits.max_per_owner)
        yield from self._surplus_of(None, self._count() - self.limits.max_exports)

    def _surplus_of(self, owner: str | None, surplus: int) -> Iterator[Export]:
        for _ in range(surplus):
            export = self._idle.to_forget(owner, by_force=True)
            if export is not None:
                yield export
