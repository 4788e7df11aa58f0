"""Connections: counted by quota key, and cut when their credential is no longer valid.

Everything is called on the green threads of one process.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Hashable
from typing import Any, NamedTuple

from auth.access import TooMany
from auth.identity import RequestIdentity

log = logging.getLogger(__name__)

RETRY_AFTER_S = 5


class _Place(NamedTuple):
    identity: RequestIdentity
    cut: Callable[[Any], None]


class Clients:
    """most: how many connections one quota key may have; see auth.identity.

    most_unknown: how many without a credential one address may have; None for as many.
    """

    def __init__(self, most: int, most_unknown: int | None = None) -> None:
        self.most = most
        self._most_unknown = most if most_unknown is None else min(most, most_unknown)
        self._places: dict[Hashable, _Place] = {}
        self._counts: Counter[str] = Counter()

    def enter(
        self, client: Hashable, identity: RequestIdentity, cut: Callable[[Any], None]
    ) -> None:
        """Count client under the identity's quota key only, until it leaves.

        cut: called with client, ends the connection. All clients share one function, which saves an
        object for each. Raises TooMany.
        """
        most = self._most_unknown if identity.principal is None else self.most
        self._place(client, _Place(identity, cut), most)

    def count_to(self, quota_key: str, client: Hashable) -> None:
        """Count client under quota_key, now that it has sent a credential. Raises TooMany."""
        place = self._places.get(client)
        if place is not None:
            self._place(
                client,
                place._replace(identity=place.identity._replace(quota_key=quota_key)),
                self.most,
            )

    def _place(self, client: Hashable, new: _Place, most: int) -> None:
        old, quota_key = self._places.get(client), new.identity.quota_key
        if old is None or old.identity.quota_key != quota_key:
            if self._counts[quota_key] >= most:
                message = f"{most} connections are the most that one client may have"
                raise TooMany("too_many_connections", message, RETRY_AFTER_S)
            self.leave(client)
            self._counts[quota_key] += 1
        self._places[client] = new

    def identity(self, client: Hashable) -> RequestIdentity | None:
        """Return the identity with which client entered last; None if it is not here."""
        place = self._places.get(client)
        return place and place.identity

    def leave(self, client: Hashable) -> None:
        """Stop counting client; a second call does nothing."""
        place = self._places.pop(client, None)
        if place is not None:
            quota_key = place.identity.quota_key
            self._counts[quota_key] -= 1
            if not self._counts[quota_key]:
                del self._counts[quota_key]

    def cut(self, is_over: Callable[[RequestIdentity], bool]) -> None:
        """End the connections of all identities that are over."""
        over = [(c, place) for c, place in self._places.items() if is_over(place.identity)]
        for client, place in over:
            self.leave(client)
            place.cut(client)
        if over:
            log.info("cut connections=%d: their credentials are no longer valid", len(over))

    def counts(self) -> dict[str, int]:
        """Return how many connections each quota key has."""
        return dict(self._counts)
