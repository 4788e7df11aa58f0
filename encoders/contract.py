"""What an encoder is: Arrow record batches in, bytes into a sink.

A batch has one field per column, in order, of the type that KINDS gives for the column's kind; the
names of its fields are not read, the columns' are. A "mixed" column is what SQLite allows: each row
has a kind of its own, so it is a struct of which at most one child is not null (none: the value is
NULL); or, in a batch where all its rows are of one kind, an array of that kind.

An encoder is used by one thread. It keeps at most a few batches (Parquet gathers a row group), and
it may block as long as the sink does. After any error, its own or the sink's, what was written is a
torn file: do not close it, do not serve it as whole.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import pyarrow as pa

KINDS: dict[str, pa.DataType] = {
    "integer": pa.int64(),
    "real": pa.float64(),
    "text": pa.string(),
    "blob": pa.binary(),
    "mixed": pa.struct(
        [
            ("integer", pa.int64()),
            ("real", pa.float64()),
            ("text", pa.string()),
            ("blob", pa.binary()),
        ]
    ),
}


class Column(NamedTuple):
    """A column of the export. kind: a key of KINDS. Names do not repeat; any text will do."""

    name: str
    kind: str


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
