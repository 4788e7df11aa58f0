"""The type of a column, and how its values are compared.

SQLite has no dates, decimals or booleans: columns that are declared so get NUMERIC affinity, and
hold texts and numbers. Pure. Way in: make_column, storage_of, declared_as,
comparison_of. Source: https://sqlite.org/datatype3.html, 3.1.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from sources.columns import ColumnInfo

_DATE = frozenset(["DATE"])
_TIMESTAMP = frozenset(
    [
        "DATETIME", "DATETIME2", "DATETIMEOFFSET", "SMALLDATETIME",
        "TIMESTAMP", "TIMESTAMPTZ", "TIMESTAMPLTZ", "TIMESTAMPNTZ",
    ]
)  # fmt: skip
# Without NUM, which SQLite also declares for a column of dates in `create table … as select …`.
_DECIMAL = frozenset(["DECIMAL", "DEC", "NUMERIC", "NUMBER", "MONEY", "SMALLMONEY"])
_BOOLEAN = frozenset(["BOOLEAN", "BOOL"])

# SQLite's names of the affinity of an expression (its createTableStmt).
_OF_EXPRESSIONS = {"INT": "INTEGER", "REAL": "REAL", "TEXT": "TEXT", "NUM": "NUMERIC"}
# https://sqlite.org/datatype3.html, 3.1: the first that the declared type contains.
_RULES = (
    ("INT", "INTEGER"),
    ("CHAR", "TEXT"), ("CLOB", "TEXT"), ("TEXT", "TEXT"),
    ("BLOB", "BLOB"),
    ("REAL", "REAL"), ("FLOA", "REAL"), ("DOUB", "REAL"),
)  # fmt: skip

_ARROW_TYPES = {
    "integer": "int64", "real": "double", "text": "string", "blob": "binary",
    "date": "date32[day]", "timestamp": "timestamp[us]", "boolean": "bool",
}  # fmt: skip
_KINDS = {"INTEGER": "integer", "REAL": "real", "TEXT": "text"}
# That of decimal128.
_MAX_PRECISION = 38

_WORD = re.compile(r"\s*([0-9A-Z_]*)", re.IGNORECASE | re.ASCII)
_SIZE = re.compile(r"\(\s*([0-9]{1,9})\s*(?:,\s*([0-9]{1,9})\s*)?\)")


class Storage(NamedTuple):
    """SQLite's view of a column.

    affinity: `INTEGER REAL TEXT NUMERIC BLOB` (BLOB: none). stored: the storage class of its first
    rows if they have only one and the affinity does not imply it, else None; `real` for integers
    and reals. None in a source with a row filter, whose rows are not read.
    declared: the type in the table's declaration; for an expression the name of its affinity, ""
    for none.
    """

    affinity: str
    stored: str | None = None
    declared: str = ""


class Declared(NamedTuple):
    """A declared type that SQLite does not have. kind: `date timestamp decimal boolean`.

    precision, scale: of a decimal that declares them, `DECIMAL(10, 2)`; the default scale is 0, as
    in SQL.
    """

    kind: str
    precision: int | None = None
    scale: int | None = None


def make_column(
    name: str, affinity: str, stored: str | None = None, declared: str = ""
) -> ColumnInfo:
    """Return the column of a source with this storage."""
    storage = Storage(affinity, stored, declared)
    return ColumnInfo(name, _type_of(storage), _reading_of(storage), storage)


def storage_of(column: ColumnInfo) -> Storage:
    """Return the arguments of make_column, also in another process."""
    return Storage(*column.native)  # type: ignore[arg-type]


def affinity_of(declared: str) -> str:
    """Return the affinity of a column with this declared type, which may be ""."""
    upper = declared.upper()
    # ANY has none in a STRICT table, and is NUMERIC in others, which compare in the same way.
    if upper in ("", "ANY"):
        return "BLOB"
    found = (affinity for part, affinity in _RULES if part in upper)
    return _OF_EXPRESSIONS.get(upper) or next(found, "NUMERIC")


def kind_of(column: ColumnInfo) -> str:
    """Return the kind as which a column of only NULL is encoded."""
    return _KINDS.get(storage_of(column).affinity, "text")


def declared_as(column: Storage) -> Declared | None:
    """Return the date, timestamp, decimal or boolean that a column is declared as, None for none.

    The first word of the declared type decides: for dates and timestamps whatever follows it, so
    that `TIMESTAMP TEXT` is one; for the others only if the affinity is not that of integers, reals
    or texts.
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


def comparison_of(column: Storage) -> str:
    """Return how values are compared with those of a column.

    `integer`, `number`, `text`, `date`, `boolean`; `any`: a value that may be a number is compared
    with numbers as a number and with texts as a text.
    """
    declared = declared_as(column)
    if declared is not None:
        kinds = {"timestamp": "date", "decimal": "number"}
        return kinds.get(declared.kind, declared.kind)
    kinds = {"INTEGER": "integer", "REAL": "number", "TEXT": "text"}
    return kinds.get(column.affinity, "any")


def _type_of(column: Storage) -> str:
    """Return the Arrow type of a column.

    A column without a declared type, such as an expression, has that of its first rows, and so does
    a decimal that holds texts.
    """
    declared = declared_as(column)
    if declared is not None and not (declared.kind == "decimal" and _holds_texts(column)):
        return _ARROW_TYPES.get(declared.kind) or _decimal_type(declared)
    if column.affinity in ("INTEGER", "REAL", "TEXT"):
        return _ARROW_TYPES[column.affinity.lower()]
    return _ARROW_TYPES[column.stored] if column.stored else ""


def _decimal_type(declared: Declared) -> str:
    precision, scale = declared.precision, declared.scale
    if precision is None or scale is None or not scale <= precision <= _MAX_PRECISION:
        return "decimal128"
    return f"decimal128({precision}, {scale})"


def _reading_of(column: Storage) -> str:
    """Return how the value of a filter is read."""
    comparison = comparison_of(column)
    if comparison == "any":
        return "number" if column.stored in ("integer", "real") else "any"
    if comparison == "number" and column.affinity != "REAL" and _holds_texts(column):
        return "number or text"
    return comparison


def _holds_texts(column: Storage) -> bool:
    return column.stored in ("text", "blob")
