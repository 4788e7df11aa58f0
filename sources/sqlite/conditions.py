"""A filter as an SQL condition with the meaning that people expect.

To SQLite every text is greater than every number, and a blob than both: so operators of order
compare only values of the same kind. Values are always bound. Pure.
Way in: condition_sql. Source: https://sqlite.org/datatype3.html, 4.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence

from sources.columns import ColumnInfo
from sources.selection import Filter, Value, read_number
from sources.sqlite.column_types import comparison_of, storage_of
from sources.sqlite.dates import dates_sql

# Takes a value and returns SQL for it.
Bind = Callable[[Value], str]

_OPERATORS = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}
# Texts that SQLite takes for numbers when it compares them with a column of NUMERIC affinity.
_LIKE_A_NUMBER = re.compile(
    r"[\t-\r ]*[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?[\t-\r ]*", re.ASCII
)
# True and false in a column of booleans, besides 1 and 0.
_TRUE, _FALSE = ("true", "True", "TRUE"), ("false", "False", "FALSE")


def condition_sql(cell: str, column: ColumnInfo, wanted: Filter, bind: Bind) -> str:
    """Return the condition of a filter. cell: SQL for the column's value."""
    operator, values = wanted.operator, wanted.values
    if operator == "null":
        return f"{cell} is null" if values[0] else f"{cell} is not null"
    if operator == "like":
        return f"{cell} like {bind(values[0])}"
    storage = storage_of(column)
    comparison = comparison_of(storage)
    if comparison == "date":
        texts = [value for value in values if isinstance(value, str)]
        return dates_sql(cell, storage.affinity, operator, texts, bind)
    if comparison == "boolean":
        return _boolean_sql(cell, operator, values, bind)
    readings = [each for value in values for each in _readings(value, comparison)]
    if operator in ("eq", "in", "ne"):
        # read_number takes ` 5` for a text, and so do operators of order; `5` is also a number.
        if storage.affinity == "NUMERIC" and any(map(_is_text_like_a_number, readings)):
            cell = f"+{cell}"
        negated = "not " if operator == "ne" else ""
        return f"{cell} {negated}in ({_bound(readings, bind)})"
    return " or ".join(_order_sql(cell, _OPERATORS[operator], each, bind) for each in readings)


def all_of(conditions: Sequence[str]) -> str:
    """Return the conditions joined by AND, at least one, as a tree.

    A chain would be as deep as it has conditions, and SQLite allows a depth of 1,000.
    """
    if len(conditions) == 1:
        return f"({conditions[0]})"
    half = len(conditions) // 2
    return f"({all_of(conditions[:half])} and {all_of(conditions[half:])})"


def _order_sql(cell: str, sign: str, value: Value, bind: Bind) -> str:
    if not isinstance(value, str):
        return f"({cell} {sign} {bind(value)} and typeof({cell}) in ('integer', 'real'))"
    # A column with NUMERIC affinity would compare a text of digits as a number.
    plain = f"+{cell}" if _LIKE_A_NUMBER.fullmatch(value) else cell
    return f"({plain} {sign} {bind(value)} and typeof({cell}) = 'text')"


def _is_text_like_a_number(value: Value) -> bool:
    is_like = isinstance(value, str) and _LIKE_A_NUMBER.fullmatch(value) is not None
    return is_like and read_number(str(value)) is None


def _boolean_sql(cell: str, operator: str, values: Sequence[Value], bind: Bind) -> str:
    if operator in ("eq", "in"):
        readings = [*values, *(word for value in values for word in _words_of(value))]
        return f"{cell} in ({_bound(readings, bind)})"
    words = [f"when {cell} in ({_bound(_words_of(i), bind)}) then {i}" for i in (1, 0)]
    number = f"case when typeof({cell}) in ('integer', 'real') then {cell} {' '.join(words)} end"
    if operator == "ne":
        return f"{number} <> {bind(values[0])}"
    return f"{number} {_OPERATORS[operator]} {bind(values[0])}"


def _words_of(value: Value) -> Sequence[str]:
    if value == 1:
        return _TRUE
    return _FALSE if value == 0 else ()


def _bound(values: Iterable[Value], bind: Bind) -> str:
    return ", ".join(bind(value) for value in values)


def _readings(value: Value, comparison: str) -> tuple[Value, ...]:
    """Return the meanings of a value: for `any`, `1` is a number or a text of one digit."""
    number = read_number(value) if comparison == "any" and isinstance(value, str) else None
    return (value,) if number is None else (number, value)
