"""Dates that are asked for; what is stored is compared with them in test_conditions.py."""

from __future__ import annotations

from contextlib import closing

import apsw
import pytest

from sources.dates import read_date
from sources.sqlite.dates import moment_sql

ASKED = {
    "2026": "2026",
    "2026-03": "2026-03",
    "2026-03-05": "2026-03-05",
    "2026-03-05T10:30": "2026-03-05 10:30:00",
    "2026-03-05t10:30:05z": "2026-03-05 10:30:05",
    "2026-03-05 10:30:05.250": "2026-03-05 10:30:05.25",
    "2026-03-05 10:30:05.000": "2026-03-05 10:30:05",
    "2026-03-05 10:30:05.12345678901": "2026-03-05 10:30:05.12345678901",
    "2026-03-05T00:30:00+02:00": "2026-03-04 22:30:00",
    "2026-12-31T23:30:00.5 -0100": "2027-01-01 00:30:00.5",
    "2026-03-05T10:30:00 02:00": "2026-03-05 08:30:00",
    "2026-02-30": None,
    "9999-12-31T23:30:00-01:00": None,
    "now": None,
}


@pytest.mark.parametrize(("text", "want"), ASKED.items())
def test_a_date_is_read(text, want):
    assert read_date(text) == want


@pytest.mark.parametrize("text", [text for text, want in ASKED.items() if want and len(want) > 7])
def test_what_is_stored_becomes_the_same(text):
    with closing(apsw.Connection(":memory:")) as connection:
        sql = f"select {moment_sql('t.x')} from (select ? as x) as t"
        ((moment,),) = connection.execute(sql, [text.replace("00 02", "00+02")])
    assert moment == read_date(text) + (" 00:00:00" if len(text) == 10 else "")
