"""The lifetime of connections that would not end by themselves, different for each.

Way in: end_of.
"""

from __future__ import annotations

import math
import random
import time

# Each lasts at least this share of the longest, so that connections that were opened together end,
# and are opened again, spread over the rest.
LEAST_SHARE = 0.75


def end_of(longest_s: float) -> float:
    """Return when a connection that begins now ends, on the monotonic clock; never for 0."""
    if not longest_s:
        return math.inf
    return time.monotonic() + longest_s * random.uniform(LEAST_SHARE, 1.0)
