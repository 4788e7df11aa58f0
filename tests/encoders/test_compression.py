"""gzip and zstd, read by the standard library, `zstandard` and the command lines."""

import gzip
import io
import shutil
import subprocess
import zlib

import pytest
import zstandard

from encoders import Column, open_encoder
from encoders.compression import compress_into
from tests.encoders.tables import batch_of, encode, table
from wire.formats import FORMATS, parse_extension

READERS = {
    "gz": gzip.decompress,
    "zst": lambda data: zstandard.ZstdDecompressor().decompressobj().decompress(data),
}
PARTIAL = {
    "gz": lambda data: zlib.decompressobj(31).decompress(data),
    "zst": lambda data: zstandard.ZstdDecompressor().decompressobj().decompress(data),
}
COMMANDS = {"gz": "gzip", "zst": "zstd"}


@pytest.mark.parametrize("compression", READERS)
@pytest.mark.parametrize("name", FORMATS)
def test_compressed_is_the_plain_file_in_another_coat(name, compression):
    given_table = table(integer=range(5_000), text=["täxt"] * 5_000)
    packed = encode(f"{name}.{compression}", given_table)
    assert READERS[compression](packed) == encode(name, given_table)
    assert packed == encode(f"{name}.{compression}", given_table)


@pytest.mark.parametrize("compression", READERS)
def test_no_rows_is_a_whole_file(compression):
    assert READERS[compression](encode(f"csv.{compression}", table(integer=[]))) == b"integer\n"


def test_a_gzip_header_says_nothing_of_time_or_name():
    assert encode("csv.gz", table(integer=[1]))[:8] == b"\x1f\x8b\x08\0\0\0\0\0"


def test_a_zstd_frame_has_a_checksum():
    frame = encode("csv.zst", table(integer=[1]))
    assert zstandard.get_frame_parameters(frame).has_checksum
    with pytest.raises(zstandard.ZstdError):
        READERS["zst"](frame[:-1] + bytes([frame[-1] ^ 1]))


@pytest.mark.parametrize("compression", READERS)
def test_the_command_line_reads_it(compression):
    command = shutil.which(COMMANDS[compression])
    if command is None:
        pytest.skip(f"no {COMMANDS[compression]} here")
    given_table = table(text=["a"] * 1000)
    packed = encode(f"csv.{compression}", given_table)
    done = subprocess.run([command, "-dc"], input=packed, capture_output=True, check=True)
    assert done.stdout == encode("csv", given_table)


@pytest.mark.parametrize("compression", READERS)
@pytest.mark.parametrize("name", ["csv", "tsv", "ndjson", "json", "arrow"])
def test_the_first_batch_comes_out_at_once(name, compression):
    columns = [Column("x", "integer")]
    outputs = []
    for extension in (name, f"{name}.{compression}"):
        sink = io.BytesIO()
        open_encoder(parse_extension(extension), columns, sink).write(
            batch_of(columns, [(1,), (2,)])
        )
        outputs.append(sink.getvalue())
    plain, packed = outputs
    read = PARTIAL[compression](packed)
    assert read
    if name != "arrow":  # whose writer writes a batch in many pieces
        assert read == plain


@pytest.mark.parametrize("compression", READERS)
def test_a_header_comes_out_before_any_batch(compression):
    sink = io.BytesIO()
    open_encoder(parse_extension(f"csv.{compression}"), [Column("x", "integer")], sink)
    assert PARTIAL[compression](sink.getvalue()) == b"x\n"


def test_another_compression_is_refused():
    with pytest.raises(ValueError, match="bz2"):
        compress_into(io.BytesIO(), "bz2")
