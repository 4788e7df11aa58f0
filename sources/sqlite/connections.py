"""Connections to source databases: one engine for all readers, read-only.

Catalogue checks, descriptions, pages, reports and exports all use apsw's SQLite, so that a query
means the same everywhere. Way in: connect; in_time limits the time of statements, compiled returns
their instructions. Knows no HTTP.
"""

from __future__ import annotations

import math
import re
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote, unquote

import apsw

from sources.sqlite.wal_files import open_safely

# How long a reader waits for the lock of a writer before it gives up.
BUSY_TIMEOUT_S = 5.0

# SQLite's steps between two checks of the clock: about 0.5 ms.
STEPS_PER_CHECK = 50_000

# A name that may have been numbered because it repeats.
NUMBERED = re.compile(r":[0-9]+\Z")

_FLAGS = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI


# SQLite has these, but also requests them where texts are UTF-16.
_BUILT_IN_COLLATIONS = ("BINARY", "NOCASE", "RTRIM")

# SQLite's name for a database that is empty and in memory.
IN_MEMORY = Path(":memory:")


def read_only_uri(database: Path) -> str:
    """Return the URI that opens this file for reading only and never creates it."""
    return f"file:{quote(str(database))}?mode=ro"


def path_of(uri: str) -> Path:
    """Return the file of a URI of read_only_uri."""
    return Path(unquote(uri.removeprefix("file:").partition("?")[0]))


def quoted(name: str) -> str:
    """Return an SQL identifier for any name."""
    return '"' + name.replace('"', '""') + '"'


# The limits of statements that a request waits for: copying a value and comparing a pattern are
# single steps that nothing interrupts. Exports have no such limits.
REQUEST_LIMITS = {apsw.SQLITE_LIMIT_LENGTH: 8 << 20, apsw.SQLITE_LIMIT_LIKE_PATTERN_LENGTH: 128}


def bound(connection: apsw.Connection) -> None:
    """Apply REQUEST_LIMITS: reading a larger value raises apsw.TooBigError."""
    for limit, most in REQUEST_LIMITS.items():
        connection.limit(limit, most)


@contextmanager
def connect(uri: str, *, wait_s: float | None = None) -> Iterator[apsw.Connection]:
    """Open a database for reading. wait_s: how long to wait for a lock, None for BUSY_TIMEOUT_S.

    Raises SourceUnavailable when it cannot be opened without harm, and apsw.Error.
    """
    connection = open_connection(uri, wait_s=wait_s)
    try:
        yield connection
    finally:
        close(connection)


def open_connection(
    uri: str, *, wait_s: float | None = None, vfs: str | None = None
) -> apsw.Connection:
    """Open as connect does; the caller closes it with close().

    vfs: the name of a registered one, None for the system's.
    """
    wait_s = BUSY_TIMEOUT_S if wait_s is None else wait_s

    def open_it() -> apsw.Connection:
        connection = apsw.Connection(uri, flags=_FLAGS, vfs=vfs)
        try:
            connection.set_busy_timeout(int(wait_s * 1000))
            connection.collation_needed(_add_unknown_collation)
            connection.execute("select count(*) from sqlite_schema").fetchall()
        except BaseException:
            close(connection)
            raise
        return connection

    database = path_of(uri)
    return open_it() if database == IN_MEMORY else open_safely(database, open_it, wait_s)


def _add_unknown_collation(connection: apsw.Connection, name: str) -> None:
    """Make columns readable that only their application can compare, as Android's LOCALIZED."""
    if name.upper() in _BUILT_IN_COLLATIONS:
        return

    def compare(one: str, other: str) -> int:
        raise apsw.SQLError(f"only the application has the collation {name}; use `collate binary`")

    connection.create_collation(name, compare)


def close(connection: apsw.Connection) -> None:
    """Close it, also in the middle of a statement."""
    # Closing raises the last statement's error again.
    with suppress(apsw.Error):
        connection.close(True)


# The connections that in_time limits now, and when each ends. SQLite's own check counts steps, and
# one of them may be long; interrupt_overdue does not depend on steps.
_in_time: dict[object, tuple[apsw.Connection, float]] = {}
# SQLite's own check interrupts nearly all before that.
GRACE_S = 0.1


@contextmanager
def in_time(
    connection: apsw.Connection, limit_s: float, has_left: Callable[[], bool] = lambda: False
) -> Iterator[None]:
    """Interrupt statements after limit_s, or once has_left: they raise apsw.InterruptError."""
    ends_s = time.monotonic() + limit_s
    connection.set_progress_handler(
        lambda: has_left() or time.monotonic() > ends_s, STEPS_PER_CHECK
    )
    key = object()
    _in_time[key] = connection, ends_s
    try:
        yield
    finally:
        del _in_time[key]
        connection.set_progress_handler(None)


def interrupt_overdue() -> None:
    """Interrupt overdue statements of in_time. To be called periodically."""
    late_s = time.monotonic() - GRACE_S
    for key in list(_in_time):
        connection, ends_s = _in_time.get(key, (None, math.inf))
        if connection is not None and ends_s < late_s:
            # It may have ended just now.
            with suppress(apsw.Error):
                connection.interrupt()


def columns_of(connection: apsw.Connection, body: str) -> list[tuple[str, str]]:
    """Return the (name, type) of each column of a SELECT, without running it.

    Names that repeat get a number: `a`, `a:1`, `a:2`, as in SQLite, which makes random ones from
    the fifth on.
    body: may have parameters only where NULL is allowed. type: the declared one of a column of a
    table, else SQLite's name of the expression's affinity, "" for none. Raises apsw.Error.
    """
    # A view has the types of its columns without being run; only the temporary schema is written.
    view = own_name()
    names = ", ".join(map(quoted, _names_of(connection, body)))
    connection.execute(f"create temp view {view}({names}) as {body}")
    found = connection.execute(f"pragma temp.table_info({view})").fetchall()
    connection.execute(f"drop view temp.{view}")
    return [(str(name), str(declared)) for _, name, declared, *_ in found]


def column_names(cursor: apsw.Cursor) -> list[str]:
    """Return the names of the columns of a compiled statement, numbered as by columns_of."""
    names: dict[str, str] = {}
    for name, *_ in cursor.get_description():
        stem, number, unlike = NUMBERED.sub("", name), 0, name
        while unlike.lower() in names:
            number += 1
            unlike = f"{stem}:{number}"
        names[unlike.lower()] = unlike
    return list(names.values())


def _names_of(connection: apsw.Connection, body: str) -> list[str]:
    names: list[str] = []

    def look(cursor: apsw.Cursor, sql: str, bindings: object) -> bool:
        names.extend(column_names(cursor))
        return False  # compiled, but not run

    cursor = connection.cursor()
    cursor.exec_trace = look
    with suppress(apsw.ExecTraceAbort):
        cursor.execute(body)
    return names


class Instruction(NamedTuple):
    """An instruction of a compiled statement. p2, p4: operands; https://sqlite.org/opcode.html."""

    opcode: str
    p2: int
    p4: str | None


def compiled(
    connection: apsw.Connection, sql: str, parameters: Mapping[str, object]
) -> Iterator[Instruction]:
    """Compile a statement and yield its instructions, without running it. Raises apsw.Error."""
    plan = iter(connection.execute(f"explain {sql}", dict(parameters)))
    while True:
        try:
            _, opcode, _, p2, _, p4, *_ = next(plan)
        except StopIteration:
            return
        except UnicodeDecodeError:
            continue  # a blob among the literals
        yield Instruction(str(opcode), int(p2), p4)


def own_name() -> str:
    """Return a name for a temporary object that no table of the database has."""
    return f"headwater_{secrets.token_hex(8)}"
