"""Which kinds of database there are: the table to which another one is added.

Way in: database_of, as_stored; the catalogue reads addresses with KINDS.
"""

from __future__ import annotations

from collections.abc import Mapping

from sources.database import Database, GeneratedSource, Kind, Source, Stored
from sources.query import Query
from sources.sqlite import generated
from sources.sqlite.database import SQLITE

# By the scheme of their addresses.
KINDS: Mapping[str, Kind] = {"sqlite": SQLITE}

# Rows can be made up as these.
GENERATORS = generated.GENERATORS


def database_of(query: Query) -> Database:
    """Return the database that a query is of."""
    return KINDS[query.kind].database_at(query.database)


def as_stored(source: Source) -> Stored:
    """Return the source as one that a database has; generated rows become a query."""
    return generated.as_query(source) if isinstance(source, GeneratedSource) else source


def break_off_late() -> None:
    """End statements of requests whose time is over, also in the middle of a long step."""
    for kind in KINDS.values():
        kind.break_off_late()
