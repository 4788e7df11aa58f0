"""The ZIP archive, read by the standard library."""

import io
import zipfile

import pytest

from encoders import TableTooLarge, archive


@pytest.fixture
def sink():
    return io.BytesIO()


def write(sink, *pieces):
    packed = archive.ArchiveWriter(sink, [("a.txt", b"small"), ("empty", b"")], "dir/long")
    for piece in pieces:
        packed.write(piece)
    packed.close([("b.txt", b"behind"), ("c.txt", b"it")])
    return sink.getvalue()


@pytest.mark.parametrize("pieces", [(), (b"x",), (b"x" * 100_000, b"", b"y")], ids=len)
def test_zipfile_reads_all_members(sink, pieces):
    read = zipfile.ZipFile(io.BytesIO(write(sink, *pieces)))
    assert read.testzip() is None
    assert {name: read.read(name) for name in read.namelist()} == {
        "a.txt": b"small",
        "empty": b"",
        "dir/long": b"".join(pieces),
        "b.txt": b"behind",
        "c.txt": b"it",
    }


def test_the_same_members_give_the_same_bytes():
    assert write(io.BytesIO(), b"abc") == write(io.BytesIO(), b"abc")


def test_nothing_comes_before_the_first_piece(sink):
    archive.ArchiveWriter(sink, [("a.txt", b"small")], "long")
    assert sink.getvalue() == b""


def test_the_first_piece_comes_out_at_once(sink):
    packed = archive.ArchiveWriter(sink, [("a.txt", b"small")], "long")
    packed.write(b"first piece")
    assert b"small" in sink.getvalue()
    assert sink.getvalue().endswith(b"\0\0\xff\xff")


def test_more_than_32_bits_can_count_is_refused(sink, monkeypatch):
    monkeypatch.setattr(archive, "MAX_BYTES", 10)
    packed = archive.ArchiveWriter(sink, [], "long")
    packed.write(b"0123456789")
    with pytest.raises(TableTooLarge, match="bytes of XML"):
        packed.write(b"x")
