"""The first rows of a selection, for people to look at. Way in: first_rows."""

from __future__ import annotations

from contextlib import suppress
from typing import cast

import apsw

from sources.database import LOOK_S, PreviewCell
from sources.errors import SourceUnavailable
from sources.query import Query
from sources.sqlite.connections import bound, connect, in_time, quoted
from sources.sqlite.subqueries import subquery

# SQLite cuts longer texts, and returns only the size of those with more than READ_BYTES, without
# reading them.
CELL_CHARS = 200
READ_BYTES = 1 << 20


def first_rows(query: Query, most: int, limit_s: float = LOOK_S) -> list[list[PreviewCell]] | None:
    """Return the first rows of a query, at most `most`; None if that takes longer than limit_s.

    None, too, if it needs values beyond REQUEST_LIMITS, to sort by for instance.
    Text that is not UTF-8 is shown with replacement characters. Raises SourceUnavailable. May wait
    for a lock or a disk.
    """
    cells = ", ".join(_shown(quoted(column.name)) for column in query.columns)
    statement = f"select {cells} from ({subquery(query)}) limit {most:d}"
    try:
        with connect(query.database) as connection:
            bound(connection)
            # The encoding of texts: UTF-8 or UTF-16.
            encoding = str(connection.execute("pragma encoding").get)
            too_much = (apsw.InterruptError, apsw.TooBigError)
            with suppress(*too_much), in_time(connection, limit_s):
                rows = connection.execute(statement, dict(query.parameters))
                return [[_read(value, encoding) for value in row] for row in rows]
            return None
    except apsw.Error as error:
        raise SourceUnavailable(f"the database answers: {error}") from error


def _shown(name: str) -> str:
    """Return an expression of one value for a cell; a text and a blob become a blob for _read."""
    # One expression a column: SQLite allows 2,000, and a table may have as many columns.
    text = f"cast('t' || length({name}) || ':' || substr({name}, 1, {CELL_CHARS}) as blob)"
    size = f"cast('b' || octet_length({name}) || ':' as blob)"
    is_measured = f"typeof({name}) = 'blob' or octet_length({name}) > {READ_BYTES}"
    return (
        f"case when typeof({name}) not in ('text', 'blob') then {name}"
        f" when {is_measured} then {size} else {text} end"
    )


def _read(value: object, encoding: str) -> PreviewCell:
    if not isinstance(value, bytes):
        return PreviewCell(cast("int | float | None", value))
    length, _, text = value.decode(encoding, "replace").partition(":")
    return PreviewCell(text if length.startswith("t") else None, int(length[1:]))
