"""The name of a sheet, and of columns."""

import io
from xml.etree import ElementTree

import openpyxl
import pytest

from encoders import Column, open_encoder
from encoders.workbook import letters_of, sheet_name, workbook
from wire.formats import parse_extension

NAMES = {
    "as it is": ("orders_2024-q1", "orders_2024-q1"),
    "at most 31 characters": ("a" * 40, "a" * 31),
    "as UTF-16 counts them": ("a" + "😀" * 20, "a" + "😀" * 15),
    "none of []:*?/\\": ("a[1]:*?/\\b", "a_1______b"),
    "no control": ("a\n\0b", "a__b"),
    "no half of a surrogate": ("a\ud800", "a_"),
    "no ' at its ends": ("''it's'", "it's"),
    "nor at an end that was cut": ("a" * 30 + "'b", "a" * 30),
    "not empty": ("", "Sheet1"),
    "nor all of it dropped": ("'" * 3, "Sheet1"),
    "not History, in any case": ("history", "history_"),
    "characters of XML": ('<&>"', '<&>"'),
}


@pytest.mark.parametrize(("title", "want"), NAMES.values(), ids=NAMES.keys())
def test_sheet_name(title, want):
    assert sheet_name(title) == want
    assert sheet_name(want) == want


@pytest.mark.parametrize(("title", "want"), NAMES.values(), ids=NAMES.keys())
def test_the_workbook_names_the_sheet_and_its_filter(title, want):
    sink = io.BytesIO()
    columns = [Column("x", "text"), Column("y", "text")]
    open_encoder(parse_extension("xlsx"), columns, sink, title=title).close()
    sheet = openpyxl.load_workbook(sink).active
    assert (sheet.title, sheet.auto_filter.ref) == (want, "A1:B1")


def test_the_filter_has_its_hidden_name():
    part = ElementTree.fromstring(workbook("it's <1>", "AB", 12))
    (name,) = [each for each in part.iter() if each.tag.endswith("definedName")]
    assert (name.get("name"), name.get("hidden")) == ("_xlnm._FilterDatabase", "1")
    assert name.text == "'it''s <1>'!$A$1:$AB$12"


def test_columns_are_named_as_excel_does():
    names = [letters_of(i) for i in (0, 25, 26, 51, 52, 701, 702, 16_383)]
    assert names == ["A", "Z", "AA", "AZ", "BA", "ZZ", "AAA", "XFD"]
