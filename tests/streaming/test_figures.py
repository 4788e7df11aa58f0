"""How figures are written and drawn."""

from __future__ import annotations

import math

import pytest

from sources.profile import Bin, TimeBin, Value
from streaming import figures
from streaming.figures import Bar, Shown

NUMBERS = {
    "none": (None, "–"),
    "a year has no comma": (2013, "2013"),
    "a larger one has": (-12345, "-12,345"),
    "beyond 2 to the 53": (2**63 - 1, "9,223,372,036,854,775,807"),
    "a whole real": (3.0, "3"),
    "a real has six digits": (1234.56789, "1234.57"),
    "a large real": (12345678.9, "12,345,679"),
    "an enormous one": (1e300, "1e+300"),
    "a tiny one": (1e-300, "1e-300"),
    "infinite": (math.inf, "∞"),
    "infinite, descending": (-math.inf, "−∞"),
}


@pytest.mark.parametrize(("number", "want"), NUMBERS.values(), ids=NUMBERS.keys())
def test_a_number(number, want):
    assert figures.show_number(number) == want


VALUES = {
    "a text": (Value("plain", None), Shown("plain")),
    "an empty one": (Value("", None), Shown("", "empty text")),
    "controls": (Value("a\tb\nc\0d\x7f", None), Shown("a⇥b↵c⟨0000⟩d⟨007F⟩")),
    "what turns the text around": (Value("\u202eexe\u2069", None), Shown("⟨202E⟩exe⟨2069⟩")),
    "marks stay": (Value("שלום\u200f", None), Shown("שלום\u200f")),
    "markup is not its business": (Value("<b>", None), Shown("<b>")),
    "one that was cut": (Value("x" * 200, 10_000), Shown("x" * 100 + "…", "10,000 characters")),
    "one to cut": (Value("x" * 101, None), Shown("x" * 100 + "…", "101 characters")),
    "as long as may be": (Value("x" * 100, None), Shown("x" * 100)),
    "a blob": (Value(b"\x00\xff", None), Shown("x'00ff'", "2 bytes")),
    "a blob that was cut": (Value(bytes(200), 5000), Shown(f"x'{'00' * 16}…'", "5,000 bytes")),
    "an empty blob": (Value(b"", None), Shown("x''", "0 bytes")),
    "an integer": (Value(7, None), Shown("7")),
}


@pytest.mark.parametrize(("value", "want"), VALUES.values(), ids=VALUES.keys())
def test_a_value(value, want):
    assert figures.show_value(value) == want


TIME_BINS = {
    "a month": (TimeBin("2026-03", "2026-03", 1), "2026-03"),
    "a week": (TimeBin("2026-03-02", "2026-03-08", 1), "2026-03-02 to 2026-03-08"),
    "an hour": (TimeBin("2026-03-05 14", "2026-03-05 14", 1), "2026-03-05 14:00"),
    "six hours": (
        TimeBin("2026-03-05 06", "2026-03-05 11", 1),
        "2026-03-05 06:00 to 2026-03-05 11:59",
    ),
    "minutes": (
        TimeBin("2026-03-05 06:00", "2026-03-05 06:04", 1),
        "2026-03-05 06:00 to 2026-03-05 06:04",
    ),
}


@pytest.mark.parametrize(("each", "want"), TIME_BINS.values(), ids=TIME_BINS.keys())
def test_a_bar_of_dates_says_which(each, want):
    assert [bar.label for bar in figures.bars([each])] == [want]


def test_a_day_is_shown_without_a_time():
    assert figures.show_time("2026-03-05 00:00:00", True) == "2026-03-05"
    assert figures.show_time("2026-03-05 00:00:00", False) == "2026-03-05 00:00:00"


SHARES = {
    "all": (5, 5, "100 %"),
    "none": (0, 5, "0 %"),
    "of nothing": (0, 0, "0 %"),
    "a third": (1, 3, "33.3 %"),
    "not quite none": (1, 10**6, "< 0.1 %"),
    "not quite all": (10**6 - 1, 10**6, "> 99.9 %"),
}


@pytest.mark.parametrize(("part", "whole", "want"), SHARES.values(), ids=SHARES.keys())
def test_a_share(part, whole, want):
    assert figures.show_share(part, whole) == want


def test_counts():
    assert figures.show_count(1, "row") == "1 row"
    assert figures.show_count(2000, "row") == "2,000 rows"


def test_the_bars_of_a_histogram():
    assert figures.bars([Bin(0, 5, 10), Bin(5, 10, 0), Bin(10, 12, 5)]) == [
        Bar(0.5, 0, 9, 60, "0 to below 5", 10),
        Bar(10.5, 60, 9, 0, "5 to below 10", 0),
        Bar(20.5, 30, 9, 30, "10 to 12", 5),
    ]


def test_a_bar_that_stands_for_anything_is_seen():
    few, many = figures.bars([Bin(1, 1, 1), Bin(2, 2, 10**6)])
    assert 0 < few.height < 1
    assert (few.label, many.label) == ("1", "2")
