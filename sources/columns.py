"""Columns of a source of any kind of database. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

INT64 = range(-(2**63), 2**63)

# Common names of Arrow types, by prefixes of pyarrow's names.
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
# The results of shown_type.
TYPES = ("integer", "real", "text", "blob", "date", "timestamp", "decimal", "boolean", "any")
# How the value of a filter is read; `any`: as text.
READINGS = ("integer", "number", "number or text", "text", "date", "boolean", "any")


class ColumnInfo(NamedTuple):
    """A column of a source.

    type: the Arrow type of its values in typed formats, by pyarrow's name, as `int64` or
    `decimal128(10, 2)`; `decimal128` where the precision is not known, "" where each value may have
    another type. A database guarantees it, or guesses it from a few rows. read_as: of READINGS.
    native: plain data that only its kind of database reads.
    """

    name: str
    type: str
    read_as: str
    native: Sequence[str | None] = ()


def shown_type(column: ColumnInfo) -> str:
    """Return the common name of a column's type, one of TYPES."""
    return next((name for start, name in _NAMES.items() if column.type.startswith(start)), "any")
