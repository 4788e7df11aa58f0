"""The rows of a selection as Arrow record batches, all from one snapshot of the database.

Runs in a process made for one export: it blocks, and its threads are native. Way in: open_rows.

ADBC's driver infers a column's type from the first batch and stops with an error when a later
row has another storage class, which SQLite allows anywhere. So every statement begins with a row
of our own that settles the types and is dropped again. Columns of INTEGER, REAL and TEXT affinity
are read as they are, which is quick; at the first value that does not fit, what is left of the
rows is read by a second statement, with each column split by storage class. Both run in one
transaction over the same inner statement, so their rows are the same and come in the same order.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from typing import NamedTuple

import adbc_driver_manager
import adbc_driver_sqlite.dbapi as adbc
import pyarrow as pa

from encoders import Column
from sources.errors import SourceFailed
from sources.query import Query
from sources.tables import BUSY_TIMEOUT_S, ColumnInfo, quoted

# The driver's batches are small, so that the first bytes come at once (1,024 rows take 1 ms) and
# wide rows stay within memory; they are gathered into larger ones, which encode more quickly:
# 1,000,000 users took 0.45 s in batches of 4,096 rows, 0.40 s in batches of 8,192.
DRIVER_ROWS = 1024
BATCH_ROWS = 8192
BATCH_BYTES = 4 << 20
# After a batch this large the rest is read in smaller ones: rows have become wider, and a number
# of rows is the only bound that the driver has.
WIDE_BATCH_BYTES = 4 * BATCH_BYTES

# Integers up to here are exact as a real.
EXACT = 2**53

# One value of each storage class, as SQL.
_SAMPLES = {"integer": "0", "real": "0.0", "text": "''", "blob": "x''"}
_BY_AFFINITY = {"INTEGER": "integer", "REAL": "real", "TEXT": "text"}


class _Statement(NamedTuple):
    """How the rows from `offset` on are read. reads: per column what is expected of it."""

    reads: tuple[str, ...]
    offset: int
    driver_rows: int


class _DoesNotFit(Exception):
    """A value has another storage class than its column was read as."""


class Rows:
    """An open snapshot. Iterate once over its record batches, then close it.

    columns: what the batches hold. Where a kind is `mixed`, the column of a batch is an array of
    one kind, or a struct array with a child per storage class, of which one is set in each row.
    """

    def __init__(
        self, connection: adbc.Connection, query: Query, columns: list[Column], reads: list[str]
    ) -> None:
        self.columns = columns
        self._connection = connection
        self._query = query
        self._statement = _Statement(tuple(reads), 0, DRIVER_ROWS)

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        statement: _Statement | None = self._statement
        while statement is not None:
            statement = yield from self._run(statement)

    def _run(self, statement: _Statement) -> Generator[pa.RecordBatch, None, _Statement | None]:
        """Yield what this statement gives; return the one that goes on after it, if any."""
        reads, done, driver_rows = statement
        gathered = _Gathered(self._query.columns, reads)
        try:
            with closing(_read(self._connection, self._query, statement)) as batches:
                for batch in batches:
                    done += batch.num_rows
                    gathered.add(batch)
                    # The first batch goes out at once.
                    if done == batch.num_rows or gathered.is_large():
                        yield gathered.take()
                    if batch.nbytes > WIDE_BATCH_BYTES and driver_rows > 1:
                        driver_rows = max(1, BATCH_BYTES * batch.num_rows // batch.nbytes)
                        break
                else:
                    reads = ()
        except _DoesNotFit as error:
            if set(reads) == {"split"}:
                raise SourceFailed(f"the database stopped: {error}") from error
            reads = ("split",) * len(reads)
        if gathered.rows:
            yield gathered.take()
        return _Statement(reads, done, driver_rows) if reads else None

    def close(self) -> None:
        """End the transaction and free the connection."""
        self._connection.close()


class _Gathered:
    """The driver's batches until there are enough of them for one of ours."""

    def __init__(self, columns: Sequence[ColumnInfo], reads: Sequence[str]) -> None:
        self._names = [column.name for column in columns]
        self._reads = reads
        self._batches: list[pa.RecordBatch] = []
        self._bytes = 0
        self.rows = 0

    def add(self, batch: pa.RecordBatch) -> None:
        self._batches.append(batch)
        self._bytes += batch.nbytes
        self.rows += batch.num_rows

    def is_large(self) -> bool:
        return self.rows >= BATCH_ROWS or self._bytes >= BATCH_BYTES

    def take(self) -> pa.RecordBatch:
        """Return them as one, its columns named, and those that were split as one struct each."""
        batch = pa.concat_batches(self._batches)
        self._batches, self._bytes, self.rows = [], 0, 0
        children = iter(batch.columns)
        arrays = [
            pa.StructArray.from_arrays([next(children) for _ in _SAMPLES], list(_SAMPLES))
            if read == "split"
            else next(children)
            for read in self._reads
        ]
        return pa.RecordBatch.from_arrays(arrays, self._names)


def open_rows(query: Query, *, typed: bool) -> Rows:
    """Open a snapshot of the rows of query.

    typed: whether each column must have one type in all its rows; they are looked through first
    to find it. Otherwise every column is `mixed` and rows come at once.
    Raises SourceFailed when the database cannot be read.
    """
    with _told_as_failures():
        connection = adbc.connect(query.database, autocommit=False)
        try:
            _execute(connection, f"pragma busy_timeout = {int(BUSY_TIMEOUT_S * 1000)}")
            _execute(connection, "pragma query_only = 1")
            # A transaction's snapshot is taken by its first read.
            _execute(connection, "select count(*) from sqlite_schema")
            if not typed:
                columns = [Column(column.name, "mixed") for column in query.columns]
                reads = [
                    _BY_AFFINITY.get(column.affinity, column.stored or "split")
                    for column in query.columns
                ]
                return Rows(connection, query, columns, reads)
            reads = _look_through(connection, query)
        except BaseException:
            connection.close()
            raise
    kinds = {"split": "mixed", "number": "real"}
    columns = [
        Column(column.name, kinds.get(read, read))
        for column, read in zip(query.columns, reads, strict=True)
    ]
    return Rows(connection, query, columns, reads)


def _look_through(connection: adbc.Connection, query: Query) -> list[str]:
    """Return how each column is to be read so that it has one type in all rows."""
    counts = []
    for column in query.columns:
        name = quoted(column.name)
        counts += [f"count(case typeof({name}) when '{each}' then 1 end)" for each in _SAMPLES]
        counts.append(
            f"count(case when typeof({name}) = 'integer'"
            f" and {name} not between -{EXACT} and {EXACT} then 1 end)"
        )
    # Names of their own: the driver refuses two columns of one name.
    named = ", ".join(f"{count} as c{i}" for i, count in enumerate(counts))
    (found,) = _execute(connection, f"select {named} from ({query.sql})", query.parameters)
    values = iter(found.values())
    return [
        _read_as(column.affinity, *(next(values) for _ in range(len(_SAMPLES) + 1)))
        for column in query.columns
    ]


def _read_as(affinity: str, integers: int, reals: int, texts: int, blobs: int, inexact: int) -> str:
    classes = {"integer": integers, "real": reals, "text": texts, "blob": blobs}
    present = [name for name, count in classes.items() if count]
    if not present:
        return _BY_AFFINITY.get(affinity, "text")
    if present == ["integer", "real"] and not inexact:
        return "number"
    return present[0] if len(present) == 1 else "split"


def _read(
    connection: adbc.Connection, query: Query, statement: _Statement
) -> Generator[pa.RecordBatch, None, None]:
    """Yield the rows of one statement, in the driver's batches, without our own first row."""
    samples: list[str] = []
    cells: list[str] = []
    types: list[str] = []
    for column, read in zip(query.columns, statement.reads, strict=True):
        name = quoted(column.name)
        if read == "split":
            samples += _SAMPLES.values()
            cells += [f"iif(typeof({name}) = '{each}', {name}, null)" for each in _SAMPLES]
            types += _SAMPLES
        elif read == "number":
            samples.append(_SAMPLES["real"])
            cells.append(f"cast({name} as real)")
            types.append("real")
        else:
            samples.append(_SAMPLES[read])
            cells.append(_checked(name, read))
            types.append(read)
    first = ", ".join(f"{sample} as c{i}" for i, sample in enumerate(samples))
    # `limit -1` keeps the inner statement, and so its order, as it is: no bound, no flattening.
    sql = (
        f"select {first} union all select * from (select {', '.join(cells)}"
        f" from ({query.sql}) limit -1 offset {statement.offset:d})"
    )
    wanted = pa.schema([(f"c{i}", _ARROW[each]) for i, each in enumerate(types)])
    options = {"adbc.sqlite.query.batch_rows": str(statement.driver_rows + 1)}
    with _failures_of_the_database(), connection.cursor(adbc_stmt_kwargs=options) as cursor:
        cursor.execute(sql, _bound(query.parameters))
        reader = cursor.fetch_record_batch()
        if not reader.schema.equals(wanted):
            raise _DoesNotFit("the types of the first rows")
        for number, batch in enumerate(reader):
            rows = batch if number else batch.slice(1)
            if rows.num_rows:
                yield rows


_ARROW = {"integer": pa.int64(), "real": pa.float64(), "text": pa.string(), "blob": pa.binary()}

# Stops the statement with "integer overflow".
_STOP = "abs(-9223372036854775807 - 1)"


def _checked(name: str, read: str) -> str:
    """Return an expression for a column that stops at a class which the driver would convert.

    It stops by itself at what is no number in a column of numbers, and at a real in one of
    integers, but makes text of anything in a column of text, and a real of an integer.
    """
    if read == "integer":
        return name
    return f"case typeof({name}) when '{read}' then {name} when 'null' then null else {_STOP} end"


def _execute(
    connection: adbc.Connection, sql: str, parameters: Mapping[str, object] | None = None
) -> list[dict[str, int]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, _bound(parameters or {}))
        rows: list[dict[str, int]] = cursor.fetch_arrow_table().to_pylist()
        return rows


def _bound(parameters: Mapping[str, object]) -> dict[str, object] | None:
    return {f":{name}": value for name, value in parameters.items()} or None


@contextmanager
def _told_as_failures() -> Iterator[None]:
    """Where no value is read yet, nothing can fit or not: an overflow is the query's own."""
    try:
        with _failures_of_the_database():
            yield
    except _DoesNotFit as error:
        raise SourceFailed(f"the database stopped: {error}") from error


@contextmanager
def _failures_of_the_database() -> Iterator[None]:
    # The driver's errors while rows come are OSError, those before are its own.
    try:
        yield
    except (adbc_driver_manager.Error, OSError) as error:
        text = str(error)
        if "Type mismatch" in text or "integer overflow" in text:
            raise _DoesNotFit(_first_sentence(text)) from error
        raise SourceFailed(f"the database stopped: {_first_sentence(text)}") from error


def _first_sentence(text: str) -> str:
    """Return what SQLite said, without the driver's prefixes and suffixes."""
    return text.strip().split("\n")[0].removeprefix("IO: ").removeprefix("[SQLite] ")[:300]
