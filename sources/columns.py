"""Columns of a source, whichever database it is in. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

# What an integer of 64 bits holds.
INT64 = range(-(2**63), 2**63)

# What people call the Arrow types that columns have, by what the names of those begin with.
_NAMES = {
    "int": "integer",
    "uint": "integer",
    "float": "real",
    "double": "real",
    "string": "text",
    "binary": "blob",
    "date": "date",
    "timestamp": "timestamp",
    "decimal": "decimal",
    "bool": "boolean",
}
# What shown_type returns.
TYPES = ("integer", "real", "text", "blob", "date", "timestamp", "decimal", "boolean", "any")
# As what the value of a filter is read; `any`: as it is written.
READINGS = ("integer", "number", "number or text", "text", "date", "boolean", "any")


class ColumnInfo(NamedTuple):
    """A column of a source.

    type: the Arrow type that its values have in formats with types, by pyarrow's name, as `int64`
    or `decimal128(10, 2)`; `decimal128` where the precision is not known, "" where each value may
    be of another type. A database promises it, or guesses it from a few rows. read_as: of READINGS.
    native: what else its kind of database knows of it, as plain data that only that kind reads.
    """

    name: str
    type: str
    read_as: str
    native: Sequence[str | None] = ()


def shown_type(column: ColumnInfo) -> str:
    """Return which of TYPES a column is of."""
    return next((name for start, name in _NAMES.items() if column.type.startswith(start)), "any")
