"""Record batches to bytes: every format that an export can have. No database, no Flask, no journal.

Batches in, bytes into a sink; memory is a few batches, whatever the table's size. Way in:
open_encoder.

contract: Column, Sink, Encoder, and what a batch looks like. opening: open_encoder. errors: what
can be refused. separated: CSV and TSV. objects: NDJSON and JSON. columnar: Parquet and Arrow.
spreadsheet: XLSX. cells, workbook, archive: what a spreadsheet is made of, and the ZIP that it is.
compression: gzip and zstd around any of them. mixed: columns whose rows differ in kind.
"""

from encoders.contract import Column, Encoder, Sink
from encoders.errors import CellTooLong, EncodeError, NotUtf8, TableTooLarge
from encoders.opening import first_bytes, open_encoder

__all__ = [
    "CellTooLong",
    "Column",
    "EncodeError",
    "Encoder",
    "NotUtf8",
    "Sink",
    "TableTooLarge",
    "first_bytes",
    "open_encoder",
]
