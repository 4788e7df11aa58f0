from __future__ import annotations

import pytest

from benchmarks.climb import FACTOR, REFINEMENTS, climb

NEAR = FACTOR ** (1 / 2**REFINEMENTS)


@pytest.mark.parametrize("limit", [1, 9.9, 16, 17, 100, 5_000])
@pytest.mark.parametrize("first", [4, 16, 300])
def test_the_highest_good_rate_is_found(limit, first):
    found = climb(lambda rate: rate <= limit, first)
    assert limit / NEAR * 0.999 <= found <= limit


def test_one_bad_rate_does_not_end_it():
    found = climb(lambda rate: rate <= 100 and not 20 < rate < 30, 16)
    assert 100 / NEAR * 0.999 <= found <= 100


def test_nothing_good_is_nought():
    assert climb(lambda rate: False, 16) == 0


def test_no_limit_ends():
    assert climb(lambda rate: True, 16) > 10_000
