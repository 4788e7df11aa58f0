"""A selection as one SELECT. Values are always bound, names are always known and quoted.

Pure. Way in: selection_sql.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import sqlalchemy as sa
from sqlalchemy.dialects import sqlite

from sources.columns import ColumnInfo
from sources.database import NO_ATTRIBUTES, QuerySource, Stored, TableSource
from sources.selection import Selection, Value, read_number
from sources.sqlite.column_types import storage_of
from sources.sqlite.conditions import all_of, condition_sql
from sources.sqlite.connections import NUMBERED, quoted
from sources.sqlite.filters import readings
from sources.sqlite.subqueries import computed_once
from sources.sqlite.tables import text_of

_DIALECT = sqlite.dialect(paramstyle="named")

# The name of a source whose columns we name.
_NAMED = "headwater_source"


def selection_sql(
    source: Stored,
    selection: Selection,
    columns: Sequence[ColumnInfo],
    attributes: Mapping[str, str] = NO_ATTRIBUTES,
    *,
    is_random: bool = False,
) -> tuple[str, Mapping[str, Value]]:
    """Return one SELECT and the values to bind by name.

    columns: the source's own. attributes: of the client, for the source's filter, which is applied
    before the selection. is_random: whether a value of the source may differ each time that it is
    computed; then each value is computed once, before it is compared. Parameters of a query keep
    their names; ours begin with `_`.
    Raises MissingAttribute.
    """
    # Names are qualified with their table: SQLite takes an unknown quoted name for a text.
    allowed, client_values = _allowed(source, columns, attributes)
    if isinstance(source, QuerySource) and allowed is None and not selection.changes_rows():
        return source.query, dict(selection.parameters)
    # Otherwise nothing of the client influences how the rows are found.
    is_chosen = bool(selection.columns or selection.filters or selection.sort)
    body = _body(source, columns, allowed, is_random=is_random, is_chosen=is_chosen)
    cells = {column.name: body.c[column.name] for column in columns}
    by_name = {column.name: column for column in columns}
    statement = sa.select(*(cells[name] for name in selection.names(columns)))
    statement = statement.select_from(body)
    bound: dict[str, Value] = {**dict(selection.parameters), **client_values}

    def bind(value: Value) -> str:
        name = f"_{len(bound)}"
        bound[name] = value
        return f":{name}"

    conditions = [
        condition_sql(_text(cells[each.column]), by_name[each.column], each, bind)
        for each in selection.filters
    ]
    if conditions:
        statement = statement.where(_expression(all_of(conditions)))
    statement = statement.order_by(
        *(cells[name].desc() if down else cells[name] for name, down in selection.sort)
    )
    if selection.limit is not None:
        # With our own offset: SQLAlchemy would bind one itself.
        statement = statement.limit(_expression(bind(selection.limit)))
        statement = statement.offset(_expression(bind(0)))
    return _text(statement), bound


def _allowed(
    source: Stored, columns: Sequence[ColumnInfo], attributes: Mapping[str, str]
) -> tuple[str | None, Mapping[str, Value]]:
    """Return the expression for the rows that the client may see, None for all, and its values."""
    if source.where is None:
        return None, {}
    bound: dict[str, Value] = {**source.where.bind(source.name, attributes)}
    affinities = {column.name: storage_of(column).affinity for column in columns}
    for use, affinity in readings(source.where, affinities):
        value = _reading(attributes[use.attribute], affinity)
        if value is None:
            return "0", {}  # a text would be greater than every number
        if use.parameter:
            bound[use.parameter] = value
    return source.where.sql, bound


def _reading(text: str, affinity: str) -> Value:
    """Return text as a value for comparisons with this affinity, None if it cannot be one."""
    if affinity == "TEXT":
        return text
    number = read_number(text) if affinity in ("INTEGER", "REAL") else None
    return number if number is not None and math.isfinite(number) else None


def _expression(sql: str) -> sa.ColumnClause[object]:
    return sa.literal_column(sql)


def _text(clause: sa.ClauseElement) -> str:
    return str(clause.compile(dialect=_DIALECT))


def _body(
    source: Stored,
    columns: Sequence[ColumnInfo],
    allowed: str | None,
    *,
    is_random: bool,
    is_chosen: bool,
) -> sa.FromClause:
    cells = [
        sa.column(sa.sql.quoted_name(column.name, quote=True), sa.types.NullType())
        for column in columns
    ]
    if isinstance(source, TableSource) and allowed is None and not is_random:
        return sa.table(sa.sql.quoted_name(source.table, quote=True), *cells)
    # Every colon is escaped, so that SQLAlchemy does not change the text and its parameters.
    if any(NUMBERED.search(column.name) for column in columns):
        # SQLite may rename the columns of a SELECT whose names repeat.
        names = ", ".join(quoted(column.name) for column in columns)
        named = f"with {_NAMED}({names}) as ({text_of(source, None)}) select * from {_NAMED}"
        source = QuerySource(source.name, source.database, named, (), source.where)
    if is_random:
        # The filter must see the same values as the client.
        once = computed_once(text_of(source, None))
        source = QuerySource(source.name, source.database, once, (), source.where)
    text = text_of(source, allowed)
    if allowed is not None and is_chosen:
        # If merged, an index for the selection would run over rows that the client must not see.
        text = computed_once(text)
    text = text.replace(":", r"\:")
    return sa.text(text).columns(*cells).subquery("source")
