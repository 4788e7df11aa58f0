"""A selection as one SELECT. Values are always bound, names always known and quoted.

Pure. Way in: selection_sql.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import sqlalchemy as sa
from sqlalchemy.dialects import sqlite

from sources.catalogue import TableSource
from sources.selection import Selection, Value, read_number
from sources.tables import ColumnInfo, Stored, text_of

_DIALECT = sqlite.dialect(paramstyle="named")

# The attributes of who has none.
NOBODYS: Mapping[str, str] = MappingProxyType({})

_COMPARISONS = {
    "gt": lambda column, value: column > value,
    "gte": lambda column, value: column >= value,
    "lt": lambda column, value: column < value,
    "lte": lambda column, value: column <= value,
    "like": lambda column, value: column.like(value),
}


def selection_sql(
    source: Stored,
    selection: Selection,
    columns: Sequence[ColumnInfo],
    attributes: Mapping[str, str] = NOBODYS,
) -> tuple[str, Mapping[str, Value]]:
    """Return one SELECT and the values to bind by name.

    columns: the source's own. attributes: of who asks, for the source's filter, which is below all
    that is selected. Parameters of a query keep their names; ours begin with `_`.
    Raises MissingAttribute.
    """
    # Qualified with their table: SQLite takes a quoted name by itself that is no column for a text.
    allowed, values_of_who_asks = _allowed(source, columns, attributes)
    body = _body(source, columns, allowed)
    cells = {column.name: body.c[column.name] for column in columns}
    affinities = {column.name: column.affinity for column in columns}
    statement = sa.select(*(cells[name] for name in selection.names(columns)))
    statement = statement.select_from(body)
    bound: dict[str, Value] = {**dict(selection.parameters), **values_of_who_asks}

    def bind(value: Value) -> sa.BindParameter[Value]:
        name = f"_{len(bound)}"
        bound[name] = value
        return sa.bindparam(name, value)

    for column, operator, values in selection.filters:
        cell = cells[column]
        if operator == "null":
            statement = statement.where(cell.is_(None) if values[0] else cell.is_not(None))
            continue
        readings = [each for value in values for each in _readings(value, affinities[column])]
        if operator in ("eq", "in"):
            statement = statement.where(sa.or_(*(cell == bind(each) for each in readings)))
        elif operator == "ne":
            statement = statement.where(*(cell != bind(each) for each in readings))
        else:
            statement = statement.where(_COMPARISONS[operator](cell, bind(readings[0])))
    statement = statement.order_by(
        *(cells[name].desc() if down else cells[name] for name, down in selection.sort)
    )
    if selection.limit is not None:
        # With an offset of ours, as SQLAlchemy would bind one of its own.
        statement = statement.limit(bind(selection.limit)).offset(bind(0))
    return str(statement.compile(dialect=_DIALECT)), bound


def _allowed(
    source: Stored, columns: Sequence[ColumnInfo], attributes: Mapping[str, str]
) -> tuple[str | None, Mapping[str, Value]]:
    """Return the expression that is true of the rows one may see, None for all, and its values."""
    if source.where is None:
        return None, {}
    bound: dict[str, Value] = {**source.where.bind(source.name, attributes)}
    affinities = {column.name: column.affinity for column in columns}
    for use, affinity in source.where.readings(affinities):
        value = _reading(attributes[use.attribute], affinity)
        if value is None:
            return "0", {}  # else it would be greater than every number
        if use.parameter:
            bound[use.parameter] = value
    return source.where.sql, bound


def _reading(text: str, affinity: str) -> Value:
    """Return the text as what can be compared with values of this affinity, None for nothing."""
    if affinity == "TEXT":
        return text
    number = read_number(text) if affinity in ("INTEGER", "REAL") else None
    return number if number is not None and math.isfinite(number) else None


def _body(source: Stored, columns: Sequence[ColumnInfo], allowed: str | None) -> sa.FromClause:
    cells = [
        sa.column(sa.sql.quoted_name(column.name, quote=True), sa.types.NullType())
        for column in columns
    ]
    if isinstance(source, TableSource) and allowed is None:
        return sa.table(sa.sql.quoted_name(source.table, quote=True), *cells)
    # Every colon is escaped: SQLAlchemy then leaves the text alone, its parameters included.
    text = text_of(source, allowed).replace(":", r"\:")
    return sa.text(text).columns(*cells).subquery("source")


def _readings(value: Value, affinity: str) -> tuple[Value, ...]:
    """Return what a value may be: without an affinity, `1` is a number or a text of one digit."""
    number = read_number(value) if affinity == "BLOB" and isinstance(value, str) else None
    return (value,) if number is None else (number, value)
