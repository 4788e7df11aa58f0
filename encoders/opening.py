"""open_encoder: the encoder of a format, with a check of each batch's types, and compression."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pyarrow as pa

from encoders.columnar import ArrowEncoder, ParquetEncoder
from encoders.compression import CompressingSink, compress_into
from encoders.contract import MEMBERS, TYPED_KINDS, ByteSink, Column, Encoder
from encoders.objects import ArrayEncoder, ObjectsEncoder
from encoders.separated import SeparatedEncoder
from encoders.spreadsheet import SpreadsheetEncoder
from wire.formats import FileFormat

_SEPARATORS = {"csv": ",", "tsv": "\t"}

_ENCODERS: dict[str, Callable[[Sequence[Column], ByteSink], Encoder]] = {
    "ndjson": ObjectsEncoder,
    "json": ArrayEncoder,
    "parquet": ParquetEncoder,
    "arrow": ArrowEncoder,
}


# The first bytes of every file, whatever it holds. (RFC 1952 2.3.1; RFC 8878 3.1.1; the formats of
# Parquet, Arrow IPC files and ZIP.)
_MAGIC = {
    "gz": b"\x1f\x8b\x08",
    "zst": b"\x28\xb5\x2f\xfd",
    "parquet": b"PAR1",
    "arrow": b"ARROW1\0\0",
    "xlsx": b"PK\x03\x04",
}


def first_bytes(file_format: FileFormat) -> bytes:
    """Return the bytes that every file of this format begins with, b"" where there are none.

    They can be sent before the first row is read.
    """
    return _MAGIC.get(file_format.compression or file_format.format.name, b"")


def open_encoder(
    file_format: FileFormat,
    columns: Sequence[Column],
    sink: ByteSink,
    *,
    excel: bool = False,
    title: str = "",
) -> Encoder:
    """Return an encoder that writes into the sink; it may have written the file's head already.

    columns: at least one. excel: CSV and TSV only, see encoders/separated.py. title: of an XLSX's
    sheet.
    Raises ValueError when there are no columns, a kind is unknown or not for this format, or excel
    is given for another format; TableTooLarge or CellTooLong when the columns do not fit the
    format. An encoder may be dropped without close(): it holds nothing to free.
    """
    name = file_format.format.name
    if not columns:
        raise ValueError("an export has at least one column")
    types = [_types_of(column) for column in columns]
    if typed := [c.kind for c in columns if c.kind in TYPED_KINDS and not file_format.format.typed]:
        raise ValueError(f"{name} has no columns of the kind {typed[0]!r}")
    if excel and name not in _SEPARATORS:
        raise ValueError(f"excel is for csv and tsv, not for {name}")
    compressor = compress_into(sink, file_format.compression) if file_format.compression else None
    into = compressor or sink
    encoder: Encoder
    if name in _SEPARATORS:
        encoder = SeparatedEncoder(columns, into, separator=_SEPARATORS[name], excel=excel)
    elif name == "xlsx":
        encoder = SpreadsheetEncoder(columns, into, title)
    else:
        encoder = _ENCODERS[name](columns, into)
    return _CheckedEncoder(encoder, columns, types, compressor)


def _types_of(column: Column) -> list[pa.DataType]:
    """Return the types that the column's arrays may have."""
    return [column.type, *(MEMBERS.values() if column.kind == "mixed" else ())]


class _CheckedEncoder:
    """Checks the types of each batch before another encoder gets it."""

    def __init__(
        self,
        encoder: Encoder,
        columns: Sequence[Column],
        types: Sequence[list[pa.DataType]],
        compressor: CompressingSink | None,
    ) -> None:
        self._encoder = encoder
        self._columns = columns
        self._types = types
        self._compressor = compressor

    def write(self, batch: pa.RecordBatch) -> None:
        types = batch.schema.types
        if len(types) != len(self._types) or not all(map(list.__contains__, self._types, types)):
            raise TypeError(f"the batch has {types}, the columns {self._columns}")
        self._encoder.write(batch)

    def close(self) -> None:
        self._encoder.close()
        if self._compressor:
            self._compressor.close()
