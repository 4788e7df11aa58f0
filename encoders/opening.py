"""open_encoder: the encoder for a format, with what every format needs put around it.

That is the check of each batch's types, and compression.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pyarrow as pa

from encoders.columnar import ArrowEncoder, ParquetEncoder
from encoders.compression import CompressingSink, compress_into
from encoders.contract import MEMBERS, TYPED_KINDS, Column, Encoder, Sink
from encoders.objects import ArrayEncoder, ObjectsEncoder
from encoders.separated import SeparatedEncoder
from encoders.spreadsheet import SpreadsheetEncoder
from wire.formats import FileType

_SEPARATORS = {"csv": ",", "tsv": "\t"}

_ENCODERS: dict[str, Callable[[Sequence[Column], Sink], Encoder]] = {
    "ndjson": ObjectsEncoder,
    "json": ArrayEncoder,
    "parquet": ParquetEncoder,
    "arrow": ArrowEncoder,
}


# What every file begins with, whatever it holds. (RFC 1952 2.3.1; RFC 8878 3.1.1; the formats of
# Parquet, Arrow IPC files and ZIP.)
_MAGIC = {
    "gz": b"\x1f\x8b\x08",
    "zst": b"\x28\xb5\x2f\xfd",
    "parquet": b"PAR1",
    "arrow": b"ARROW1\0\0",
    "xlsx": b"PK\x03\x04",
}


def first_bytes(file_type: FileType) -> bytes:
    """Return what every file of this file_type begins with, b"" where that is not known.

    They can be handed out before anything is known of the rows.
    """
    return _MAGIC.get(file_type.compression or file_type.format.name, b"")


def open_encoder(
    file_type: FileType,
    columns: Sequence[Column],
    sink: Sink,
    *,
    excel: bool = False,
    title: str = "",
) -> Encoder:
    """Return an encoder that writes into the sink; it may have written the file's head already.

    columns: at least one. excel: CSV and TSV only, see encoders/separated.py. title: what a sheet
    of XLSX is named after.
    Raises ValueError when there are no columns, a kind is unknown or not for this format, or excel
    is asked of another format; TableTooLarge or CellTooLong when the columns do not fit the format.
    Nothing is to be freed when the encoder is dropped without close().
    """
    name = file_type.format.name
    if not columns:
        raise ValueError("an export has at least one column")
    types = [_types_of(column) for column in columns]
    if typed := [c.kind for c in columns if c.kind in TYPED_KINDS and not file_type.format.typed]:
        raise ValueError(f"{name} has no columns of the kind {typed[0]!r}")
    if excel and name not in _SEPARATORS:
        raise ValueError(f"excel is for csv and tsv, not for {name}")
    compressor = compress_into(sink, file_type.compression) if file_type.compression else None
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
    """An encoder that is only given batches it can trust."""

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
