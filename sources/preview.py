"""The first rows of a selection, for people to look at. Way in: first_rows."""

from __future__ import annotations

import sqlite3
from contextlib import closing

from sources.errors import SourceUnavailable
from sources.query import Query
from sources.tables import BUSY_TIMEOUT_S, in_time


def first_rows(query: Query, most: int) -> list[tuple[object, ...]] | None:
    """Return the first rows of a query, at most `most`; None if they take too long to find.

    Text that is not UTF-8 is shown with replacement characters. Raises SourceUnavailable. May wait
    for a lock or a disk.
    """
    try:
        connection = sqlite3.connect(query.database, uri=True, timeout=BUSY_TIMEOUT_S)
        with closing(connection):
            connection.text_factory = lambda raw: raw.decode(errors="replace")
            with in_time(connection):
                statement = f"select * from ({query.sql}) limit {most:d}"
                return connection.execute(statement, dict(query.parameters)).fetchall()
            return None
    except sqlite3.Error as error:
        raise SourceUnavailable(f"the database answers: {error}") from error
