"""The first rows of a selection, for people to look at. Way in: first_rows."""

from __future__ import annotations

from contextlib import suppress
from typing import NamedTuple, cast

import apsw

from sources import connections
from sources.connections import connect, in_time, quoted
from sources.errors import SourceUnavailable
from sources.query import Query

# Longer texts are cut by the database: a request never holds a whole one.
CELL_CHARS = 200


class Cell(NamedTuple):
    """A value as it is shown. length: of a text in characters or of a blob in bytes, else None.

    value: cut to CELL_CHARS when it is a text, None for NULL and for a blob.
    """

    value: int | float | str | None
    length: int | None = None


def first_rows(query: Query, most: int) -> list[list[Cell]] | None:
    """Return the first rows of a query, at most `most`; None if they take too long to find.

    Text that is not UTF-8 is shown with replacement characters. Raises SourceUnavailable. May wait
    for a lock or a disk.
    """
    # A subquery with an offset is not flattened, so each value is computed once.
    cells = ", ".join(_shown(quoted(column.name)) for column in query.columns)
    statement = f"select {cells} from (select * from ({query.sql}) limit {most:d} offset 0)"
    try:
        with connect(query.database) as connection:
            with suppress(apsw.InterruptError), in_time(connection, connections.LOOK_S):
                rows = connection.execute(statement, dict(query.parameters))
                return [[_read(value) for value in row] for row in rows]
            return None
    except apsw.Error as error:
        raise SourceUnavailable(f"the database answers: {error}") from error


def _shown(name: str) -> str:
    """Return an expression of one value for a cell; a text and a blob become a blob for _read."""
    # One expression a column: SQLite gives at most 2,000, which a table may have.
    text = f"cast('t' || length({name}) || ':' || substr({name}, 1, {CELL_CHARS}) as blob)"
    blob = f"cast('b' || octet_length({name}) || ':' as blob)"
    return f"case typeof({name}) when 'text' then {text} when 'blob' then {blob} else {name} end"


def _read(value: object) -> Cell:
    if not isinstance(value, bytes):
        return Cell(cast("int | float | None", value))
    length, _, text = value[1:].partition(b":")
    return Cell(text.decode(errors="replace") if value[:1] == b"t" else None, int(length))
