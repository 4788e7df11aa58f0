"""What open_encoder gives and refuses."""

import io

import pyarrow as pa
import pytest

import encoders
from encoders import Column, EncodeError, open_encoder
from encoders.contract import TYPED_KINDS
from tests.encoders.tables import Table, encode
from wire.formats import EXTENSIONS, parse_extension

REFUSED = {
    "no columns": ("csv", [], {}, "at least one column"),
    "an unknown kind": ("csv", [Column("x", "time")], {}, "'time'; it is one of integer"),
    "no precision": ("parquet", [Column("x", "decimal")], {}, "precision 0, scale 0"),
    "a precision too large": ("xlsx", [Column("x", "decimal", 39, 2)], {}, "precision 39"),
    "a scale past the precision": ("arrow", [Column("x", "decimal", 2, 3)], {}, "scale 3"),
    **{
        f"{kind} in {extension}": (
            extension,
            [Column("x", kind, 9, 2)],
            {},
            f"of the kind {kind!r}",
        )
        for kind in TYPED_KINDS
        for extension in ("csv", "tsv", "ndjson.gz", "json")
    },
    "excel of another format": ("json", [Column("x", "text")], {"excel": True}, "not for json"),
}


@pytest.mark.parametrize(
    ("extension", "columns", "options", "says"), REFUSED.values(), ids=REFUSED.keys()
)
def test_what_is_refused(extension, columns, options, says):
    sink = io.BytesIO()
    with pytest.raises(ValueError, match=says):
        open_encoder(parse_extension(extension), columns, sink, **options)
    assert sink.getvalue() == b""


BATCHES = {
    "another type": pa.record_batch([pa.array(["1"])], names=["x"]),
    "a column too many": pa.record_batch([pa.array([1]), pa.array([2])], names=["x", "y"]),
    "a kind that a mixed column has no member for": pa.record_batch(
        [pa.array([True])], names=["x"]
    ),
    "large strings": pa.record_batch([pa.array([1], pa.int32())], names=["x"]),
}


@pytest.mark.parametrize("batch", BATCHES.values(), ids=BATCHES.keys())
def test_a_batch_of_other_types_is_refused(batch):
    encoder = open_encoder(parse_extension("csv"), [Column("x", "integer")], io.BytesIO())
    with pytest.raises(TypeError, match="the columns"):
        encoder.write(batch)


@pytest.mark.parametrize("extension", EXTENSIONS)
def test_a_batch_may_use_other_names(extension):
    columns = [Column("x", "integer"), Column("y", "mixed"), Column("z", "blob")]
    outputs = set()
    for names in (["x", "y", "z"], ["", "", "^.*$"]):
        sink = io.BytesIO()
        encoder = open_encoder(parse_extension(extension), columns, sink)
        batch = next(Table(columns, [(1, "a", b"b"), (2, 3, None)], [2]).batches())
        encoder.write(batch.rename_columns(names))
        encoder.close()
        outputs.add(sink.getvalue())
    assert len(outputs) == 1


@pytest.mark.parametrize("extension", EXTENSIONS)
def test_empty_batches_change_no_byte(extension):
    columns = [Column("x", "integer"), Column("y", "mixed")]
    rows = [(1, "a"), (2, 3)]
    assert encode(extension, Table(columns, rows, [0, 2, 0])) == encode(
        extension, Table(columns, rows, [2])
    )
    assert encode(extension, Table(columns, [], [0])) == encode(extension, Table(columns, [], []))


@pytest.mark.parametrize("extension", EXTENSIONS)
def test_closing_leaves_the_sink_open(extension):
    sink = io.BytesIO()
    open_encoder(parse_extension(extension), [Column("x", "integer")], sink).close()
    assert not sink.closed
    assert sink.getvalue() or extension == "ndjson"


def test_every_error_is_in_the_tree_that_the_root_prints():
    errors = [
        v for v in vars(encoders).values() if isinstance(v, type) and issubclass(v, EncodeError)
    ]
    assert len(errors) == 4
    assert all(error.__name__ in EncodeError.__doc__ for error in errors)
