"""The first rows, cut by the database."""

import tracemalloc

import pytest

from sources.database import PreviewCell, QuerySource
from sources.sqlite.database import SqliteDatabase
from sources.sqlite.preview import CELL_CHARS, READ_BYTES, first_rows


@pytest.fixture
def preview(make_database):
    """preview(*statements, sql=..., most=...): the first rows."""

    def look(*statements, sql="select * from t", most=20, is_random=False):
        database = make_database(*statements)
        columns = (
            SqliteDatabase(database)
            .describe(QuerySource("t", SqliteDatabase(database), sql, ()))
            .columns
        )
        query = SqliteDatabase(database).query(sql, {}, columns)._replace(is_random=is_random)
        return first_rows(query, most)

    return look


LONG = "x" * (CELL_CHARS + 1)
CELLS = {
    "NULL": ("null", PreviewCell(None)),
    "an integer": ("7", PreviewCell(7)),
    "a real": ("0.5", PreviewCell(0.5)),
    "a text": ("'a:b'", PreviewCell("a:b", 3)),
    "no text": ("''", PreviewCell("", 0)),
    "one that is cut": (f"'{LONG}'", PreviewCell("x" * CELL_CHARS, CELL_CHARS + 1)),
    "characters, not bytes": ("'größe'", PreviewCell("größe", 5)),
    "no UTF-8": ("cast(x'ff41' as text)", PreviewCell("\ufffdA", 2)),
    "one that is not read": (
        f"printf('%.*c', {READ_BYTES + 1}, 'x')", PreviewCell(None, READ_BYTES + 1),
    ),
    "a blob": ("zeroblob(9)", PreviewCell(None, 9)),
}  # fmt: skip


@pytest.mark.parametrize(("value", "want"), CELLS.values(), ids=CELLS.keys())
def test_a_cell(preview, value, want):
    assert preview("create table t (x)", f"insert into t values ({value})") == [[want]]


def test_as_many_rows_as_are_wanted(preview):
    rows = preview("create table t (x)", "insert into t values (1), (2), (3)", most=2)
    assert rows == [[PreviewCell(1)], [PreviewCell(2)]]


def test_a_value_by_chance_is_computed_once(preview):
    sql = "select iif(random() % 2, 'a text', 1.5) as x from t"
    rows = preview(
        "create table t (x)",
        "with recursive n(i) as (select 1 union all select i + 1 from n limit 500)"
        " insert into t select i from n",
        sql=sql,
        most=500,
        is_random=True,
    )
    assert {cell for (cell,) in rows} == {PreviewCell("a text", 6), PreviewCell(1.5)}


def test_a_table_of_as_many_columns_as_there_can_be(preview):
    names = ", ".join(f"c{i}" for i in range(2000))
    (row,) = preview(f"create table t ({names})", "insert into t (c1999) values ('last')")
    assert (len(row), row[0], row[-1]) == (2000, PreviewCell(None), PreviewCell("last", 4))


def test_long_cells_are_not_held(preview):
    statements = ["create table t (b, t)"]
    statements += ["insert into t values (zeroblob(3000000), printf('%.*c', 3000000, 'x'))"] * 20
    tracemalloc.start()
    try:
        rows = preview(*statements)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert rows == [[PreviewCell(None, 3_000_000)] * 2] * 20
    assert peak < 2_000_000


@pytest.mark.parametrize("encoding", ["UTF-16le", "UTF-16be"])
def test_texts_of_utf_16(preview, encoding):
    statements = (
        f"pragma encoding = '{encoding}'",
        "create table t (x, y)",
        "insert into t values ('größe: 日', x'00ff')",
    )
    sql = "select x, y from t where x like 'GR%' order by x collate nocase"
    assert preview(*statements, sql=sql) == [[PreviewCell("größe: 日", 8), PreviewCell(None, 2)]]


SORTED = {
    "a value that is not read": ("select i from t order by i", 20),
    "one that is sorted by": ("select i, b from t order by b", None),
    "one that is compared": ("select i from t where b like '%x'", None),
}


@pytest.mark.parametrize(("sql", "rows"), SORTED.values(), ids=SORTED.keys())
def test_no_request_holds_a_value_of_any_size(preview, sql, rows):
    found = preview(
        "create table t (i, b)",
        "with recursive n(i) as (select 1 union all select i + 1 from n limit 20)"
        f" insert into t select i, printf('%.*c', {(8 << 20) + 1}, 'x') from n",
        sql=sql,
    )
    assert (found and len(found)) == rows
