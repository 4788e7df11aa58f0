"""Which rows a filter gives, against the question that was meant: computed from the same rows in
Python, by datetime and Fraction, for declared type x what is stored x operator x value."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from itertools import product
from urllib.parse import quote

import apsw
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sources.database import QuerySource, TableSource
from sources.errors import BadSelection
from sources.selection import MAX_VALUES_IN_A_LIST, parse_selection
from sources.sqlite.connections import connect, read_only_uri
from sources.sqlite.database import SqliteDatabase
from sources.sqlite.filters import read_filter
from sources.sqlite.sql import selection_sql

COMPARISONS = ("eq", "ne", "gt", "gte", "lt", "lte")


class Table:
    """A table of a database, with a column x that is declared so, and its rows."""

    def __init__(self, path, declared, values, extra=""):
        self.path = path
        with closing(apsw.Connection(str(path))) as connection:
            connection.execute("pragma synchronous = off; pragma journal_mode = off")
            connection.execute(f"create table t (id integer primary key, x {declared})")
            connection.executemany(
                "insert into t values (?, ?)", [(i, value) for i, value in enumerate(values)]
            )
            connection.execute(extra)
            self.stored = dict(connection.execute("select id, x from t"))
        self._source = TableSource("t", SqliteDatabase(path), "t")
        self.columns = self._source.database.describe(self._source).columns

    def plan(self, words, source=None):
        columns = source.database.describe(source).columns if source else self.columns
        source = source or self._source
        return selection_sql(source, parse_selection(words, columns), columns)

    def ids(self, words, source=None):
        """Return the ids that a selection gives, in order."""
        sql, bound = self.plan(words, source)
        with connect(read_only_uri(self.path)) as connection:
            return sorted(row[0] for row in connection.execute(sql, dict(bound)))


@pytest.fixture
def make_table(tmp_path):
    """make_table(declared, values, extra): a Table; extra: SQL that is run at the end."""
    made = []

    def make(declared, values, extra=""):
        made.append(Table(tmp_path / f"{len(made)}.db", declared, values, extra))
        return made[-1]

    return make


# Dates


def moment_of(stored):
    """Return which second a stored value is, exactly, None where it is no date."""
    if isinstance(stored, int | float):
        return moment_of_number(stored)
    if not isinstance(stored, str):
        return None
    found = re.fullmatch(
        r"(\d{4})-(\d\d)-(\d\d)"
        r"(?:[Tt ](\d\d):(\d\d)(?::(\d\d)(\.\d+)?)? *(Z|z|[+-]\d\d(?::?\d\d)?)? *)?",
        stored,
        re.ASCII,
    )
    if not found:
        return None
    year, month, day, hour, minute, second, fraction, zone = found.groups()
    try:
        start = datetime(int(year), int(month), int(day), tzinfo=UTC)
    except ValueError:
        return None
    # SQLite takes 24:00 for the end of a day.
    is_end = hour == "24" and int(minute) == int(second or 0) == 0
    if (int(hour or 0) > 23 and not is_end) or int(minute or 0) > 59 or int(second or 0) > 59:
        return None
    whole = seconds(start) + int(hour or 0) * 3600 + int(minute or 0) * 60 + int(second or 0)
    if zone and zone not in "Zz":
        digits = zone[1:].replace(":", "")
        hours, minutes = int(digits[:2]), int(digits[2:] or 0)
        if hours > 14 or minutes > 59:
            return None
        offset = hours * 3600 + minutes * 60
        whole -= offset if zone[0] == "+" else -offset
    is_in_range = whole < seconds(datetime(9999, 12, 31, tzinfo=UTC)) + 86_400
    return whole + Fraction(fraction or 0) if is_in_range else None


def moment_of_number(number):
    """As SQLite's modifier auto reads it: a julian day number or unix seconds, to a millisecond."""
    if 1721059.5 <= number < 5373484.5:
        milliseconds = round(Fraction(number) * 86_400_000 - Fraction(1721425.5) * 86_400_000)
        return Fraction(milliseconds, 1000)
    if 0 <= number < 5373484.5 or not -62_135_596_800 <= number <= 253_402_300_799:
        return None
    epoch = seconds(datetime(1970, 1, 1, tzinfo=UTC))
    return epoch + Fraction(round(Fraction(number) * 1000), 1000)


def seconds(moment):
    return Fraction((moment - datetime(1, 1, 1, tzinfo=UTC)) // timedelta(seconds=1))


def period_of(asked):
    """Return the moments from which and up to which a value is; of a moment both are it."""
    parts = asked.split("-")
    if len(asked) == 4:
        return start_of(asked, "01", "01"), start_of(str(int(asked) + 1), "01", "01")
    if len(asked) == 7:
        year, month = map(int, parts)
        after = (year + month // 12, month % 12 + 1)
        return start_of(year, month, 1), start_of(*after, 1)
    start = moment_of(asked)
    return start, start + (86_400 if len(asked) == 10 else 0)


def start_of(year, month, day):
    return seconds(datetime(int(year), int(month), int(day), tzinfo=UTC))


def is_meant(operator, stored, asked):
    """Is a row meant by `x__operator=asked`?"""
    moment = moment_of(stored)
    if moment is None:
        return False
    if operator == "in":
        return any(is_meant("eq", stored, each) for each in asked.split(","))
    start, stop = period_of(asked)
    is_in = start <= moment < stop or moment == start
    return {
        "eq": is_in,
        "ne": not is_in,
        "gt": moment > start and not is_in,
        "gte": moment >= start,
        "lt": moment < start,
        "lte": moment < start or is_in,
    }[operator]


TEXTS = [
    "2025-12-31", "2026-01-01", "2026-03-04", "2026-03-05", "2026-03-06", "2026-04-01",
    "2027-01-01",
    "2026-03-05 10:30", "2026-03-05T10:30", "2026-03-05 10:30:05", "2026-03-05T10:30:05",
    "2026-03-05 10:30:05.0", "2026-03-05 10:30:05.25", "2026-03-05T10:30:05.250000",
    "2026-03-05 10:30:05.1234567", "2026-03-05 10:30:05.12345678901", "2026-03-05T10:30:05Z",
    "2026-03-05T10:30:05.25Z", "2026-03-05T10:30:05+00:00", "2026-03-05 10:30:05.5+00:00",
    "2026-03-05 10:30:05.25 Z", "2026-03-05 10:30:05 +00:00",
    "2026-03-05T12:30:05+02:00", "2026-03-05 12:30:05.25 +0200", "2026-03-05 08:30:05-02",
    "2026-03-05t10:30:05z", "2025-12-31T23:59:59.999999", "2026-01-01T00:30:00+02:00",
    "2025-12-31 22:30:00-02:00", "2026-03-05 00:00:00", "2026-03-05 23:59:59.999", "0001-02-03",
    "9999-12-31 23:59:59", "1969-12-31 23:59:59.5", "2026-03-04 24:00:00", "2026-03-05 05:30+05:30",
]  # fmt: skip
NO_DATES = [
    "", "n/a", "now", "2026-02-30", "2026-13-01", "05/03/2026", "2026-03", "2026-3-5",
    "z2026-03-05",
    "2026-03-05 ", "2026-03-05T", "2026-03-05 10", "2026-03-05 10:30:05.", "2026-03-05 10:30.5",
    "2026-03-05 10:30:05.2.5", "2026-03-05 10:30:05 UTC", "2026-03-05 25:00:00",
    "2026-03-05 10:60:00", "2026-03-05 10:30:60", "2026-03-05 10:30:05+99:00", "12:30:00",
    "2026-03-05 10:30:05Z+00:00", "2026-03-05 10:30:05.5ZZ", "2026-03-05 24:30:00",
    "2026-03-05 10:30:05x", None, b"2026-03-05",
]  # fmt: skip
NUMBERS = [
    # Unix seconds, julian day numbers, and neither: a year, milliseconds.
    1772706605, 1772706605.25, 1772706605.9996, 1767225600, 1767225599, 1772668800, -86400, -1.5,
    2461104.5, 2461105, 2461104.937557870, 2461041.5, 2026, 0, 1, 1772706605250, -1e300, 1e300,
]  # fmt: skip
ASKED = [
    "2025", "2026", "2027", "0001", "9998", "2025-12", "2026-01", "2026-03", "2026-12",
    "2025-12-31",
    "2026-01-01", "2026-03-05", "2026-03-06", "2026-03-05T10:30", "2026-03-05 10:30:05",
    "2026-03-05T10:30:05.25", "2026-03-05 10:30:05.250000", "2026-03-05T10:30:05.12345678901",
    "2026-03-05T10:30:05.12345678902", "2026-03-05T10:30:05Z", "2026-03-05T12:30:05+02:00",
    "2026-03-05T08:30:05.25-0200", "2026-01-01T00:00:00+02:00", "1969-12-31",
    "1969-12-31T23:59:58.5",
]  # fmt: skip
LISTS = [
    "2026,2027", "2025-12-31,2026-03", "2026-03-05,2026-03-05T10:30:05.25,1969", "2025,0001-02-03",
]  # fmt: skip
DECLARED = {
    "DATE": [*TEXTS, *NO_DATES, *NUMBERS],
    "datetime(6)": [*TEXTS, *NO_DATES, *NUMBERS],
    "TIMESTAMP WITH TIME ZONE": [*TEXTS, *NO_DATES, *NUMBERS],
    "TIMESTAMP COLLATE NOCASE": [*TEXTS, *NO_DATES],
    "TIMESTAMP TEXT": [*TEXTS, *NO_DATES],
    "TIMESTAMP INTEGER": NUMBERS,
    "DATE REAL": NUMBERS,
}


@pytest.mark.parametrize("extra", ["", "create index by_x on t (x)", "create index d on t(x desc)"])
@pytest.mark.parametrize("declared", DECLARED)
def test_dates_are_compared_as_dates(make_table, declared, extra):
    table = make_table(declared, DECLARED[declared], extra)
    questions = [*product(COMPARISONS, ASKED), *product(["in"], LISTS)]
    for operator, asked in questions:
        got = table.ids([(f"x__{operator}", asked)])
        want = [i for i, stored in table.stored.items() if is_meant(operator, stored, asked)]
        assert [table.stored[i] for i in got] == [table.stored[i] for i in want], (operator, asked)


MOMENTS = st.datetimes(datetime(1969, 12, 30), datetime(1970, 1, 3)) | st.datetimes(
    datetime(2, 1, 1), datetime(9998, 12, 31)
)
FORMS: list[Callable[[datetime], str | float]] = [
    lambda m: m.isoformat(" ") + "",
    lambda m: m.isoformat("T") + "Z",
    lambda m: m.isoformat("T", "microseconds") + "789+13:45",
    lambda m: m.isoformat(" ", "seconds") + " -0730",
    lambda m: m.isoformat("T", "minutes") + "-08",
    lambda m: f"{m.year:04}-{m:%m-%d}",
    lambda m: int(m.replace(tzinfo=UTC).timestamp()),
    lambda m: m.toordinal() + 1721424.5,
]
QUESTIONS = [
    lambda m: f"{m.year:04}",
    lambda m: f"{m.year:04}-{m:%m}",
    lambda m: f"{m.year:04}-{m:%m-%d}",
    lambda m: m.isoformat("T", "minutes"),
    lambda m: m.isoformat(" "),
    lambda m: m.isoformat("T") + "+05:30",
]


@given(
    st.lists(st.tuples(MOMENTS, st.sampled_from(FORMS)), min_size=1, max_size=8),
    st.integers(0, 7),
    st.integers(-1, 1),
    st.sampled_from(QUESTIONS),
    st.sampled_from(COMPARISONS),
)
def test_so_are_any(tmp_path_factory, rows, which, days, question, operator):
    path = tmp_path_factory.mktemp("dates") / "any.db"
    table = Table(
        path, "TIMESTAMP", [form(moment) for moment, form in rows], "create index i on t(x)"
    )
    asked = question(rows[which % len(rows)][0] + timedelta(days))
    got = table.ids([(f"x__{operator}", asked)])
    assert got == [i for i, stored in table.stored.items() if is_meant(operator, stored, asked)]
    path.unlink()


NO_DATES_ASKED = [
    "", "abc", "20260305", "26", "2026-13", "2026-02-30", "2026-3-5", "2026-03-05T25:00", "now",
    "2026-03-05T10:30:60", "2026-03-05T10:30.5", "2026-03-05 10", "2026-03-05Z", "1772706605",
    "2026-03-05T10:30+15:00", "0001-01-01T00:00+02:00", "٢٠٢٦", "2026,2027", "0000",
]  # fmt: skip


@pytest.mark.parametrize("asked", NO_DATES_ASKED)
@pytest.mark.parametrize("operator", ["eq", "lte", "in"])
def test_what_is_no_date_is_refused(make_table, operator, asked):
    if operator == "in" and asked == "2026,2027":
        return
    with pytest.raises(BadSelection, match="is no date; 2026, 2026-03, 2026-03-05 or"):
        make_table("DATE", ["2026-03-05"]).ids([(f"x__{operator}", asked)])


def test_like_and_null_are_of_what_is_stored(make_table):
    table = make_table("TIMESTAMP", ["2026-03-05 10:30", "2026-03-05T10:30", "n/a", None, 17])
    assert table.ids([("x__like", "2026-03-05T%")]) == [1]
    assert table.ids([("x__like", "n/a")]) == [2]
    assert table.ids([("x__null", "0")]) == [0, 1, 2, 4]
    assert table.ids([("x__null", "1")]) == [3]


def test_a_plus_that_came_as_a_blank_is_one(make_table):
    table = make_table("TIMESTAMP", ["2026-03-05 10:30:05", "2026-03-05 14:30:05"])
    assert table.ids([("x", "2026-03-05T12:30:05 02:00")]) == [0]


@pytest.mark.parametrize("operator", ["eq", "gte", "lt", "in"])
def test_an_index_is_used(make_table, operator):
    table = make_table("TIMESTAMP", TEXTS, "create index by_x on t (x)")
    sql, bound = table.plan([(f"x__{operator}", "2026-03-05")])
    with connect(read_only_uri(table.path)) as connection:
        plan = [row[3] for row in connection.execute(f"explain query plan {sql}", dict(bound))]
    assert "MULTI-INDEX OR" in plan
    assert not any(step.startswith("SCAN t") for step in plan)


def test_a_view_has_the_dates_of_its_table(make_table):
    table = make_table("TIMESTAMP", TEXTS, "create view v as select id, x as placed from t")
    view = TableSource("v", SqliteDatabase(table.path), "v")
    query = QuerySource("q", SqliteDatabase(table.path), "select id, placed from v", ())
    for source in (view, query):
        got = table.ids([("placed__lte", "2026-03-05")], source)
        assert got == [i for i, x in table.stored.items() if is_meant("lte", x, "2026-03-05")]


def test_a_table_made_of_a_query_has_texts(make_table):
    """SQLite declares its column NUM, which says nothing."""
    table = make_table("DATE", ["2025-12-31", "2026-01-01"], "create table u as select * from t")
    assert table.ids([("x__gte", "2026")], TableSource("u", SqliteDatabase(table.path), "u")) == [1]


# Numbers


def number_of(stored):
    return Fraction(stored) if isinstance(stored, int | float) else None


def is_meant_of_numbers(operator, stored, asked):
    number, wanted = number_of(stored), Fraction(asked)
    if wanted.denominator > 1:
        wanted = Fraction(float(asked))  # as the database would keep it
    if stored is None:
        return False
    if operator == "ne":
        return number != wanted
    if number is None:
        return False
    return {
        "eq": number == wanted,
        "gt": number > wanted,
        "gte": number >= wanted,
        "lt": number < wanted,
        "lte": number <= wanted,
    }[operator]


AMOUNTS = [
    10, 10.5, 9, 100, -3, 0, "10.50", "abc", "", None, b"10.5", 0.1, 0.30000000000000004, "1e3",
    "7 EUR",
    2**53, 2**53 + 1, 2**53 + 2, 2**63 - 1, -(2**63), 1e19, 9007199254740992.0,
]  # fmt: skip
AMOUNTS_ASKED = [
    "10", "10.5", "10.50", "9", "0", "-3", "0.1", "0.3", "1000", "1e3", "99", "9007199254740992",
    "9007199254740993", "9007199254740993.0", "9007199254740994", "9223372036854775807",
    "-9223372036854775808", "10000000000000000000",
]  # fmt: skip


@pytest.mark.parametrize("extra", ["", "create index by_x on t (x)"])
@pytest.mark.parametrize("declared", ["DECIMAL(10, 2)", "NUMERIC", "decimal", "MONEY", "REAL"])
def test_numbers_are_compared_as_numbers(make_table, declared, extra):
    table = make_table(declared, AMOUNTS, extra)
    for operator, asked in product(COMPARISONS, AMOUNTS_ASKED):
        got = table.ids([(f"x__{operator}", asked)])
        want = [i for i, x in table.stored.items() if is_meant_of_numbers(operator, x, asked)]
        assert [table.stored[i] for i in got] == [table.stored[i] for i in want], (operator, asked)


@pytest.mark.parametrize("operator", COMPARISONS)
def test_so_are_whole_ones(make_table, operator):
    table = make_table("INTEGER", AMOUNTS)
    for asked in (asked for asked in AMOUNTS_ASKED if re.fullmatch("-?[0-9]{1,19}", asked)):
        got = table.ids([(f"x__{operator}", asked)])
        want = [i for i, x in table.stored.items() if is_meant_of_numbers(operator, x, asked)]
        assert got == want


def test_one_of_several_numbers(make_table):
    table = make_table("DECIMAL", AMOUNTS)
    assert table.ids([("x__in", "10.5,9,9007199254740993")]) == [1, 2, 6, 16]


NOT_A_NUMBER = {
    "DECIMAL": ("total DECIMAL", "total"),
    "NUMERIC that is empty": ("total NUMERIC, check (total is null)", "total"),
    "REAL": ("total REAL", "total"),
    "a sum": ("total INT", "sum(total) as total"),
    "a computed one": ("total REAL", "total * 2 as total"),
    "a count": ("total", "count(*) as total"),
    "a mix of whole ones and others": ("total INT", "iif(total > 1, total, 0.5) as total"),
    "a cast": ("total TEXT", "cast(total as numeric) as total"),
}


@pytest.mark.parametrize(("declared", "cell"), NOT_A_NUMBER.values(), ids=NOT_A_NUMBER.keys())
@pytest.mark.parametrize("operator", [*COMPARISONS, "in"])
def test_where_numbers_are_a_number_is_demanded(make_database, declared, cell, operator):
    rows = "null" if "check" in declared else "1), (2"
    database = make_database(f"create table t ({declared})", f"insert into t values ({rows})")
    source = QuerySource("q", SqliteDatabase(database), f"select {cell} from t", ())
    columns = source.database.describe(source).columns
    with pytest.raises(BadSelection, match='"abc" is not a number'):
        parse_selection([(f"total__{operator}", "abc")], columns)
    assert parse_selection([(f"total__{operator}", "1.5")], columns).filters[0].values == (1.5,)


def test_texts_in_a_column_of_decimals_can_be_asked_for(make_table):
    table = make_table("DECIMAL", ["12,50", "7 EUR", "abc"])
    assert table.ids([("x", "7 EUR")]) == [1]
    assert table.ids([("x__gt", "9")]) == []
    assert table.ids([("x__gte", "7 EUR")]) == [1, 2]


# Of any class: numbers are compared with numbers, texts with texts.

ANY = [1, 2.5, 10, "1", "2", "abc", "", None, b"5", 2026, "2026-01-01", "3x"]


# What SQLite reads as 5, and we as texts.
LIKE_5 = [" 5", "5 ", "+5", "\t5", "5\n", " 5.0", "\v5e0\f", " .5e1 ", "5\r\n"]


@pytest.mark.parametrize("declared", ["", "STRING", "JSON"])
@pytest.mark.parametrize("asked", LIKE_5)
def test_what_is_no_number_is_a_text_to_every_operator(make_table, declared, asked):
    table = make_table(declared, ["abc", 5, 4, 6, " x", "\tx", None, b"5", "+x"])
    for operator in COMPARISONS:
        want = [i for i, x in table.stored.items() if is_meant_of_any(operator, x, asked)]
        assert table.ids([(f"x__{operator}", asked)]) == want, operator
    assert table.ids([("x__in", f"6,{asked}")]) == [3]


def test_an_index_serves_what_a_column_without_a_type_equals(make_table):
    table = make_table("STRING", ["abc", 5], "create index x on t (x)")
    for asked in ("5", "abc", "5 x"):
        sql, bound = table.plan([("x", asked)])
        with connect(read_only_uri(table.path)) as connection:
            plan = connection.execute(f"explain query plan {sql}", dict(bound)).get
        assert "SEARCH t USING COVERING INDEX x" in str(plan)


@pytest.mark.parametrize("declared", ["", "ANY", "BLOB", "STRING", "TIME", "JSON"])
def test_in_other_columns_like_is_compared_with_like(make_table, declared):
    table = make_table(declared, ANY)
    for operator, asked in product(COMPARISONS, ["1", "2", "2026", "2.5", "abc", "b", "", "0"]):
        got = table.ids([(f"x__{operator}", asked)])
        want = [i for i, x in table.stored.items() if is_meant_of_any(operator, x, asked)]
        assert [table.stored[i] for i in got] == [table.stored[i] for i in want], (operator, asked)


def is_meant_of_any(operator, stored, asked):
    is_number = re.fullmatch(r"[0-9.]+", asked)
    equal = stored == asked or (bool(is_number) and stored == float(asked or "nan"))
    if operator in ("eq", "ne"):
        return stored is not None and equal == (operator == "eq")
    if isinstance(stored, str):
        # A text is greater than a number: neither is meant.
        return is_ordered(operator, stored.encode(), asked.encode())
    if isinstance(stored, int | float) and is_number:
        return is_ordered(operator, Fraction(stored), Fraction(asked))
    return False


def is_ordered(operator, one, other):
    found = {"gt": one > other, "gte": one >= other, "lt": one < other, "lte": one <= other}
    return found[operator]


def test_no_blob_is_greater_than_a_text(make_table):
    table = make_table("TEXT", ["a", "b", b"c", None])
    assert table.ids([("x__gt", "a")]) == [1]
    assert table.ids([("x__ne", "a")]) == [1, 2]


# Booleans

BOOLEANS = [1, 0, "true", "false", "TRUE", "False", None, 1.0, 2, "maybe", b"1"]
BOOLEAN_CASES = {
    ("eq", "true"): [0, 2, 4, 7],
    ("eq", "1"): [0, 2, 4, 7],
    ("eq", "TRUE"): [0, 2, 4, 7],
    ("eq", "false"): [1, 3, 5],
    ("eq", "0"): [1, 3, 5],
    ("ne", "true"): [1, 3, 5, 8],
    ("ne", "0"): [0, 2, 4, 7, 8],
    ("in", "true,0"): [0, 1, 2, 3, 4, 5, 7],
    ("gt", "false"): [0, 2, 4, 7, 8],
    ("eq", "2"): [8],
    ("null", "1"): [6],
}


@pytest.mark.parametrize("declared", ["BOOLEAN", "bool"])
@pytest.mark.parametrize(
    ("asked", "want"), list(BOOLEAN_CASES.items()), ids=["=".join(each) for each in BOOLEAN_CASES]
)
def test_booleans(make_table, declared, asked, want):
    assert make_table(declared, BOOLEANS).ids([(f"x__{asked[0]}", asked[1])]) == want


def test_no_boolean(make_table):
    with pytest.raises(BadSelection, match='x: "yes" is neither true nor false'):
        make_table("BOOLEAN", [1]).ids([("x", "yes")])


# Below all of them is the row filter


@pytest.mark.parametrize("declared", ["TIMESTAMP", "DECIMAL", "", "BOOLEAN", "TEXT", "INTEGER"])
def test_no_filter_gives_rows_that_one_may_not_see(make_table, declared):
    values = ["2026-03-05", 5, "5", 5.5, None, "true", 1, b"5"]
    table = make_table(declared, [*values, *values])
    row_filter, problems = read_filter("id < cast(:principal.level as integer)")
    assert not problems
    own = TableSource("t", SqliteDatabase(table.path), "t", row_filter)
    asked = "2026-03-05" if declared == "TIMESTAMP" else "5"
    for operator in (*COMPARISONS, "in"):
        words = [(f"x__{operator}", asked)]
        sql, bound = selection_sql(
            own, parse_selection(words, table.columns), table.columns, {"level": str(len(values))}
        )
        with connect(read_only_uri(table.path)) as connection:
            got = sorted(row[0] for row in connection.execute(sql, dict(bound)))
        assert got == [i for i in table.ids(words) if i < len(values)]


@pytest.mark.parametrize("is_query", [False, True])
def test_a_row_filter_sees_the_values_by_chance_that_come_out(make_table, is_query):
    table = make_table(
        "",
        range(500),
        "create view v as select id, random() % 100 as x, random() % 100 as y from t",
    )
    row_filter, problems = read_filter("x >= cast(:principal.level as integer) and y < 50")
    assert not problems
    own = TableSource("v", SqliteDatabase(table.path), "v", row_filter)
    if is_query:
        own = QuerySource("q", SqliteDatabase(table.path), "select * from v", (), row_filter)
    columns = own.database.describe(own).columns
    selection = parse_selection([("x__lt", "90")], columns)
    sql, bound = selection_sql(own, selection, columns, {"level": "10"}, is_random=True)
    with connect(read_only_uri(table.path)) as connection:
        rows = connection.execute(sql, dict(bound)).fetchall()
    assert rows
    assert [row for row in rows if not (10 <= row[1] < 90 and row[2] < 50)] == []


# As many as there may be

NUMBERED = [*map(str, range(MAX_VALUES_IN_A_LIST))]
MANY = {
    "INTEGER": NUMBERED,
    "REAL": NUMBERED,
    "TEXT": NUMBERED,
    "DECIMAL": NUMBERED,
    "": NUMBERED,
    "BOOLEAN": NUMBERED,
    "DATE": [f"{1500 + i}-01-01" for i in range(MAX_VALUES_IN_A_LIST)],
    "TIMESTAMP": [f"{1500 + i}" for i in range(MAX_VALUES_IN_A_LIST)],
}


@pytest.mark.parametrize(("declared", "values"), list(MANY.items()), ids=MANY)
def test_many_values_several_times(make_table, declared, values):
    day = "-01-01" if declared == "TIMESTAMP" else ""
    table = make_table(declared, [values[7] + day, None, "x", values[-1] + day])
    words = [("x__in", ",".join(values))] * 8
    assert table.ids(words) == [0, 3]
    assert table.ids([("x__in", quote(values[0])), *words]) == []


@pytest.mark.parametrize("declared", ["INTEGER", "", "BOOLEAN", "DATE"])
def test_many_filters(make_table, declared):
    table = make_table(declared, ["5000", "5000-01-01"])
    got = table.ids([("x__ne", f"{1000 + i}") for i in range(1200)])
    assert got == ([1] if declared == "DATE" else [0, 1] if declared != "BOOLEAN" else [0])
