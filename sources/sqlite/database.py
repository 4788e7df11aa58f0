"""A database file of SQLite as a Database of sources.database. Way in: SqliteDatabase, SQLITE."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import apsw

from sources.columns import ColumnInfo
from sources.database import LOOK_S, NO_ATTRIBUTES, DatabaseKind, Description, PreviewCell, Stored
from sources.query import Query
from sources.selection import Selection, Value
from sources.sqlite.check import check_database
from sources.sqlite.connections import IN_MEMORY, interrupt_overdue, path_of, read_only_uri
from sources.sqlite.filters import read_filter
from sources.sqlite.fingerprint import database_fingerprint
from sources.sqlite.preview import first_rows
from sources.sqlite.profiling import SqliteSample
from sources.sqlite.sql import selection_sql
from sources.sqlite.statement import read_statement
from sources.sqlite.tables import count_at_most, describe
from sources.sqlite.volatility import CHANCE, PERHAPS, SHAREABLE, volatility_of
from wire.entry import shown

KIND = "sqlite"


@dataclass(frozen=True)
class SqliteDatabase:
    """The database in the file at path, or the empty one IN_MEMORY."""

    path: Path

    def __str__(self) -> str:
        return str(self.path)

    @property
    def kind(self) -> str:
        return KIND

    @property
    def is_constant(self) -> bool:
        return self.path == IN_MEMORY

    def check(self, sources: Sequence[Stored]) -> list[str]:
        return check_database(self.path, sources)

    def describe(self, source: Stored) -> Description:
        return describe(source, read_only_uri(self.path))

    def fingerprint(self) -> str | None:
        return "always the same" if self.is_constant else database_fingerprint(self.path)

    def plan(
        self,
        source: Stored,
        selection: Selection,
        columns: Sequence[ColumnInfo],
        attributes: Mapping[str, str] = NO_ATTRIBUTES,
    ) -> Query:
        by_name = {column.name: column for column in columns}
        selected = [by_name[name] for name in selection.names(columns)]
        query = self.query(*selection_sql(source, selection, columns, attributes), selected)
        volatility = volatility_of(query, self.fingerprint())
        if volatility == CHANCE:
            sql, values = selection_sql(source, selection, columns, attributes, is_random=True)
            query = query._replace(sql=sql, parameters=values, is_random=True)
        is_shareable = volatility in SHAREABLE
        return query._replace(is_shareable=is_shareable, watches_clock=volatility == PERHAPS)

    def query(self, sql: str, values: Mapping[str, Value], columns: Sequence[ColumnInfo]) -> Query:
        """Return a query of this database."""
        engine = apsw.sqlite_lib_version()
        return Query(KIND, engine, read_only_uri(self.path), sql, values, columns)

    def count_at_most(
        self, source: Stored, query: Query, most: int, limit_s: float = LOOK_S
    ) -> int | None:
        return count_at_most(source, query, most, limit_s)

    def preview(
        self, query: Query, most: int, limit_s: float = LOOK_S
    ) -> list[list[PreviewCell]] | None:
        return first_rows(query, most, limit_s)

    def sample(self, query: Query, most_s: float) -> SqliteSample:
        return SqliteSample(query, most_s)


def _read_address(rest: str, folder: Path) -> tuple[SqliteDatabase, str | None]:
    """Return the database at sqlite:///relative or sqlite:////absolute, and the problem or None."""
    path = rest.removeprefix("/")
    problem = None
    if rest and not rest.startswith("/"):
        problem = f"needs three slashes; {shown(f'sqlite:///{rest}')} would be right"
    elif path in ("", "/", ":memory:") or path.startswith("file:"):
        found = shown(f"sqlite://{rest}")
        problem = f'{found} names no file; "sqlite:///file.db" would be right'
    elif "?" in path:
        problem = "options are not read; leave out the ? and what follows it"
    return SqliteDatabase(folder / path), problem


def _database_at(uri: str) -> SqliteDatabase:
    return SqliteDatabase(path_of(uri))


SQLITE = DatabaseKind(_read_address, read_statement, read_filter, _database_at, interrupt_overdue)
