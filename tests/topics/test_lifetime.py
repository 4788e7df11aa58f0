"""Until when a connection lasts, and how many end at once."""

import math
import time

from topics.lifetime import LEAST_SHARE, end_of


def test_it_never_ends_without_a_bound():
    assert end_of(0) == math.inf


def test_those_that_came_together_end_apart_and_none_too_late():
    began_s = time.monotonic()
    lasts_s = sorted(end_of(600) - began_s for _ in range(1000))
    assert lasts_s[0] >= 600 * LEAST_SHARE
    assert lasts_s[-1] <= 601
    per_second = [
        sum(second <= each < second + 1 for each in lasts_s) for second in range(450, 600)
    ]
    assert max(per_second) < 40
