"""Which rows and columns of a source are wanted: from the words of a URL to bound SQL.

Pure. Names are checked against the source's columns, values against their types and always
bound, never written into the SQL. Way in: parse_selection, then selection_sql.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple
from urllib.parse import urlencode

import sqlalchemy as sa
from sqlalchemy.dialects import sqlite

from sources.catalogue import Parameter, QuerySource, Source, TableSource
from sources.errors import BadSelection
from sources.tables import ColumnInfo

Value = int | float | str | None

# SQLite's own bound is 32,766 variables; a URL that long would have been refused before.
MAX_VALUES_IN_A_LIST = 500
MAX_INT64 = 2**63 - 1

_INTEGER = re.compile(r"-?[0-9]{1,19}")
_REAL = re.compile(r"-?(?:[0-9]{1,40}(?:\.[0-9]{0,40})?|\.[0-9]{1,40})(?:[eE][+-]?[0-9]{1,3})?")
_YES_NO = {"1": True, "true": True, "0": False, "false": False}
_DIALECT = sqlite.dialect(paramstyle="named")


class Filter(NamedTuple):
    """One condition. values: one, or for `in` any number; for `null` whether it must be."""

    column: str
    operator: str
    values: tuple[Value, ...]


class Selection(NamedTuple):
    """What is wanted of a source. columns: empty for all. sort: (column, descending)."""

    columns: tuple[str, ...] = ()
    filters: tuple[Filter, ...] = ()
    sort: tuple[tuple[str, bool], ...] = ()
    limit: int | None = None
    parameters: tuple[tuple[str, Value], ...] = ()
    excel: bool = False

    def names(self, columns: Sequence[ColumnInfo]) -> tuple[str, ...]:
        """Return the names of the columns that come out, in order."""
        return self.columns or tuple(column.name for column in columns)

    def canonical(self) -> str:
        """Return text that is the same for every way to write this selection, as a query string."""
        words: list[tuple[str, str]] = [(name, str(value)) for name, value in self.parameters]
        words += sorted(
            (f"{f.column}__{f.operator}", ",".join("" if v is None else str(v) for v in f.values))
            for f in self.filters
        )
        if self.columns:
            words.append(("columns", ",".join(self.columns)))
        if self.sort:
            words.append(("sort", ",".join("-" * down + name for name, down in self.sort)))
        if self.limit is not None:
            words.append(("limit", str(self.limit)))
        if self.excel:
            words.append(("excel", "1"))
        return urlencode(words)


_COMPARISONS = {
    "eq": lambda column, value: column == value,
    "ne": lambda column, value: column != value,
    "gt": lambda column, value: column > value,
    "gte": lambda column, value: column >= value,
    "lt": lambda column, value: column < value,
    "lte": lambda column, value: column <= value,
    "like": lambda column, value: column.like(value),
}
OPERATORS = (*_COMPARISONS, "in", "null")


def parse_selection(
    words: Iterable[tuple[str, str]],
    columns: Sequence[ColumnInfo],
    parameters: Sequence[Parameter] = (),
) -> Selection:
    """Return the selection that the words of a query string ask for.

    words: (key, value) in any order. columns, parameters: what the source has.
    Raises BadSelection with every problem at once, each naming what would be right.
    """
    parser = _Parser(columns, parameters)
    for key, value in words:
        parser.read(key, value)
    return parser.result()


class _Parser:
    """Collects one selection and all that is wrong with it."""

    def __init__(self, columns: Sequence[ColumnInfo], parameters: Sequence[Parameter]) -> None:
        self._columns = {column.name: column for column in columns}
        self._parameters = {parameter.name: parameter for parameter in parameters}
        self._given: dict[str, Value] = {}
        self._filters: list[Filter] = []
        self._seen: dict[str, object] = {}
        self._problems: list[str] = []

    def read(self, key: str, text: str) -> None:
        if key in self._parameters:
            self._once(key, lambda: self._read_parameter(key, text))
        elif key in _RESERVED:
            self._once(key, lambda: self._seen.__setitem__(key, _RESERVED[key](self, text)))
        else:
            self._read_filter(key, text)

    def _once(self, key: str, read: object) -> None:
        if key in self._seen or key in self._given:
            self._problems.append(f"{key}: given twice")
        else:
            read()  # type: ignore[operator]

    def result(self) -> Selection:
        for parameter in self._parameters.values():
            if parameter.name not in self._given and parameter.default is None:
                self._problems.append(
                    f"{parameter.name}: this source needs it, a value of type {parameter.type}"
                )
        if self._problems:
            raise BadSelection(self._problems)
        return Selection(
            filters=tuple(self._filters),
            parameters=tuple(
                (name, self._given.get(name, parameter.default))
                for name, parameter in self._parameters.items()
            ),
            **self._seen,  # type: ignore[arg-type]
        )

    def _read_parameter(self, name: str, text: str) -> None:
        affinity = {"int": "INTEGER", "float": "REAL", "text": "TEXT"}[self._parameters[name].type]
        self._given[name] = self._value(name, text, affinity)

    def _read_columns(self, text: str) -> tuple[str, ...]:
        names = tuple(text.split(","))
        for name in names:
            self._known("columns", name)
        if len(set(names)) < len(names):
            self._problems.append("columns: a column is named twice")
        return names

    def _read_sort(self, text: str) -> tuple[tuple[str, bool], ...]:
        keys = []
        for word in text.split(","):
            down = word.startswith("-") and word not in self._columns
            name = word[1:] if down else word
            self._known("sort", name)
            keys.append((name, down))
        return tuple(keys)

    def _read_limit(self, text: str) -> int | None:
        if not re.fullmatch(r"[0-9]{1,18}", text):
            self._problems.append(f"limit: {_shown(text)} is not a number of rows, 0 or more")
            return None
        return int(text)

    def _read_excel(self, text: str) -> bool:
        return self._yes_or_no("excel", text)

    def _read_filter(self, key: str, text: str) -> None:
        name, separator, operator = key.rpartition("__")
        if key in self._columns or not separator:
            name, operator = key, "eq"
        column = self._known(key, name)
        if operator not in OPERATORS:
            self._problems.append(
                f"{key}: there is no operator {_shown(operator)}; there are {', '.join(OPERATORS)}"
            )
        elif column is not None:
            self._filters.append(Filter(name, operator, self._values(key, operator, text, column)))

    def _values(self, key: str, operator: str, text: str, column: ColumnInfo) -> tuple[Value, ...]:
        if operator == "null":
            return (self._yes_or_no(key, text),)
        if operator == "like":
            return (text,)
        if operator != "in":
            return (self._value(key, text, column.affinity),)
        words = text.split(",")
        if len(words) > MAX_VALUES_IN_A_LIST:
            self._problems.append(f"{key}: at most {MAX_VALUES_IN_A_LIST} values can be listed")
            return ()
        return tuple(self._value(key, word, column.affinity) for word in words)

    def _value(self, key: str, text: str, affinity: str) -> Value:
        """Return the text as a value of this affinity; a number where there is none to go by."""
        if affinity == "TEXT":
            return text
        if _INTEGER.fullmatch(text) and abs(int(text)) <= MAX_INT64:
            return int(text)
        if affinity != "INTEGER" and _REAL.fullmatch(text):
            return float(text)
        if affinity in ("INTEGER", "REAL"):
            kind = "whole number of 64 bits" if affinity == "INTEGER" else "number"
            self._problems.append(f"{key}: {_shown(text)} is not a {kind}")
            return None
        return text

    def _yes_or_no(self, key: str, text: str) -> bool:
        if text not in _YES_NO:
            self._problems.append(f"{key}: {_shown(text)} is neither 1 (yes) nor 0 (no)")
        return _YES_NO.get(text, False)

    def _known(self, key: str, name: str) -> ColumnInfo | None:
        if name not in self._columns:
            names = [*self._columns, *self._parameters, *_RESERVED]
            near = difflib.get_close_matches(name[:100], names, 1)
            hint = f"; is it {near[0]}?" if near else ""
            some = ", ".join([*self._columns][:20]) + (", …" if len(self._columns) > 20 else "")
            where = "" if key == name else f"{_shown(key)}: "
            self._problems.append(
                f"{where}there is no column {_shown(name)}{hint} There are {some}"
                if near
                else f"{where}there is no column {_shown(name)}; there are {some}"
            )
        return self._columns.get(name)


_RESERVED = {
    "columns": _Parser._read_columns,
    "sort": _Parser._read_sort,
    "limit": _Parser._read_limit,
    "excel": _Parser._read_excel,
}


def _shown(text: str) -> str:
    """Return text quoted for a message: at most 60 characters, control characters escaped."""
    return (
        ascii(text if len(text) <= 60 else text[:59] + "…")
        if not text.isprintable()
        else (f'"{text if len(text) <= 60 else text[:59] + "…"}"')
    )


def selection_sql(
    source: Source, selection: Selection, columns: Sequence[ColumnInfo]
) -> tuple[str, Mapping[str, Value]]:
    """Return one SELECT and the values to bind by name.

    columns: the source's own. Parameters of a query keep their names; ours begin with `_`.
    """
    cells: dict[str, sa.ColumnClause[object]] = {
        c.name: sa.column(sa.sql.quoted_name(c.name, quote=True)) for c in columns
    }
    statement = sa.select(*(cells[name] for name in selection.names(columns)))
    statement = statement.select_from(_body(source, list(cells.values())))
    bound: dict[str, Value] = dict(selection.parameters)

    def bind(value: Value) -> sa.BindParameter[Value]:
        name = f"_{len(bound)}"
        bound[name] = value
        return sa.bindparam(name, value)

    for column, operator, values in selection.filters:
        cell = cells[column]
        if operator == "null":
            statement = statement.where(cell.is_(None) if values[0] else cell.is_not(None))
        elif operator == "in":
            statement = statement.where(sa.or_(*(cell == bind(value) for value in values)))
        else:
            statement = statement.where(_COMPARISONS[operator](cell, bind(values[0])))
    statement = statement.order_by(
        *(cells[name].desc() if down else cells[name] for name, down in selection.sort)
    )
    if selection.limit is not None:
        statement = statement.limit(bind(selection.limit))
    return str(statement.compile(dialect=_DIALECT)), bound


def _body(source: Source, cells: Sequence[sa.ColumnClause[object]]) -> sa.FromClause:
    if isinstance(source, TableSource):
        return sa.table(sa.sql.quoted_name(source.table, quote=True))
    assert isinstance(source, QuerySource), f"{type(source).__name__} is not read with SQL"
    # Every colon is escaped: SQLAlchemy then leaves the query alone, its parameters included.
    return sa.text(source.query.replace(":", r"\:")).columns(*cells).subquery("source")
