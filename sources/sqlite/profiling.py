"""A sample of the rows of a query, and a profile of each of its columns.

One statement copies the rows into a temporary table of our own connection; then the database is not
read any more, and all profiles are of the same rows, however slowly a client reads them. Each
statement is bounded in time. SQLite does all counting, without Python's lock. Knows no HTTP. Way
in: SqliteSample.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, cast

import apsw

from sources.errors import SourceFailed, SourceUnavailable
from sources.profile import (
    MOST_COLUMNS,
    Bin,
    Lengths,
    Number,
    Numbers,
    Profile,
    SampleInfo,
    TimeBin,
    Times,
    Value,
)
from sources.query import Query
from sources.sqlite.column_types import comparison_of, storage_of
from sources.sqlite.connections import bound, close, in_time, open_connection, own_name
from sources.sqlite.dates import moment_sql
from sources.sqlite.subqueries import subquery
from sources.time_bins import bins_for

# 400,000 rows of 10 columns are copied in 1.0 s, and each column is profiled in 0.1 to 1.0 s.
SAMPLE_ROWS = 400_000
# 336,776 rows of 19 columns; fewer of wider tables.
SAMPLE_CELLS = 8_000_000
# MOST_COLUMNS of the query are copied: each needs two of the 2,000 columns that a table may have.
# The disk of the temporary tables of one sample; a larger sample is tried again with fewer rows.
SAMPLE_PAGES = 65_536
PAGE_BYTES = 4096
# The cache of the temporary tables, and that of the database. More is no faster, and stays with the
# thread: with 16 MiB each the server grew by 50 MB a report, with 2 by 40 in all.
CACHE_KIB = 2 * 1024
# At most so many rows in so many seconds; after a failure, the next. These are the limits of each
# step; SqliteSample gets a limit of all statements.
TRIES = ((SAMPLE_ROWS, 3.0), (20_000, 1.0), (1_000, 1.0), (20, 1.0))
COUNT_S = 2.0
SPREAD_S = 5.0
COLUMN_S = 3.0
# A column that takes longer is profiled from this many rows of the sample.
PART_ROWS = 20_000
# Longer values are stored cut, with their length; those with more than READ_BYTES are not read.
CUT = 200
READ_BYTES = 1 << 20
FREQUENT = 10
BINS = 20
# Up to so many whole numbers have a bin each: the minutes of an hour, the days of a month.
OWN_BINS = 64
SHARES = (0.05, 0.25, 0.5, 0.75, 0.95)

# Dates are counted by their moment m only.
_NUMBER = "typeof(v) in ('integer', 'real') and m is null"
_FINITE = "v between -1.7976931348623157e308 and 1.7976931348623157e308"


class _TooLong(Exception):
    """A statement has exceeded its time or its space."""


class SqliteSample:
    """The rows of query at the moment of take(). One call at a time, on any thread.

    most_s: the limit of each statement.
    """

    def __init__(self, query: Query, most_s: float = math.inf) -> None:
        self._query = query
        self._most_s = most_s
        # Names that no table of the database has.
        self._first, self._spread = own_name(), own_name()
        self._table = self._first
        self._rows = 0
        self._is_running = False
        self._is_closed = False
        # The caller that takes the connection out of this list closes it.
        self._connections: list[apsw.Connection] = []

    def take(self) -> SampleInfo:
        """Copy the rows, or as many as there is time and room for; blocks for some 10 s at most.

        Raises SourceFailed when the database cannot be read.
        """
        with self._connection() as connection:
            width = min(MOST_COLUMNS, len(self._query.columns))
            for tried, limit_s in TRIES:
                most = min(tried, SAMPLE_CELLS // width)
                try:
                    rows = self._copy(connection, self._first, "", most + 1, limit_s)
                    break
                except _TooLong:
                    continue
            else:
                return SampleInfo("none", 0, None)
            if rows <= most:
                return self._use(self._first, "all", rows, rows)
            total = self._count(connection)
            if total is not None and total > most:
                with suppress(_TooLong):
                    # Of all integers of 64 bits, this share is below.
                    bound = math.floor(2**64 * (most / total)) - 2**63
                    some = f"where random() < {bound}"
                    spread = self._copy(connection, self._spread, some, -1, SPREAD_S)
                    return self._use(self._spread, "spread", spread, total)
            connection.execute(f"delete from temp.{self._first} where _rowid_ > {most:d}")
            return self._use(self._first, "first", most, total)

    def profile(self, index: int, *, is_brief: bool = False) -> Profile | None:
        """Return the profile of a column, None when it takes too long; blocks for 4 s at most.

        index: of the query's columns, below MOST_COLUMNS. is_brief: read only about PART_ROWS.
        Raises SourceFailed.
        """
        step = -(-self._rows // PART_ROWS) if self._rows > PART_ROWS else 1
        with self._connection() as connection:
            for rows_apart, limit_s in ((1, COLUMN_S), (step, 1.0)):
                if is_brief and rows_apart < step:
                    continue
                try:
                    with self._in_time(connection, limit_s):
                        return self._profile(connection, index, rows_apart)
                except _TooLong:
                    continue
            return None

    def close(self) -> None:
        """Free the rows. Interrupts a call on another thread, which then frees them."""
        self._is_closed = True
        if self._is_running:
            with suppress(IndexError, apsw.Error):
                self._connections[0].interrupt()
        else:
            self._free()

    def _free(self) -> None:
        with suppress(IndexError):
            close(self._connections.pop())

    @contextmanager
    def _connection(self) -> Iterator[apsw.Connection]:
        self._is_running = True
        try:
            if self._is_closed:
                raise SourceFailed("the report was cancelled")
            if not self._connections:
                self._connections.append(_connect(self._query))
            yield self._connections[0]
        except (apsw.Error, SourceUnavailable) as error:
            raise SourceFailed(f"the database stopped: {error}") from error
        finally:
            self._is_running = False
            # Read after _is_running was set; close() does it in the opposite order.
            if self._is_closed:
                self._free()

    @contextmanager
    def _in_time(self, connection: apsw.Connection, limit_s: float) -> Iterator[None]:
        """Interrupt statements after limit_s. Raises _TooLong."""
        try:
            with in_time(connection, min(limit_s, self._most_s), lambda: self._is_closed):
                yield
        except (apsw.InterruptError, apsw.FullError, apsw.TooBigError) as error:
            if self._is_closed:
                raise
            raise _TooLong from error

    def _copy(
        self, connection: apsw.Connection, table: str, which: str, most: int, limit_s: float
    ) -> int:
        """Create the table with at most `most` rows of the query, -1 for all; return how many.

        which: a WHERE clause, or "". Raises _TooLong.
        """
        indexes = range(min(MOST_COLUMNS, len(self._query.columns)))
        made = ", ".join(f"v{i}, l{i}" for i in indexes)
        connection.execute(f"drop table if exists temp.{table}")
        connection.execute(f"create table temp.{table} ({made})")
        # Names by position: those of the query's columns may be any text.
        names = ", ".join(f"c{i}" for i in range(len(self._query.columns)))
        cells = ", ".join(_cell(f"c{i}") for i in indexes)
        rows = own_name()
        with self._in_time(connection, limit_s):
            connection.execute(
                f"insert into temp.{table} with {rows}({names}) as not materialized"
                f" ({subquery(self._query)}) select {cells} from {rows} {which} limit {most:d}",
                dict(self._query.parameters),
            )
        return connection.changes()

    def _count(self, connection: apsw.Connection) -> int | None:
        with suppress(_TooLong), self._in_time(connection, COUNT_S):
            sql = f"select count(*) from ({self._query.sql})"
            return int(connection.execute(sql, dict(self._query.parameters)).get)
        return None

    def _use(self, table: str, kind: str, rows: int, total: int | None) -> SampleInfo:
        self._table, self._rows = table, rows
        return SampleInfo(kind, rows, total)

    def _profile(self, connection: apsw.Connection, index: int, rows_apart: int) -> Profile:
        # The distinct values in order: NULL, numbers, texts, blobs. 1 and 1.0 are equal; r of the n
        # are reals. All further statements read this table, which is mostly much shorter.
        moment = moment_sql("v")
        is_declared = comparison_of(storage_of(self._query.columns[index])) == "date"
        if not is_declared:
            moment = f"iif(typeof(v) = 'text', {moment}, null)"
        connection.execute("drop table if exists temp.found")
        connection.execute("create table temp.found (v, l, n, r, m)")
        connection.execute(
            f"insert into temp.found select v, l, n, r, {moment}"
            " from (select v, l, count(*) as n, count(iif(typeof(v) = 'real', 1, null)) as r"
            f" from (select v{index} as v, l{index} as l from temp.{self._table}"
            f" where _rowid_ % {rows_apart:d} = 0) group by v, l) order by v, l"
        )
        if not is_declared:
            # Texts are dates only if all values are dates.
            connection.execute(
                "update temp.found set m = null where m is not null"
                " and exists (select 1 from temp.found where m is null and v is not null)"
            )
        rows, nulls, distinct = connection.execute(
            "select coalesce(sum(n), 0), coalesce(sum(n) filter (where v is null), 0),"
            " count(v) from temp.found"
        ).get
        frequent = connection.execute(
            f"select {_SHOWN}, n from temp.found where n > 1 and v is not null"
            f" order by n desc, _rowid_ limit {FREQUENT}"
        )
        return Profile(
            rows=rows,
            nulls=nulls,
            distinct=distinct,
            times=_times(connection),
            numbers=_numbers(connection),
            texts=_lengths(connection, "text"),
            blobs=_lengths(connection, "blob"),
            frequent=tuple((_value(*shown), count) for *shown, count in frequent),
        )


def _connect(query: Query) -> apsw.Connection:
    connection = open_connection(query.database)
    bound(connection)
    connection.execute(f"pragma temp.page_size = {PAGE_BYTES}")
    connection.execute(f"pragma temp.max_page_count = {SAMPLE_PAGES}")
    connection.execute(f"pragma temp.cache_size = -{CACHE_KIB}")
    connection.execute(f"pragma main.cache_size = -{CACHE_KIB}")
    return connection


# A value, its length, and the encoding of a text, which is read as bytes: it may be invalid.
_SHOWN = (
    "iif(typeof(v) = 'text', cast(v as blob), v), l,"
    " iif(typeof(v) = 'text', (select encoding from pragma_encoding), null)"
)


def _value(value: int | float | bytes, length: int | None, encoding: str | None) -> Value:
    if encoding is None:
        return Value(value, length)
    return Value(cast("bytes", value).decode(encoding, "replace"), length)


def _cell(column: str) -> str:
    """Return a value, cut when it is long, and then its length, else NULL."""
    # SQLite knows the size of a value that is too long without reading it.
    size = f"iif(typeof({column}) in ('text', 'blob'), octet_length({column}), 0)"
    unread = f"iif(typeof({column}) = 'text', '…', x'')"
    return (
        f"case when {size} > {READ_BYTES} then {unread}"
        f" when {size} > {CUT} and length({column}) > {CUT} then substr({column}, 1, {CUT})"
        f" else {column} end,"
        f" case when {size} > {READ_BYTES} then {size}"
        f" when {size} > {CUT} and length({column}) > {CUT} then length({column}) end"
    )


def _times(connection: apsw.Connection) -> Times | None:
    found: Any = connection.execute(
        "select sum(n), min(m), max(m), count(iif(m not like '% 00:00:00', 1, null))"
        " from temp.found where m is not null"
    ).fetchone()
    rows, earliest, latest, with_time = found
    if rows is None:
        return None
    bins = bins_for(earliest, latest)
    counts = [0] * len(bins.names)
    by_unit: Any = connection.execute(
        f"select substr(m, 1, {bins.chars}), sum(n) from temp.found where m is not null group by 1"
    )
    for moment, count in by_unit:
        counts[bins.place(moment)] += count
    named = zip(bins.names, counts, strict=True)
    return Times(
        rows, earliest, latest, not with_time, tuple(TimeBin(*name, count) for name, count in named)
    )


def _numbers(connection: apsw.Connection) -> Numbers | None:
    rows, reals, infinite, least, most, total = connection.execute(
        "select sum(n), sum(r), sum(iif(finite, 0, n)), min(iif(finite, v, null)),"
        " max(iif(finite, v, null)), total(iif(finite, 1.0 * v * n, 0))"
        f" from (select v, n, r, {_FINITE} as finite from temp.found where {_NUMBER})"
    ).get
    if rows is None:
        return None
    ranks = [math.ceil(share * rows) for share in SHARES]
    wanted = ", ".join(f"min(iif(upto >= {rank:d}, v, null))" for rank in ranks)
    quantiles = connection.execute(
        f"select {wanted} from (select v, sum(n) over (order by _rowid_ rows unbounded preceding)"
        f" as upto from temp.found where {_NUMBER})"
    ).get
    # The sum of large reals may overflow, and that of both infinities is NULL.
    mean = None if total is None or rows == infinite else total / (rows - infinite)
    return Numbers(
        integers=rows - reals,
        reals=reals,
        infinite=infinite,
        least=least,
        most=most,
        mean=mean if mean is not None and math.isfinite(mean) else None,
        quantiles=tuple(zip(SHARES, quantiles, strict=True)),
        bins=() if least is None else _bins(connection, least, most, is_whole=reals == 0),
    )


def _bins(
    connection: apsw.Connection, least: Number, most: Number, *, is_whole: bool
) -> tuple[Bin, ...]:
    """Count the finite numbers in bins of one width; a few whole numbers have one each."""
    edges: Sequence[Number]
    if least == most:
        edges = [least]
    elif is_whole and isinstance(least, int):
        span = int(most) - least + 1
        edges = range(least, int(most) + 1, 1 if span <= OWN_BINS else -(-span // BINS))
    else:
        # Without their difference, which may be too large for a real.
        edges = [least * (1 - i / BINS) + most * (i / BINS) for i in range(BINS)]
    place = " + ".join(["0", *(f"(v >= :e{i})" for i in range(1, len(edges)))])
    found = connection.execute(
        f"select {place} as place, sum(n) from temp.found where {_NUMBER} and {_FINITE} group by 1",
        {f"e{i}": edge for i, edge in enumerate(edges)},
    )
    counts: dict[int, int] = dict(found)
    is_own = len(edges) > 1 and edges[1] - edges[0] == 1 and is_whole
    stops = edges if is_own else [*edges[1:], most]
    return tuple(
        Bin(start, stop, counts.get(i, 0))
        for i, (start, stop) in enumerate(zip(edges, stops, strict=True))
    )


def _lengths(connection: apsw.Connection, kind: str) -> Lengths | None:
    these = f"from temp.found where typeof(v) = '{kind}' and m is null"
    length = "coalesce(l, length(v))"
    rows, shortest, total = connection.execute(
        f"select sum(n), min({length}), total({length} * n) {these}"
    ).get
    if rows is None:
        return None
    # With a single max(), SQLite takes the other columns from its row.
    *example, longest = connection.execute(f"select {_SHOWN}, max({length}) {these}").get
    first = connection.execute(f"select {_SHOWN} {these} order by _rowid_ limit 1").get
    last = connection.execute(f"select {_SHOWN} {these} order by _rowid_ desc limit 1").get
    return Lengths(
        rows, shortest, longest, total / rows, _value(*first), _value(*last), _value(*example)
    )
