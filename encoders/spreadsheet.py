"""XLSX: one sheet, its first row the column names, streamed.

- The header is bold, stays visible and has a filter; columns are as wide as the header and the
  first rows need. The sheet is named after its title.
- integer, real and decimal are number cells of at most 15 digits; longer integers and decimals, and
  inf, -inf, NaN are text cells, since a spreadsheet shows no more digits and its numbers are
  finite. Dates and timestamps are numbers with a format, booleans booleans. text is text, never a
  formula, link or number. BLOBs are base64 text, mixed columns text (encoders/mixed.py). NULL is no
  cell, or a blank one in the first column.
- A text beyond MAX_CELL, a row beyond the format's max_rows and XML beyond 4 GiB are refused, never
  cut.

The XML is built by polars, a column at a time: 750,000 rows/s of 8 columns. xlsxwriter 3.3 was
tried: 32,000 rows/s, reals cut to 16 digits, a text `<r>…</r>` taken for markup, escapes that run
into each other, a temporary file, and no byte before the last row.

cells: the XML of cells. workbook: the parts around the sheet. Way in: SpreadsheetEncoder.
Source: ECMA-376 part 1, 18.3.1.99 (worksheet: the order of its elements).
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl
import pyarrow as pa

from encoders.archive import ArchiveWriter
from encoders.cells import as_xml, cell_of, series_of, text_cell, widths_of
from encoders.contract import ByteSink, Column
from encoders.errors import TableTooLarge
from encoders.workbook import (
    HEADER,
    MAIN,
    PARTS,
    SHEET,
    WORKBOOK,
    XML,
    letters_of,
    sheet_name,
    workbook,
)
from wire.formats import FORMATS

# A cell's XML is many times its value, some 40 bytes: a batch of many columns is written in parts.
CELLS_AT_ONCE = 524_288
# Rows of the first batch that the widths of columns are taken from.
WIDTH_ROWS = 1_000

_HEAD = f"""{XML}<worksheet xmlns="{MAIN}"><sheetViews><sheetView tabSelected="1" \
workbookViewId="0"><pane ySplit="1" topLeftCell="A2" activePane="bottomLeft" state="frozen"/>\
<selection pane="bottomLeft" activeCell="A2" sqref="A2"/></sheetView></sheetViews><cols>"""


class SpreadsheetEncoder:
    """Rows as the only sheet of a workbook; its head is written with the first row."""

    def __init__(self, columns: Sequence[Column], sink: ByteSink, title: str = "") -> None:
        """title: of the sheet.

        Raises TableTooLarge for too many columns, CellTooLong for a name (row 0).
        """
        limits = FORMATS["xlsx"]
        assert limits.max_rows is not None
        assert limits.max_columns is not None
        if len(columns) > limits.max_columns:
            raise TableTooLarge("columns", limits.max_columns)
        self._columns = columns
        self._title = title
        self._max_rows = limits.max_rows
        self._rows = 0
        self._cells = [cell_of(i, pl.col(f"c{i}"), c) for i, c in enumerate(columns)]
        # A row of NULLs has one blank cell, since readers skip empty rows.
        blank = pl.concat_str(pl.lit('<c r="A'), "row", pl.lit('"/>'))
        first = self._cells[0]
        self._cells[0] = first._replace(
            usual=first.usual.fill_null(blank), any=first.any.fill_null(blank)
        )
        self._names = [as_xml(pl.Series([c.name]), c.name, -1) for c in columns]
        small = [(name, (XML + part).encode()) for name, part in PARTS.items()]
        self._archive = ArchiveWriter(sink, small, SHEET)

    def write(self, batch: pa.RecordBatch) -> None:
        if self._rows + batch.num_rows > self._max_rows:
            raise TableTooLarge("rows", self._max_rows)
        rows_at_once = max(1, CELLS_AT_ONCE // len(self._columns))
        for start in range(0, batch.num_rows, rows_at_once):
            self._write_part(batch.slice(start, rows_at_once))

    def close(self) -> None:
        if not self._rows:
            self._write_head([pl.Series([], dtype=pl.String)] * len(self._columns))
        last_column, last_row = letters_of(len(self._columns) - 1), self._rows + 1
        filtered = f'<autoFilter ref="A1:{last_column}{last_row}"/>'
        self._archive.write(f"</sheetData>{filtered}</worksheet>".encode())
        part = XML + workbook(sheet_name(self._title), last_column, last_row)
        self._archive.close([(WORKBOOK, part.encode())])

    def _write_head(self, values: Sequence[pl.Series]) -> None:
        widths = widths_of(self._columns, [series.head(WIDTH_ROWS) for series in values])
        columns = "".join(
            f'<col min="{number}" max="{number}" width="{width}" customWidth="1"/>'
            for number, width in enumerate(widths, 1)
        )
        frame = _numbered(self._names, 1)
        cells = [text_cell(i, pl.col(f"c{i}"), HEADER) for i in range(len(self._names))]
        head = f"{_HEAD}{columns}</cols><sheetData>\n"
        self._archive.write(head.encode() + bytes(_rows_of(frame, cells)))

    def _write_part(self, batch: pa.RecordBatch) -> None:
        pairs = zip(batch.columns, self._columns, strict=True)
        values = [series_of(array, column) for array, column in pairs]
        if not self._rows:
            self._write_head(values)
        texts = [
            as_xml(series, column.name, self._rows) if series.dtype == pl.String else series
            for series, column in zip(values, self._columns, strict=True)
        ]
        # Row 1 of the sheet holds the names.
        frame = _numbered(texts, self._rows + 2)
        usual = frame.select(
            cell.is_usual.all().alias(f"c{i}") for i, cell in enumerate(self._cells)
        ).row(0)
        cells = [
            cell.usual if is_usual else cell.any
            for cell, is_usual in zip(self._cells, usual, strict=True)
        ]
        self._archive.write(_rows_of(frame, cells))
        self._rows += batch.num_rows


def _numbered(values: Sequence[pl.Series], first_row: int) -> pl.DataFrame:
    """Return the values as columns c0, c1 and so on, with the row number as text in "row"."""
    frame = pl.DataFrame({f"c{i}": series for i, series in enumerate(values)})
    return frame.with_row_index("row", first_row).with_columns(pl.col("row").cast(pl.String))


def _rows_of(frame: pl.DataFrame, cells: Sequence[pl.Expr]) -> memoryview:
    row = pl.concat_str(
        pl.lit('<row r="'), "row", pl.lit('">'), *cells, pl.lit("</row>\n"), ignore_nulls=True
    )
    # Arrow's older strings are adjacent in one buffer, which needs no join.
    rows = frame.select(row).to_series().to_arrow(compat_level=pl.CompatLevel.oldest())
    _, ends, data = rows.buffers()
    return memoryview(data)[: memoryview(ends).cast("q")[len(rows)]]
