"""How many requests one may make a minute, and how often a credential may be wrong.

Counted by `limits`, on which Flask-Limiter stands: requests for a Socket.IO session and events of
it never come to Flask, and count all the same.
"""

from __future__ import annotations

import time
from functools import cached_property

from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter

from auth.access import TooMany
from auth.request_scheduler import turn_paused

# So many credentials that are no good are looked at and logged, of one address; those that are good
# are let in all the same: other clients at the address are not locked out.
BAD_CREDENTIALS_PER_MINUTE = 600

# A client that goes on all the same is refused this much later than the time before, up to the
# longest: a flood costs less than what it floods, and its client has to wait for it.
REFUSAL_S = 0.02
LONGEST_REFUSAL_S = 10.0


class Rates:
    """per_minute: of requests, and of messages on a socket; 0 for any number."""

    def __init__(self, per_minute: int) -> None:
        self._requests = RateLimitItemPerMinute(per_minute) if per_minute else None
        self._mistakes = RateLimitItemPerMinute(BAD_CREDENTIALS_PER_MINUTE)
        # When each that was refused was, or will be.
        self._refused_s: dict[str, float] = {}

    @cached_property
    def _limiter(self) -> SlidingWindowCounterRateLimiter:
        # Its storage runs a timer from the moment it is made.
        return SlidingWindowCounterRateLimiter(MemoryStorage())

    def note_request(self, quota_key: str) -> None:
        """Count a request. Raises TooMany, after a while."""
        if self._requests is not None and not self._limiter.hit(self._requests, "all", quota_key):
            self._hold_up(quota_key)
            text = f"{self._requests.amount} requests a minute are the most that one may make"
            raise TooMany("too_many_requests", text, 1 + 60 // max(1, self._requests.amount))

    def note_mistake(self, address: str) -> None:
        """Count a credential that is not good. Raises TooMany, after a while, at too many."""
        if not self._limiter.hit(self._mistakes, "mistakes", address):
            self._hold_up(address)
            raise TooMany("too_many_mistakes", "too many credentials were no good: wait", 60)

    def _hold_up(self, who: str) -> None:
        """Wait until it is time to refuse a client that was refused just before."""
        now_s = time.monotonic()
        due_s = max(now_s, self._refused_s.get(who, 0.0) + REFUSAL_S)
        due_s = min(due_s, now_s + LONGEST_REFUSAL_S)
        if due_s == now_s:
            # The first for a while: clients that were not refused lately need not be remembered.
            self._refused_s = {k: s for k, s in self._refused_s.items() if s + REFUSAL_S > now_s}
        self._refused_s[who] = due_s
        if due_s > now_s:
            with turn_paused():
                time.sleep(due_s - now_s)
