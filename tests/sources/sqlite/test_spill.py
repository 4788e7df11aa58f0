"""Rows with one type per column: every value is still what it was, or what the type makes of it."""

import datetime
import sqlite3
from contextlib import closing
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sources.database import QuerySource
from sources.errors import SourceFailed
from sources.sqlite.database import SqliteDatabase
from sources.sqlite.rows import open_rows
from sources.sqlite.spill import EXACT, spill_rows


def value_of(cell):
    """The value of a cell, of a struct with a child per storage class too."""
    if isinstance(cell, dict):
        return next((each for each in cell.values() if each is not None), None)
    return cell


def spill_of(path, sql):
    """The kinds of the columns, and the rows."""
    columns = SqliteDatabase(path).describe(QuerySource("t", SqliteDatabase(path), sql, ())).columns
    counts = []
    with closing(open_rows(SqliteDatabase(path).query(sql, {}, columns))) as rows:
        opened = spill_rows(rows, columns, path.parent, counts.append)
    with closing(opened):
        table = [row.values() for batch in opened for row in batch.to_pylist()]
    assert counts[-1:] == [len(table)] or not table
    assert [each.name for each in path.parent.iterdir()] == [path.name]
    return [column.kind for column in opened.columns], [tuple(map(value_of, row)) for row in table]


@pytest.fixture
def spilled(make_database):
    """spilled(*statements, sql=...): the kinds of the columns, and the rows."""
    return lambda *statements, sql="select * from t": spill_of(make_database(*statements), sql)


def many(value, odd, at, rows=20_000):
    """Statements that make a column of rows with one odd value."""
    return (
        "create table t (x)",
        f"with recursive n(i) as (select 1 union all select i + 1 from n limit {rows})"
        f" insert into t select iif(i = {at}, {odd}, {value}) from n",
    )


KINDS = {
    "integers": (many("i", "null", 7), "integer"),
    "nothing but NULL": (many("null", "null", 7), "text"),
    "integers and a real": (many("i", "0.5", 19_000), "real"),
    "reals and an integer": (many("i * 0.5", "3", 1), "real"),
    "a real and an integer that is exact as one": (many("0.5", f"{EXACT}", 9), "real"),
    "a real and an integer that is not": (many("0.5", f"{EXACT + 1}", 9), "mixed"),
    "an integer that is not, and then a real": (many(f"{EXACT + 1}", "0.5", 15_000), "mixed"),
    "texts": (many("'a'", "null", 3), "text"),
    "a text among integers": (many("i", "'a'", 15_000), "mixed"),
    "blobs": (many("x'00'", "x'ff'", 5), "blob"),
    "a blob among texts": (many("'a'", "x'00'", 12_000), "mixed"),
}


@pytest.mark.parametrize(("statements", "kind"), KINDS.values(), ids=KINDS.keys())
def test_the_kind_of_a_column(spilled, statements, kind):
    kinds, rows = spilled(*statements)
    assert kinds == [kind]
    assert len(rows) == 20_000


def test_integers_among_reals_are_reals(spilled):
    _, rows = spilled(*many("i * 0.5", "3", 15_000))
    assert {type(value) for (value,) in rows} == {float}
    assert rows[14_999] == (3.0,)
    assert sum(value for (value,) in rows) == 0.5 * sum(range(20_001)) - 7500 + 3


def test_a_query_by_chance_is_read_once(spilled):
    kinds, rows = spilled(
        *many("i", "'odd'", 15_000), sql="select x, rowid as r from t order by random()"
    )
    assert kinds == ["mixed", "integer"]
    assert {row for _, row in rows} == set(range(1, 20_001))


ANY = st.one_of(
    st.none(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
    st.text(st.characters(exclude_categories=["Cs"])),
    st.binary(max_size=20),
)


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(values=st.lists(st.tuples(ANY, ANY, ANY), max_size=12))
def test_every_value_is_equal_to_what_is_stored(tmp_path_factory, values):
    path = tmp_path_factory.mktemp("spill") / "t.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("create table t (a integer, b real, c)")
        connection.executemany("insert into t values (?, ?, ?)", values)
        want = connection.execute("select * from t").fetchall()
    assert spill_of(path, "select * from t")[1] == want


def test_a_failure_leaves_no_file(make_database):
    database = make_database("create table t (x)", "insert into t values (1)")
    sql = "select json('no') as x from t"
    columns = (
        SqliteDatabase(database)
        .describe(QuerySource("t", SqliteDatabase(database), sql, ()))
        .columns
    )
    with (
        closing(open_rows(SqliteDatabase(database).query(sql, {}, columns))) as rows,
        pytest.raises(SourceFailed, match="malformed JSON"),
    ):
        spill_rows(rows, columns, database.parent, lambda done: None)
    assert list(database.parent.iterdir()) == [database]


AS_DECLARED = {
    "days": ("date", ["2026-03-05", None, "0001-01-01"], "date"),
    "timestamps that are all days": ("datetime", ["2026-03-05"], "date"),
    "days, and one with a time": ("date", ["2026-03-05", "2026-03-05 10:00"], "mixed or text"),
    "no day of any month": ("date", ["2026-02-29"], "text"),
    "a day and a number": ("date", ["2026-03-05", 2026], "mixed"),
    "numbers": ("date", [20260305], "integer"),
    "times with T or a blank": (
        "timestamp", ["2026-03-05 10:30", "2026-03-05T10:30:07.25"], "timestamp",
    ),
    "more than microseconds": ("timestamp", ["2026-03-05 10:30:07.1234567"], "text"),
    "a leap second": ("timestamp", ["2026-06-30 23:59:60"], "text"),
    "moments": ("timestamp", ["2026-03-05T10:30Z", "2026-03-05 10:30:00+02:00"], "timestamp_utc"),
    "moments and times without a zone": (
        "timestamp", ["2026-03-05T10:30Z", "2026-03-05 10:30"], "text",
    ),
    "yes and no": ("boolean", [0, 1, None], "boolean"),
    "yes, no and perhaps": ("boolean", [0, 1, 2], "integer"),
    "words": ("boolean", ["true", "false"], "text"),
    "decimals": ("decimal(5, 2)", [1, 10.5, -999.99, None, 0.01], "decimal"),
    "integers and reals and NULL in one batch": (
        "decimal(5, 2)", [1, 2, None, 10.5, 3], "decimal",
    ),
    "too many places": ("decimal(5, 2)", [1.005], "real"),
    "too many digits": ("decimal(5, 2)", [1000], "integer"),
    "integers, reals and NULL as decimals": ("decimal(5, 2)", [9, None, 2, 0.5], "decimal"),
    "decimals with an exponent": ("decimal(18, 8)", [1e-8, None, -2e-7], "decimal"),
    "a decimal too small for its places": ("decimal(18, 8)", [1e-9], "real"),
    "decimals without places": ("decimal(3)", [7, 8.0], "decimal"),
    "decimals of unknown size": ("decimal", [1, 10.5], "real"),
    "a text": ("decimal(5, 2)", [1, "n/a"], "mixed"),
    "a blob that looks like a number in base64": ("decimal(9, 0)", [b"\xd7\x6d\xf8"], "blob"),
    "nothing": ("date", [None], "text"),
}  # fmt: skip


@pytest.mark.parametrize(("declared", "values", "kind"), AS_DECLARED.values(), ids=AS_DECLARED)
def test_a_column_is_what_it_is_declared_as_if_all_values_are(tmp_path, declared, values, kind):
    path = tmp_path / "t.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(f"create table t (x {declared})")
        connection.executemany("insert into t values (?)", [(value,) for value in values])
    kinds, rows = spill_of(path, "select * from t")
    assert kinds[0] in kind.split(" or ")
    assert [want(value, kind) for value in values] == [value for (value,) in rows]


def want(value, kind):
    """The value as Python has it in this kind."""
    if value is None or kind == "text":
        return value
    if kind == "date":
        return datetime.date.fromisoformat(value)
    if kind == "timestamp":
        return datetime.datetime.fromisoformat(value)
    if kind == "timestamp_utc":
        return datetime.datetime.fromisoformat(value).astimezone(datetime.UTC)
    return Decimal(str(value)) if kind == "decimal" else value
