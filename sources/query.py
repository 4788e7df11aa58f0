"""A query as plain data, which the server sends to a recording process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from sources.columns import ColumnInfo


class Query(NamedTuple):
    """One SELECT of one database.

    kind: of database, a key of sources.kinds.KINDS. engine: the version of the database engine;
    another may return other rows. database: its address, as its kind writes it. parameters: bound
    by name. columns: of the result, in order.
    is_shareable: whether the rows are the same as long as the database's fingerprint is.
    watches_clock: whether the rows are not shareable if the query reads the clock, which is known
    once it has run.
    is_random: whether a value that is computed twice may differ.
    """

    kind: str
    engine: str
    database: str
    sql: str
    parameters: Mapping[str, int | float | str | None]
    columns: Sequence[ColumnInfo]
    is_shareable: bool = True
    watches_clock: bool = False
    is_random: bool = False

    def identity(self) -> list[Any]:
        """Return a value that is equal for queries with the same rows over the same data."""
        return [self.engine, self.database, self.sql, sorted(self.parameters.items())]
