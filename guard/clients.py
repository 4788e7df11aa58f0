"""Who is connected: counted by whom, and cut when they may not be there any more.

Everything is called on the threads of one process that take turns (green ones).
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Hashable
from typing import Any, NamedTuple

from access import TooMany
from guard.visit import Visit

log = logging.getLogger(__name__)

RETRY_AFTER_S = 5


class _Place(NamedTuple):
    visit: Visit
    cut: Callable[[Any], None]


class Clients:
    """most: how many connections one owner may have; see guard.visit."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._places: dict[Hashable, _Place] = {}
        self._counts: Counter[str] = Counter()

    def enter(self, client: Hashable, visit: Visit, cut: Callable[[Any], None]) -> None:
        """Count client as the visit's owner's until it leaves; who was another's is his no more.

        cut: called with client, ends the connection; one for all, as each has one object less
        then. Raises TooMany.
        """
        place, owner = self._places.get(client), visit.owner
        if place is None or place.visit.owner != owner:
            if self._counts[owner] >= self.most:
                message = f"{self.most} connections are the most that one may have"
                raise TooMany("too_many_connections", message, RETRY_AFTER_S)
            self.leave(client)
            self._counts[owner] += 1
        self._places[client] = _Place(visit, cut)

    def visit(self, client: Hashable) -> Visit | None:
        """Return the visit that client has entered with last; None when it is not here."""
        place = self._places.get(client)
        return place and place.visit

    def leave(self, client: Hashable) -> None:
        """Count it no longer; again is harmless."""
        place = self._places.pop(client, None)
        if place is not None:
            owner = place.visit.owner
            self._counts[owner] -= 1
            if not self._counts[owner]:
                del self._counts[owner]

    def cut(self, is_over: Callable[[Visit], bool]) -> None:
        """End the connections of all visits that are over."""
        over = [(c, place) for c, place in self._places.items() if is_over(place.visit)]
        for client, place in over:
            self.leave(client)
            place.cut(client)
        if over:
            log.info("cut connections=%d: what let them in is good no more", len(over))

    def counts(self) -> dict[str, int]:
        """Return how many connections each owner has."""
        return dict(self._counts)
