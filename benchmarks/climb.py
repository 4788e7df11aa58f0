"""The search for the highest rate that something sustains. Pure. Way in: climb."""

from __future__ import annotations

import math
from collections.abc import Callable

FACTOR = 1.6
# The gap between the last good and the next bad rate is halved so often: 1.6 becomes 1.06.
REFINEMENTS = 3
LEAST, MOST = 0.5, 100_000.0


def climb(is_good: Callable[[float], bool], first: float) -> float:
    """Return the highest rate found good, 0 when not even LEAST is.

    Goes up by FACTOR from first until two rates in a row are bad, since one alone may have been bad
    luck; when none was good, down until one is. Then between the last good and the bad after it.
    """
    good, bad, rate = 0.0, math.inf, first
    while rate <= MOST:
        if is_good(rate):
            good, bad = rate, math.inf
        elif bad < math.inf:
            break
        else:
            bad = rate
        rate *= FACTOR
    rate = first / FACTOR
    while not good and rate >= LEAST:
        if is_good(rate):
            good = rate
        else:
            bad = rate
        rate /= FACTOR
    for _ in range(REFINEMENTS if good and bad < math.inf else 0):
        middle = math.sqrt(good * bad)
        if is_good(middle):
            good = middle
        else:
            bad = middle
    return good
