"""Every value of an XLSX, read by openpyxl, and what is refused."""

import io
import math
import re
import zipfile

import openpyxl
import pytest
from hypothesis import given, settings

from encoders import CellTooLong, Column, TableTooLarge, open_encoder, spreadsheet
from tests.encoders.tables import (
    HARD_TEXTS,
    Table,
    bits,
    encode,
    is_text_of,
    table,
    tables,
    thorough,
)
from wire.formats import Format, parse_extension


def unescape(text):
    """Undo ST_Xstring (ECMA-376 part 1, 22.9.2.19), which openpyxl leaves to its caller."""
    return re.sub("_x([0-9A-Fa-f]{4})_", lambda match: chr(int(match[1], 16)), text)


def read(data):
    """Return all rows of (value, openpyxl's data type); a missing cell is (None, "n")."""
    sheet = openpyxl.load_workbook(io.BytesIO(data)).active
    rows = [[(c.value, c.data_type) for c in row] for row in sheet.iter_rows()]
    return [[(unescape(v) if isinstance(v, str) else v, t) for v, t in row] for row in rows]


def assert_cell(cell, value, kind):
    got, data_type = cell
    if value is None:
        assert cell == (None, "n")
    elif isinstance(value, str):
        assert (got or "", data_type != "f") == (value, True)
    elif kind == "mixed" or isinstance(value, bytes):
        assert is_text_of(got or "", value)
    elif isinstance(value, float) and not math.isfinite(value):
        assert is_text_of(got, value)
    elif isinstance(value, int) and abs(value) > 2**53:
        assert got == str(value)
    else:
        assert (bits(got), data_type) == (bits(value), "n")


@given(tables())
@settings(thorough, max_examples=60)
def test_every_value_is_read_back(given_table):
    header, *rows = read(encode("xlsx", given_table))
    assert [name or "" for name, _ in header] == [column.name for column in given_table.columns]
    for cells, values in zip(rows, given_table.rows, strict=True):
        for cell, value, column in zip(cells, values, given_table.columns, strict=True):
            assert_cell(cell, value, column.kind)


def test_a_text_is_a_text_whatever_it_looks_like():
    _, *rows = read(encode("xlsx", table(text=[t for t in HARD_TEXTS if t])))
    assert [(value, kind) for ((value, kind),) in rows] == [(t, "s") for t in HARD_TEXTS if t]


ESCAPES = {
    "a control": ("\x01", "_x0001_"),
    "a carriage return, which a parser would change": ("\r\n", "_x000D_\n"),
    "what looks like an escape": ("_x0041_", "_x005F_x0041_"),
    "two that share an underscore": ("_x0041_x0042_", "_x005F_x0041_x005F_x0042_"),
    "one that a control would complete": ("_x0041\x01", "_x005F_x0041_x0001_"),
    "no more than is due": ("my_xml _x_ _x00_", "my_xml _x_ _x00_"),
}


@pytest.mark.parametrize(("text", "want"), ESCAPES.values(), ids=ESCAPES.keys())
def test_escapes_in_the_file(text, want):
    archive = zipfile.ZipFile(io.BytesIO(encode("xlsx", table(text=[text]))))
    sheet = archive.read("xl/worksheets/sheet1.xml").decode()
    assert f'<t xml:space="preserve">{want}</t></is></c></row>' in sheet
    assert unescape(want) == text


def test_columns_are_named_as_excel_does():
    names = [spreadsheet._letters_of(i) for i in (0, 25, 26, 51, 52, 701, 702, 16_383)]
    assert names == ["A", "Z", "AA", "AZ", "BA", "ZZ", "AAA", "XFD"]


def test_many_columns_are_written_in_parts(monkeypatch):
    monkeypatch.setattr(spreadsheet, "CELLS_AT_ONCE", 4)
    given_table = table(integer=[*range(7)], text=[*"abcdefg"])
    _, *rows = read(encode("xlsx", given_table))
    assert [tuple(value for value, _ in row) for row in rows] == given_table.rows


TEXTS = {
    "ASCII": ("x" * 32_767, "x"),
    "three bytes, one unit": ("漢" * 32_767, "漢"),
    "four bytes, two units": ("😀" * 16_383, "😀"),
}


@pytest.mark.parametrize(("fits", "more"), TEXTS.values(), ids=TEXTS.keys())
def test_a_text_fits_up_to_32767_units(fits, more):
    _, [(value, _)] = read(encode("xlsx", table(text=[fits])))
    assert value == fits
    with pytest.raises(CellTooLong, match="csv, tsv, ndjson, json, parquet and arrow") as error:
        encode("xlsx", Table([Column("note", "text")], [("",), (None,), (fits + more,)], [1, 2]))
    assert (error.value.column, error.value.row, error.value.length) == ("note", 3, 32_768)


def test_a_blob_is_as_long_as_its_base64():
    with pytest.raises(CellTooLong) as error:
        encode("xlsx", table(blob=[bytes(30_000)]))
    assert error.value.length == 40_000


def test_a_name_may_be_too_long():
    with pytest.raises(CellTooLong) as error:
        encode("xlsx", Table([Column("x" * 40_000, "text")], [], []))
    assert error.value.row == 0


def test_rows_beyond_the_sheet_are_refused(monkeypatch):
    small = Format("xlsx", "", typed=True, max_rows=3, max_columns=2)
    monkeypatch.setitem(spreadsheet.FORMATS, "xlsx", small)
    assert len(read(encode("xlsx", table(integer=[1, 2, 3])))) == 4
    with pytest.raises(TableTooLarge, match="holds 3 rows"):
        encode("xlsx", Table([Column("x", "integer")], [(1,)] * 4, [3, 1]))
    with pytest.raises(TableTooLarge, match="holds 2 columns"):
        open_encoder(parse_extension("xlsx"), [Column(c, "text") for c in "abc"], io.BytesIO())
