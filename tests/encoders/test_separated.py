"""Every value of CSV and TSV, by a strict RFC 4180 parser that sees which cells were quoted."""

import csv
import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from encoders import Column
from tests.encoders.tables import (
    HARD_TEXTS,
    Table,
    encode,
    is_text_of,
    table,
    tables,
    texts,
    thorough,
)

SEPARATORS = {"csv": ",", "tsv": "\t"}
FORMULA = re.compile(r"'*[=+\-@\t\r]")


def parse(data, separator, row_end="\n"):
    """Return rows of (text, quoted), or fail: RFC 4180 with one row end and no other choice."""
    text, rows, row, at = data.decode(), [], [], 0
    cell = re.compile(f'"((?:[^"]|"")*)"|([^"\r\n{separator}]*)')
    while at < len(text):
        match = cell.match(text, at)
        quoted = match[1] is not None
        row.append((match[1].replace('""', '"') if quoted else match[2], quoted))
        at = match.end()
        if text.startswith(separator, at):
            at += 1
        else:
            assert text.startswith(row_end, at), f"after a cell at {at}: {text[at : at + 9]!r}"
            at += len(row_end)
            rows.append(row)
            row = []
    assert not row, "the last row has no end"
    return rows


def assert_cell(cell, value, separator):
    text, quoted = cell
    if value is None:
        assert cell == ("", False)
        return
    assert is_text_of(text, value)
    needs_quotes = not text or any(mark in text for mark in ('"', "\r", "\n", separator))
    assert quoted == needs_quotes


@pytest.mark.parametrize("extension", SEPARATORS)
@given(tables())
@thorough
def test_every_value_is_read_back(extension, given_table):
    separator = SEPARATORS[extension]
    header, *rows = parse(encode(extension, given_table), separator)
    assert [name for name, _ in header] == [column.name for column in given_table.columns]
    assert len(rows) == len(given_table.rows)
    for cells, values in zip(rows, given_table.rows, strict=True):
        for cell, value in zip(cells, values, strict=True):
            assert_cell(cell, value, separator)


@given(st.lists(st.tuples(texts, texts), min_size=1))
@thorough
def test_the_csv_module_reads_the_same_texts(rows):
    data = encode("csv", table(text_a=[a for a, _ in rows], text_b=[b for _, b in rows]))
    read = [*csv.reader(io.StringIO(data.decode(), newline=""), strict=True)]
    assert [tuple(row) for row in read[1:]] == rows


CELLS = {
    "NULL is an empty cell": ("text", None, b""),
    "the empty string is quoted": ("text", "", b'""'),
    "an integer is exact": ("integer", 2**63 - 1, b"9223372036854775807"),
    "a real keeps its point": ("real", 5.0, b"5.0"),
    "a real is as short as it can be": ("real", 0.1, b"0.1"),
    "infinity": ("real", float("-inf"), b"-inf"),
    "not a number": ("real", float("nan"), b"NaN"),
    "a BLOB is base64": ("blob", b"\xff\xfe", b"//4="),
    "an empty BLOB is not NULL": ("blob", b"", b'""'),
    "a lone CR is quoted": ("text", "a\rb", b'"a\rb"'),
    "the separator is quoted": ("text", "a,b", b'"a,b"'),
    "spaces are data": ("text", " a ", b" a "),
    "mixed: integer": ("mixed", 5, b"5"),
    "mixed: real": ("mixed", 10.5, b"10.5"),
    "mixed: text": ("mixed", "5", b"5"),
    "mixed: BLOB": ("mixed", b"a", b"YQ=="),
    "mixed: NULL": ("mixed", None, b""),
}


@pytest.mark.parametrize(("kind", "value", "cell"), CELLS.values(), ids=CELLS.keys())
def test_a_cell(kind, value, cell):
    assert encode("csv", Table([Column("x", kind)], [(value,)], [1])) == b"x\n" + cell + b"\n"


def test_a_header_that_begins_with_a_mark_keeps_it():
    data = encode("csv", Table([Column("\ufeffid", "text")], [], []))
    assert next(csv.reader(io.StringIO(data.decode("utf-8-sig")))) == ["\ufeffid"]


def unguard(text):
    return text[1:] if re.match(r"'+[=+\-@\t\r]", text) else text


@pytest.mark.parametrize("extension", SEPARATORS)
@given(tables())
@thorough
def test_excel_is_reversible(extension, given_table):
    separator = SEPARATORS[extension]
    data = encode(extension, given_table, excel=True)
    assert data.startswith(b"\xef\xbb\xbf")
    header, *rows = parse(data[3:], separator, "\r\n")
    assert [unguard(name) for name, _ in header] == [c.name for c in given_table.columns]
    for cells, values in zip(rows, given_table.rows, strict=True):
        for (text, quoted), value in zip(cells, values, strict=True):
            assert value is not None or not quoted
            assert is_text_of(unguard(text), "" if value is None else value)


@given(tables())
@thorough
def test_excel_leaves_no_formula(given_table):
    _, *rows = parse(encode("csv", given_table, excel=True)[3:], ",", "\r\n")
    for cells, values in zip(rows, given_table.rows, strict=True):
        for (text, _), value in zip(cells, values, strict=True):
            if isinstance(value, str | bytes):
                assert not re.match(r"[=+\-@\t\r]", text)
            if isinstance(value, str):
                assert text == (f"'{value}" if FORMULA.match(value) else value)


def test_excel_guards_what_only_becomes_text():
    given_table = table(
        mixed=[-5, "-5", b"\xf8"], blob=[b"\xf8", b"", None], integer=[-1, -2, None]
    )
    _, *rows = parse(encode("csv", given_table, excel=True)[3:], ",", "\r\n")
    assert [[text for text, _ in row] for row in rows] == [
        ["-5", "'+A==", "-1"],
        ["'-5", "", "-2"],
        ["'+A==", "", ""],
    ]


def test_without_excel_no_value_changes():
    values = [text for text in HARD_TEXTS if FORMULA.match(text)]
    assert values
    _, *rows = parse(encode("csv", table(text=values)), ",")
    assert [row[0][0] for row in rows] == values
