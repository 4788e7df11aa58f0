"""A SELECT that stands in another one. Pure."""

from __future__ import annotations

from sources.query import Query


def computed_once(sql: str) -> str:
    """Return a SELECT that SQLite does not merge with the one around it.

    It merges none with an offset; of others it repeats the expressions wherever a column is used.
    Nor does it move conditions into one, so all its rows are found by its own conditions alone.
    """
    return f"select * from ({sql}) limit -1 offset 0"


def subquery(query: Query) -> str:
    """Return the SELECT for use in another one, which then sees one value in each place."""
    return computed_once(query.sql) if query.is_by_chance else query.sql
