"""Descriptions of sources: their columns, and an estimate of their rows.

It reads a few rows for a moment; `sources.sqlite.rows` reads all, in a process of its own. Knows no
HTTP. Way in: describe.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress

import apsw

from sources.columns import ColumnInfo
from sources.database import LOOK_S, Description, QuerySource, Stored, TableSource
from sources.errors import SourceUnavailable
from sources.query import Query
from sources.sqlite.column_types import affinity_of, make_column, storage_of
from sources.sqlite.connections import (
    bound,
    columns_of,
    connect,
    in_time,
    quoted,
)
from sources.sqlite.statement import without_parameters

# The rows that are read for `Storage.stored`, which is a guess.
SAMPLE_ROWS = 100
# The limit of reading them: a list of sources waits for it.
SAMPLE_S = 0.1

# https://sqlite.org/lang_createtable.html#rowid
_ROWIDS = ("_rowid_", "rowid", "oid")


def describe(source: Stored, uri: str) -> Description:
    """Return the columns of a source and an estimate of its rows. uri: of its database.

    Raises SourceUnavailable when the database cannot be read. May wait for a lock or a disk.
    """
    with _connect(source, uri) as connection:
        body = text_of(source, None)
        columns = described_columns(connection, body)
        defaults = {parameter.name: parameter.default for parameter in source.parameters}
        # With a filter, types must not reveal rows that some clients may not see.
        if None not in defaults.values() and source.where is None:
            columns = _with_stored(connection, body, defaults, columns)
        # Nor must the number of rows.
        if isinstance(source, QuerySource) or source.where:
            return Description(columns, None)
        return Description(columns, _estimate_rows(connection, source.table, columns))


def count_at_most(source: Stored, query: Query, most: int, limit_s: float = LOOK_S) -> int | None:
    """Return the number of rows of the query, at most `most`: no more are read.

    None when it takes longer than limit_s, or needs values beyond REQUEST_LIMITS.
    """
    with _connect(source, query.database) as connection:
        statement = f"select count(*) from (select 1 from ({query.sql}) limit {most:d})"
        too_much = (apsw.InterruptError, apsw.TooBigError)
        with suppress(*too_much), in_time(connection, limit_s):
            return int(connection.execute(statement, dict(query.parameters)).get)
        return None


@contextmanager
def _connect(source: Stored, uri: str) -> Iterator[apsw.Connection]:
    try:
        with connect(uri) as connection:
            bound(connection)
            yield connection
    except (apsw.Error, SourceUnavailable) as error:
        raise SourceUnavailable(f"the database of {source.name} answers: {error}") from error


def described_columns(connection: apsw.Connection, body: str) -> tuple[ColumnInfo, ...]:
    """Return the columns of a SELECT, without reading rows. Raises apsw.Error."""
    found = columns_of(connection, without_parameters(body))
    return tuple(
        make_column(name, affinity_of(declared), None, declared) for name, declared in found
    )


def text_of(source: Stored, allowed: str | None) -> str:
    """Return the source as a SELECT. allowed: a condition on its rows, None for none."""
    if isinstance(source, TableSource):
        rows = quoted(source.table)
    elif allowed is None:
        return source.query
    else:
        rows = f"({source.query})"
    return f"select * from {rows}" + (f" where ({allowed})" if allowed is not None else "")


def _with_stored(
    connection: apsw.Connection,
    body: str,
    parameters: Mapping[str, object],
    columns: tuple[ColumnInfo, ...],
) -> tuple[ColumnInfo, ...]:
    unclear = [column for column in columns if storage_of(column).affinity in ("NUMERIC", "BLOB")]
    if not unclear:
        return columns
    classes = ", ".join(f"typeof({quoted(column.name)})" for column in unclear)
    sql = f"select {classes} from ({body}) limit {SAMPLE_ROWS}"
    seen: list[set[str]] = [set() for _ in unclear]
    # An error in these rows is one of the export, too, which reports it.
    with suppress(apsw.Error), in_time(connection, SAMPLE_S):
        for row in connection.execute(sql, dict(parameters)):
            for classes_seen, each in zip(seen, row, strict=True):
                classes_seen.add(each)
    looked_at = {
        column.name: make_column(
            column.name,
            **storage_of(column)._replace(stored=_only_class(each - {"null"}))._asdict(),
        )
        for column, each in zip(unclear, seen, strict=True)
    }
    return tuple(looked_at.get(column.name, column) for column in columns)


def _only_class(classes: set[str]) -> str | None:
    return (
        "real" if classes == {"integer", "real"} else classes.pop() if len(classes) == 1 else None
    )


def _estimate_rows(
    connection: apsw.Connection, table: str, columns: Sequence[ColumnInfo]
) -> int | None:
    kinds = connection.execute(
        "select type from sqlite_schema where name = ? collate nocase", [table]
    )
    # A column of the table may have one of the names of the rowid, and hold anything.
    taken = {column.name.lower() for column in columns}
    rowid = next((name for name in _ROWIDS if name not in taken), None)
    if kinds.get != "table" or rowid is None:
        return None
    # The span of rowids needs two seeks at any size and is exact if nothing was deleted; on a
    # virtual table it may read all rows.
    try:
        with in_time(connection, SAMPLE_S):
            low, high = connection.execute(
                f"select (select min({rowid}) from {quoted(table)}),"
                f" (select max({rowid}) from {quoted(table)})"
            ).get
    except (apsw.SQLError, apsw.InterruptError):  # a table WITHOUT ROWID, or a virtual one
        return None
    return 0 if high is None else int(high) - int(low) + 1
