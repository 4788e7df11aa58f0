"""The known name that a wrong one may stand for, found without a look at all names."""

from __future__ import annotations

import time

import pytest

from wire.nearest import MAX_CHARS, Names

FEW = Names(["id", "carrier", "origin", "distance", "arrival_delay", "flight_number"])
WIDE = Names(
    [f"{kind}_{number:04}" for kind in ("amount", "date", "price") for number in range(700)]
)
NEAREST = {
    "a letter too many": (FEW, "carriier", "carrier"),
    "a letter too few": (FEW, "oigin", "origin"),
    "two swapped": (FEW, "distacne", "distance"),
    "a mistake at the beginning": (FEW, "sistance", "distance"),
    "a mistake at the end": (FEW, "distance2", "distance"),
    "one at each end": (FEW, "xrrival_delax", "arrival_delay"),
    "another separator": (FEW, "arrival-delay", "arrival_delay"),
    "the other case": (FEW, "Carrier", "carrier"),
    "nothing like it": (FEW, "weather", None),
    "nothing at all": (FEW, "", None),
    "known": (FEW, "id", "id"),
    "of many, at the beginning": (WIDE, "rice_0123", "price_0123"),
    "of many, in the middle": (WIDE, "amuont_0456", "amount_0456"),
    "of many, before the number": (WIDE, "date0456", "date_0456"),
    "of none": (Names([]), "id", None),
    "as long as it may be": (Names(["x" * MAX_CHARS]), "x" * (MAX_CHARS - 1), "x" * MAX_CHARS),
    "longer": (Names(["x" * MAX_CHARS]), "x" * (MAX_CHARS + 1), None),
    "a known one that is longer": (Names(["x" * (MAX_CHARS + 1)]), "x" * MAX_CHARS, None),
}


@pytest.mark.parametrize(("names", "name", "want"), NEAREST.values(), ids=NEAREST.keys())
def test_the_nearest_name(names, name, want):
    assert names.nearest(name) == want


@pytest.mark.parametrize("name", ["colum_{:04}", "{:04}_column", "x" * 59 + "{:04}"])
def test_it_costs_the_same_of_any_number(name):
    """20 wrong names, as many as are told of, among 2,000: 500 ms if each is compared to all."""
    known = [name.format(number) for number in range(2000)]
    began_s = time.thread_time()
    names = Names(known)
    assert all(names.nearest(f"{wrong}_") for wrong in known[::100])
    assert time.thread_time() - began_s < 0.1
