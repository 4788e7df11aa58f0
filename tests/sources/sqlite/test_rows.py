"""The rows of a selection: every value, whatever its storage class, from one snapshot."""

import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from encoders import NotUtf8
from sources.database import QuerySource, TableSource
from sources.errors import SourceFailed
from sources.selection import parse_selection
from sources.sqlite import rows
from sources.sqlite.database import SqliteDatabase
from sources.sqlite.rows import open_rows
from sources.sqlite.sql import selection_sql

CLASSES = {
    "integer": st.integers(-(2**63), 2**63 - 1),
    "real": st.floats(allow_nan=False),
    "text": st.text(st.characters(exclude_categories=["Cs"])),
    "blob": st.binary(max_size=20),
}
ANY = st.one_of(st.none(), *CLASSES.values())
TABLE = "create table t (i integer, r real, t text, d decimal, n, b blob)"


@pytest.fixture
def database(tmp_path):
    """A database file to be filled."""
    with closing(sqlite3.connect(tmp_path / "t.db", isolation_level=None)) as connection:
        connection.execute("pragma synchronous = off")
        yield connection, tmp_path / "t.db"


def query(path, sql="select * from t", **parameters):
    columns = SqliteDatabase(path).describe(QuerySource("t", SqliteDatabase(path), sql, ())).columns
    return SqliteDatabase(path).query(sql, parameters, columns)


def insert(connection, sql, values):
    connection.execute("begin")
    connection.executemany(sql, values)
    connection.execute("commit")


def elsewhere(path, sql):
    """Run sql in another process, as locks are between processes; return what it says."""
    program = (
        "import sqlite3, sys; c = sqlite3.connect(sys.argv[1], timeout=0, isolation_level=None)\n"
        "try: c.execute(sys.argv[2]); print('done')\n"
        "except sqlite3.Error as error: print(error)"
    )
    command = [sys.executable, "-c", program, str(path), sql]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def value_of(cell):
    """The value of a cell, of a struct with a child per storage class too."""
    if isinstance(cell, dict):
        return next((each for each in cell.values() if each is not None), None)
    return cell


def values_in(batches):
    """The rows as tuples."""
    return [
        tuple(value_of(cell) for cell in row.values())
        for batch in batches
        for row in batch.to_pylist()
    ]


def read_all(asked):
    with closing(open_rows(asked)) as opened:
        return values_in(opened)


def same(got, want):
    """Are these the same values of the same types? (To Python, 1 == 1.0.)"""
    return [[(type(v), v) for v in row] for row in got] == [
        [(type(v), v) for v in row] for row in want
    ]


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(values=st.lists(st.tuples(*[ANY] * 6), max_size=12))
def test_every_value_of_every_storage_class(tmp_path_factory, values):
    path = tmp_path_factory.mktemp("rows") / "t.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("pragma synchronous = off")
        connection.execute(TABLE)
        insert(connection, "insert into t values (?, ?, ?, ?, ?, ?)", values)
        want = connection.execute("select * from t").fetchall()
    assert same(read_all(query(path)), want)


@pytest.mark.parametrize("odd", ["text", b"blob", 1.5], ids=["text", "blob", "real"])
@pytest.mark.parametrize("where", [0, 300, 511, 512, 513, 5000, 9999])
def test_one_odd_value_anywhere_in_a_column_of_integers(database, odd, where):
    connection, path = database
    connection.execute("create table t (i integer, t text)")
    values = [(odd if row == where else row, f"row {row}") for row in range(10_000)]
    insert(connection, "insert into t values (?, ?)", values)
    assert same(read_all(query(path)), values)


def test_a_blob_in_a_column_of_texts_is_not_taken_for_text(database):
    connection, path = database
    connection.execute("create table t (t text)")
    insert(connection, "insert into t values (?)", [("a",), (b"b",), ("c",)])
    assert read_all(query(path)) == [("a",), (b"b",), ("c",)]


def test_the_first_row_comes_alone(database):
    connection, path = database
    connection.execute("create table t (i integer)")
    insert(connection, "insert into t values (?)", [(i,) for i in range(50_000)])
    with closing(open_rows(query(path))) as opened:
        counts = [batch.num_rows for batch in opened]
    assert counts[0] == 1
    assert max(counts) == rows.BATCH_ROWS
    assert sum(counts) == 50_000


LONG = {
    "from the first row on": ["zeroblob(2000000)"] * 40,
    "after many that are short": ["1"] * 30_000 + ["zeroblob(2000000)"] * 40,
    "some among short ones": ["1", "1", "zeroblob(6000000)", "1"] * 20,
    "texts": ["1"] * 5000 + ["printf('%.*c', 3000000, 'x')"] * 20,
}


@pytest.mark.parametrize("cells", LONG.values(), ids=LONG.keys())
def test_batches_are_bounded_in_bytes(database, cells):
    connection, path = database
    connection.execute("create table t (x, y)")
    connection.execute("begin")
    for cell in cells:
        connection.execute(f"insert into t values (7, {cell})")
    connection.execute("commit")
    with closing(open_rows(query(path))) as opened:
        batches = [(batch.num_rows, batch.nbytes) for batch in opened]
    assert sum(count for count, _ in batches) == len(cells)
    assert max(size for _, size in batches) < rows.BATCH_BYTES + 6_100_000


def test_a_table_of_as_many_columns_as_there_can_be(database):
    connection, path = database
    connection.execute(f"create table t ({', '.join(f'c{i}' for i in range(2000))})")
    values = [("x",) + (i,) * 1998 + (None,) for i in range(40)]
    insert(connection, f"insert into t values ({', '.join('?' * 2000)})", values)
    assert same(read_all(query(path)), values)


ONCE = {
    "random()": "select random() as x from t",
    "an order by chance": "select i as x from t order by random()",
    "a class by chance": "select case when random() > 0 then 1 else 'a' end as x from t",
    "a filter by chance": "select i as x from t where random() % 2",
}


@pytest.mark.parametrize("sql", ONCE.values(), ids=ONCE.keys())
def test_a_statement_is_run_once(database, sql):
    connection, path = database
    connection.execute("create table t (i integer)")
    insert(connection, "insert into t values (?)", [(i,) for i in range(20_000)])
    connection.execute("update t set i = 'odd' where i = 15000")
    found = read_all(query(path, sql))
    assert len(found) == 20_000 or "where" in sql
    assert len(set(found)) == len(found) or "case" in sql


def test_other_columns_than_were_asked_for_are_refused(database):
    connection, path = database
    connection.execute("create table t (a, b)")
    insert(connection, "insert into t values (?, ?)", [(1, 2)])
    asked = query(path)
    for change in ("rename column a to c", "drop column b", "add column d"):
        connection.execute(f"alter table t {change}")
        with pytest.raises(SourceFailed, match="columns have changed"):
            read_all(asked)


def test_names_that_repeat_are_told_apart(database):
    connection, path = database
    connection.execute('create table t (a, "a:1")')
    insert(connection, "insert into t values (?, ?)", [(1, 2)])
    source = QuerySource("t", SqliteDatabase(path), "select *, a, a, a, A, a, a from t", ())
    columns = source.database.describe(source).columns
    names = ["a", "a:1", "a:2", "a:3", "a:4", "a:5", "a:6", "a:7"]
    assert [column.name for column in columns] == names
    selection = parse_selection([("columns", "a:7,a:5,a:1"), ("a:6", "1")], columns)
    sql, bound = selection_sql(source, selection, columns)
    asked = SqliteDatabase(path).query(sql, bound, [columns[7], columns[5], columns[1]])
    assert read_all(asked) == [(1, 1, 2)]


def test_a_query_of_which_nothing_is_selected_is_run_as_it_is(database):
    connection, path = database
    connection.execute("create table t (i integer, r real)")
    insert(connection, "insert into t values (?, 0.5)", [(2**53 + 1,)])
    source = QuerySource(
        "t", SqliteDatabase(path), "select r as x from t union all select i from t", ()
    )
    columns = source.database.describe(source).columns
    # Beneath another SELECT, SQLite makes reals of the integers.
    sql, bound = selection_sql(source, parse_selection([], columns), columns)
    assert same(read_all(SqliteDatabase(path).query(sql, bound, columns)), [(0.5,), (2**53 + 1,)])


def test_a_text_that_is_no_utf8_is_told_with_its_place(database):
    connection, path = database
    connection.execute("create table t (i integer, t text)")
    insert(connection, "insert into t values (?, 'x')", [(i,) for i in range(10_000)])
    connection.execute("update t set t = cast(x'ff41' as text) where i = 7000")
    with pytest.raises(NotUtf8, match=r"column 't', row 7001: .*CAST\(\"t\" AS BLOB\)"):
        read_all(query(path))


def test_a_column_with_a_collation_that_is_unknown_here(database):
    connection, path = database
    connection.create_collation("LOCALIZED", lambda a, b: (a > b) - (a < b))
    connection.execute("create table t (t text collate LOCALIZED)")
    insert(connection, "insert into t values (?)", [("a",), ("b",)])
    assert read_all(query(path)) == [("a",), ("b",)]
    with pytest.raises(SourceFailed, match="only the application has the collation LOCALIZED"):
        read_all(query(path, "select t from t where t > 'a'"))
    assert read_all(query(path, "select t from t where t collate binary > 'a'")) == [("b",)]


@pytest.mark.parametrize("collation", ["nocase", "rtrim", "binary"])
def test_the_collations_of_sqlite_are_its_own_where_texts_are_utf16(tmp_path, collation):
    path = tmp_path / "utf16.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("pragma encoding = 'UTF-16le'")
        connection.execute(f"create table t (t text collate {collation})")
        connection.executemany("insert into t values (?)", [("a",), ("A",), ("a ",)])
        want = connection.execute("select t from t where t = 'a'").fetchall()
    assert (
        SqliteDatabase(path).describe(TableSource("t", SqliteDatabase(path), "t")).rows_estimate
        == 3
    )
    assert read_all(query(path, "select t from t where t = 'a'")) == want


def test_all_rows_are_of_one_snapshot(database):
    connection, path = database
    connection.execute("pragma journal_mode = wal")
    connection.execute("create table t (i integer, t text)")
    insert(connection, "insert into t values (?, 'before')", [(i,) for i in range(30_000)])
    with closing(open_rows(query(path))) as opened:
        batches = iter(opened)
        first = next(batches)
        assert elsewhere(path, "update t set t = 'after'") == "done"
        assert elsewhere(path, "insert into t values (1, 'after')") == "done"
        texts = [first, *batches]
    assert sum(batch.num_rows for batch in texts) == 30_000
    assert {cell for batch in texts for cell in batch.column("t").to_pylist()} == {"before"}


def test_the_transaction_ends_with_close(database):
    connection, path = database
    connection.execute("create table t (i integer)")
    insert(connection, "insert into t values (?)", [(i,) for i in range(5_000)])
    asked = query(path)
    opened = open_rows(asked)
    next(iter(opened))
    assert elsewhere(path, "delete from t") == "database is locked"
    opened.close()
    assert elsewhere(path, "delete from t") == "done"


def test_parameters_are_bound(database):
    connection, path = database
    connection.execute("create table t (i integer)")
    insert(connection, "insert into t values (?)", [(i,) for i in range(10)])
    asked = SqliteDatabase(path).query(
        "select i from t where i >= :low", {"low": 7}, query(path).columns
    )
    assert read_all(asked) == [(7,), (8,), (9,)]


@pytest.mark.parametrize(
    "sql",
    ["select nothing as i", "select sum(9223372036854775807) over () as i from t", "sel"],
    ids=["no column", "an overflow of its own", "no SQL"],
)
def test_what_the_database_says_is_told(database, sql):
    connection, path = database
    connection.execute("create table t (i integer)")
    insert(connection, "insert into t values (?)", [(1,), (2,)])
    asked = SqliteDatabase(path).query(sql, {}, query(path).columns)
    with pytest.raises(SourceFailed, match=r"the database stopped: \w"):
        read_all(asked)


def test_a_database_that_is_not_there_is_not_made(tmp_path):
    asked = SqliteDatabase(tmp_path / "none.db").query("select 1 as i", {}, ())
    with pytest.raises(SourceFailed):
        open_rows(asked)
    assert not list(tmp_path.iterdir())


def test_cells_just_below_the_long_ones_are_bounded_in_bytes(database):
    connection, path = database
    connection.execute("create table t (x)")
    cell = "x" * 15_900
    insert(connection, "insert into t values (?)", [("x",)] * 9_000 + [(cell,)] * 2_000)
    with closing(open_rows(query(path))) as opened:
        sizes = [(batch.num_rows, batch.nbytes) for batch in opened]
    assert sum(count for count, _ in sizes) == 11_000
    assert max(size for _, size in sizes) < 4 * rows.BATCH_BYTES
