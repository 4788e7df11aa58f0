"""Who is connected: counted by whom, and cut when they may not be there any more.

Everything is called on the threads of one process that take turns (green ones).
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Hashable
from typing import NamedTuple

from access import Principal, TooMany

log = logging.getLogger(__name__)

RETRY_AFTER_S = 5


class _Place(NamedTuple):
    owner: str
    principal: Principal
    cut: Callable[[], None]


class Clients:
    """most: how many connections one owner may have, an owner being a principal or an address."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._places: dict[Hashable, _Place] = {}
        self._counts: Counter[str] = Counter()

    def enter(
        self, client: Hashable, owner: str, principal: Principal, cut: Callable[[], None]
    ) -> None:
        """Count client as the owner's until it leaves; who was another's is his no more.

        cut: ends the connection. Raises TooMany.
        """
        place = self._places.get(client)
        if place is None or place.owner != owner:
            if self._counts[owner] >= self.most:
                message = f"{self.most} connections are the most that one may have"
                raise TooMany("too_many_connections", message, RETRY_AFTER_S)
            self.leave(client)
            self._counts[owner] += 1
        self._places[client] = _Place(owner, principal, cut)

    def leave(self, client: Hashable) -> None:
        """Count it no longer; again is harmless."""
        place = self._places.pop(client, None)
        if place is not None:
            self._counts[place.owner] -= 1
            if not self._counts[place.owner]:
                del self._counts[place.owner]

    def cut(self, is_over: Callable[[Principal], bool]) -> None:
        """End the connections of all principals whose time here is over."""
        over = [(c, place) for c, place in self._places.items() if is_over(place.principal)]
        for client, place in over:
            self.leave(client)
            place.cut()
        if over:
            log.info("cut connections=%d: their tokens are good no more", len(over))

    def counts(self) -> dict[str, int]:
        """Return how many connections each owner has."""
        return dict(self._counts)
