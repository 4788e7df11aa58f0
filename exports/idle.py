"""Idle exports: those that are neither under way nor read, in the order in which they go.

For room, those with bytes go, the longest unread first. Where there are too many exports, those
without bytes are forgotten first, then those that were fetched, then those that were cut or never
fetched and that nobody came for within RESUMABLE_S; each the longest unread first. Every step costs
the same however many there are, but to make room takes a look at all. Pure but for the clock.
Way in: IdleExports.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from operator import attrgetter
from typing import NamedTuple

from exports.export import Export

# A client that was cut, or that asked for an export in the background, comes back within this time.
RESUMABLE_S = 3600.0

# In the order of forgetting.
_GONE, _FETCHED, _AWAITED = range(3)

# A dict would look at what was removed from its front each time.
_Queue = OrderedDict[str, Export]


class _IdlePlace(NamedTuple):
    rank: int
    size: int


class IdleExports:
    """See the module. size: the bytes of all. Not thread-safe."""

    def __init__(self) -> None:
        self.size = 0
        self._places: dict[str, _IdlePlace] = {}
        self._unread: _Queue = OrderedDict()
        # Of each owner, and of all at None: a queue for each rank.
        self._queues: dict[str | None, list[_Queue]] = {}

    def put(self, export: Export) -> None:
        """Add an export, or move it: it is now the one that was read last."""
        self.take(export)
        rank = _GONE if not export.retained else _AWAITED if export.is_awaited else _FETCHED
        place = _IdlePlace(rank, export.journal.size if export.retained else 0)
        self._places[export.id] = place
        self.size += place.size
        if export.retained:
            self._unread[export.id] = export
        for owner in (export.owner, None):
            queues = self._queues.setdefault(owner, [OrderedDict() for _ in range(3)])
            queues[rank][export.id] = export

    def take(self, export: Export) -> None:
        """Remove an export: it is in use, or forgotten."""
        place = self._places.pop(export.id, None)
        if place is None:
            return
        self.size -= place.size
        self._unread.pop(export.id, None)
        for owner in (export.owner, None):
            queues = self._queues[owner]
            del queues[place.rank][export.id]
            if not any(queues):
                del self._queues[owner]

    def longest_unread(self) -> Export | None:
        """Return the one with bytes that makes room next."""
        # Not the first: one is put again when its record is written, which says nothing of readers.
        return min(self._unread.values(), key=attrgetter("unread_since_s"), default=None)

    def to_forget(self, owner: str | None, *, by_force: bool = False) -> Export | None:
        """Return the one that is forgotten next. owner: of those of one owner; None: of all.

        None: each may be resumed. by_force: also then the one that was read the longest ago.
        """
        oldest = [next(iter(queue.values()), None) for queue in self._queues.get(owner, ())]
        for rank, export in enumerate(oldest):
            if export is not None and (rank != _AWAITED or by_force or _is_too_late(export)):
                return export
        return None


def _is_too_late(export: Export) -> bool:
    return time.monotonic() - export.unread_since_s > RESUMABLE_S
