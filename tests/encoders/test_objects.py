"""Every value of NDJSON and JSON, read by the standard library."""

import base64
import json
import math

import pytest
from hypothesis import given

from encoders import Column
from tests.encoders.tables import Table, bits, encode, table, tables, thorough


def as_json(value):
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def assert_rows(objects, given_table):
    names = [column.name for column in given_table.columns]
    assert len(objects) == len(given_table.rows)
    for pairs, row in zip(objects, given_table.rows, strict=True):
        assert [name for name, _ in pairs] == names
        assert [bits(value) for _, value in pairs] == [bits(as_json(value)) for value in row]


@given(tables())
@thorough
def test_every_value_of_ndjson_is_read_back(given_table):
    data = encode("ndjson", given_table)
    lines = data.decode().split("\n")
    assert lines.pop() == ""
    assert_rows([json.loads(line, object_pairs_hook=list) for line in lines], given_table)


@given(tables())
@thorough
def test_every_value_of_json_is_read_back(given_table):
    assert_rows(json.loads(encode("json", given_table), object_pairs_hook=list), given_table)


CELLS = {
    "an integer keeps its digits": ("integer", 2**63 - 1, b"9223372036854775807"),
    "a real keeps its point": ("real", 5.0, b"5.0"),
    "there is no NaN": ("real", math.nan, b"null"),
    "there is no infinity": ("real", -math.inf, b"null"),
    "controls are escaped": ("text", 'a"\x00\n', b'"a\\"\\u0000\\n"'),
    "the rest is not": ("text", "é\u2028😀/", '"é\u2028😀/"'.encode()),
    "a BLOB is base64": ("blob", b"\xff\xfe", b'"//4="'),
    "mixed: integer": ("mixed", 5, b"5"),
    "mixed: real": ("mixed", math.nan, b"null"),
    "mixed: BLOB": ("mixed", b"a", b'"YQ=="'),
    "mixed: NULL": ("mixed", None, b"null"),
}


@pytest.mark.parametrize(("kind", "value", "cell"), CELLS.values(), ids=CELLS.keys())
def test_a_cell(kind, value, cell):
    given_table = Table([Column("x", kind)], [(value,)], [1])
    assert encode("ndjson", given_table) == b'{"x":' + cell + b"}\n"


def test_a_batch_that_mixes_keeps_each_kind():
    given_table = table(
        mixed=[1, 2.5, "3", b"4", None, math.inf], blob=[b"a", None, b"", b"", b"", b""]
    )
    lines = encode("ndjson", given_table).splitlines()
    assert lines[:3] == [
        b'{"mixed":1,"blob":"YQ=="}',
        b'{"mixed":2.5,"blob":null}',
        b'{"mixed":"3","blob":""}',
    ]
    assert [json.loads(line)["mixed"] for line in lines[3:]] == ["NA==", None, None]


LAYOUTS = {
    "no batch": ([], b"[\n]\n"),
    "an empty batch": ([0], b"[\n]\n"),
    "one row": ([1], b'[\n{"integer":0}\n]\n'),
    "two batches": ([0, 1, 0, 1], b'[\n{"integer":0},\n{"integer":1}\n]\n'),
    "two rows": ([2], b'[\n{"integer":0},\n{"integer":1}\n]\n'),
}


@pytest.mark.parametrize(("cuts", "want"), LAYOUTS.values(), ids=LAYOUTS.keys())
def test_json_is_an_array_a_row_a_line(cuts, want):
    rows = [(i,) for i in range(sum(cuts))]
    assert encode("json", Table([Column("integer", "integer")], rows, cuts)) == want


def test_a_batch_larger_than_what_polars_cuts_keeps_its_order():
    data = encode("ndjson", table(integer=range(300_000)))
    assert [json.loads(line)["integer"] for line in data.splitlines()] == [*range(300_000)]
