"""XLSX: one sheet, its first row the column names, written as it comes and never held.

- integer and real are number cells; integers past 2^53 and inf, -inf, NaN are text cells, since a
  spreadsheet's number is a double and finite. text is text, whatever it looks like: no formula,
  link or number is made of it. BLOBs are base64 text, mixed columns text (encoders/mixed.py). NULL
  is no cell, or a blank one in the first column.
- A character that XML cannot carry is written `_xHHHH_`, and an underscore that would read as the
  start of such an escape `_x005F_`, as the standard has it. Excel undoes both; openpyxl undoes
  neither.
- A text past MAX_CELL, a row past the format's max_rows, XML past 4 GiB: refused, never cut.

The XML is built by polars, a column at a time: 580,000 rows/s of 8 columns. xlsxwriter 3.3 was
tried: 32,000 rows/s, reals cut to 16 digits, a text `<r>…</r>` taken for markup, escapes that run
into each other, a temporary file, and no byte before the last row.

Way in: SpreadsheetEncoder. Source: ECMA-376 part 1, 18.3.1.4 (c), 18.4.12 (t), 22.9.2.19
(ST_Xstring).
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl
import pyarrow as pa

from encoders.archive import Archive
from encoders.contract import Column, Sink
from encoders.errors import CellTooLong, TableTooLarge
from encoders.mixed import base64_of, to_text
from wire.formats import FORMATS

# What Excel takes, in UTF-16 units.
MAX_CELL = 32_767
# Every integer up to here is a double.
MAX_EXACT = 2**53
# A cell's XML is many times its value, some 40 bytes: a batch of many columns is written in parts.
CELLS_AT_ONCE = 524_288

_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml"
_XML = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'

_PARTS = {
    "[Content_Types].xml": f"""<Types xmlns="{_PACKAGE}/content-types">\
<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>\
<Default Extension="xml" ContentType="application/xml"/>\
<Override PartName="/xl/workbook.xml" ContentType="{_TYPE}.sheet.main+xml"/>\
<Override PartName="/xl/styles.xml" ContentType="{_TYPE}.styles+xml"/>\
<Override PartName="/xl/worksheets/sheet1.xml" ContentType="{_TYPE}.worksheet+xml"/></Types>""",
    "_rels/.rels": f"""<Relationships xmlns="{_PACKAGE}/relationships">\
<Relationship Id="rId1" Type="{_OFFICE}/officeDocument" Target="xl/workbook.xml"/>\
</Relationships>""",
    "xl/workbook.xml": f"""<workbook xmlns="{_MAIN}" xmlns:r="{_OFFICE}">\
<sheets><sheet name="Sheet1" sheetId="1" r:id="rId1"/></sheets></workbook>""",
    "xl/_rels/workbook.xml.rels": f"""<Relationships xmlns="{_PACKAGE}/relationships">\
<Relationship Id="rId1" Type="{_OFFICE}/worksheet" Target="worksheets/sheet1.xml"/>\
<Relationship Id="rId2" Type="{_OFFICE}/styles" Target="styles.xml"/></Relationships>""",
    "xl/styles.xml": f"""<styleSheet xmlns="{_MAIN}">\
<fonts count="1"><font><sz val="11"/><name val="Calibri"/><family val="2"/></font></fonts>\
<fills count="2"><fill><patternFill patternType="none"/></fill>\
<fill><patternFill patternType="gray125"/></fill></fills>\
<borders count="1"><border><left/><right/><top/><bottom/><diagonal/></border></borders>\
<cellStyleXfs count="1"><xf numFmtId="0" fontId="0" fillId="0" borderId="0"/></cellStyleXfs>\
<cellXfs count="1"><xf numFmtId="0" fontId="0" fillId="0" borderId="0" xfId="0"/></cellXfs>\
<cellStyles count="1"><cellStyle name="Normal" xfId="0" builtinId="0"/></cellStyles>\
</styleSheet>""",
}
_SHEET = "xl/worksheets/sheet1.xml"
_SHEET_HEAD = f'{_XML}<worksheet xmlns="{_MAIN}"><sheetData>\n'
_SHEET_END = "</sheetData></worksheet>"

# XML 1.0 (2.2) has no other controls; a carriage return it has, but a parser reads it as a line
# feed.
_UNWRITABLE = [*map(chr, (*range(9), *range(11, 32))), "\ufffe", "\uffff"]
_NEEDS_ESCAPE = r"[\x00-\x08\x0b-\x1f\x{fffe}\x{ffff}]|_x[0-9A-Fa-f]{4}_"
# Escaping every "_x" of such a text is more than is due, but leaves nothing that runs into an
# escape that is written next to it: "_x0041" and U+0001 would be read as "A" and "x0001_".
_ORIGINALS = ["_x", *_UNWRITABLE]
_ESCAPES = ["_x005F_x", *(f"_x{ord(character):04X}_" for character in _UNWRITABLE)]


class SpreadsheetEncoder:
    """Rows as the only sheet of a workbook; the row of names is written at once."""

    def __init__(self, columns: Sequence[Column], sink: Sink) -> None:
        """Raises TableTooLarge for too many columns, CellTooLong for a name (row 0)."""
        limits = FORMATS["xlsx"]
        assert limits.max_rows is not None
        assert limits.max_columns is not None
        if len(columns) > limits.max_columns:
            raise TableTooLarge("columns", limits.max_columns)
        self._columns = columns
        self._max_rows = limits.max_rows
        self._rows = 0
        letters = [_letters_of(i) for i in range(len(columns))]
        self._cells = [
            _cell_of(pl.col(f"c{i}"), letters[i], column.kind) for i, column in enumerate(columns)
        ]
        # A row of NULLs has one blank cell, or readers would not count it.
        blank = pl.concat_str(pl.lit('<c r="A'), "row", pl.lit('"/>'))
        self._cells[0] = self._cells[0].fill_null(blank)
        names = [self._text(pl.Series([c.name]), c.name, -1) for c in columns]
        cells = [_cell_of(pl.col(f"c{i}"), letters[i], "text") for i in range(len(columns))]
        small = [(name, (_XML + part).encode()) for name, part in _PARTS.items()]
        self._archive = Archive(sink, small, _SHEET)
        self._archive.write(_SHEET_HEAD.encode() + _encode_rows(names, cells, 1))

    def write(self, batch: pa.RecordBatch) -> None:
        if self._rows + batch.num_rows > self._max_rows:
            raise TableTooLarge("rows", self._max_rows)
        rows_at_once = max(1, CELLS_AT_ONCE // len(self._columns))
        for start in range(0, batch.num_rows, rows_at_once):
            self._write_part(batch.slice(start, rows_at_once))

    def close(self) -> None:
        self._archive.write(_SHEET_END.encode())
        self._archive.close()

    def _write_part(self, batch: pa.RecordBatch) -> None:
        pairs = zip(batch.columns, self._columns, strict=True)
        values = [self._values(array, column) for array, column in pairs]
        # The sheet's row 1 holds the names.
        self._archive.write(_encode_rows(values, self._cells, self._rows + 2))
        self._rows += batch.num_rows

    def _values(self, array: pa.Array, column: Column) -> pl.Series:
        if column.kind == "mixed":
            array = to_text(array)
        values = pl.Series(array)
        if column.kind in ("integer", "real"):
            return values
        if column.kind == "blob":
            values = pl.select(base64_of(pl.lit(values))).to_series()
        return self._text(values, column.name, self._rows)

    def _text(self, text: pl.Series, name: str, rows_before: int) -> pl.Series:
        """Return the texts as XML, or raise CellTooLong."""
        # UTF-8 never takes fewer bytes than UTF-16 takes units, so few texts need counting.
        lengths = text.str.len_bytes()
        if (lengths > MAX_CELL).any():
            _check_lengths(text, name, rows_before)
        unwritable = text.str.contains(_NEEDS_ESCAPE)
        if unwritable.any():
            text = text.str.replace_many(_ORIGINALS, _ESCAPES).zip_with(unwritable, text)
        return text.str.replace_many(["&", "<", ">"], ["&amp;", "&lt;", "&gt;"])


def _check_lengths(text: pl.Series, name: str, rows_before: int) -> None:
    for row, value in enumerate(text, rows_before + 1):
        length = len(value.encode("utf-16-le")) // 2 if value is not None else 0
        if length > MAX_CELL:
            raise CellTooLong(name, row, length, MAX_CELL)


def _letters_of(column: int) -> str:
    """Return a column's name in A1 notation: 0 is A, 26 is AA."""
    letters = ""
    column += 1
    while column:
        column, letter = divmod(column - 1, 26)
        letters = chr(ord("A") + letter) + letters
    return letters


def _cell_of(value: pl.Expr, letters: str, kind: str) -> pl.Expr:
    """Return the expression of a cell's XML, null for NULL. The frame's "row" is the row number."""
    head = pl.lit(f'<c r="{letters}')
    if kind not in ("integer", "real"):
        return _text_cell(head, value)
    digits = value.cast(pl.String)
    number = pl.concat_str(head, "row", pl.lit('"><v>'), digits, pl.lit("</v></c>"))
    fits = value.is_between(-MAX_EXACT, MAX_EXACT) if kind == "integer" else value.is_finite()
    return pl.when(fits).then(number).otherwise(_text_cell(head, digits))


def _text_cell(head: pl.Expr, text: pl.Expr) -> pl.Expr:
    opening = pl.lit('" t="inlineStr"><is><t xml:space="preserve">')
    return pl.concat_str(head, "row", opening, text, pl.lit("</t></is></c>"))


def _encode_rows(values: Sequence[pl.Series], cells: Sequence[pl.Expr], first_row: int) -> bytes:
    frame = pl.DataFrame({f"c{i}": series for i, series in enumerate(values)})
    numbered = frame.with_row_index("row", first_row).with_columns(pl.col("row").cast(pl.String))
    row = pl.concat_str(
        pl.lit('<row r="'), "row", pl.lit('">'), *cells, pl.lit("</row>\n"), ignore_nulls=True
    )
    text: str = numbered.select(row.str.join()).item()
    return text.encode()
