"""The rows of a selection: every value, whatever its storage class, from one snapshot."""

import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sources import rows
from sources.catalogue import QuerySource
from sources.errors import SourceFailed
from sources.query import Query
from sources.rows import open_rows
from sources.tables import describe, read_only_uri

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
    columns = describe(QuerySource("t", path, sql, ())).columns
    return Query(read_only_uri(path), sql, parameters, columns)


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


def read_all(asked, typed):
    with closing(open_rows(asked, typed=typed)) as opened:
        return [
            tuple(value_of(cell) for cell in row.values())
            for batch in opened
            for row in batch.to_pylist()
        ]


def same(got, want):
    """Are these the same values of the same types? (To Python, 1 == 1.0.)"""
    return [[(type(v), v) for v in row] for row in got] == [
        [(type(v), v) for v in row] for row in want
    ]


@pytest.mark.parametrize("typed", [False, True], ids=["text", "typed"])
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(values=st.lists(st.tuples(*[ANY] * 6), max_size=12))
def test_every_value_of_every_storage_class(tmp_path_factory, typed, values):
    path = tmp_path_factory.mktemp("rows") / "t.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("pragma synchronous = off")
        connection.execute(TABLE)
        insert(connection, "insert into t values (?, ?, ?, ?, ?, ?)", values)
        want = connection.execute("select * from t").fetchall()
    got = read_all(query(path), typed)
    assert got == want if typed else same(got, want)


@pytest.mark.parametrize("typed", [False, True], ids=["text", "typed"])
@pytest.mark.parametrize("odd", ["text", b"blob", 1.5], ids=["text", "blob", "real"])
@pytest.mark.parametrize("where", [0, 300, 511, 512, 513, 5000, 9999])
def test_one_odd_value_anywhere_in_a_column_of_integers(database, typed, odd, where):
    connection, path = database
    connection.execute("create table t (i integer, t text)")
    values = [(odd if row == where else row, f"row {row}") for row in range(10_000)]
    insert(connection, "insert into t values (?, ?)", values)
    got = read_all(query(path), typed)
    assert got == values


def test_a_blob_in_a_column_of_texts_is_not_taken_for_text(database):
    connection, path = database
    connection.execute("create table t (t text)")
    insert(connection, "insert into t values (?)", [("a",), (b"b",), ("c",)])
    assert read_all(query(path), typed=False) == [("a",), (b"b",), ("c",)]


def test_the_first_batch_comes_alone(database):
    connection, path = database
    connection.execute("create table t (i integer)")
    insert(connection, "insert into t values (?)", [(i,) for i in range(20_000)])
    with closing(open_rows(query(path), typed=False)) as opened:
        counts = [batch.num_rows for batch in opened]
    assert counts[0] <= rows.DRIVER_ROWS
    assert max(counts) >= rows.BATCH_ROWS
    assert sum(counts) == 20_000


def test_wide_rows_come_in_small_batches(database):
    connection, path = database
    connection.execute("create table t (b text)")
    insert(connection, "insert into t values (?)", [("x" * (1 << 20),)] * 200)
    with closing(open_rows(query(path), typed=False)) as opened:
        sizes = [batch.nbytes for batch in opened]
    # The driver's first 200 rows had to be read before their width was known.
    assert max(sizes[1:], default=0) <= rows.WIDE_BATCH_BYTES + (1 << 20)


def test_all_rows_are_of_one_snapshot(database):
    connection, path = database
    connection.execute("pragma journal_mode = wal")
    connection.execute("create table t (i integer, t text)")
    insert(connection, "insert into t values (?, 'before')", [(i,) for i in range(30_000)])
    with closing(open_rows(query(path), typed=False)) as opened:
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
    opened = open_rows(asked, typed=False)
    next(iter(opened))
    assert elsewhere(path, "delete from t") == "database is locked"
    opened.close()
    assert elsewhere(path, "delete from t") == "done"


def test_parameters_are_bound(database):
    connection, path = database
    connection.execute("create table t (i integer)")
    insert(connection, "insert into t values (?)", [(i,) for i in range(10)])
    asked = Query(
        read_only_uri(path), "select i from t where i >= :low", {"low": 7}, query(path).columns
    )
    assert read_all(asked, typed=False) == [(7,), (8,), (9,)]


@pytest.mark.parametrize(
    "sql",
    ["select nothing as i", "select sum(9223372036854775807) over () as i from t", "sel"],
    ids=["no column", "an overflow of its own", "no SQL"],
)
def test_what_the_database_says_is_told(database, sql):
    connection, path = database
    connection.execute("create table t (i integer)")
    insert(connection, "insert into t values (?)", [(1,), (2,)])
    asked = Query(read_only_uri(path), sql, {}, query(path).columns)
    with pytest.raises(SourceFailed, match=r"the database stopped: \w"):
        read_all(asked, typed=False)


def test_a_database_that_is_not_there_is_not_made(tmp_path):
    asked = Query(read_only_uri(tmp_path / "none.db"), "select 1 as i", {}, ())
    with pytest.raises(SourceFailed):
        open_rows(asked, typed=False)
    assert not list(tmp_path.iterdir())
