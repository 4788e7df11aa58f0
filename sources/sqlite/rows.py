"""The rows of a query as Arrow record batches, all from one snapshot of the database.

The statement runs once and each value is computed once. In SQLite every value has its own storage
class, so a column of a batch is typed by the values in it. A batch is bounded in cells and in bytes
before it is made. It runs in the process of one export, and blocks. Way in: open_rows;
sources.sqlite.spill gives columns one type for all rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path
from sys import getsizeof
from types import NoneType
from typing import Any

import apsw
import pyarrow as pa

from encoders import Column, NotUtf8
from encoders.contract import MEMBERS
from sources.errors import SourceFailed, SourceUnavailable
from sources.query import Query
from sources.sqlite.column_types import kind_of, make_column
from sources.sqlite.connections import (
    IN_MEMORY,
    close,
    column_names,
    in_time,
    open_connection,
    quoted,
    read_only_uri,
)
from sources.sqlite.spill import Spill, spill_rows
from sources.sqlite.volatility import ClockWatch

# The first batch is one row, which is sent at once; each is larger than the one before by this
# factor, up to the limits.
GROWTH = 4
# More is no faster: 1,000,000 rows of 8 columns took as long in batches of 1,024 rows.
BATCH_ROWS = 8192
BATCH_CELLS = 131_072
BATCH_BYTES = 4 << 20
# Once SQLite has allocated more than this at once, cells may be long: from then on each row is
# measured before the next is read, which takes 0.7 µs for 8 columns. This is checked after so many
# rows: after each row, it would take 0.05 s longer for 1,000,000 rows.
LONG_BYTES = 16 << 10
ROWS_PER_CHECK = 4
# Shorter cells may be many: one row is measured after so many cells. If a batch of such rows were
# more than MOST_BATCHES times BATCH_BYTES, each is measured from then on.
CELLS_PER_MEASURE = 512
MOST_BATCHES = 16

# The limit of finding the column of a text that is not UTF-8, for the message.
NAMING_S = 2.0

_KIND_OF = {int: "integer", float: "real", str: "text", bytes: "blob"}

Row = tuple[Any, ...]


class SqliteRows:
    """An open snapshot. Iterate once over its record batches, then close it.

    columns: of the batches, each `mixed`: in a batch it is an array of one kind, or a struct array
    with a child per storage class, of which one is set in each row.
    """

    def __init__(
        self, connection: apsw.Connection, query: Query, clock: ClockWatch | None = None
    ) -> None:
        self.columns = [Column(column.name, "mixed") for column in query.columns]
        self._connection = connection
        self._query = query
        self._clock = clock
        # The kind of a column in its last batch with values, used for batches of only NULL.
        self._kinds = [kind_of(column) for column in query.columns]

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        reader = _RowReader(self._connection, len(self.columns))
        names = [column.name for column in self.columns]
        most = 1
        try:
            reader.start(self._query)
            while rows := reader.read(most):
                arrays = [self._array(i, cells) for i, cells in enumerate(zip(*rows, strict=True))]
                batch = pa.RecordBatch.from_arrays(arrays, names)
                del rows, arrays
                most = min(most * GROWTH, 1 + BATCH_BYTES * batch.num_rows // (batch.nbytes + 1))
                yield batch
        except UnicodeDecodeError as error:
            raise NotUtf8(self._column_of(error.object, reader.rows), reader.rows + 1) from error
        except apsw.Error as error:
            raise SourceFailed(f"the database stopped: {error}") from error

    def typed(
        self, batches: Iterable[pa.RecordBatch], folder: Path, count: Callable[[int], None]
    ) -> Spill:
        """Read all batches of this and return them with a type per column; see spill_rows."""
        return spill_rows(batches, self._query.columns, folder, count)

    def has_asked_the_clock(self) -> bool:
        """Has the statement read the clock? Known only of a query that watches the clock."""
        return self._clock is not None and self._clock.was_asked

    def blocks_writers(self) -> bool:
        """Do writers of the database wait until this is closed? Not with a write-ahead log."""
        return self._connection.execute("pragma journal_mode").get not in ("wal", "memory")

    def close(self) -> None:
        """End the transaction and free the connection."""
        close(self._connection)

    def _array(self, index: int, cells: Row) -> pa.Array:
        types = {*map(type, cells)} - {NoneType}
        if len(types) > 1:
            children = [
                pa.array([each if type(each) is type_ else None for each in cells], MEMBERS[kind])
                if type_ in types
                else pa.nulls(len(cells), MEMBERS[kind])
                for type_, kind in _KIND_OF.items()
            ]
            return pa.StructArray.from_arrays(children, [*_KIND_OF.values()])
        if types:
            self._kinds[index] = _KIND_OF[types.pop()]
        return pa.array(cells, MEMBERS[self._kinds[index]])

    def _column_of(self, text: bytes, row: int) -> str | None:
        """Return the name of the column that has this text in this row, None if it is not found.

        apsw does not say it. This reads the rows again, for the message only.
        """
        cells = ", ".join(f"cast({quoted(column.name)} as blob)" for column in self.columns)
        sql = f"select {cells} from ({self._query.sql}) limit 1 offset {row:d}"
        found: Row | None = None
        with suppress(apsw.Error), in_time(self._connection, NAMING_S):
            found = self._connection.execute(sql, dict(self._query.parameters)).fetchone()
        named = zip(self.columns, found or (), strict=False)
        return next((column.name for column, cell in named if cell == text), None)


class _RowReader:
    """Reads rows within the limits of a batch. rows: the number read so far."""

    def __init__(self, connection: apsw.Connection, columns: int) -> None:
        self.rows = 0
        self._connection = connection
        self._most = max(1, min(BATCH_ROWS, BATCH_CELLS // columns))
        # SQLite also allocates whole pages.
        self._long_bytes = max(LONG_BYTES, 2 * connection.execute("pragma page_size").get)
        self._rows_per_measure = CELLS_PER_MEASURE // columns
        self._measures = True

    def start(self, query: Query) -> None:
        names = [column.name for column in query.columns]

        def check(cursor: apsw.Cursor, sql: str, bindings: object) -> bool:
            if column_names(cursor) != names:
                raise SourceFailed(
                    "its columns have changed since it was requested; request it again"
                )
            return True

        self._cursor = self._connection.cursor()
        self._cursor.exec_trace = check
        self._cursor.execute(query.sql, dict(query.parameters))

    def read(self, most: int) -> list[Row]:
        """Return the next rows, at most `most` and within the limits; none at the end."""
        most = min(most, self._most)
        return self._read_measured(most) if self._measures else self._read_fast(most)

    def _read_measured(self, most: int) -> list[Row]:
        rows: list[Row] = []
        size = 0
        for row in islice(self._cursor, most):
            self.rows += 1
            rows.append(row)
            size += sum(map(getsizeof, row))
            if size >= BATCH_BYTES:
                break
        if self.rows == 1 and size < self._long_bytes:
            # Allocations for the first row, to sort for instance, say nothing about the next.
            self._measures = False
            apsw.status(apsw.SQLITE_STATUS_MALLOC_SIZE, True)
        return rows

    def _read_fast(self, most: int) -> list[Row]:
        rows: list[Row] = []
        cursor, status, largest = self._cursor, apsw.status, apsw.SQLITE_STATUS_MALLOC_SIZE
        row_bytes = MOST_BATCHES * BATCH_BYTES // most
        next_measure = 0
        try:
            for _ in range(0, most, ROWS_PER_CHECK):
                before = len(rows)
                rows.extend(islice(cursor, ROWS_PER_CHECK))
                self._measures = status(largest)[1] > self._long_bytes
                if len(rows) > next_measure:
                    next_measure = len(rows) + self._rows_per_measure
                    self._measures |= sum(map(getsizeof, rows[-1])) > row_bytes
                if self._measures or len(rows) < before + ROWS_PER_CHECK:
                    break
        finally:
            self.rows += len(rows)
        return rows


def open_rows(query: Query) -> SqliteRows:
    """Open a snapshot of the rows of query. Raises SourceFailed when it cannot be read."""
    connection = None
    clock = ClockWatch() if query.watches_clock else None
    try:
        connection = open_connection(query.database, vfs=clock.name if clock else None)
        # The first read of a transaction takes its snapshot.
        connection.execute("begin")
        connection.execute("select count(*) from sqlite_schema").fetchall()
    except (apsw.Error, SourceUnavailable) as error:
        if connection is not None:
            close(connection)
        raise SourceFailed(f"the database stopped: {error}") from error
    return SqliteRows(connection, query, clock)


def one_row() -> Query:
    """Return a query of one row without a file, to load what is loaded lazily."""
    columns = [make_column("i", "INTEGER"), make_column("r", "REAL"), make_column("s", "TEXT")]
    sql = "select 1 as i, 0.5 as r, 'x' as s"
    return Query("sqlite", "", read_only_uri(IN_MEMORY), sql, {}, columns)
