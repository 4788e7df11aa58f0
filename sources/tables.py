"""What a source looks like: its columns and about how many rows it has.

Asks the database with Python's own sqlite3, read-only, for moments; it never reads the rows
(that is `sources.rows`, in a process of its own). Knows no HTTP. Way in: describe.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from sources.catalogue import GeneratedSource, QuerySource, Source, TableSource
from sources.errors import SourceUnavailable

# How long a writer may hold the database's lock before we give up waiting for it.
BUSY_TIMEOUT_S = 5.0


class ColumnInfo(NamedTuple):
    """A column. affinity: SQLite's, `INTEGER REAL TEXT NUMERIC BLOB` (BLOB: none)."""

    name: str
    affinity: str


class Description(NamedTuple):
    """What a source looks like now. rows_estimate: None where only counting would tell."""

    columns: tuple[ColumnInfo, ...]
    rows_estimate: int | None


# What `create table as` calls the affinities (SQLite's createTableStmt).
_AFFINITIES = {"INT": "INTEGER", "REAL": "REAL", "TEXT": "TEXT", "NUM": "NUMERIC", "": "BLOB"}


def read_only_uri(database: Path) -> str:
    """Return the URI that opens this file for reading only and never creates it."""
    return f"file:{quote(str(database))}?mode=ro"


def quoted(name: str) -> str:
    """Return an SQL identifier for any name."""
    return '"' + name.replace('"', '""') + '"'


def describe(source: Source) -> Description:
    """Return the columns of a source and an estimate of its rows.

    Raises SourceUnavailable when the database cannot be asked. May wait for a lock or a disk.
    """
    if isinstance(source, GeneratedSource):
        columns = (ColumnInfo("id", "INTEGER"), ColumnInfo("name", "TEXT"))
        return Description(columns, source.rows)
    with _connect(source) as connection:
        if isinstance(source, TableSource):
            body, parameters = f"select * from {quoted(source.table)}", {}
            estimate = _estimate_rows(connection, source.table)
        else:
            body, estimate = source.query, None
            parameters = {parameter.name: parameter.default for parameter in source.parameters}
        return Description(_columns_of(connection, body, parameters), estimate)


def count_at_most(source: Source, sql: str, parameters: Mapping[str, object], most: int) -> int:
    """Return how many rows the selection sql has, at most `most`: that many are read, no more."""
    with _connect(source) as connection:
        statement = f"select count(*) from (select 1 from ({sql}) limit {most:d})"
        (count,) = connection.execute(statement, dict(parameters)).fetchone()
        return int(count)


@contextmanager
def _connect(source: TableSource | QuerySource | GeneratedSource) -> Iterator[sqlite3.Connection]:
    assert not isinstance(source, GeneratedSource), "generated rows have no database"
    try:
        uri = read_only_uri(source.database)
        connection = sqlite3.connect(uri, uri=True, timeout=BUSY_TIMEOUT_S)
        with closing(connection):
            yield connection
    except sqlite3.Error as error:
        raise SourceUnavailable(f"the database of {source.name} answers: {error}") from error


def _columns_of(
    connection: sqlite3.Connection, body: str, parameters: Mapping[str, object]
) -> tuple[ColumnInfo, ...]:
    # A temporary table made of no rows has the names and affinities of any SELECT, parameters
    # and views included; only the temporary schema is written.
    connection.execute(f"create temp table shape as select * from ({body}) limit 0", parameters)
    rows = connection.execute("pragma temp.table_info(shape)").fetchall()
    return tuple(ColumnInfo(name, _AFFINITIES[declared]) for _, name, declared, *_ in rows)


def _estimate_rows(connection: sqlite3.Connection, table: str) -> int | None:
    # The span of rowids costs two seeks at any size and is exact where nothing was deleted.
    try:
        low, high = connection.execute(
            f"select (select min(_rowid_) from {quoted(table)}),"
            f" (select max(_rowid_) from {quoted(table)})"
        ).fetchone()
    except sqlite3.OperationalError:  # a view or a table WITHOUT ROWID
        return None
    if high is None:
        return 0
    return high - low + 1 if isinstance(high, int) and isinstance(low, int) else None
