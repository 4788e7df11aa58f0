"""What is to be read as plain data, to be handed from the server to a recording process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from sources.columns import ColumnInfo


class Query(NamedTuple):
    """One SELECT of one database.

    kind: of database, a key of sources.kinds.KINDS. engine: the version of what runs the query;
    another may give other rows. database: its address, as its kind writes it. parameters: bound by
    name. columns: what sql gives, in order.
    is_shareable: whether the rows are the same as long as the database's fingerprint is.
    watches_clock: whether that ends if the query asks for the time, which is known once it runs.
    is_by_chance: whether a value that is computed twice may be another one.
    """

    kind: str
    engine: str
    database: str
    sql: str
    parameters: Mapping[str, int | float | str | None]
    columns: Sequence[ColumnInfo]
    is_shareable: bool = True
    watches_clock: bool = False
    is_by_chance: bool = False

    def identity(self) -> list[Any]:
        """Return what is the same for queries with the same rows over the same data."""
        return [self.engine, self.database, self.sql, sorted(self.parameters.items())]
