"""A selection as one SELECT. Values are always bound, names always known and quoted.

Pure. Way in: selection_sql.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import sqlalchemy as sa
from sqlalchemy.dialects import sqlite

from sources.catalogue import TableSource
from sources.selection import Selection, Value, read_number
from sources.tables import ColumnInfo, Stored

_DIALECT = sqlite.dialect(paramstyle="named")

_COMPARISONS = {
    "gt": lambda column, value: column > value,
    "gte": lambda column, value: column >= value,
    "lt": lambda column, value: column < value,
    "lte": lambda column, value: column <= value,
    "like": lambda column, value: column.like(value),
}


def selection_sql(
    source: Stored, selection: Selection, columns: Sequence[ColumnInfo]
) -> tuple[str, Mapping[str, Value]]:
    """Return one SELECT and the values to bind by name.

    columns: the source's own. Parameters of a query keep their names; ours begin with `_`.
    """
    # Qualified with their table: SQLite takes a quoted name by itself that is no column for a text.
    body = _body(source, columns)
    cells = {column.name: body.c[column.name] for column in columns}
    affinities = {column.name: column.affinity for column in columns}
    statement = sa.select(*(cells[name] for name in selection.names(columns)))
    statement = statement.select_from(body)
    bound: dict[str, Value] = dict(selection.parameters)

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


def _body(source: Stored, columns: Sequence[ColumnInfo]) -> sa.FromClause:
    cells = [
        sa.column(sa.sql.quoted_name(column.name, quote=True), sa.types.NullType())
        for column in columns
    ]
    if isinstance(source, TableSource):
        return sa.table(sa.sql.quoted_name(source.table, quote=True), *cells)
    # Every colon is escaped: SQLAlchemy then leaves the query alone, its parameters included.
    return sa.text(source.query.replace(":", r"\:")).columns(*cells).subquery("source")


def _readings(value: Value, affinity: str) -> tuple[Value, ...]:
    """Return what a value may be: without an affinity, `1` is a number or a text of one digit."""
    number = read_number(value) if affinity == "BLOB" and isinstance(value, str) else None
    return (value,) if number is None else (number, value)
