"""What an encoder refuses. Values are never cut or altered to make them fit.

EncodeError(ValueError)
├── NotUtf8          a text that is not valid UTF-8
├── CellTooLong      a text that a spreadsheet's cell cannot hold
└── TableTooLarge    more rows, columns or bytes than a spreadsheet can hold

Rows are counted from 1, as a reader of the file counts them below its header; row 0 is the header.
"""

from __future__ import annotations

UNBOUNDED = "csv, tsv, ndjson, json, parquet and arrow"


class EncodeError(ValueError):
    __doc__ = __doc__


class NotUtf8(EncodeError):
    """A text is not UTF-8. column: None where it is not known."""

    def __init__(self, column: str | None, row: int) -> None:
        place = f"row {row}" if column is None else f"column {column!r}, row {row}"
        identifier = '"' + (column or "name").replace('"', '""') + '"'
        super().__init__(
            f"{place}: the text is not valid UTF-8; cast it in a query: CAST({identifier} AS BLOB)"
        )
        self.column = column
        self.row = row


class CellTooLong(EncodeError):
    """A text is too long for a cell. length, limit: in UTF-16 units, as Excel counts."""

    def __init__(self, column: str, row: int, length: int, limit: int) -> None:
        super().__init__(
            f"column {column!r}, row {row}: {length:,} characters, "
            f"and a cell of xlsx holds {limit:,}; {UNBOUNDED} can hold them"
        )
        self.column = column
        self.row = row
        self.length = length
        self.limit = limit


class TableTooLarge(EncodeError):
    """The table is too large for a sheet. what: "rows", "columns" or "bytes of XML"."""

    def __init__(self, what: str, limit: int) -> None:
        super().__init__(
            f"a sheet of xlsx holds {limit:,} {what}, and there are more; {UNBOUNDED} can hold them"
        )
        self.what = what
        self.limit = limit
