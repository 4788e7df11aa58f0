"""What is to be read as plain data, to be handed from the server to a recording process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import apsw

from sources.sqlite.tables import ColumnInfo


def computed_once(sql: str) -> str:
    """Return a SELECT that SQLite does not merge with the one around it.

    It merges none with an offset; of others it repeats the expressions wherever a column is used.
    Nor does it move conditions into one, so all its rows are found by its own conditions alone.
    """
    return f"select * from ({sql}) limit -1 offset 0"


class Query(NamedTuple):
    """One SELECT of one database.

    database: an SQLite URI. parameters: bound by name. columns: what sql gives, in order.
    watches_clock: whether it is to be found out, while it runs, if it asks for the time.
    is_by_chance: whether a value that is computed twice may be another one.
    """

    database: str
    sql: str
    parameters: Mapping[str, int | float | str | None]
    columns: Sequence[ColumnInfo]
    watches_clock: bool = False
    is_by_chance: bool = False

    def subquery(self) -> str:
        """Return the SELECT for use in another one, which then sees one value in each place."""
        return computed_once(self.sql) if self.is_by_chance else self.sql

    def identity(self) -> list[Any]:
        """Return what is the same for queries with the same rows over the same data."""
        # Another version may give other rows.
        engine = apsw.sqlite_lib_version()
        return [engine, self.database, self.sql, sorted(self.parameters.items())]


class Tree(NamedTuple):
    """A whole folder. hidden: as of a Folder. digest: of what was in it when asked for."""

    name: str
    path: str
    hidden: bool
    digest: str

    def identity(self) -> list[Any]:
        """Return what is the same for the same folder."""
        return [self.path, self.hidden]
