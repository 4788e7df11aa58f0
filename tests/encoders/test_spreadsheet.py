"""Every value of an XLSX, read by openpyxl, and what is refused."""

import datetime as dt
import io
import math
import re
import zipfile
from decimal import Context, Decimal
from xml.etree import ElementTree

import openpyxl
import pytest
from hypothesis import given, settings

from encoders import CellTooLong, Column, TableTooLarge, open_encoder, spreadsheet
from encoders.contract import MAX_PRECISION
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
    elif isinstance(value, bool):
        assert (got, data_type) == (value, "b")
    elif isinstance(value, float) and not math.isfinite(value):
        assert is_text_of(got, value)
    elif isinstance(value, dt.date):
        assert_date(got, data_type, value)
    elif isinstance(value, float):
        assert (bits(got), data_type) == (bits(value), "n")
    else:
        assert_exact(got, data_type, value)


def assert_date(got, data_type, value):
    if not "1900-03-01" <= str(value)[:26] <= "9999-12-31 23:59:59.999000":
        assert type(value).fromisoformat(got) == value
    elif isinstance(value, dt.datetime):  # openpyxl reads milliseconds
        assert abs(got - value.replace(tzinfo=None)) <= dt.timedelta(milliseconds=0.5)
    else:
        assert got == dt.datetime.combine(value, dt.time())
    assert data_type == ("s" if isinstance(got, str) else "d")


def assert_exact(got, data_type, value):
    """Integers and decimals: numbers up to 15 digits, texts from there on."""
    written = f"{Decimal(value).normalize(Context(MAX_PRECISION)):f}"
    if len(written.lstrip("-0.").replace(".", "")) <= 15:
        assert (got, data_type) == (float(value), "n")
    else:
        assert (got, data_type) == (f"{value:f}" if isinstance(value, Decimal) else str(value), "s")


@given(tables(typed=True))
@settings(thorough, max_examples=120)
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


def test_many_columns_are_written_in_parts(monkeypatch):
    monkeypatch.setattr(spreadsheet, "CELLS_AT_ONCE", 4)
    given_table = table(integer=[*range(7)], text=[*"abcdefg"])
    _, *rows = read(encode("xlsx", given_table))
    assert [tuple(value for value, _ in row) for row in rows] == given_table.rows


# How it looks


def sheet_of(*given):
    """Return the sheet of a column of each (name, kind, values…), as openpyxl reads it."""
    columns = [
        Column(name, *kind.split(":")[:1], *map(int, kind.split(":")[1:]))
        for name, kind, *_ in given
    ]
    rows = [*zip(*(values for _, _, *values in given), strict=True)]
    return openpyxl.load_workbook(
        io.BytesIO(encode("xlsx", Table(columns, rows, [len(rows)])))
    ).active


SIZES = {"rows": ([1, 2, 3], "A1:B4"), "no rows": ([], "A1:B1")}


@pytest.mark.parametrize(("values", "filtered"), SIZES.values(), ids=SIZES.keys())
def test_the_header_is_bold_stays_and_filters(values, filtered):
    sheet = sheet_of(("a", "integer", *values), ("b", "text", *map(str, values)))
    assert [(c.value, c.font.b) for c in sheet[1]] == [("a", True), ("b", True)]
    assert not any(c.font.b for row in sheet.iter_rows(min_row=2) for c in row)
    assert sheet.freeze_panes == "A2"
    assert sheet.auto_filter.ref == filtered


DAY = dt.date(2024, 2, 29)
NOON = dt.datetime(2024, 2, 29, 12)
SHOWN = {
    "an integer that Excel writes out": ("integer", 10**11 - 1, "General"),
    "one that it would shorten": ("integer", -(10**11), "0"),
    "one that is a text": ("integer", 10**15, "General"),
    "a real": ("real", 0.1, "General"),
    "a date": ("date", DAY, "yyyy-mm-dd"),
    "a timestamp": ("timestamp", NOON, "yyyy-mm-dd hh:mm:ss"),
    "one with a fraction": (
        "timestamp", NOON.replace(microsecond=7000), "yyyy-mm-dd hh:mm:ss.000",
    ),
    "one in UTC": ("timestamp_utc", NOON.replace(tzinfo=dt.UTC), "yyyy-mm-dd hh:mm:ss"),
    "a decimal": ("decimal:10:2", Decimal("1.50"), "0.00"),
    "a decimal without places": ("decimal:10:0", Decimal(150), "0"),
    "a decimal of more places than are shown": ("decimal:38:18", Decimal("1.5"), "General"),
}  # fmt: skip


@pytest.mark.parametrize(("kind", "value", "shown"), SHOWN.values(), ids=SHOWN.keys())
def test_values_are_shown_whole(kind, value, shown):
    assert sheet_of(("x", kind, value))["A2"].number_format == shown


def test_each_row_is_shown_its_own_way():
    values = [NOON, NOON.replace(microsecond=1000), dt.datetime(1900, 2, 28), None, NOON]
    cells = [row[0] for row in sheet_of(("x", "timestamp", *values)).iter_rows(min_row=2)]
    whole, fraction = "yyyy-mm-dd hh:mm:ss", "yyyy-mm-dd hh:mm:ss.000"
    assert [cell.number_format for cell in cells] == [whole, fraction, "General", "General", whole]
    assert [cell.value for cell in cells] == [*values[:2], "1900-02-28 00:00:00", *values[3:]]


WIDTHS = {
    "the header, and its button": (("x" * 20, "text", "a"), 23),
    "a text": (("x", "text", "a" * 30, None, "a"), 31),
    "before it is XML": (("x", "text", "&" * 30), 31),
    "a text of wide characters": (("x", "text", "漢" * 10), 21),
    "not beyond a bound": (("x", "text", "a" * 1000), 60),
    "nor below one": (("x", "boolean", True), 9),
    "any plain number": (("x", "integer", 1), 12),
    "a longer one": (("x", "integer", 10**14), 16),
    "any fraction of a second": (("x", "timestamp", NOON), 24),
    "any decimal": (("x", "decimal:38:18", Decimal(1)), 19),
    "no rows": (("x" * 10, "mixed"), 13),
}


@pytest.mark.parametrize(("column", "width"), WIDTHS.values(), ids=WIDTHS.keys())
def test_columns_are_wide_enough(column, width):
    assert sheet_of(column).column_dimensions["A"].width == width


def test_widths_come_from_the_first_rows_only(monkeypatch):
    monkeypatch.setattr(spreadsheet, "WIDTH_ROWS", 2)
    assert sheet_of(("x", "text", "a", "a" * 20, "a" * 40)).column_dimensions["A"].width == 21


def test_the_sheet_is_as_the_standard_orders_it():
    archive = zipfile.ZipFile(io.BytesIO(encode("xlsx", table(integer=[1]))))
    sheet = ElementTree.fromstring(archive.read("xl/worksheets/sheet1.xml"))
    tags = [element.tag.rpartition("}")[2] for element in sheet]
    assert tags == ["sheetViews", "cols", "sheetData", "autoFilter"]
    book = ElementTree.fromstring(archive.read("xl/workbook.xml"))
    tags = [element.tag.rpartition("}")[2] for element in book]
    assert tags == ["bookViews", "sheets", "definedNames"]


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
