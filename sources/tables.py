"""What a source looks like: its columns and about how many rows it has.

Asks the database with Python's own sqlite3, read-only, for moments; it never reads the rows
(that is `sources.rows`, in a process of its own). Knows no HTTP. Way in: describe.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from sources.catalogue import QuerySource, TableSource
from sources.errors import SourceUnavailable

# How long a writer may hold the database's lock before we give up waiting for it.
BUSY_TIMEOUT_S = 5.0


# The sources that are in a database; generated rows become a query first (sources.generated).
Stored = TableSource | QuerySource


class ColumnInfo(NamedTuple):
    """A column of a source.

    affinity: SQLite's, `INTEGER REAL TEXT NUMERIC BLOB` (BLOB: none). stored: the storage class
    of its first rows where they have just one and the affinity does not tell, else None.
    """

    name: str
    affinity: str
    stored: str | None = None


class Description(NamedTuple):
    """What a source looks like now. rows_estimate: None where only counting would tell."""

    columns: tuple[ColumnInfo, ...]
    rows_estimate: int | None


# How many rows are looked at for `ColumnInfo.stored`; it is a guess that saves time (1,000,000 rows
# with one DATE column: 0.6 s, without the guess 0.9 s), no promise.
SAMPLE_ROWS = 100

# What can be answered without a look at all rows is looked for no longer than this; a view may
# sort or group all there is before its first row.
LOOK_S = 2.0
# SQLite's steps between two looks at the clock: about 0.5 ms.
STEPS_PER_LOOK = 50_000

# What `create table as` calls the affinities (SQLite's createTableStmt).
_AFFINITIES = {"INT": "INTEGER", "REAL": "REAL", "TEXT": "TEXT", "NUM": "NUMERIC", "": "BLOB"}


def read_only_uri(database: Path) -> str:
    """Return the URI that opens this file for reading only and never creates it."""
    return f"file:{quote(str(database))}?mode=ro"


def quoted(name: str) -> str:
    """Return an SQL identifier for any name."""
    return '"' + name.replace('"', '""') + '"'


def describe(source: Stored) -> Description:
    """Return the columns of a source and an estimate of its rows.

    Raises SourceUnavailable when the database cannot be asked. May wait for a lock or a disk.
    """
    with _connect(source) as connection:
        if isinstance(source, QuerySource):
            defaults = {parameter.name: parameter.default for parameter in source.parameters}
            return Description(columns_of(connection, source.query, defaults), None)
        columns = columns_of(connection, f"select * from {quoted(source.table)}", {})
        sampled = _with_stored(connection, source.table, columns)
        # How many there are is not told to who may not see them all.
        estimate = None if source.where else _estimate_rows(connection, source.table)
        return Description(sampled, estimate)


def count_at_most(
    source: Stored, sql: str, parameters: Mapping[str, object], most: int
) -> int | None:
    """Return how many rows the selection sql has, at most `most`: that many are read, no more.

    None when it takes longer than LOOK_S to tell.
    """
    with _connect(source) as connection:
        statement = f"select count(*) from (select 1 from ({sql}) limit {most:d})"
        with in_time(connection):
            (count,) = connection.execute(statement, dict(parameters)).fetchone()
            return int(count)
        return None


@contextmanager
def _connect(source: Stored) -> Iterator[sqlite3.Connection]:
    try:
        uri = read_only_uri(source.database)
        connection = sqlite3.connect(uri, uri=True, timeout=BUSY_TIMEOUT_S)
        with closing(connection):
            yield connection
    except sqlite3.Error as error:
        raise SourceUnavailable(f"the database of {source.name} answers: {error}") from error


@contextmanager
def in_time(connection: sqlite3.Connection) -> Iterator[None]:
    """Break off what is run in here after LOOK_S; then go on behind it."""
    ends_s = time.monotonic() + LOOK_S
    connection.set_progress_handler(lambda: time.monotonic() > ends_s, STEPS_PER_LOOK)
    try:
        yield
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_INTERRUPT:
            raise
    finally:
        connection.set_progress_handler(None, 0)


def columns_of(
    connection: sqlite3.Connection, body: str, parameters: Mapping[str, object]
) -> tuple[ColumnInfo, ...]:
    """Return the columns of a SELECT. Raises sqlite3.Error."""
    # A temporary table made of no rows has the names and affinities of any SELECT, parameters
    # and views included; only the temporary schema is written.
    connection.execute(f"create temp table shape as select * from ({body}) limit 0", parameters)
    rows = connection.execute("pragma temp.table_info(shape)").fetchall()
    connection.execute("drop table temp.shape")
    return tuple(ColumnInfo(name, _AFFINITIES[declared]) for _, name, declared, *_ in rows)


def _with_stored(
    connection: sqlite3.Connection, table: str, columns: tuple[ColumnInfo, ...]
) -> tuple[ColumnInfo, ...]:
    unclear = [column for column in columns if column.affinity in ("NUMERIC", "BLOB")]
    if not unclear:
        return columns
    classes = ", ".join(f"typeof({quoted(column.name)})" for column in unclear)
    sql = f"select {classes} from {quoted(table)} limit {SAMPLE_ROWS}"
    rows: list[tuple[str, ...]] = []
    with in_time(connection):
        rows = connection.execute(sql).fetchall()
    seen = [set(each) - {"null"} for each in zip(*rows, strict=True)]
    stored = {c.name: min(each) for c, each in zip(unclear, seen, strict=False) if len(each) == 1}
    return tuple(column._replace(stored=stored.get(column.name)) for column in columns)


def _estimate_rows(connection: sqlite3.Connection, table: str) -> int | None:
    if connection.execute(
        "select type from sqlite_schema where name = ? collate nocase", [table]
    ).fetchone() != ("table",):
        return None
    # The span of rowids costs two seeks at any size and is exact where nothing was deleted.
    try:
        low, high = connection.execute(
            f"select (select min(_rowid_) from {quoted(table)}),"
            f" (select max(_rowid_) from {quoted(table)})"
        ).fetchone()
    except sqlite3.OperationalError:  # a table WITHOUT ROWID
        return None
    if high is None:
        return 0
    # A column of the table's own may be called _rowid_, and hold anything.
    return high - low + 1 if isinstance(high, int) and isinstance(low, int) else None
