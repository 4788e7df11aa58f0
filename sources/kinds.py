"""The table of the kinds of database.

Way in: database_of, as_stored; the catalogue reads addresses with KINDS.
"""

from __future__ import annotations

from collections.abc import Mapping

from sources.database import Database, DatabaseKind, GeneratedSource, Source, Stored
from sources.query import Query
from sources.sqlite import generated
from sources.sqlite.database import SQLITE

# By the scheme of their addresses.
KINDS: Mapping[str, DatabaseKind] = {"sqlite": SQLITE}

# The generators of rows.
GENERATORS = generated.GENERATORS


def database_of(query: Query) -> Database:
    """Return the database of a query."""
    return KINDS[query.kind].database_at(query.database)


def as_stored(source: Source) -> Stored:
    """Return the source as one in a database; generated rows become a query."""
    return generated.as_query(source) if isinstance(source, GeneratedSource) else source


def interrupt_overdue() -> None:
    """Interrupt overdue statements of requests, also in the middle of a long step."""
    for kind in KINDS.values():
        kind.interrupt_overdue()
