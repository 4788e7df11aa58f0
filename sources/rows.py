"""The rows of a query as Arrow record batches: the contract, and the openers of each kind.

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
        """The columns of the batches; one is `mixed` only if its values are of several kinds."""

    def __iter__(self) -> Iterator[pa.RecordBatch]: ...

    def close(self) -> None: ...


class Rows(Protocol):
    """An open snapshot. Iterate once over its record batches, then close it.

    The snapshot is of the moment of opening, whatever is committed meanwhile. The first batch is
    one row, which is sent at once; each is bounded in bytes. The statement runs once. Iterating
    raises SourceFailed when the database stops, and NotUtf8.
    """

    @property
    def columns(self) -> list[Column]:
        """The columns of the batches; see encoders.contract."""

    def __iter__(self) -> Iterator[pa.RecordBatch]: ...

    def typed(
        self, batches: Iterable[pa.RecordBatch], folder: Path, count: Callable[[int], None]
    ) -> TypedRows:
        """Read all batches and return them with a type per column; then close this.

        batches: of this, which may be read ahead. folder: for data that does not fit into memory.
        count: called with the number of rows read so far. Raises as iterating, and OSError.
        """

    def has_asked_the_clock(self) -> bool:
        """Has the query read the clock? Known only of a query that watches the clock."""

    def blocks_writers(self) -> bool:
        """Do writers of the database wait until this is closed?"""

    def close(self) -> None:
        """End the transaction and free the connection."""


OPENERS: Mapping[str, Callable[[Query], Rows]] = {"sqlite": sqlite_rows.open_rows}


def open_rows(query: Query) -> Rows:
    """Open a snapshot of the rows of query. Raises SourceFailed when it cannot be read."""
    return OPENERS[query.kind](query)


def one_row() -> Query:
    """Return a query of one row without a file, to load what a recording would load lazily."""
    return sqlite_rows.one_row()
