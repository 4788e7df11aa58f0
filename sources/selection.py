"""The rows and columns of a source that the query parameters of a URL ask for.

Pure. Names are checked against the source's columns, values against their types.
Way in: parse_selection; a database's plan() makes a statement of the selection.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import NamedTuple
from urllib.parse import urlencode

from sources.columns import INT64, ColumnInfo
from sources.dates import read_date
from sources.errors import BadSelection
from sources.lists import item_text, list_text, quoted, read_list, split_list, unquoted
from wire.nearest import Names

Value = int | float | str | None

# SQLite's own limit is 32,766 variables; a URL that long is refused before.
MAX_VALUES_IN_A_LIST = 500
# A client does not read more at once.
MAX_PROBLEMS = 20

_INTEGER = re.compile(r"-?[0-9]{1,19}")
_REAL = re.compile(r"-?(?:[0-9]{1,40}(?:\.[0-9]{0,40})?|\.[0-9]{1,40})(?:[eE][+-]?[0-9]{1,3})?")
_YES_NO = {"1": True, "true": True, "0": False, "false": False}
_A_DATE = "2026, 2026-03, 2026-03-05 or 2026-03-05T14:30:00Z would be right"


@dataclass(frozen=True)
class Parameter:
    """A typed parameter of a query, set by the URL. default: None when the URL must set it."""

    name: str
    type: str  # `int float text`
    default: int | float | str | None


class Filter(NamedTuple):
    """One condition. values: one, or for `in` any number; for `null` a boolean.

    Dates are texts of sources.dates.read_date, booleans 1 and 0.
    """

    column: str
    operator: str
    values: tuple[Value, ...]


class Selection(NamedTuple):
    """A part of a source. columns: empty for all. sort: (column, descending)."""

    columns: tuple[str, ...] = ()
    filters: tuple[Filter, ...] = ()
    sort: tuple[tuple[str, bool], ...] = ()
    limit: int | None = None
    parameters: tuple[tuple[str, Value], ...] = ()
    excel: bool = False

    def changes_rows(self) -> bool:
        """Does it change the rows or columns of the source?"""
        return bool(self.columns or self.filters or self.sort) or self.limit is not None

    def names(self, columns: Sequence[ColumnInfo]) -> tuple[str, ...]:
        """Return the names of the selected columns, in order."""
        return self.columns or tuple(column.name for column in columns)

    def canonical(self) -> str:
        """Return the selection as a query string, the same for every way to write it.

        No other selection of the same source has the same text.
        """
        query: list[tuple[str, str]] = [(name, str(value)) for name, value in self.parameters]
        query += [
            (f"{f.column}__{f.operator}", _values_text(f.operator, f.values)) for f in self.filters
        ]
        if self.columns:
            query.append(("columns", list_text(self.columns)))
        if self.sort:
            query.append(("sort", ",".join(_key_text(*key) for key in self.sort)))
        if self.limit is not None:
            query.append(("limit", str(self.limit)))
        if self.excel:
            query.append(("excel", "1"))
        return urlencode(query)


OPERATORS = ("eq", "ne", "gt", "gte", "lt", "lte", "like", "in", "null")
# Query parameters that are no filters; a column of that name is filtered with `__eq`.
RESERVED = ("columns", "sort", "limit", "excel")
# How the value of a parameter is read, by its type.
_READ_AS = {"int": "integer", "float": "number", "text": "text"}


def parse_selection(
    query: Iterable[tuple[str, str]],
    columns: Sequence[ColumnInfo],
    parameters: Sequence[Parameter] = (),
) -> Selection:
    """Return the selection that query parameters ask for.

    query: (key, value) in any order. columns, parameters: of the source.
    Raises BadSelection with every problem at once; each says what would be right.
    """
    parser = _Parser(columns, parameters)
    selection = parser.parse(query)
    if parser.problems:
        raise BadSelection(parser.problems)
    return selection


class _Parser:
    """Reads one selection; `problems` collects all that is wrong."""

    def __init__(self, columns: Sequence[ColumnInfo], parameters: Sequence[Parameter]) -> None:
        self._columns = {column.name: column for column in columns}
        self._parameters = parameters
        self.problems: list[str] = []

    def parse(self, query: Iterable[tuple[str, str]]) -> Selection:
        singles = {*RESERVED, *(parameter.name for parameter in self._parameters)}
        given: dict[str, str] = {}
        filters = []
        for key, text in query:
            if key not in singles:
                filters.append(self._filter(key, text))
            elif key in given:
                self._note(f"{key}: given twice")
            else:
                given[key] = text
        return Selection(
            columns=self._names(given["columns"]) if "columns" in given else (),
            # Sorted: the order in the URL has no meaning.
            filters=tuple(sorted((each for each in filters if each is not None), key=repr)),
            sort=self._sort_keys(given["sort"]) if "sort" in given else (),
            limit=self._limit(given["limit"]) if "limit" in given else None,
            parameters=tuple((p.name, self._argument(p, given)) for p in self._parameters),
            excel=self._yes_or_no("excel", given.get("excel", "0")),
        )

    def _note(self, problem: str) -> None:
        self.problems.append(problem)
        if len(self.problems) >= MAX_PROBLEMS:
            raise BadSelection(self.problems)

    def _names(self, text: str) -> tuple[str, ...]:
        names = tuple(self._listed(text, lambda word: word in self._columns))
        for name in names:
            self._known("columns", name)
        if len(set(names)) < len(names):
            self._note("columns: a column is named twice")
        return names

    def _sort_keys(self, text: str) -> tuple[tuple[str, bool], ...]:
        def is_known(word: str) -> bool:
            return word in self._columns or (word[:1] == "-" and word[1:] in self._columns)

        keys = []
        for word in self._listed(text, is_known, signed=True):
            down = word.startswith("-") and word not in self._columns
            name = word[1:] if down else word
            if down and not is_known(word):
                name = unquoted(name) or name
            self._known("sort", name)
            keys.append((name, down))
        return tuple(keys)

    def _listed(
        self, text: str, is_known: Callable[[str], bool], *, signed: bool = False
    ) -> list[str]:
        """Return the names of a list; quotes and commas may belong to a name."""
        words = text.split(",")
        if all(map(is_known, words)):
            return words
        if is_known(text):
            return [text]
        items = split_list(text, signed=signed)
        inner = [(item, unquoted(item)) for item in items]
        return [item if is_known(item) or name is None else name for item, name in inner]

    def _limit(self, text: str) -> int | None:
        number = _whole(text)
        if number is not None and 0 <= number < 10**18:
            return number
        self._note(f"limit: {_shown(text)} is not a number of rows, 0 or more")
        return None

    def _argument(self, parameter: Parameter, given: Mapping[str, str]) -> Value:
        name, kind, default = parameter.name, parameter.type, parameter.default
        if name in given:
            return self._value(name, given[name], _READ_AS[kind])
        if default is None:
            self._note(f"{name}: this source needs it, a value of type {kind}")
        return default

    def _filter(self, key: str, text: str) -> Filter | None:
        name, separator, operator = key.rpartition("__")
        if key in self._columns or not separator:
            name, operator = key, "eq"
        column = self._known(key, name)
        if operator not in OPERATORS:
            known = ", ".join(OPERATORS)
            self._note(f"{key}: there is no operator {_shown(operator)}; there are {known}")
        elif column is not None:
            return Filter(name, operator, self._values(key, operator, text, column))
        return None

    def _values(self, key: str, operator: str, text: str, column: ColumnInfo) -> tuple[Value, ...]:
        if operator == "null":
            return (self._yes_or_no(key, text),)
        if operator == "like":
            return (text,)
        words = read_list(text) if operator == "in" else [text]
        if len(words) > MAX_VALUES_IN_A_LIST:
            self._note(f"{key}: at most {MAX_VALUES_IN_A_LIST} values can be listed")
            return ()
        return tuple(_exact(word, self._value(key, word, column.read_as)) for word in words)

    def _value(self, key: str, text: str, read_as: str) -> Value:
        """Return the text as a value. read_as: of sources.columns.READINGS."""
        if read_as in ("text", "any"):
            return text
        if read_as == "date":
            date = read_date(text)
            if date is None:
                self._note(f"{key}: {_shown(text)} is no date; {_A_DATE}")
            return date
        if read_as == "boolean" and text.lower() in ("true", "false"):
            return int(text.lower() == "true")
        if read_as == "integer":
            whole = _whole(text)
            if whole is None:
                self._note(f"{key}: {_shown(text)} is not a whole number of 64 bits")
            return whole
        number = read_number(text)
        if number is not None:
            return number
        if read_as == "number or text":
            return text
        wanted = "neither true nor false" if read_as == "boolean" else "not a number"
        self._note(f"{key}: {_shown(text)} is {wanted}")
        return None

    def _yes_or_no(self, key: str, text: str) -> bool:
        if text not in _YES_NO:
            self._note(f"{key}: {_shown(text)} is neither 1 (yes) nor 0 (no)")
        return _YES_NO.get(text, False)

    @cached_property
    def _known_names(self) -> Names:
        return Names([*self._columns, *(each.name for each in self._parameters), *RESERVED])

    def _known(self, key: str, name: str) -> ColumnInfo | None:
        if name not in self._columns:
            near = self._known_names.nearest(name)
            some = ", ".join(map(item_text, [*self._columns][:20]))
            some += ", …" if len(self._columns) > 20 else ""
            right = f"is it {item_text(near)}?" if near else f"there are {some}"
            where = "" if key == name else f"{_shown(key)}: "
            self._note(f"{where}there is no column {_shown(name)}; {right}")
        return self._columns.get(name)


def read_number(text: str) -> int | float | None:
    """Return the number in text, as SQLite would store it; None when it is none."""
    if _INTEGER.fullmatch(text) and int(text) in INT64:
        return int(text)
    return float(text) if _REAL.fullmatch(text) else None


def _whole(text: str) -> int | None:
    """Return the whole number of 64 bits in text, also as `2.0`, which JSON takes for 2."""
    number = _exact(text, read_number(text))
    return number if isinstance(number, int) else None


def _exact(text: str, value: Value) -> Value:
    """Return a real as an integer where text is one of 64 bits, which reals do not hold exactly.

    Text with an exponent is a real, written in its shortest digits.
    """
    if not isinstance(value, float) or abs(value) > 2**63:
        return value
    exact = Decimal(text)
    whole = int(exact)
    is_meant = whole == exact and (whole == value or "e" not in text.lower())
    return whole if is_meant and whole in INT64 else value


def _values_text(operator: str, values: tuple[Value, ...]) -> str:
    texts = ["01"[value] if isinstance(value, bool) else str(value) for value in values]
    return list_text(texts) if operator == "in" else texts[0]


def _key_text(name: str, down: bool) -> str:
    """Return a sort key in its canonical form."""
    if down:
        return "-" + item_text(name)
    return quoted(name) if name.startswith("-") else item_text(name)


def _shown(text: str) -> str:
    """Return text quoted for a message: at most 60 characters, control characters escaped."""
    short = text if len(text) <= 60 else text[:59] + "…"
    return f'"{short}"' if short.isprintable() else ascii(short)
