"""Exports read back, by readers that share nothing with the writers, and compared value by value.

docs/formats.md has the rules. Way in: read_file, then `File.names`, `File.rows`, `File.differs`.
"""

from __future__ import annotations

import base64
import datetime as dt
import gzip
import io
import json
import math
import re
import struct
from collections.abc import Callable, Sequence
from decimal import Context, Decimal
from typing import Any, NamedTuple

import openpyxl
import polars as pl
import zstandard

from sources.columns import ColumnInfo
from sources.sqlite.column_types import storage_of

EXACT = 2**53
EPOCH = dt.date(1970, 1, 1).toordinal()
DAY_US = 86_400_000_000
# The first and the last that Excel shows as they are, in microseconds from 1970.
EXCEL_US = ((dt.date(1900, 3, 1).toordinal() - EPOCH) * DAY_US, 253_402_300_799_999_000)

# Enough digits for any double that is below the largest decimal.
EXACTLY = Context(prec=400)
# A moment may be in this year if its zone is west of UTC.
YEAR_10000_US = 253_402_300_800_000_000

GUARD = re.compile(r"'+[=+\-@\t\r]")
GUARDED = re.compile(r"'*[=+\-@\t\r]")
DAY = r"([0-9]{4})-([0-9]{2})-([0-9]{2})"
CLOCK = r"([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:\.([0-9]{1,6}))?)?"
ZONE = r"(?:[Zz]|([+-])([0-9]{2}):([0-9]{2}))"
TIMES = {"date": DAY, "timestamp": f"{DAY}[ T]{CLOCK}", "timestamp_utc": f"{DAY}[ T]{CLOCK}{ZONE}"}


class File(NamedTuple):
    """What is in a file.

    rows: cells as the format's reader gives them. same(cell, value, column): is the cell what
    becomes of this value? column: its number. plain: an integer, real, text or blob as one text.
    kinds: of the columns, None where the format has no types.
    """

    names: list[str]
    rows: list[Any]
    same: Callable[[Any, Any, int], bool]
    plain: Callable[[Any], str | None]
    kinds: list[str] | None

    def differs(self, wanted: Sequence[Sequence[Any]]) -> str | None:
        """Return where the file is not these rows, None if it is."""
        if len(self.rows) != len(wanted):
            return f"{len(self.rows)} rows, not {len(wanted)}"
        for number, (cells, values) in enumerate(zip(self.rows, wanted, strict=True)):
            if len(cells) != len(values):
                return f"row {number} has {len(cells)} cells, not {len(values)}"
            for i, (cell, value) in enumerate(zip(cells, values, strict=True)):
                if not self.same(cell, value, i):
                    kind = self.kinds[i] if self.kinds else "plain"
                    return f"row {number}, column {i} ({kind}) is {cell!r:.200}, not {value!r:.200}"
        return None


def read_file(data: bytes, extension: str, excel: bool, kinds: Sequence[set[str]]) -> File:
    """Return what is in a file with this extension. kinds: those that each column may have."""
    name, _, compression = extension.partition(".")
    if compression == "gz":
        data = gzip.decompress(data)
    elif compression == "zst":
        data = zstandard.ZstdDecompressor().decompressobj().decompress(data)
    if name in ("csv", "tsv"):
        return _separated(data, "," if name == "csv" else "\t", excel)
    if name in ("json", "ndjson"):
        return _objects(data, name, len(kinds))
    return _sheet(data, kinds) if name == "xlsx" else _typed(data, name)


def bits(value: float) -> bytes:
    return struct.pack(">d", value)


def plain(value: Any) -> str | None:
    """Return what CSV writes, reals as Python does."""
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return None if value is None else str(value)


def is_plain_of(cell: str | None, value: Any) -> bool:
    """Is the cell this value in a format, or column, that has only texts?"""
    if not isinstance(value, float) or cell is None:
        return cell == plain(value)
    if not math.isfinite(value):
        return cell == str(value)
    # The shortest digits that read back the same; how the exponent is written is left open.
    digits, shortest = (
        written.partition("e")[0].strip("-").replace(".", "").strip("0")
        for written in (cell, repr(value))
    )
    is_real = "." in cell or "e" in cell
    return is_real and bits(float(cell)) == bits(value) and len(digits) <= len(shortest)


# CSV and TSV


def _separated(data: bytes, separator: str, excel: bool) -> File:
    written = data.decode()
    if excel:
        assert written.startswith("\ufeff")
        written = written[1:]
    header, *rows = _split(written, separator, "\r\n" if excel else "\n")

    def same(cell: tuple[str, bool], value: Any, _: int) -> bool:
        written, is_quoted = cell
        if value is None:
            return cell == ("", False)
        if excel and isinstance(value, str | bytes) and GUARDED.match(plain(value) or ""):
            value = "'" + (plain(value) or "")
        needs_quotes = not written or any(mark in written for mark in ('"', "\r", "\n", separator))
        return is_plain_of(written, value) and is_quoted == needs_quotes

    def plain_cell(cell: tuple[str, bool]) -> str | None:
        if cell == ("", False):
            return None
        return cell[0][1:] if excel and GUARD.match(cell[0]) else cell[0]

    names = [name for name, _ in header]
    if excel:
        names = [name[1:] if GUARD.match(name) else name for name in names]
    return File(names, rows, same, plain_cell, None)


def _split(written: str, separator: str, row_end: str) -> list[list[tuple[str, bool]]]:
    """Return rows of (text, was quoted), by RFC 4180 with one row end. Python's csv cannot tell."""
    rows, row, at = [], [], 0
    cell = re.compile(f'"((?:[^"]|"")*+)"|([^"\r\n{separator}]*+)')
    while at < len(written):
        match = cell.match(written, at)
        assert match
        is_quoted = match[1] is not None
        row.append((match[1].replace('""', '"') if is_quoted else match[2], is_quoted))
        at = match.end()
        if written.startswith(separator, at):
            at += 1
            continue
        assert written.startswith(row_end, at), f"after a cell: {written[at : at + 20]!r}"
        at += len(row_end)
        rows.append(row)
        row = []
    assert not row, "the last row has no end"
    return rows


# NDJSON and JSON


def _objects(data: bytes, name: str, columns: int) -> File:
    decode = json.JSONDecoder(object_pairs_hook=list).decode
    if name == "json":
        objects = decode(data.decode())
    else:
        *lines, last = data.decode().split("\n")
        assert last == "", "the last line has no end"
        objects = [decode(line) for line in lines]
    names = [key for key, _ in objects[0]] if objects else []
    assert all([key for key, _ in each] == names for each in objects)

    def same(cell: Any, value: Any, _: int) -> bool:
        if isinstance(value, bytes):
            value = plain(value)
        if isinstance(value, float):
            is_number = isinstance(cell, float) and bits(cell) == bits(value)
            return is_number if math.isfinite(value) else cell is None
        return type(cell) is type(value) and cell == value

    rows = [[cell for _, cell in each] for each in objects]
    return File(names or [""] * columns, rows, same, plain, None)


# Parquet and Arrow


def _typed(data: bytes, name: str) -> File:
    frame = pl.read_parquet(data) if name == "parquet" else pl.read_ipc(data)
    kinds = [_kind_of(dtype) for dtype in frame.dtypes]
    # Python has no year 0, and none after 9999.
    cells = [
        (each.alias("c").to_physical() if kind in TIMES else each).to_list()
        for each, kind in zip(frame, kinds, strict=True)
    ]

    def same(cell: Any, value: Any, column: int) -> bool:
        return _is_of_kind(cell, value, kinds[column])

    rows = [*zip(*cells, strict=True)]
    return File(frame.columns, rows, same, plain, kinds)


def _kind_of(dtype: pl.DataType) -> str:
    if isinstance(dtype, pl.Datetime):
        assert dtype.time_unit == "us"
        return "timestamp_utc" if dtype.time_zone == "UTC" else "timestamp"
    if isinstance(dtype, pl.Decimal):
        return f"decimal({dtype.precision},{dtype.scale})"
    kinds = {
        pl.Int64: "integer", pl.Float64: "real", pl.String: "text", pl.Binary: "blob",
        pl.Date: "date", pl.Boolean: "boolean",
    }  # fmt: skip
    return kinds[type(dtype)]  # type: ignore[index]


def _is_of_kind(cell: Any, value: Any, kind: str) -> bool:
    if value is None or cell is None:
        return cell is None and value is None
    if kind == "text":
        return is_plain_of(cell, value)
    if kind == "real":
        return cell == value and (bits(cell) == bits(value) or isinstance(value, int))
    if kind.startswith("decimal"):
        return cell == as_decimal(value)
    if kind in ("date", "timestamp", "timestamp_utc"):
        return cell == as_time(value, kind)
    if kind == "boolean":
        return isinstance(cell, bool) and type(value) is int and cell == value
    return type(cell) is type(value) and cell == value


# XLSX


def _sheet(data: bytes, kinds: Sequence[set[str]]) -> File:
    sheet = openpyxl.load_workbook(io.BytesIO(data), read_only=True).active
    header, *rows = [[(cell.value, cell.data_type) for cell in row] for row in sheet.iter_rows()]

    def same(cell: tuple[Any, str], value: Any, column: int) -> bool:
        if value is None:
            return cell[0] is None
        return any(_is_cell_of(*cell, value, kind) for kind in kinds[column])

    def plain_cell(cell: tuple[Any, str]) -> str | None:
        return _unescaped(cell[0]) if isinstance(cell[0], str) else plain(cell[0])

    width = len(header)
    filled = [row + [(None, "n")] * (width - len(row)) for row in rows]
    return File([_unescaped(name or "") for name, _ in header], filled, same, plain_cell, None)


def _unescaped(written: str) -> str:
    """Undo ST_Xstring (ECMA-376 part 1, 22.9.2.19), which openpyxl leaves to its caller."""
    return re.sub("_x([0-9A-Fa-f]{4})_", lambda match: chr(int(match[1], 16)), written)


def _is_cell_of(cell: Any, data_type: str, value: Any, kind: str) -> bool:
    """Is this a cell of the value in a column of this kind? data_type: as openpyxl names it."""
    # To openpyxl an empty text is no value.
    written = _unescaped(cell or "") if isinstance(cell, str | None) else None
    if kind in ("date", "timestamp", "timestamp_utc"):
        return _is_time_cell(cell, written, value, kind)
    if kind == "boolean":
        return data_type == "b" and type(value) is int and cell == value
    if kind == "real" and math.isfinite(value):
        return data_type == "n" and float(cell) == value
    if kind == "integer" and abs(value) < 10**15:
        return data_type == "n" and cell == value
    if kind.startswith("decimal"):
        number = as_decimal(value)
        if number is None or _count_digits(number) > 15:
            return written is not None and Decimal(written) == number
        return data_type == "n" and float(cell) == float(value)
    return written is not None and is_plain_of(written, value)


def _count_digits(number: Decimal) -> int:
    """Return how many digits a number has without zeros in front, or behind its last place."""
    _, digits, exponent = number.normalize(EXACTLY).as_tuple()
    assert isinstance(exponent, int)
    return len(digits) + max(0, exponent)


def _is_time_cell(cell: Any, written: str | None, value: Any, kind: str) -> bool:
    wanted = as_time(value, kind)
    if wanted is None:
        return False
    time_us = wanted * DAY_US if kind == "date" else wanted
    if EXCEL_US[0] <= time_us <= EXCEL_US[1]:
        # openpyxl reads milliseconds.
        return isinstance(cell, dt.datetime) and abs(_micros_of(cell) - time_us) <= 500
    zone = "Z" if kind == "timestamp_utc" else ""
    if time_us >= YEAR_10000_US:
        return written is not None and written.startswith("+10000-01-01 ")
    return (
        written is not None
        and written.endswith(zone)
        and as_time(written.removesuffix("Z"), kind.removesuffix("_utc")) == wanted
    )


def _micros_of(moment: dt.datetime) -> int:
    return (moment - dt.datetime(1970, 1, 1)) // dt.timedelta(microseconds=1)


# What a column is


def as_decimal(value: Any) -> Decimal | None:
    """Return the number as its shortest digits have it."""
    return None if isinstance(value, bytes) else Decimal(str(value))


def as_time(value: Any, kind: str) -> int | None:
    """Return the days of a date, or the microseconds of a timestamp, from 1970; None for none."""
    match = re.fullmatch(TIMES[kind], value) if isinstance(value, str) else None
    if not match:
        return None
    year, month, day = (int(each) for each in match.groups()[:3])
    # The calendar repeats itself after 400 years of 146,097 days. Python has no year 0.
    cycles = 1 if year < 400 else 0
    try:
        days = dt.date(year + 400 * cycles, month, day).toordinal() - 146_097 * cycles - EPOCH
    except ValueError:
        return None
    if kind == "date":
        return days
    hours, minutes, seconds = (int(each or 0) for each in match.groups()[3:6])
    if hours > 23 or minutes > 59 or seconds > 59:
        return None
    time_us = ((hours * 60 + minutes) * 60 + seconds) * 1_000_000 + int(
        (match[7] or "").ljust(6, "0")
    )
    if kind == "timestamp_utc" and match[8]:
        offset_us = (int(match[9]) * 60 + int(match[10])) * 60_000_000
        time_us -= offset_us if match[8] == "+" else -offset_us
    return days * DAY_US + time_us


def kinds_of(column: ColumnInfo, values: Sequence[Any]) -> set[str]:
    """Return which kinds a column of these values may have in a format with types."""
    some = [value for value in values if value is not None]
    if not some:
        return {"integer", "real", "text", "blob"}
    declared = storage_of(column).declared
    word = declared.split("(")[0].split(" ")[0].lower()
    if word in ("date", "datetime", "timestamp"):
        for kind in ("date", "timestamp", "timestamp_utc"):
            if all(as_time(value, kind) is not None for value in some):
                return {kind}
    if word in ("boolean", "bool") and all(
        type(value) is int and value in (0, 1) for value in some
    ):
        return {"boolean"}
    kind = _plain_kind(some)
    if size := re.fullmatch(r"decimal\(([0-9]+), ?([0-9]+)\)", declared):
        return _decimal_kinds(int(size[1]), int(size[2]), some, kind)
    return {kind}


def _plain_kind(some: Sequence[Any]) -> str:
    types = {*map(type, some)}
    if types == {int, float} and all(abs(each) <= EXACT for each in some if type(each) is int):
        return "real"
    names = {int: "integer", float: "real", str: "text", bytes: "blob"}
    return names[types.pop()] if len(types) == 1 else "text"


def _decimal_kinds(precision: int, scale: int, some: Sequence[Any], kind: str) -> set[str]:
    decimal = f"decimal({precision},{scale})"
    if not all(type(value) in (int, float) for value in some):
        # Texts that are such numbers, exactly, may be taken for them, or left.
        is_exact = all(isinstance(v, str) and re.fullmatch(r"-?[0-9]+(\.[0-9]+)?", v) for v in some)
        return {kind, decimal} if is_exact else {kind}
    numbers = [as_decimal(value) for value in some]
    fit = all(number is not None and _fits(number, precision, scale) for number in numbers)
    if fit and any("e" in repr(value) for value in some):
        return {kind, decimal}
    return {decimal} if fit else {kind}


def _fits(number: Decimal, precision: int, scale: int) -> bool:
    return (
        number.is_finite()
        and abs(number) < Decimal(10) ** (precision - scale)
        and number == number.quantize(Decimal(1).scaleb(-scale), context=EXACTLY)
    )
