"""How many requests a quota key may make a minute, and how often a credential may be wrong.

The library `limits` counts, on which Flask-Limiter is built: requests for a Socket.IO session and
its events never come to Flask, but count too.
"""

from __future__ import annotations

import time
from functools import cached_property

from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter

from auth.access import TooMany
from auth.request_scheduler import turn_paused

# So many invalid credentials of one address are checked and logged. Valid ones are admitted all the
# same, so that other clients at the address are not locked out.
BAD_CREDENTIALS_PER_MINUTE = 600

# If a client continues, each refusal comes this much later than the one before, up to the longest.
# So a refusal costs little, and the client has to wait for it.
REFUSAL_S = 0.02
LONGEST_REFUSAL_S = 10.0


class Rates:
    """per_minute: of requests and of messages on a socket; 0 for any number."""

    def __init__(self, per_minute: int) -> None:
        self._requests = RateLimitItemPerMinute(per_minute) if per_minute else None
        self._mistakes = RateLimitItemPerMinute(BAD_CREDENTIALS_PER_MINUTE)
        # When each refused quota key was refused last, or will be.
        self._refused_s: dict[str, float] = {}

    @cached_property
    def _limiter(self) -> SlidingWindowCounterRateLimiter:
        # The storage runs a timer from its creation on.
        return SlidingWindowCounterRateLimiter(MemoryStorage())

    def note_request(self, quota_key: str) -> None:
        """Count a request. Raises TooMany, after a delay."""
        if self._requests is not None and not self._limiter.hit(self._requests, "all", quota_key):
            self._hold_up(quota_key)
            text = (
                f"{self._requests.amount} requests a minute are the most that one client may make"
            )
            raise TooMany("too_many_requests", text, 1 + 60 // max(1, self._requests.amount))

    def note_mistake(self, address: str) -> None:
        """Count an invalid credential. If there are too many, raises TooMany after a delay."""
        if not self._limiter.hit(self._mistakes, "mistakes", address):
            self._hold_up(address)
            raise TooMany("too_many_mistakes", "too many invalid credentials: wait", 60)

    def _hold_up(self, who: str) -> None:
        """Wait until a client may be refused again, if it was refused just before."""
        now_s = time.monotonic()
        due_s = max(now_s, self._refused_s.get(who, 0.0) + REFUSAL_S)
        due_s = min(due_s, now_s + LONGEST_REFUSAL_S)
        if due_s == now_s:
            # The first refusal for a while: clients that were not refused lately are forgotten.
            self._refused_s = {k: s for k, s in self._refused_s.items() if s + REFUSAL_S > now_s}
        self._refused_s[who] = due_s
        if due_s > now_s:
            with turn_paused():
                time.sleep(due_s - now_s)
