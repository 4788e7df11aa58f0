"""Every value of Parquet and Arrow, read by polars; and how much Parquet holds."""

import io

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given

from encoders import Column, columnar, open_encoder
from tests.encoders.tables import Table, batch_of, bits, encode, is_text_of, table, tables, thorough
from wire.formats import parse_extension

READERS = {
    "parquet": lambda data: pl.read_parquet(io.BytesIO(data)),
    "arrow": lambda data: pl.read_ipc(io.BytesIO(data)),
}
MAGIC = {"parquet": b"PAR1", "arrow": b"ARROW1"}
DTYPES = {
    "integer": pl.Int64,
    "real": pl.Float64,
    "text": pl.String,
    "blob": pl.Binary,
    "mixed": pl.String,
    "date": pl.Date,
    "timestamp": pl.Datetime("us"),
    "timestamp_utc": pl.Datetime("us", "UTC"),
    "boolean": pl.Boolean,
}


def dtype_of(column):
    if column.kind == "decimal":
        return pl.Decimal(column.precision, column.scale)
    return DTYPES[column.kind]


@pytest.mark.parametrize("extension", READERS)
@given(tables(typed=True))
@thorough
def test_every_value_is_read_back(extension, given_table):
    frame = READERS[extension](encode(extension, given_table))
    assert frame.columns == [column.name for column in given_table.columns]
    assert frame.dtypes == [dtype_of(column) for column in given_table.columns]
    assert frame.height == len(given_table.rows)
    for i, column in enumerate(given_table.columns):
        for got, row in zip(frame.to_series(i), given_table.rows, strict=True):
            if column.kind == "mixed" and row[i] is not None:
                assert is_text_of(got, row[i])
            else:
                assert bits(got) == bits(row[i])


@pytest.mark.parametrize("extension", READERS)
def test_a_mixed_column_is_the_same_text_whatever_else_is_in_a_batch(extension):
    values = [b"a", b"\xff", 1.0, 7, "x", b"a", 1.0]
    given_table = Table([Column("x", "mixed")], [(v,) for v in values], [1, 1, 1, 1, 1, 2])
    frame = READERS[extension](encode(extension, given_table))
    assert frame["x"].to_list() == ["YQ==", "/w==", "1.0", "7", "x", "YQ==", "1.0"]


def test_arrow_is_the_file_format_uncompressed():
    data = encode("arrow", table(text=["a" * 1000]))
    assert data.startswith(b"ARROW1")
    assert data.endswith(b"ARROW1")
    assert b"a" * 1000 in data


@pytest.mark.parametrize("extension", READERS)
def test_an_encoder_that_is_dropped_leaves_a_torn_file(extension):
    sink = io.BytesIO()
    encoder = open_encoder(parse_extension(extension), [Column("x", "integer")], sink)
    encoder.write(batch_of([Column("x", "integer")], [(1,)]))
    del encoder
    assert sink.getvalue().startswith(MAGIC[extension])
    assert not sink.getvalue()[len(MAGIC[extension]) :].endswith(MAGIC[extension])


@pytest.fixture
def small_groups(monkeypatch):
    monkeypatch.setattr(columnar, "GROUP_ROWS", 100)
    monkeypatch.setattr(columnar, "GROUP_BYTES", 10_000)


def group_rows(given_table):
    metadata = pq.read_metadata(io.BytesIO(encode("parquet", given_table)))
    return [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]


GROUPS = {
    "gathered up to GROUP_ROWS": ([40] * 6, 1, [80, 80, 80]),
    "a large batch is cut": ([250], 1, [100, 100, 50]),
    "gathered up to GROUP_BYTES": ([4] * 6, 1000, [12, 12]),
    "nothing at all": ([], 1, []),
}


@pytest.mark.usefixtures("small_groups")
@pytest.mark.parametrize(("cuts", "text_bytes", "want"), GROUPS.values(), ids=GROUPS.keys())
def test_row_groups_are_bounded(cuts, text_bytes, want):
    rows = [("x" * text_bytes,)] * sum(cuts)
    assert group_rows(Table([Column("text", "text")], rows, cuts)) == want


@pytest.mark.parametrize("extension", READERS)
def test_memory_does_not_grow_with_the_rows(extension):
    columns = [Column("text", "text"), Column("integer", "integer")]
    batch = batch_of(columns, [(f"{i:0500}", i) for i in range(4_000)])
    encoder = open_encoder(parse_extension(extension), columns, _Nowhere())
    held = []
    for _ in range(100):  # 200 MB
        encoder.write(batch)
        held.append(pa.total_allocated_bytes())
    assert max(held) - held[0] < 3 * columnar.GROUP_BYTES


class _Nowhere:
    def write(self, data):
        pass
