"""How many requests one may make a minute, and how often one may be wrong about who he is.

Counted by `limits`, on which Flask-Limiter stands: requests for a Socket.IO session and events of
it never come to Flask, and count all the same.
"""

from __future__ import annotations

from functools import cached_property

from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter

from access import TooMany

# So many credentials that are no good are looked at and logged, of one address; those that are good
# are let in all the same: who else shares the address is not locked out.
BAD_CREDENTIALS_PER_MINUTE = 600


class Rates:
    """per_minute: of requests, and of messages on a socket; 0 for any number."""

    def __init__(self, per_minute: int) -> None:
        self._requests = RateLimitItemPerMinute(per_minute) if per_minute else None
        self._mistakes = RateLimitItemPerMinute(BAD_CREDENTIALS_PER_MINUTE)

    @cached_property
    def _limiter(self) -> SlidingWindowCounterRateLimiter:
        # Its storage runs a timer from the moment it is made.
        return SlidingWindowCounterRateLimiter(MemoryStorage())

    def note_request(self, owner: str) -> None:
        """Count a request. Raises TooMany."""
        if self._requests is not None and not self._limiter.hit(self._requests, "all", owner):
            text = f"{self._requests.amount} requests a minute are the most that one may make"
            raise TooMany("too_many_requests", text, 1 + 60 // max(1, self._requests.amount))

    def note_mistake(self, address: str) -> None:
        """Count a credential that is not good. Raises TooMany when there were too many."""
        if not self._limiter.hit(self._mistakes, "mistakes", address):
            raise TooMany("too_many_mistakes", "too many credentials were no good: wait", 60)
