"""Values as the XML of a sheet's cells, made by polars, a column at a time.

A spreadsheet's number is a double of which 15 digits are shown, and its dates are days since
1899-12-30, up to the end of 9999. Excel has a 1900-02-29, so its dates are right from 1900-03-01.
Other values are text cells.

- A character that XML cannot carry is written `_xHHHH_`, and an underscore that would read as the
  start of such an escape `_x005F_`, as in the standard. Excel undoes both; openpyxl undoes neither.

Way in: series_of, as_xml, text_cell, cell_of, widths_of. Source: ECMA-376 part 1, 18.3.1.4 (c),
18.4.12 (t), 18.17.4.1 (dates), 22.9.2.19 (ST_Xstring).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import polars as pl
import pyarrow as pa

from encoders.contract import Column
from encoders.errors import CellTooLong
from encoders.mixed import base64_of, to_text
from encoders.workbook import DATE, DECIMAL, FRACTION, MAX_PLACES, PLAIN, TIMESTAMP, letters_of

# Excel's limit, in UTF-16 units.
MAX_CELL = 32_767
# The digits that Excel shows of a number; and those without a format of the cell's own.
SHOWN_DIGITS = 15
PLAIN_DIGITS = 11

_DAY_US = 86_400_000_000
_DAYS_BEFORE_1970 = 25_569
_DAYS = (61, 2_958_465)  # 1900-03-01 to 9999-12-31
# Without the last millisecond, whose fractions would be shown as the year 10000.
_TIMES_US = (_DAYS[0] * _DAY_US, (_DAYS[1] + 1) * _DAY_US - 1_000)

# Widths of columns, in characters. A number or date that is wider than its column is shown as ####,
# so these columns have room for any value of their kind; a text is cut on the screen only.
_LEAST_WIDTHS = {
    "integer": PLAIN_DIGITS,
    "real": PLAIN_DIGITS,
    "date": len("yyyy-mm-dd"),
    "timestamp": len("yyyy-mm-dd hh:mm:ss.000"),
    "timestamp_utc": len("yyyy-mm-dd hh:mm:ss.000"),
    "decimal": len("-0.") + SHOWN_DIGITS,
}
_LEAST_WIDTH = 8
# Kinds whose columns are as wide as their values.
_MEASURED = ("integer", "text", "blob", "mixed")
_MOST_WIDTH = 60
_PADDING = 1
_FILTER_BUTTON = 2
# Two columns wide on the screen, mostly: Hangul, Chinese, Japanese, emoji.
_WIDE = r"[\x{1100}-\x{11ff}\x{2e80}-\x{10ffff}]"

# The controls that XML 1.0 (2.2) does not allow, and the carriage return, which a parser reads as a
# line feed.
_UNWRITABLE = [*map(chr, (*range(9), *range(11, 32))), "\ufffe", "\uffff"]
_NEEDS_ESCAPE = r"[\x00-\x08\x0b-\x1f\x{fffe}\x{ffff}]|_x[0-9A-Fa-f]{4}_"
# Every "_x" of such a text is escaped, also where it is not needed. Otherwise one could run into
# the escape next to it: "_x0041" and U+0001 would be read as "A" and "x0001_".
_ORIGINALS = ["_x", *_UNWRITABLE]
_ESCAPES = ["_x005F_x", *(f"_x{ord(character):04X}_" for character in _UNWRITABLE)]


class CellExpressions(NamedTuple):
    """Expressions for the XML of a column's cells, null for NULL.

    usual: fast, for values that are all is_usual. any: for all values.
    """

    is_usual: pl.Expr
    usual: pl.Expr
    any: pl.Expr


def series_of(array: pa.Array, column: Column) -> pl.Series:
    """Return a column's values; mixed values and BLOBs, which are text in a sheet, as text."""
    values = pl.Series(to_text(array) if column.kind == "mixed" else array)
    return pl.select(base64_of(pl.lit(values))).to_series() if column.kind == "blob" else values


def as_xml(text: pl.Series, name: str, rows_before: int) -> pl.Series:
    """Return the texts of a column as XML, or raise CellTooLong."""
    # A text has no fewer bytes in UTF-8 than units in UTF-16, so few texts need counting.
    if (text.str.len_bytes() > MAX_CELL).any():
        _check_lengths(text, name, rows_before)
    unwritable = text.str.contains(_NEEDS_ESCAPE)
    if unwritable.any():
        text = text.str.replace_many(_ORIGINALS, _ESCAPES).zip_with(unwritable, text)
    return text.str.replace_many(["&", "<", ">"], ["&amp;", "&lt;", "&gt;"])


def _check_lengths(text: pl.Series, name: str, rows_before: int) -> None:
    for row, value in enumerate(text, rows_before + 1):
        length = len(value.encode("utf-16-le")) // 2 if value is not None else 0
        if length > MAX_CELL:
            raise CellTooLong(name, row, length, MAX_CELL)


def widths_of(columns: Sequence[Column], values: Sequence[pl.Series]) -> list[int]:
    """Return the width of each column, in characters. values: some of series_of, before as_xml."""
    names = _longest([pl.Series([column.name]) for column in columns])
    wanted = [
        max(
            name + _FILTER_BUTTON,
            _LEAST_WIDTHS.get(column.kind, _LEAST_WIDTH),
            value if column.kind in _MEASURED else 0,
        )
        for column, name, value in zip(columns, names, _longest(values), strict=True)
    ]
    return [min(width + _PADDING, _MOST_WIDTH) for width in wanted]


def _longest(values: Sequence[pl.Series]) -> list[int]:
    # One query for all columns: one for each took 3 s for 16,384 of them.
    frame = pl.DataFrame({f"c{i}": series for i, series in enumerate(values)})
    text = pl.all().cast(pl.String)
    widths = frame.select((text.str.len_chars() + text.str.count_matches(_WIDE)).max())
    return [width or 0 for width in widths.row(0)]


def text_cell(column: int, text: pl.Expr, style: int = PLAIN) -> pl.Expr:
    """Return the expression of a text's cell. column: from 0. text: XML of as_xml."""
    return _cell(column, pl.lit(_styled(style) + _TEXT), text, pl.lit(_TEXT_END))


def cell_of(number: int, value: pl.Expr, column: Column) -> CellExpressions:
    """Return the expressions for the cells of a column. number: of the column, from 0."""
    if column.kind not in _NUMBERS:
        cell = text_cell(number, value)
        return CellExpressions(pl.lit(True), cell, cell)
    styles, digits, text = _NUMBERS[column.kind](value, column)
    opening = _BOOLEAN if column.kind == "boolean" else _NUMBER
    openings = pl.lit(_styled(PLAIN) + _TEXT)
    for holds, style in reversed(styles):
        openings = pl.when(holds).then(pl.lit(_styled(style) + opening)).otherwise(openings)
    is_number = styles[-1][0]
    values = digits if text is digits else pl.when(is_number).then(digits).otherwise(text)
    closings = pl.when(is_number).then(pl.lit(_NUMBER_END)).otherwise(pl.lit(_TEXT_END))
    is_usual, style = styles[0]
    usual = _cell(number, pl.lit(_styled(style) + opening), digits, pl.lit(_NUMBER_END))
    return CellExpressions(is_usual, usual, _cell(number, openings, values, closings))


_TEXT, _TEXT_END = ' t="inlineStr"><is><t xml:space="preserve">', "</t></is></c>"
_NUMBER, _BOOLEAN, _NUMBER_END = "><v>", ' t="b"><v>', "</v></c>"


def _styled(style: int) -> str:
    return f'" s="{style}"' if style else '"'


def _cell(column: int, opening: pl.Expr, value: pl.Expr, closing: pl.Expr) -> pl.Expr:
    # The frame's "row" is the row number.
    return pl.concat_str(pl.lit(f'<c r="{letters_of(column)}'), "row", opening, value, closing)


# Conditions for the values that a spreadsheet takes as numbers, each with a style and including the
# one before; then the digits of these values, and the text of the others.
_Numbers = tuple[list[tuple[pl.Expr, int]], pl.Expr, pl.Expr]


def _integers(value: pl.Expr, _: Column) -> _Numbers:
    plain, shown = (
        value.is_between(1 - 10**count, 10**count - 1) for count in (PLAIN_DIGITS, SHOWN_DIGITS)
    )
    digits = value.cast(pl.String)
    return [(plain, PLAIN), (shown, DECIMAL)], digits, digits


def _reals(value: pl.Expr, _: Column) -> _Numbers:
    digits = value.cast(pl.String)
    return [(value.is_finite(), PLAIN)], digits, digits


def _decimals(value: pl.Expr, column: Column) -> _Numbers:
    digits = value.cast(pl.String)
    fits = pl.lit(True)
    if column.precision > SHOWN_DIGITS:
        shortest = digits.str.strip_chars_end("0") if column.scale else digits
        significant = shortest.str.replace_all(r"^-?0*\.?0*|\.", "")
        fits = significant.str.len_bytes() <= SHOWN_DIGITS
    style = DECIMAL + column.scale if column.scale <= MAX_PLACES else PLAIN
    return [(fits, style)], digits, digits


def _dates(value: pl.Expr, _: Column) -> _Numbers:
    days = value.to_physical() + _DAYS_BEFORE_1970
    has_day = days.is_between(*_DAYS)
    others = pl.when(~has_day).then(value).dt.to_string("%Y-%m-%d")
    return [(has_day, DATE)], days.cast(pl.String), others


def _timestamps(value: pl.Expr, column: Column) -> _Numbers:
    time_us = value.to_physical() + _DAYS_BEFORE_1970 * _DAY_US
    has_day = time_us.is_between(*_TIMES_US)
    is_whole = has_day & (time_us % 1_000_000 == 0)
    zone = "Z" if column.kind == "timestamp_utc" else ""
    others = pl.when(~has_day).then(value).dt.to_string(f"%Y-%m-%d %H:%M:%S%.f{zone}")
    days = (time_us / _DAY_US).cast(pl.String)
    return [(is_whole, TIMESTAMP), (has_day, FRACTION)], days, others


def _booleans(value: pl.Expr, _: Column) -> _Numbers:
    digit = value.cast(pl.Int8).cast(pl.String)
    return [(pl.lit(True), PLAIN)], digit, digit


_NUMBERS: dict[str, Callable[[pl.Expr, Column], _Numbers]] = {
    "integer": _integers,
    "real": _reals,
    "decimal": _decimals,
    "date": _dates,
    "timestamp": _timestamps,
    "timestamp_utc": _timestamps,
    "boolean": _booleans,
}
