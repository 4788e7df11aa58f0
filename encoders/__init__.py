"""Record batches to bytes: every format that an export can have. No database, no Flask, no journal.

Batches in, bytes into a sink; memory is a few batches, whatever the table's size. Way in:
open_encoder.

contract: Column, ByteSink, Encoder, and the layout of a batch. opening: open_encoder. errors: what
an encoder refuses. separated: CSV and TSV. objects: NDJSON and JSON. columnar: Parquet and Arrow.
spreadsheet: XLSX. cells, workbook, archive: the cells of a sheet, the parts around it, and the ZIP.
compression: gzip and zstd around any format. mixed: columns whose rows differ in kind.
"""

from encoders.contract import ByteSink, Column, Encoder
from encoders.errors import CellTooLong, EncodeError, NotUtf8, TableTooLarge
from encoders.opening import first_bytes, open_encoder

__all__ = [
    "ByteSink",
    "CellTooLong",
    "Column",
    "EncodeError",
    "Encoder",
    "NotUtf8",
    "TableTooLarge",
    "first_bytes",
    "open_encoder",
]
