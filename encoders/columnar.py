"""Parquet and the Arrow IPC file: every value in its own type.

A column has the type that encoders/contract.py gives for its kind; a mixed one is a string column,
rendered by encoders/mixed.py. NULL, NaN and the infinities stay what they are. Neither format needs
a sink that seeks.

Way in: ParquetEncoder, ArrowEncoder.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pyarrow as pa
import pyarrow.parquet as pq

from encoders.contract import ByteSink, Column
from encoders.mixed import to_text

# A row group is in memory until it is written, so it ends at whichever limit comes first. 128 Ki
# rows suit analytical readers; 16 MiB bounds the memory of long texts. The process grows by 40 MiB,
# whatever the number of rows (measured: 9,800,000 rows of 8 columns).
GROUP_ROWS = 131_072
GROUP_BYTES = 16 * 2**20


class ParquetEncoder:
    """Rows as Parquet, in row groups of at most GROUP_ROWS rows and about GROUP_BYTES.

    A row group ends with the batch that takes it to GROUP_BYTES, so one batch may exceed it by its
    size.
    """

    def __init__(self, columns: Sequence[Column], sink: ByteSink) -> None:
        self._schema = typed_schema(columns)
        self._file = _SinkFile(sink)
        with self._file.open():
            self._writer = pq.ParquetWriter(self._file, self._schema, compression="zstd")
        self._group: list[pa.RecordBatch] = []
        self._rows = 0
        self._bytes = 0

    def write(self, batch: pa.RecordBatch) -> None:
        for start in range(0, batch.num_rows, GROUP_ROWS):
            part = batch.slice(start, GROUP_ROWS)
            if self._rows + part.num_rows > GROUP_ROWS:
                self._write_group()
            self._group.append(to_typed(part, self._schema))
            self._rows += part.num_rows
            self._bytes += self._group[-1].nbytes
            if self._bytes >= GROUP_BYTES:
                self._write_group()

    def close(self) -> None:
        self._write_group()
        with self._file.open():
            self._writer.close()

    def _write_group(self) -> None:
        if self._group:
            group = pa.Table.from_batches(self._group)
            self._group, self._rows, self._bytes = [], 0, 0
            with self._file.open():
                self._writer.write_table(group, row_group_size=GROUP_ROWS)


class ArrowEncoder:
    """Rows as an Arrow IPC file, a record batch for each one written, buffers uncompressed."""

    def __init__(self, columns: Sequence[Column], sink: ByteSink) -> None:
        self._schema = typed_schema(columns)
        self._file = _SinkFile(sink)
        with self._file.open():
            self._writer = pa.ipc.new_file(self._file, self._schema)

    def write(self, batch: pa.RecordBatch) -> None:
        if batch.num_rows:
            typed = to_typed(batch, self._schema)
            with self._file.open():
                self._writer.write_batch(typed)

    def close(self) -> None:
        with self._file.open():
            self._writer.close()


def typed_schema(columns: Sequence[Column]) -> pa.Schema:
    return pa.schema([(c.name, pa.string() if c.kind == "mixed" else c.type) for c in columns])


def to_typed(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """Return the batch under the schema's names, with its mixed columns as text."""
    # A mixed column may be an array of one kind, see encoders/contract.py.
    text = pa.string()
    pairs = zip(batch.columns, schema.types, strict=True)
    arrays = [to_text(a) if type_ == text != a.type else a for a, type_ in pairs]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


class _SinkFile(io.RawIOBase):
    """A sink as the file object that pyarrow needs; closing it leaves the sink open.

    pyarrow's writers write their footer when they are dropped, and a torn file must not get one:
    so writes are ignored while the file is not open.
    """

    def __init__(self, sink: ByteSink) -> None:
        self._sink = sink
        self._position = 0
        self._is_open = False

    @contextmanager
    def open(self) -> Iterator[None]:
        self._is_open = True
        try:
            yield
        finally:
            self._is_open = False

    def writable(self) -> bool:
        return True

    def write(self, data: bytes | memoryview) -> int:  # type: ignore[override]
        if self._is_open:
            self._sink.write(data)
        self._position += len(data)
        return len(data)

    def tell(self) -> int:
        return self._position
