"""Tables for the encoders' tests: plain rows, the same as batches, and what hypothesis draws."""

from __future__ import annotations

import base64
import datetime as dt
import io
import math
import struct
from decimal import Context, Decimal
from typing import NamedTuple

import pyarrow as pa
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from encoders import Column, open_encoder
from encoders.contract import MAX_PRECISION, MEMBERS
from wire.formats import parse_extension

TYPES = {int: "integer", float: "real", str: "text", bytes: "blob"}

HARD_TEXTS = (
    *(
        "",
        '"',
        '""',
        ",",
        "\t",
        "\n",
        "\r",
        "\r\n",
        " lead",
        "trail ",
        "\x00",
        "\x1f",
        "\x7f",
        "\u0085",
    ),
    *("\u2028", "\u2029", "\ufeff", "\ufffe", "\uffff", "é", "e\u0301", "漢字", "😀", "👩‍👩‍👧"),
    *("=1+1", "+1", "-1", "@x", "'=1", "''@", "'a", "'", "http://a.b", "NULL", "nan", "1e5", "007"),
    *(
        "<r>x</r>",
        "&amp;",
        "]]>",
        "_x0041_",
        "_x0041_x0042_",
        "_x0041\x01",
        "_",
        "\\",
        "\\n",
        "null",
    ),
)
HARD_INTEGERS = (0, -1, 2**53, 2**53 + 1, -(2**53), -(2**53) - 1, 2**63 - 1, -(2**63))
HARD_REALS = (
    *(0.0, -0.0, 1.0, 0.1, 0.1 + 0.2, 1e15, 1e16, 1e22, 1e-4, 1e-5, 1e-7, 5e-324, 2.0**63),
    *(2.2250738585072014e-308, 1.7976931348623157e308, math.inf, -math.inf, math.nan),
)
HARD_NAMES = (
    "*",
    "^a.*$",
    "",
    " ",
    "a,b",
    'q"',
    "n\nl",
    "\ufeffid",
    "=x",
    "c0",
    "c1",
    "row",
    "<&>",
    "é😀",
)

# No deadline and no complaint of slow drawing: the machine may be busy with other things.
thorough = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

texts = st.lists(st.sampled_from(HARD_TEXTS) | st.text(max_size=4), max_size=3).map("".join)
VALUES = {
    "integer": st.sampled_from(HARD_INTEGERS) | st.integers(-(2**63), 2**63 - 1),
    "real": st.sampled_from(HARD_REALS) | st.floats(),
    "text": texts,
    "blob": st.binary(max_size=8),
}
VALUES["mixed"] = st.one_of(*VALUES.values())

# What typed formats have besides. Excel has no 1900-02-29, and no day before or after its range.
HARD_DATES = (
    *(dt.date(1, 1, 1), dt.date(1899, 12, 31), dt.date(1900, 1, 1), dt.date(1900, 2, 28)),
    *(dt.date(1900, 3, 1), dt.date(1970, 1, 1), dt.date(2024, 2, 29), dt.date(9999, 12, 31)),
)
HARD_TIMES = (
    *(dt.time(), dt.time(0, 0, 1), dt.time(12), dt.time(12, 34, 56, 789_000)),
    *(dt.time(23, 59, 59), dt.time(23, 59, 59, 999_000), dt.time(23, 59, 59, 999_999)),
)
dates = st.sampled_from(HARD_DATES) | st.dates()
timestamps = st.builds(dt.datetime.combine, dates, st.sampled_from(HARD_TIMES) | st.times())
VALUES_TYPED = {
    **VALUES,
    "date": dates,
    "timestamp": timestamps,
    "timestamp_utc": timestamps.map(lambda moment: moment.replace(tzinfo=dt.UTC)),
    "boolean": st.booleans(),
}


class Table(NamedTuple):
    """Rows of plain values. cuts: how many rows each batch has; they add up to all of them."""

    columns: list[Column]
    rows: list[tuple]
    cuts: list[int]

    def batches(self):
        start = 0
        for count in self.cuts:
            yield batch_of(self.columns, self.rows[start : start + count])
            start += count


@st.composite
def columns(draw, name, typed):
    kind = draw(st.sampled_from([*VALUES_TYPED, "decimal"] if typed else [*VALUES]))
    if kind != "decimal":
        return Column(name, kind)
    precision = draw(st.integers(1, MAX_PRECISION))
    return Column(name, kind, precision, draw(st.integers(0, precision)))


def values(column):
    if column.kind == "decimal":
        most = 10**column.precision - 1
        few = st.integers(0, column.precision - 1).map(lambda zeros: 10**zeros)
        return (few | st.integers(-most, most)).map(
            lambda digits: Decimal(digits).scaleb(-column.scale, Context(MAX_PRECISION))
        )
    return VALUES_TYPED[column.kind]


@st.composite
def tables(draw, *, typed=False):
    """typed: with the columns that only Parquet, Arrow and XLSX have, too."""
    names = draw(st.lists(st.sampled_from(HARD_NAMES) | texts, min_size=1, max_size=5, unique=True))
    drawn = [draw(columns(name, typed)) for name in names]
    cuts = draw(st.lists(st.integers(0, 4), max_size=3))
    row = st.tuples(*(st.none() | values(column) for column in drawn))
    return Table(drawn, draw(st.lists(row, min_size=sum(cuts), max_size=sum(cuts))), cuts)


def table(**columns):
    """Return a table of one batch. A keyword is a column: its name begins with its kind."""
    rows = [*zip(*columns.values(), strict=True)]
    return Table([Column(name, name.split("_")[0]) for name in columns], rows, [len(rows)])


def batch_of(columns, rows):
    arrays = [_array(c, [row[i] for row in rows]) for i, c in enumerate(columns)]
    return pa.RecordBatch.from_arrays(arrays, [str(i) for i in range(len(columns))])


def _array(column, values):
    if column.kind == "mixed":
        types = {type(v) for v in values if v is not None}
        if len(types) == 1 and values[0] is not None:  # else as the struct that it may be, too
            return pa.array(values, MEMBERS[TYPES[types.pop()]])
        values = [
            v if v is None else {m: v if TYPES[type(v)] == m else None for m in MEMBERS}
            for v in values
        ]
    return pa.array(values, column.type)


def encode(extension, given, *, excel=False):
    sink = io.BytesIO()
    encoder = open_encoder(parse_extension(extension), given.columns, sink, excel=excel)
    for batch in given.batches():
        encoder.write(batch)
    encoder.close()
    return sink.getvalue()


def bits(value):
    """Return a value that equals only its exact like: reals by their bits, all NaN alike."""
    if isinstance(value, float):
        return ("real", "NaN" if math.isnan(value) else struct.pack(">d", value))
    return (type(value).__name__, value)


def is_text_of(cell, value):
    """Whether a text is how a value of its own kind is rendered."""
    if isinstance(value, float):
        special = {"inf": "inf", "-inf": "-inf", "nan": "NaN"}.get(repr(value))
        return cell == special if special else bits(float(cell)) == bits(value) and len(cell) <= 25
    if isinstance(value, bytes):
        return cell == base64.b64encode(value).decode()
    return cell == (str(value) if isinstance(value, int) else value)
