from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sources.time_bins import MOST_BINS, bins_for

BINS = {
    "one moment": ("2026-03-05 10:30:05", "2026-03-05 10:30:05", 1, "2026-03-05 10:30:05", ""),
    "a minute": ("2026-03-05 10:30:05", "2026-03-05 10:31:04", 60, "2026-03-05 10:30:05", ""),
    "hours": ("2026-03-05 00:00:00", "2026-03-06 23:00:00", 48, "2026-03-05 00", ""),
    "days": ("2026-03-05 00:00:00", "2026-03-31 00:00:00", 27, "2026-03-05", ""),
    "weeks, from Monday": ("2026-03-05 00:00:00", "2026-06-05 00:00:00", 14, "2026-03-02",
                           "2026-03-08"),
    "months": ("2024-11-01 00:00:00", "2026-03-31 00:00:00", 17, "2024-11", ""),
    "quarters": ("2020-02-01 00:00:00", "2026-03-31 00:00:00", 25, "2020-01", "2020-03"),
    "years": ("1990-02-01 00:00:00", "2026-03-31 00:00:00", 37, "1990", ""),
    "five years": ("1902-02-01 00:00:00", "2026-03-31 00:00:00", 26, "1900", "1904"),
    "all there are": ("0000-01-01 00:00:00", "9999-12-31 23:59:59.9", 40, "0000", "0249"),
    "the year 0": ("0000-01-01 00:00:00", "0000-01-03 00:00:00", 49, "0000-01-01 00", ""),
}  # fmt: skip


@pytest.mark.parametrize(
    ("earliest", "latest", "count", "first", "last"), BINS.values(), ids=BINS.keys()
)
def test_the_bins_are_units_of_the_calendar(earliest, latest, count, first, last):
    bins = bins_for(earliest, latest)
    assert len(bins.names) == count
    assert bins.names[0] == (first, last or first)
    assert (bins.place(earliest), bins.place(latest)) == (0, count - 1)


@given(st.datetimes(), st.timedeltas(timedelta(0), timedelta(9000)), st.floats(0, 1))
def test_a_moment_is_in_the_bin_that_is_named_so(start, span, share):
    span = min(span, datetime.max - start)
    moment = start + span * share
    bins = bins_for(start.isoformat(" "), (start + span).isoformat(" "))
    assert len(bins.names) <= MOST_BINS
    first, last = bins.names[bins.place(moment.isoformat(" "))]
    assert first <= moment.isoformat(" ")[: bins.chars] <= last
