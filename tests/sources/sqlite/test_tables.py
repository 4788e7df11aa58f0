from __future__ import annotations

import os
import sqlite3
from contextlib import closing

import apsw
import pytest

from sources.database import QuerySource, TableSource
from sources.errors import SourceUnavailable
from sources.selection import Parameter
from sources.sqlite import connections, tables
from sources.sqlite.column_types import make_column, storage_of
from sources.sqlite.connections import quoted, read_only_uri
from sources.sqlite.database import SqliteDatabase
from sources.sqlite.tables import count_at_most


@pytest.fixture
def described(make_database):
    """described(*statements, query=...): what the table t, or the query, looks like."""

    def describe_it(*statements, query=None, parameters=()):
        database = make_database(*statements)
        if query is None:
            return SqliteDatabase(database).describe(
                TableSource("t", SqliteDatabase(database), "t")
            )
        return SqliteDatabase(database).describe(
            QuerySource("q", SqliteDatabase(database), query, parameters)
        )

    return describe_it


def affinities(description):
    return {column.name: storage_of(column).affinity for column in description.columns}


# https://sqlite.org/datatype3.html, 3.1 and 3.1.1
DECLARED = {
    "INT": "INTEGER", "BIGINT": "INTEGER", "unsigned big int": "INTEGER", "POINT": "INTEGER",
    "VARCHAR(255)": "TEXT", "CLOB": "TEXT", "TEXT": "TEXT", "nchar(5)": "TEXT",
    "BLOB": "BLOB", "": "BLOB",
    "REAL": "REAL", "DOUBLE PRECISION": "REAL", "FLOAT": "REAL",
    "NUMERIC": "NUMERIC", "DECIMAL(10,5)": "NUMERIC", "BOOLEAN": "NUMERIC", "DATE": "NUMERIC",
    "DATETIME": "NUMERIC", "STRING": "NUMERIC",
}  # fmt: skip


@pytest.mark.parametrize(("declared", "want"), DECLARED.items())
def test_the_affinity_of_a_declared_type(described, declared, want):
    assert affinities(described(f"create table t (x {declared})")) == {"x": want}


TABLES = {
    "STRICT": (
        ["create table t (i int, r real, s text, b blob, a any) strict"],
        {"i": "INTEGER", "r": "REAL", "s": "TEXT", "b": "BLOB", "a": "BLOB"},
    ),
    "WITHOUT ROWID": (
        ["create table t (k text primary key, v real) without rowid"],
        {"k": "TEXT", "v": "REAL"},
    ),
    "generated columns": (
        ["create table t (i integer, twice text as (i * 2) stored, thrice int as (i * 3))"],
        {"i": "INTEGER", "twice": "TEXT", "thrice": "INTEGER"},
    ),
    "a view of columns and expressions": (
        [
            "create table base (i integer, s text)",
            "create view t as select i, s, i + 1 as e, cast(s as real) as c from base",
        ],
        {"i": "INTEGER", "s": "TEXT", "e": "BLOB", "c": "REAL"},
    ),
    "odd names": (
        ['create table t ("a b" int, """x""" text, "select" real, "%s" int, "größe" int)'],
        {"a b": "INTEGER", '"x"': "TEXT", "select": "REAL", "%s": "INTEGER", "größe": "INTEGER"},
    ),
    "a virtual table": (["create virtual table t using fts5(words)"], {"words": "BLOB"}),
}


@pytest.mark.parametrize(("statements", "want"), TABLES.values(), ids=TABLES.keys())
def test_the_columns_of_a_table(described, statements, want):
    assert affinities(described(*statements)) == want


QUERIES = {
    "columns keep theirs": ("select s, i from t", {"s": "TEXT", "i": "INTEGER"}),
    "expressions have none": ("select i + 1 as e, 'x' as c from t", {"e": "BLOB", "c": "BLOB"}),
    "a cast has its own": ("select cast(i as text) as x from t", {"x": "TEXT"}),
    "with": ("with w as (select i from t) select * from w", {"i": "INTEGER"}),
    "values without names": ("select 1, 2", {"1": "BLOB", "2": "BLOB"}),
    "names that repeat": ("select a.i, b.i from t a, t b", {"i": "INTEGER", "i:1": "INTEGER"}),
    "a compound": ("select i from t union all select 1.5", {"i": "INTEGER"}),
    "ordered and limited": ("select i from t order by s limit 3", {"i": "INTEGER"}),
}


@pytest.mark.parametrize(("query", "want"), QUERIES.values(), ids=QUERIES.keys())
def test_the_columns_of_a_query(described, query, want):
    description = described("create table t (i integer, s text)", query=query)
    assert affinities(description) == want
    assert description.rows_estimate is None


def test_a_query_is_described_with_and_without_defaults(described):
    parameters = (Parameter("a", "int", 60), Parameter("b", "text", None))
    description = described("create table t (x)", query="select :a, :b", parameters=parameters)
    assert [storage_of(column).affinity for column in description.columns] == ["BLOB", "BLOB"]


def test_a_query_is_described_without_its_rows(described):
    endless = "with recursive n(i) as (select 1 union all select i + 1 from n) select i from n"
    assert affinities(described("create table t (x)", query=endless)) == {"i": "BLOB"}


STORED = {
    "what the affinity tells is not looked for": ("integer", "(1)", None),
    "texts": ("date", "('2013-01-01'), (null), ('2013-01-02')", "text"),
    "integers": ("boolean", "(0), (1)", "integer"),
    "blobs": ("", "(x'00')", "blob"),
    "of several classes": ("", "(1), ('x')", None),
    "nothing but NULL": ("", "(null)", None),
}


@pytest.mark.parametrize(("declared", "values", "want"), STORED.values(), ids=STORED.keys())
def test_the_class_of_the_first_rows(described, declared, values, want):
    found = described(f"create table t (x {declared})", f"insert into t values {values}")
    assert storage_of(found.columns[0]).stored == want


def test_only_the_first_rows_are_looked_at(described):
    count = tables.SAMPLE_ROWS
    found = described(
        "create table t (a, b)",
        "with recursive n(i) as (select 1 union all select i + 1 from n"
        f" limit {count + 1}) insert into t select 1, iif(i > {count}, 'late', 1) from n",
    )
    assert found.columns == (
        make_column("a", "BLOB", "integer", "BLOB"),
        make_column("b", "BLOB", "integer", "BLOB"),
    )


TEN = (
    "with recursive n(i) as (select 1 union all select i + 1 from n limit 10)"
    " insert into t (x) select i from n"
)
ESTIMATES = {
    "no rows": (["create table t (x)"], 0),
    "all rows are there": (["create table t (x)", TEN], 10),
    "the first and the last are gone": (
        ["create table t (x)", TEN, "delete from t where x in (1, 10)"], 8,
    ),
    "holes count as rows": (["create table t (x)", TEN, "delete from t where x = 5"], 10),
    "negative rowids": (
        ["create table t (x integer primary key)", TEN, "insert into t values (-9)"], 20,
    ),
    "WITHOUT ROWID": (["create table t (x integer primary key) without rowid", TEN], None),
    "a column that is called as the rowid": (
        ["create table t (x, _ROWID_ integer)", "insert into t values (1, 7), (2, 900)"], 2,
    ),
    "one with texts that are not UTF-8": (
        ["create table t (x, _rowid_, rowid)",
         "insert into t values (1, cast(x'ff' as text), cast(x'ff' as text))"], 1,
    ),
    "columns with all the names of the rowid": (
        ["create table t (oid text, _rowid_, rowid)", "insert into t values (1, 2, 3)"], None,
    ),
}  # fmt: skip


@pytest.mark.parametrize(("statements", "want"), ESTIMATES.values(), ids=ESTIMATES.keys())
def test_the_estimate_of_rows(described, statements, want):
    assert described(*statements).rows_estimate == want


def test_a_view_has_no_estimate(described):
    found = described(
        "create table base (x)",
        "insert into base values (1)",
        "create view t as select * from base",
    )
    assert found.rows_estimate is None


def counted(source, sql, parameters, *bounds):
    return count_at_most(source, source.database.query(sql, parameters, ()), *bounds)


@pytest.mark.parametrize(("most", "want"), [(0, 0), (1, 1), (9, 9), (10, 10), (11, 10)])
def test_counting_stops(make_database, most, want):
    source = TableSource("t", SqliteDatabase(make_database("create table t (x)", TEN)), "t")
    assert counted(source, "select x from t", {}, most) == want


def test_counting_reads_no_more_than_it_must(make_database):
    endless = "with recursive n(i) as (select :_0 union all select i + 1 from n) select i from n"
    source = QuerySource("q", SqliteDatabase(make_database("create table t (x)")), endless, ())
    assert counted(source, endless, {"_0": 1}, 1000) == 1000


# What takes longer than it is looked for

ENDLESS = "with recursive n(i) as (select 1 union all select i + 1 from n) select i from n"


SHORT_S = 0.01


def test_what_takes_long_to_count_is_not_counted(make_database):
    source = TableSource("t", SqliteDatabase(make_database("create table t (x)", TEN)), "t")
    assert counted(source, f"{ENDLESS} where i < 0", {}, 5, SHORT_S) is None
    assert counted(source, "select x from t", {}, 5, SHORT_S) == 5


def test_a_view_that_takes_long_to_its_first_row_is_described_without_it(described):
    slow = described("create table base (x)", f"create view t as {ENDLESS} where i < 0")
    assert slow == ((make_column("i", "BLOB", None),), None)


def test_a_failure_while_it_is_looked_is_none_of_time(make_database):
    source = TableSource("s", SqliteDatabase(make_database("create table t (x)", TEN)), "t")
    with pytest.raises(SourceUnavailable, match="malformed JSON"):
        counted(source, "select json('no') from t where json('no')", {}, 1, SHORT_S)


# A database that cannot be asked


def deny(source):
    with pytest.raises(SourceUnavailable, match="the database of s answers: ") as caught:
        source.database.describe(source)
    assert str(source.database) not in str(caught.value), "where files are is our own affair"
    with pytest.raises(SourceUnavailable):
        counted(source, f"select * from {quoted(source.table)}", {}, 1)


def test_a_database_that_is_not_there_is_not_made(tmp_path):
    deny(TableSource("s", SqliteDatabase(tmp_path / "missing.db"), "t"))
    assert list(tmp_path.iterdir()) == []


def test_a_folder_is_no_database(tmp_path):
    deny(TableSource("s", SqliteDatabase(tmp_path), "t"))


def test_a_pipe_is_no_database(tmp_path):
    os.mkfifo(tmp_path / "pipe.db")
    deny(TableSource("s", SqliteDatabase(tmp_path / "pipe.db"), "t"))


def test_a_file_that_is_no_database(tmp_path):
    (tmp_path / "text.db").write_text("this is a text, and long enough to have a header" * 9)
    deny(TableSource("s", SqliteDatabase(tmp_path / "text.db"), "t"))


def test_a_table_that_is_not_there(make_database):
    deny(TableSource("s", SqliteDatabase(make_database("create table t (x)")), "unheard"))


def test_a_locked_database(make_database, monkeypatch):
    monkeypatch.setattr(connections, "BUSY_TIMEOUT_S", 0.05)
    source = TableSource("s", SqliteDatabase(make_database("create table t (x)")), "t")
    with closing(apsw.Connection(str(source.database))) as writer:
        writer.execute("begin exclusive")
        deny(source)
        writer.execute("rollback")
    assert affinities(source.database.describe(source)) == {"x": "BLOB"}


@pytest.mark.parametrize("table", ['a"b', '"', "a b", "select", "a'b", "größe"])
def test_any_table_can_be_described(make_database, table):
    source = TableSource(
        "s", SqliteDatabase(make_database(f"create table {quoted(table)} (x date)")), table
    )
    assert quoted('a"b') == '"a""b"'
    assert source.database.describe(source) == ((make_column("x", "NUMERIC", None, "date"),), 0)


def test_nothing_is_written(make_database):
    database = make_database("create table t (x)")
    before = database.stat().st_mtime_ns, database.read_bytes()
    SqliteDatabase(database).describe(TableSource("t", SqliteDatabase(database), "t"))
    counted(TableSource("t", SqliteDatabase(database), "t"), "select * from t", {}, 1)
    assert (database.stat().st_mtime_ns, database.read_bytes()) == before


ODD_PATHS = ["a b.db", "a?b.db", "a#b.db", "a%20b.db", "größe.db", "a'b.db", 'a"b.db', "file:x.db"]


@pytest.mark.parametrize("name", ODD_PATHS)
def test_any_path_can_be_opened(make_database, name):
    database = make_database("create table t (only_here)", name=name)
    assert affinities(
        SqliteDatabase(database).describe(TableSource("t", SqliteDatabase(database), "t"))
    ) == {"only_here": "BLOB"}
    with (
        closing(sqlite3.connect(read_only_uri(database), uri=True)) as connection,
        pytest.raises(sqlite3.OperationalError, match="readonly"),
    ):
        connection.execute("insert into t values (1)")


@pytest.mark.parametrize("encoding", ["UTF-8", "UTF-16le", "UTF-16be"])
def test_sqlites_own_collations_are_its_own(described, encoding):
    # In UTF-16 it asks for them before it takes its own.
    found = described(
        f"pragma encoding = '{encoding}'",
        "create table t (a text collate nocase primary key, b text collate rtrim)",
        "insert into t values ('a', 'b')",
    )
    assert found.rows_estimate == 1
