"""Checks whether a database has what the catalogue names.

It is opened once, read-only, for names and plans; no row is read.
Way in: check_database. Source: https://sqlite.org/uri.html
and https://sqlite.org/opcode.html.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import apsw

from sources.database import QuerySource, Stored, TableSource
from sources.errors import SourceLocked, SourceUnavailable
from sources.sqlite.column_types import storage_of
from sources.sqlite.connections import compiled, connect, quoted, read_only_uri
from sources.sqlite.filters import unclear_uses
from sources.sqlite.tables import described_columns, text_of

log = logging.getLogger(__name__)

# A write takes milliseconds; a longer lock is logged.
LOCK_WAIT_S = 2.0

# Bound to a parameter without a default to plan its query.
_ANY_VALUE: dict[str, int | float | str] = {"int": 0, "float": 0.0, "text": ""}


def check_database(path: Path, used: Sequence[Stored]) -> list[str]:
    """Return the problems of a database and of the sources that use it. used: at least one.

    Finds a file that is missing or not SQLite, a table or view that is missing or broken, a query
    that does not compile or would write, a filter of missing columns. A locked database is not
    checked. Blocks for the disk, and for at most LOCK_WAIT_S.
    """
    keys = f"sources.{used[0].name}.database"
    if len(used) > 1:
        keys += f" (and {len(used) - 1} more)"
    if not path.is_file():
        found = "a folder" if path.is_dir() else "not there"
        return [f"{keys}: {path} is {found}; the path of an SQLite file would be right"]
    try:
        with connect(read_only_uri(path.absolute()), wait_s=LOCK_WAIT_S) as connection:
            return _check_sources(connection, used)
    except (apsw.BusyError, SourceLocked):
        # Locks are temporary. An error would end the server if a worker is restarted meanwhile.
        log.warning("%s is locked by a writer: its sources are not checked", path)
        return []
    except (apsw.Error, SourceUnavailable) as error:
        return [f"{keys}: {path} cannot be read as an SQLite database ({error})"]


def _check_sources(connection: apsw.Connection, used: Sequence[Stored]) -> list[str]:
    names = _tables(connection)
    problems = []
    for source in used:
        if isinstance(source, QuerySource):
            problem = _query_problem(connection, source)
            key = "query"
        else:
            problem = _table_problem(connection, source, names)
            key = "table"
        where = [] if problem else _where_problems(connection, source)
        problems += [f"sources.{source.name}.where: {each}" for each in where]
        if problem:
            problems.append(f"sources.{source.name}.{key}: {problem}")
    return problems


def _tables(connection: apsw.Connection) -> list[str]:
    rows = connection.execute(
        "select name from sqlite_master where type in ('table', 'view') order by name"
    )
    return [name for (name,) in rows]


def _table_problem(
    connection: apsw.Connection, source: TableSource, names: list[str]
) -> str | None:
    if source.table not in names:
        same = [name for name in names if name.lower() == source.table.lower()]
        shown = ", ".join((same or names)[:20]) or "none"
        return f'there is no table or view "{source.table}" in {source.database}; there is {shown}'
    try:
        # A view is checked only when it is used: its tables may be missing.
        next(compiled(connection, f"select * from {quoted(source.table)}", {}))
    except apsw.Error as error:
        return f'"{source.table}" cannot be read ({error})'
    return None


def _query_problem(connection: apsw.Connection, source: QuerySource) -> str | None:
    bound = _values_for_a_plan(source)
    try:
        plan = list(compiled(connection, source.query, bound))
    except apsw.Error as error:
        return f"SQLite refuses it ({error})"
    # The second operand of Transaction is not 0 in a statement that writes.
    if any(opcode == "Transaction" and p2 != 0 for opcode, p2, _ in plan):
        return "it writes; a query that only reads would be right"
    return None


def _where_problems(connection: apsw.Connection, source: Stored) -> Sequence[str]:
    if source.where is None:
        return []
    bound = _values_for_a_plan(source)
    any_client = source.where.bind(source.name, dict.fromkeys(source.where.attributes, ""))
    try:
        columns = described_columns(connection, text_of(source, None))
        filtered = text_of(source, source.where.sql)
        next(compiled(connection, filtered, {**bound, **any_client}))
    except apsw.Error as error:
        return [f"SQLite refuses it ({error}); an expression over the columns would be right"]
    return unclear_uses(
        source.where, {column.name: storage_of(column).affinity for column in columns}
    )


def _values_for_a_plan(source: Stored) -> dict[str, int | float | str]:
    return {
        parameter.name: _ANY_VALUE[parameter.type]
        if parameter.default is None
        else parameter.default
        for parameter in source.parameters
    }
