"""A selection as plain data, to be handed from the server to a recording process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from sources.tables import ColumnInfo


class Query(NamedTuple):
    """One SELECT of one database.

    database: an SQLite URI. parameters: bound by name. columns: what sql gives, in order.
    """

    database: str
    sql: str
    parameters: Mapping[str, int | float | str | None]
    columns: Sequence[ColumnInfo]
