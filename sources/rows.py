"""The rows of a query as Arrow record batches: the contract, and which kind opens them how.

Needs pyarrow: only the recording processes import this. Way in: open_rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Protocol

import pyarrow as pa

from encoders import Column
from sources.query import Query
from sources.sqlite import rows as sqlite_rows


class TypedRows(Protocol):
    """Rows with one type per column. Iterate once over their batches, then close them."""

    @property
    def columns(self) -> list[Column]:
        """What the batches hold; none is `mixed` unless its values are of several kinds."""

    def __iter__(self) -> Iterator[pa.RecordBatch]: ...

    def close(self) -> None: ...


class Rows(Protocol):
    """An open snapshot. Iterate once over its record batches, then close it.

    All rows are of the moment when it was opened, whatever is committed meanwhile. The first batch
    is one row, so that it goes out at once; each is bounded in bytes. The statement is run once.
    Iterating raises SourceFailed when the database stops, and NotUtf8.
    """

    @property
    def columns(self) -> list[Column]:
        """What the batches hold; see encoders.contract."""

    def __iter__(self) -> Iterator[pa.RecordBatch]: ...

    def typed(
        self, batches: Iterable[pa.RecordBatch], folder: Path, count: Callable[[int], None]
    ) -> TypedRows:
        """Read all batches and return them with a type per column; then close this.

        batches: of this, which may be read ahead. folder: for what does not fit into memory.
        count: called with how many rows are read so far. Raises as iterating, and OSError.
        """

    def has_asked_the_clock(self) -> bool:
        """Has the query asked for the time? Known only of one that watches the clock."""

    def blocks_writers(self) -> bool:
        """Does a writer of the database wait until this is closed?"""

    def close(self) -> None:
        """End the transaction and free the connection."""


OPENERS: Mapping[str, Callable[[Query], Rows]] = {"sqlite": sqlite_rows.open_rows}


def open_rows(query: Query) -> Rows:
    """Open a snapshot of the rows of query. Raises SourceFailed when it cannot be read."""
    return OPENERS[query.kind](query)


def one_row() -> Query:
    """Return a query of one row and of no file: to load what a recording would load lazily."""
    return sqlite_rows.one_row()
