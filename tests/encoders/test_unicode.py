"""Text that is not UTF-8 is refused by every format, before any of it is written."""

import io

import pyarrow as pa
import pytest

from encoders import Column, NotUtf8, open_encoder
from encoders.contract import MEMBERS
from tests.encoders.tables import batch_of
from wire.formats import FORMATS, parse_extension

INVALID = {
    "a byte that never occurs": [b"a", b"\xff"],
    "a sequence that is cut": [b"a", b"\xc3"],
    "two halves in two cells": [None, b"\xc3", b"\xa9"],
    "a surrogate": ["é".encode(), b"\xed\xa0\x80"],
    "a longer way to say it": [b"", b"\xc0\x80"],
    "past U+10FFFF": [b"a", b"\xf4\x90\x80\x80"],
}


def texts_of(values):
    return pa.array(values, pa.binary()).view(pa.string())


def write(name, kind, array):
    columns = [Column("id", "integer"), Column('na"me', kind)]
    sink = io.BytesIO()
    encoder = open_encoder(parse_extension(name), columns, sink)
    encoder.write(batch_of(columns, [(1, None)] * 10))
    before = sink.tell()
    try:
        numbers = pa.array(range(len(array)), pa.int64())
        encoder.write(pa.RecordBatch.from_arrays([numbers, array], ["a", "b"]))
    finally:
        assert sink.tell() == before


@pytest.mark.parametrize("values", INVALID.values(), ids=INVALID.keys())
@pytest.mark.parametrize("name", FORMATS)
def test_text_that_is_not_utf8_is_refused(name, values):
    with pytest.raises(NotUtf8, match=r'cast it in a query: CAST\("na""me" AS BLOB\)') as error:
        write(name, "text", texts_of(values))
    assert (error.value.column, error.value.row) == ('na"me', 12)


def test_so_is_a_text_in_a_mixed_column():
    children = [pa.nulls(3, t) for t in (pa.int64(), pa.float64(), pa.string(), pa.binary())]
    children[2] = texts_of([b"a", None, b"\xff"])
    array = pa.StructArray.from_arrays(children, [*MEMBERS])
    with pytest.raises(NotUtf8) as error:
        write("csv", "mixed", array)
    assert error.value.row == 13


def test_a_slice_counts_from_its_own_start():
    with pytest.raises(NotUtf8) as error:
        write("csv", "text", texts_of([b"\xff", b"a", b"b", b"\xff"]).slice(1))
    assert error.value.row == 13
