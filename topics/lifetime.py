"""How long a connection may last that would never end by itself, each for a time of its own.

Way in: end_of.
"""

from __future__ import annotations

import math
import random
import time

# Each lasts at least this share of the longest, so that those that came together leave, and come
# back, spread over the rest.
LEAST_SHARE = 0.75


def end_of(longest_s: float) -> float:
    """Return when a connection ends that begins now, on the monotonic clock; never for 0."""
    if not longest_s:
        return math.inf
    return time.monotonic() + longest_s * random.uniform(LEAST_SHARE, 1.0)
