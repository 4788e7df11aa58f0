"""The type of a column as people name it, and as what its values are compared.

SQLite has no dates, decimals or booleans: it gives columns that are declared so NUMERIC affinity,
and stores texts and numbers in them. Pure. Way in: type_of, declared_as, comparison_of. Source:
https://sqlite.org/datatype3.html, 3.1.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from sources.sqlite.tables import ColumnInfo

_DATE = frozenset(["DATE"])
_TIMESTAMP = frozenset(
    [
        "DATETIME", "DATETIME2", "DATETIMEOFFSET", "SMALLDATETIME",
        "TIMESTAMP", "TIMESTAMPTZ", "TIMESTAMPLTZ", "TIMESTAMPNTZ",
    ]
)  # fmt: skip
# Not NUM: so SQLite declares a column of dates, too, in `create table … as select …`.
_DECIMAL = frozenset(["DECIMAL", "DEC", "NUMERIC", "NUMBER", "MONEY", "SMALLMONEY"])
_BOOLEAN = frozenset(["BOOLEAN", "BOOL"])

# What type_of returns.
TYPES = ("integer", "real", "text", "blob", "date", "timestamp", "decimal", "boolean", "any")

_WORD = re.compile(r"\s*([0-9A-Z_]*)", re.IGNORECASE | re.ASCII)
_SIZE = re.compile(r"\(\s*([0-9]{1,9})\s*(?:,\s*([0-9]{1,9})\s*)?\)")


class Declared(NamedTuple):
    """What SQLite has no type for. kind: `date timestamp decimal boolean`.

    precision, scale: of a decimal that declares them, `DECIMAL(10, 2)`; a scale that is left out
    is 0, as in SQL.
    """

    kind: str
    precision: int | None = None
    scale: int | None = None


def declared_as(column: ColumnInfo) -> Declared | None:
    """Return which date, timestamp, decimal or boolean a column is declared as, None for none.

    The first word of the declared type decides: of a date and a timestamp whatever follows it, so
    that `TIMESTAMP TEXT` is one; of the others only where SQLite takes the column for no integer,
    real or text.
    """
    found = _WORD.match(column.declared)
    word = found[1].upper() if found else ""
    if word in _DATE:
        return Declared("date")
    if word in _TIMESTAMP:
        return Declared("timestamp")
    if column.affinity not in ("NUMERIC", "BLOB"):
        return None
    if word in _BOOLEAN:
        return Declared("boolean")
    if word not in _DECIMAL:
        return None
    if size := _SIZE.search(column.declared):
        return Declared("decimal", int(size[1]), int(size[2] or 0))
    return Declared("decimal")


def type_of(column: ColumnInfo) -> str:
    """Return which of TYPES a column is of.

    A column that declares none of them, an expression for instance, is named by what its first
    rows hold; so is a decimal that holds texts.
    """
    declared = declared_as(column)
    if declared is not None and not (declared.kind == "decimal" and _holds_texts(column)):
        return declared.kind
    if column.affinity in ("INTEGER", "REAL", "TEXT"):
        return column.affinity.lower()
    return column.stored or "any"


def comparison_of(column: ColumnInfo) -> str:
    """Return as what values are compared with those of a column.

    `integer`, `number`, `text`, `date`, `boolean`; `any`: a value that could be a number is
    compared with numbers as one and with texts as a text.
    """
    declared = declared_as(column)
    if declared is not None:
        kinds = {"timestamp": "date", "decimal": "number"}
        return kinds.get(declared.kind, declared.kind)
    kinds = {"INTEGER": "integer", "REAL": "number", "TEXT": "text"}
    return kinds.get(column.affinity, "any")


def takes_numbers_only(column: ColumnInfo) -> bool:
    """Is there nothing but numbers in a column, as far as it declares or its first rows tell?"""
    comparison = comparison_of(column)
    if comparison == "any":
        return column.stored in ("integer", "real")
    return comparison == "number" and not (column.affinity != "REAL" and _holds_texts(column))


def _holds_texts(column: ColumnInfo) -> bool:
    return column.stored in ("text", "blob")
