"""Rows with one type per column: every value is still what it was, or what the type makes of it."""

import sqlite3
from contextlib import closing

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sources.catalogue import QuerySource
from sources.connections import read_only_uri
from sources.errors import SourceFailed
from sources.query import Query
from sources.rows import open_rows
from sources.spill import EXACT, spill_rows
from sources.tables import describe


@pytest.fixture
def spilled(make_database):
    """spilled(*statements, sql=...): the kinds of the columns, and the rows."""

    def spill(*statements, sql="select * from t"):
        database = make_database(*statements)
        columns = describe(QuerySource("t", database, sql, ())).columns
        asked = Query(read_only_uri(database), sql, {}, columns)
        counts = []
        with closing(open_rows(asked)) as rows:
            opened = spill_rows(rows, columns, database.parent, counts.append)
        with closing(opened):
            table = [row for batch in opened for row in batch.to_pylist()]
        assert counts[-1:] == [len(table)] or not table
        assert [path.name for path in database.parent.iterdir()] == [database.name]
        return [column.kind for column in opened.columns], [tuple(row.values()) for row in table]

    return spill


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


def value_of(cell):
    if isinstance(cell, dict):
        return next((each for each in cell.values() if each is not None), None)
    return cell


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(values=st.lists(st.tuples(ANY, ANY, ANY), max_size=12))
def test_every_value_is_equal_to_what_is_stored(tmp_path_factory, values):
    path = tmp_path_factory.mktemp("spill") / "t.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("create table t (a integer, b real, c)")
        connection.executemany("insert into t values (?, ?, ?)", values)
        want = connection.execute("select * from t").fetchall()
    columns = describe(QuerySource("t", path, "select * from t", ())).columns
    asked = Query(read_only_uri(path), "select * from t", {}, columns)
    with closing(open_rows(asked)) as rows:
        opened = spill_rows(rows, columns, path.parent, lambda done: None)
    with closing(opened):
        got = [
            tuple(value_of(cell) for cell in row.values())
            for batch in opened
            for row in batch.to_pylist()
        ]
    assert got == want


def test_a_failure_leaves_no_file(make_database):
    database = make_database("create table t (x)", "insert into t values (1)")
    sql = "select json('no') as x from t"
    columns = describe(QuerySource("t", database, sql, ())).columns
    with (
        closing(open_rows(Query(read_only_uri(database), sql, {}, columns))) as rows,
        pytest.raises(SourceFailed, match="malformed JSON"),
    ):
        spill_rows(rows, columns, database.parent, lambda done: None)
    assert list(database.parent.iterdir()) == [database]
