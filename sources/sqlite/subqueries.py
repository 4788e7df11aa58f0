"""A SELECT inside another one. Pure."""

from __future__ import annotations

from sources.query import Query


def computed_once(sql: str) -> str:
    """Return a SELECT that SQLite does not merge with the one around it.

    SQLite merges no SELECT with an offset; in others it repeats expressions wherever a column is
    used. It also moves no conditions into it, so its own conditions alone select its rows.
    """
    return f"select * from ({sql}) limit -1 offset 0"


def subquery(query: Query) -> str:
    """Return the SELECT for use in another one, with each random value computed once."""
    return computed_once(query.sql) if query.is_random else query.sql
