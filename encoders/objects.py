"""NDJSON and JSON: each row an object, its keys the columns in their order. UTF-8, RFC 8259.

Integers keep all their digits, reals the shortest that read back as the same double, BLOBs are
base64 strings, NULL is null, and so are NaN and the infinities, which JSON does not have. Each
value of a mixed column has its own kind. JSON is the same rows as one array, a row a line.

polars writes a batch in which each column has one kind. It has no serializer for other batches:
their rows are joined from members.

Way in: ObjectsEncoder (NDJSON), ArrayEncoder (JSON).
"""

from __future__ import annotations

import io
import json
from collections.abc import Sequence

import polars as pl
import pyarrow as pa

from encoders.contract import ByteSink, Column
from encoders.mixed import base64_of, kinds_in, narrow

_to_json = json.JSONEncoder(ensure_ascii=False).encode


class ObjectsEncoder:
    """Rows as NDJSON: objects, each ended by `\\n`."""

    def __init__(self, columns: Sequence[Column], sink: ByteSink) -> None:
        self._names = [column.name for column in columns]
        self._sink = sink

    def write(self, batch: pa.RecordBatch) -> None:
        if batch.num_rows:
            self._sink.write(encode_lines(self._names, batch))

    def close(self) -> None:
        """Do nothing: the file has no end of its own."""


class ArrayEncoder:
    """Rows as one JSON array; its bracket is written at once."""

    def __init__(self, columns: Sequence[Column], sink: ByteSink) -> None:
        self._names = [column.name for column in columns]
        self._sink = sink
        self._rows_written = False
        sink.write(b"[\n")

    def write(self, batch: pa.RecordBatch) -> None:
        if not batch.num_rows:
            return
        # Line feeds inside values are escaped, so each one here ends a row.
        rows = encode_lines(self._names, batch).replace(b"\n", b",\n")
        if self._rows_written:
            self._sink.write(b",\n")
        self._sink.write(memoryview(rows)[: -len(b",\n")])
        self._rows_written = True

    def close(self) -> None:
        self._sink.write(b"\n]\n" if self._rows_written else b"]\n")


def encode_lines(names: Sequence[str], batch: pa.RecordBatch) -> bytes:
    """Return a batch of at least one row as NDJSON, with a line feed after each row."""
    arrays = [_narrowed(array) for array in batch.columns]
    frame = pl.DataFrame(pa.RecordBatch.from_arrays(arrays, [f"c{i}" for i in range(len(arrays))]))
    if pl.Binary in frame.dtypes:
        frame = frame.with_columns(base64_of(pl.col(pl.Binary)))
    if any(isinstance(dtype, pl.Struct) for dtype in frame.dtypes):
        return _encode_mixed(names, frame)
    frame.columns = list(names)
    lines = io.BytesIO()
    frame.write_ndjson(lines)
    return lines.getvalue()


def _narrowed(array: pa.Array) -> pa.Array:
    """Return the only child of a mixed column that has one kind; other columns unchanged."""
    if not pa.types.is_struct(array.type):
        return array
    kinds = kinds_in(array)
    return array if len(kinds) > 1 else narrow(array, kinds[0] if kinds else "text")


def _encode_mixed(names: Sequence[str], frame: pl.DataFrame) -> bytes:
    members: list[pl.Expr | str] = []
    for name, series in zip(names, frame, strict=True):
        column = pl.col(series.name)
        if isinstance(series.dtype, pl.Struct):
            key = _to_json(name) + ":"
            members += [pl.lit(","), pl.lit(key), _value_of(column)]
        else:
            members += [pl.lit(","), _unbraced(pl.struct(column.alias(name)))]
    row = pl.concat_str(pl.lit("{"), *members[1:], pl.lit("}\n"))
    lines: str = frame.select(row.str.join()).item()
    return lines.encode()


def _value_of(mixed: pl.Expr) -> pl.Expr:
    """Return the expression of a mixed column's values as JSON, each of its own kind."""
    part = mixed.struct.field
    real, text = part("real"), part("text")
    return pl.coalesce(
        part("integer").cast(pl.String),
        pl.when(real.is_finite()).then(real.cast(pl.String)),
        pl.when(text.is_not_null()).then(
            _unbraced(pl.struct(text.alias(""))).str.strip_prefix('"":')
        ),
        pl.concat_str(pl.lit('"'), base64_of(part("blob")), pl.lit('"')),
        pl.lit("null"),
    )


def _unbraced(struct: pl.Expr) -> pl.Expr:
    """Return the expression of a struct's members as JSON, without the braces around them."""
    return struct.struct.json_encode().str.strip_prefix("{").str.strip_suffix("}")
