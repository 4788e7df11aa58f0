"""Typed values of columns that are declared as dates, timestamps, decimals or booleans.

SQLite stores them as texts and numbers. A column gets its declared type only if that fits all its
values; docs/formats.md has the table. Way in: candidates_of.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import NamedTuple, cast

import polars as pl
import pyarrow as pa

from encoders import Column
from encoders.contract import MAX_PRECISION
from encoders.mixed import to_text
from sources.columns import ColumnInfo
from sources.sqlite.column_types import declared_as, storage_of

_DATE = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
_CLOCK = r"[0-9]{2}:[0-9]{2}(:[0-5][0-9](\.[0-9]{1,6})?)?"
_SMALL = r"^-?[0-9](\.[0-9]+)?e-[0-9]{1,3}$"
_ZONE = r"([Zz]|[+-][0-9]{2}:[0-9]{2})"


class Candidate(NamedTuple):
    """A possible type of a column.

    read: takes an array of rows.py, and returns its values as a series of that type, null for
    values that are none; or None if no value of such an array can be one.
    """

    column: Column
    read: Callable[[pa.Array], pl.Series | None]

    def holds(self, array: pa.Array) -> bool:
        """Are all values of this array of the type?"""
        values = self.read(array)
        return values is not None and values.null_count() == _count_nulls(array)

    def values(self, array: pa.Array) -> pa.Array:
        """Return the array in the column's type. holds(array) must be true."""
        return cast("pl.Series", self.read(array)).to_arrow().cast(self.column.type)


def candidates_of(info: ColumnInfo) -> list[Candidate]:
    """Return the possible types of a column by its declared type, the best first; else none."""
    declared = declared_as(storage_of(info))
    name = info.name
    match declared:
        case ("date" | "timestamp", _, _):
            # Timestamps that are all days are dates, and dates with times are timestamps.
            return [
                Candidate(Column(name, "date"), _dates),
                Candidate(Column(name, "timestamp"), _timestamps),
                Candidate(Column(name, "timestamp_utc"), _moments),
            ]
        case ("boolean", _, _):
            return [Candidate(Column(name, "boolean"), _booleans)]
        case ("decimal", int(precision), int(scale)) if scale <= precision <= MAX_PRECISION:
            column = Column(name, "decimal", precision, scale)
            return [Candidate(column, lambda array: _decimals(array, precision, scale))]
    return []


def _count_nulls(array: pa.Array) -> int:
    if not pa.types.is_struct(array.type):
        return int(array.null_count)
    # The struct itself is never null: in a NULL all its children are.
    return int(len(array) - sum(len(child) - child.null_count for child in array.flatten()))


def _dates(array: pa.Array) -> pl.Series | None:
    texts = _texts(array, f"^{_DATE}$")
    return None if texts is None else texts.str.to_date("%Y-%m-%d", strict=False)


def _timestamps(array: pa.Array) -> pl.Series | None:
    texts = _texts(array, f"^{_DATE}[ T]{_CLOCK}$")
    return None if texts is None else _clock_times(texts)


def _moments(array: pa.Array) -> pl.Series | None:
    texts = _texts(array, f"^{_DATE}[ T]{_CLOCK}{_ZONE}$")
    if texts is None:
        return None
    zone = texts.str.extract(f"{_ZONE}$").str.replace("^[Zz]$", "+00:00")
    minutes = zone.str.slice(1, 2).cast(pl.Int64) * 60 + zone.str.slice(4, 2).cast(pl.Int64)
    offsets = pl.select(pl.duration(minutes=pl.lit(minutes))).to_series()
    is_east = zone.str.starts_with("+")
    times = _clock_times(texts.str.replace(f"{_ZONE}$", ""))
    return (times - offsets).zip_with(is_east, times + offsets).dt.replace_time_zone("UTC")


def _clock_times(texts: pl.Series) -> pl.Series:
    blank = texts.str.replace("T", " ", literal=True)
    whole = blank.str.replace(r"^(.{16})$", "${1}:00")
    return whole.str.to_datetime("%Y-%m-%d %H:%M:%S%.f", time_unit="us", strict=False)


def _booleans(array: pa.Array) -> pl.Series | None:
    if not pa.types.is_integer(array.type):
        return None
    values = pl.Series(array)
    return pl.select(pl.when(values.is_in([0, 1])).then(values.cast(pl.Boolean))).to_series()


def _decimals(array: pa.Array, precision: int, scale: int) -> pl.Series | None:
    if pa.types.is_binary(array.type) or (
        pa.types.is_struct(array.type) and array.field("blob").null_count < len(array)
    ):
        return None
    whole = precision - scale
    digits = rf"0|[1-9][0-9]{{0,{whole - 1}}}" if whole else "0"
    texts = _without_exponents(pl.Series(to_text(array)))
    fits = texts.str.contains(rf"^-?({digits})(\.0|\.[0-9]{{1,{max(1, scale)}}})?$")
    if not scale:
        fits &= texts.str.contains(r"^[^.]*(\.0)?$")
    return texts.set(~fits, None).cast(pl.Decimal(precision, scale), strict=False)


def _without_exponents(numbers: pl.Series) -> pl.Series:
    """Return small reals, `1e-7`, with all their places."""
    is_small = numbers.str.contains(_SMALL)
    if not is_small.any():
        return numbers
    small = [format(Decimal(text), "f") for text in numbers.filter(is_small)]
    return numbers.scatter(is_small.arg_true(), small)


def _texts(array: pa.Array, pattern: str) -> pl.Series | None:
    """Return the texts that match, null for others; None if some values are no texts."""
    if not pa.types.is_string(array.type):
        return None
    texts = pl.Series(array)
    return texts.set(~texts.str.contains(pattern), None)
