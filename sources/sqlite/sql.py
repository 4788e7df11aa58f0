"""A selection as one SELECT. Values are always bound, names always known and quoted.

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

# What a source is called whose columns we name.
_NAMED = "headwater_source"


def selection_sql(
    source: Stored,
    selection: Selection,
    columns: Sequence[ColumnInfo],
    attributes: Mapping[str, str] = NO_ATTRIBUTES,
    *,
    is_by_chance: bool = False,
) -> tuple[str, Mapping[str, Value]]:
    """Return one SELECT and the values to bind by name.

    columns: the source's own. attributes: the client's, for the source's filter, which is below all
    that is selected. is_by_chance: whether a value of the source may be another one each time that
    it is computed; then what is compared is what comes out. Parameters of a query keep their names;
    ours begin with `_`.
    Raises MissingAttribute.
    """
    # Qualified with their table: SQLite takes a quoted name by itself that is no column for a text.
    allowed, client_values = _allowed(source, columns, attributes)
    if isinstance(source, QuerySource) and allowed is None and not selection.changes_rows():
        return source.query, dict(selection.parameters)
    # With neither, nothing of the client's takes part in how the rows are found.
    is_chosen = bool(selection.columns or selection.filters or selection.sort)
    body = _body(source, columns, allowed, is_by_chance=is_by_chance, is_chosen=is_chosen)
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
        # With an offset of ours, as SQLAlchemy would bind one of its own.
        statement = statement.limit(_expression(bind(selection.limit)))
        statement = statement.offset(_expression(bind(0)))
    return _text(statement), bound


def _allowed(
    source: Stored, columns: Sequence[ColumnInfo], attributes: Mapping[str, str]
) -> tuple[str | None, Mapping[str, Value]]:
    """Return the expression that is true of the rows one may see, None for all, and its values."""
    if source.where is None:
        return None, {}
    bound: dict[str, Value] = {**source.where.bind(source.name, attributes)}
    affinities = {column.name: storage_of(column).affinity for column in columns}
    for use, affinity in readings(source.where, affinities):
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


def _expression(sql: str) -> sa.ColumnClause[object]:
    return sa.literal_column(sql)


def _text(clause: sa.ClauseElement) -> str:
    return str(clause.compile(dialect=_DIALECT))


def _body(
    source: Stored,
    columns: Sequence[ColumnInfo],
    allowed: str | None,
    *,
    is_by_chance: bool,
    is_chosen: bool,
) -> sa.FromClause:
    cells = [
        sa.column(sa.sql.quoted_name(column.name, quote=True), sa.types.NullType())
        for column in columns
    ]
    if isinstance(source, TableSource) and allowed is None and not is_by_chance:
        return sa.table(sa.sql.quoted_name(source.table, quote=True), *cells)
    # Every colon is escaped: SQLAlchemy then leaves the text alone, its parameters included.
    if any(NUMBERED.search(column.name) for column in columns):
        # To SQLite, the columns of a SELECT whose names repeat may have others.
        names = ", ".join(quoted(column.name) for column in columns)
        named = f"with {_NAMED}({names}) as ({text_of(source, None)}) select * from {_NAMED}"
        source = QuerySource(source.name, source.database, named, (), source.where)
    if is_by_chance:
        # Whether a row may be seen is told by the values that come out.
        once = computed_once(text_of(source, None))
        source = QuerySource(source.name, source.database, once, (), source.where)
    text = text_of(source, allowed)
    if allowed is not None and is_chosen:
        # Merged, an index that serves the selection would run over rows that it must not tell of.
        text = computed_once(text)
    text = text.replace(":", r"\:")
    return sa.text(text).columns(*cells).subquery("source")
