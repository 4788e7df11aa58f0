"""The contract of encoders: Arrow record batches in, bytes into a sink.

A batch has one field per column, in order, of the column's type; the names come from the columns,
not from the fields. In a "mixed" column each row has a kind of its own, as SQLite allows: it is a
struct of which at most one child is not null (none: the value is NULL); or, in a batch where all
its rows are of one kind, an array of that kind.

Text is valid UTF-8: the reader of the rows guarantees it, and polars does not check it.

Only typed formats take the kinds of TYPED_KINDS, for which SQLite has no storage class.

An encoder is used by one thread. It keeps at most a few batches (Parquet collects a row group), and
it may block as long as the sink does. After any error, its own or the sink's, the file is torn: do
not close the encoder, do not serve the file as whole.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import pyarrow as pa

# The kinds of rows in a mixed column.
MEMBERS: dict[str, pa.DataType] = {
    "integer": pa.int64(),
    "real": pa.float64(),
    "text": pa.string(),
    "blob": pa.binary(),
}

# Of typed formats only. A plain timestamp is a local time, one in UTC is a moment.
_TYPED: dict[str, pa.DataType] = {
    "date": pa.date32(),
    "timestamp": pa.timestamp("us"),
    "timestamp_utc": pa.timestamp("us", tz="UTC"),
    "boolean": pa.bool_(),
}

TYPED_KINDS = (*_TYPED, "decimal")
KINDS = (*MEMBERS, "mixed", *TYPED_KINDS)

_TYPES = {**MEMBERS, "mixed": pa.struct([*MEMBERS.items()]), **_TYPED}

# That of decimal128.
MAX_PRECISION = 38


class Column(NamedTuple):
    """A column of the export. kind: one of KINDS. name: any text, unique.

    precision, scale: of a decimal only: the most digits that a value has, 1 to MAX_PRECISION, and
    how many of these are behind the point.
    """

    name: str
    kind: str
    precision: int = 0
    scale: int = 0

    @property
    def type(self) -> pa.DataType:
        """The Arrow type of the column's arrays. Raises ValueError when there is none."""
        if self.kind == "decimal":
            if not (0 <= self.scale <= self.precision and 1 <= self.precision <= MAX_PRECISION):
                raise ValueError(f"invalid decimal: precision {self.precision}, scale {self.scale}")
            return pa.decimal128(self.precision, self.scale)
        if self.kind not in _TYPES:
            raise ValueError(
                f"unknown kind of column: {self.kind!r}; it is one of {', '.join(KINDS)}"
            )
        return _TYPES[self.kind]


class ByteSink(Protocol):
    """The destination of an encoder's bytes: a file, a journal's recorder, io.BytesIO."""

    def write(self, data: bytes | memoryview, /) -> object:
        """Write all of data. A sink that keeps it beyond the call copies it."""


class Encoder(Protocol):
    """The encoder of one export."""

    def write(self, batch: pa.RecordBatch) -> None:
        """Append the batch's rows, which may be none.

        Raises EncodeError for a value that the format cannot hold, and TypeError when the batch
        does not have the columns' types.
        """

    def close(self) -> None:
        """Write the end of the file; once, only after success. The sink stays open."""
