"""What an encoder is: Arrow record batches in, bytes into a sink.

A batch has one field per column, in order, of the column's type; the names of its fields are not
read, the columns' are. A "mixed" column is what SQLite allows: each row has a kind of its own, so
it is a struct of which at most one child is not null (none: the value is NULL); or, in a batch
where all its rows are of one kind, an array of that kind.

Text is valid UTF-8: the reader of the rows guarantees it, and polars does not check it.

The kinds that SQLite has no storage class for (TYPED_KINDS) are for Parquet, Arrow and XLSX only.

An encoder is used by one thread. It keeps at most a few batches (Parquet gathers a row group), and
it may block as long as the sink does. After any error, its own or the sink's, what was written is a
torn file: do not close it, do not serve it as whole.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import pyarrow as pa

# What each row of a mixed column can be.
MEMBERS: dict[str, pa.DataType] = {
    "integer": pa.int64(),
    "real": pa.float64(),
    "text": pa.string(),
    "blob": pa.binary(),
}

# What only formats with a type per column have. A plain timestamp is what a clock on the wall says,
# one in UTC is a moment.
_TYPED: dict[str, pa.DataType] = {
    "date": pa.date32(),
    "timestamp": pa.timestamp("us"),
    "timestamp_utc": pa.timestamp("us", tz="UTC"),
    "boolean": pa.bool_(),
}

TYPED_KINDS = (*_TYPED, "decimal")
KINDS = (*MEMBERS, "mixed", *TYPED_KINDS)

_TYPES = {**MEMBERS, "mixed": pa.struct([*MEMBERS.items()]), **_TYPED}

# What decimal128 holds.
MAX_PRECISION = 38


class Column(NamedTuple):
    """A column of the export. kind: one of KINDS. Names do not repeat; any text will do.

    precision, scale: of a decimal only: how many digits its values have at most, 1 to
    MAX_PRECISION, and how many of these are behind the point.
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
                raise ValueError(f"no such decimal: precision {self.precision}, scale {self.scale}")
            return pa.decimal128(self.precision, self.scale)
        if self.kind not in _TYPES:
            raise ValueError(f"no such kind of column: {self.kind!r}; there are {', '.join(KINDS)}")
        return _TYPES[self.kind]


class Sink(Protocol):
    """Where bytes go: a file, a journal's recorder, io.BytesIO."""

    def write(self, data: bytes | memoryview, /) -> object:
        """Take all of data, in order. To keep it past the call, copy it."""


class Encoder(Protocol):
    """One export being encoded."""

    def write(self, batch: pa.RecordBatch) -> None:
        """Append the batch's rows, of which there may be none.

        Raises EncodeError when a value has no place in this format, and TypeError when the batch is
        not of the columns' types.
        """

    def close(self) -> None:
        """Write what must stand at the end; once, only if all went well. The sink stays open."""
