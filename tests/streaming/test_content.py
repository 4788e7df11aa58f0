"""Content that is there whole: what is answered, sent and closed. Source: RFC 9110, 13 to 15."""

from __future__ import annotations

import email
import gc
import mmap
import re
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from email.message import Message
from pathlib import Path

import pytest
from flask import Flask, Response, request

from journal import run_here
from sources.errors import FileChanged
from sources.folders.archives import READ_BYTES, ArchiveReader, Digests, ZipArchive
from sources.folders.folder import Folder, OpenFile
from sources.folders.snapshots import take_snapshot
from streaming.archives import ZipPiece
from streaming.content import answer_content, etag_of
from streaming.errors import register_errors
from streaming.files import CHUNK_BYTES, FilePiece
from wire.ranges import Span
from wire.validators import EntityTag, format_http_date

DIGITS = b"0123456789" * 10
CACHING = {"Cache-Control": "private", "Vary": "Accept"}


class Piece:
    """The bytes of a span, two at a time."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self.is_closed = False

    def __iter__(self) -> Iterator[bytes]:
        for start in range(0, len(self._content), 2):
            if self._content[start : start + 1] == b"!":
                raise FileChanged("it has changed")
            yield self._content[start : start + 2]

    def close(self) -> None:
        self.is_closed = True


class Memory:
    """Content in memory; what is read of it, and whether it was closed."""

    def __init__(self, content: bytes, etag: EntityTag, modified_s: float | None) -> None:
        self.name = "memory"
        self.media_type = "text/plain; charset=utf-8"
        self.headers: Mapping[str, str] = {**CACHING, "X-Own": "1"}
        self.size = len(content)
        self.etag = etag
        self.modified_s = modified_s
        self.pieces: list[Piece] = []
        self.closed = 0
        self._content = content

    def read(self, span: Span) -> Piece:
        assert not self.closed
        self.pieces.append(Piece(self._content[span.start : span.stop]))
        return self.pieces[-1]

    def close(self) -> None:
        self.closed += 1


class Asked:
    """An app that answers with the content, which is made anew for each question."""

    def __init__(self) -> None:
        self.app = Flask(__name__)
        self.content = DIGITS
        self.etag = EntityTag("tag")
        self.modified_s: float | None = 1_700_000_000.7
        self.last: Memory
        register_errors(self.app)
        self.app.add_url_rule("/", view_func=self._answer, methods=["GET"])

    def _answer(self) -> Response:
        self.last = Memory(self.content, self.etag, self.modified_s)
        return answer_content(request, self.last)

    def get(self, method: str = "GET", **headers: str):
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.app.test_client().open("/", method=method, headers=named)


@pytest.fixture
def asked():
    return Asked()


def test_the_whole(asked):
    answer = asked.get()
    assert (answer.status_code, answer.data) == (200, DIGITS)
    assert dict(answer.headers) == {
        "Content-Type": "text/plain; charset=utf-8",
        "Content-Length": "100",
        "Accept-Ranges": "bytes",
        "ETag": '"tag"',
        "Last-Modified": "Tue, 14 Nov 2023 22:13:20 GMT",
        "Cache-Control": "private",
        "Vary": "Accept",
        "X-Own": "1",
    }


def test_without_a_time_no_time_is_said(asked):
    asked.modified_s = None
    assert "Last-Modified" not in asked.get().headers
    assert asked.get(If_Modified_Since="Sat, 01 Jan 2050 00:00:00 GMT").status_code == 200


SPANS = {
    "the first": ("bytes=0-9", 0, 10),
    "one byte": ("bytes=99-", 99, 100),
    "a suffix": ("bytes=-7", 93, 100),
    "all": ("bytes=0-", 0, 100),
    "clipped": ("bytes=90-1000", 90, 100),
}


@pytest.mark.parametrize(("header", "start", "stop"), SPANS.values(), ids=SPANS.keys())
def test_one_span(asked, header, start, stop):
    answer = asked.get(Range=header)
    assert (answer.status_code, answer.data) == (206, DIGITS[start:stop])
    assert answer.headers["Content-Range"] == f"bytes {start}-{stop - 1}/100"
    assert answer.headers["Content-Length"] == str(stop - start)
    assert answer.headers["X-Own"] == "1"
    assert len(asked.last.pieces) == 1


def test_several_spans(asked):
    answer = asked.get(Range="bytes=0-1,-3,50-59")
    assert answer.status_code == 206
    assert "Content-Range" not in answer.headers
    assert answer.headers["Content-Length"] == str(len(answer.data))
    head = f"Content-Type: {answer.headers['Content-Type']}\r\n\r\n".encode()
    parts = email.message_from_bytes(head + answer.data).get_payload()
    assert isinstance(parts, list)
    assert [told_by(part) for part in parts] == [
        ("bytes 0-1/100", b"01"),
        ("bytes 97-99/100", b"789"),
        ("bytes 50-59/100", b"0123456789"),
    ]
    assert asked.get(Range="bytes=0-1,-3").headers["Content-Type"] != answer.headers["Content-Type"]


def told_by(part: Message) -> tuple[str, bytes]:
    assert part["Content-Type"] == "text/plain; charset=utf-8"
    content = part.get_payload(decode=True)
    assert isinstance(content, bytes)
    return part["Content-Range"], content


def test_no_byte_that_exists(asked):
    answer = asked.get(Range="bytes=100-")
    assert answer.status_code == 416
    assert answer.headers["Content-Range"] == "bytes */100"
    assert answer.headers["ETag"] == '"tag"'
    assert answer.json["detail"] == {"size": 100}
    assert (asked.last.pieces, asked.last.closed) == ([], 1)


@pytest.mark.parametrize("header", ["bytes=0-", "bytes=-1", "bytes=5-6"])
def test_of_nothing_there_is_no_span(asked, header):
    asked.content = b""
    answer = asked.get(Range=header)
    assert (answer.status_code, answer.data, answer.headers["Content-Length"]) == (200, b"", "0")


def test_a_condition_comes_before_the_range(asked):
    answer = asked.get(If_None_Match='"tag"', Range="bytes=1000-")
    assert (answer.status_code, answer.data) == (304, b"")
    assert answer.headers["ETag"] == '"tag"'
    assert answer.headers["Vary"] == "Accept"
    assert answer.headers["Cache-Control"] == "private"
    assert "X-Own" not in answer.headers
    assert (asked.last.pieces, asked.last.closed) == ([], 1)


def test_a_condition_that_fails_says_what_there_is(asked):
    answer = asked.get(If_Match='"other"', Range="bytes=0-1")
    assert answer.status_code == 412
    assert answer.headers["ETag"] == '"tag"'
    assert answer.json["error"] == "precondition_failed"
    assert (asked.last.pieces, asked.last.closed) == ([], 1)


IF_RANGES = {
    "strong, the same": ('"tag"', False, 206),
    "strong, another": ('"other"', False, 200),
    "weak here": ('W/"tag"', True, 200),
    "weak here, asked for as strong": ('"tag"', True, 200),
    "the date": ("Tue, 14 Nov 2023 22:13:20 GMT", False, 200),
}


@pytest.mark.parametrize(("if_range", "weak", "status"), IF_RANGES.values(), ids=IF_RANGES.keys())
def test_if_range(asked, if_range, weak, status):
    asked.etag = EntityTag("tag", weak=weak)
    answer = asked.get(If_Range=if_range, Range="bytes=4-5")
    assert (answer.status_code, answer.data) == (status, DIGITS if status == 200 else b"45")


@pytest.mark.parametrize("header", ["bytes=0-9", "bytes=1000-", "bytes=0-1,4-5"])
def test_head_reads_nothing(asked, header):
    answer = asked.get("HEAD", Range=header)
    assert (answer.status_code, answer.data) == (200, b"")
    assert answer.headers["Content-Length"] == "100"
    assert dict(answer.headers) == dict(asked.get().headers)
    asked.get("HEAD")
    assert (asked.last.pieces, asked.last.closed) == ([], 1)


@pytest.mark.parametrize("header", [None, "bytes=0-9", "bytes=0-9,20-29"])
def test_what_is_read_outlives_the_content_and_is_closed_at_the_end(asked, header):
    with asked.app.test_client() as client:
        answer = client.get("/", headers={"Range": header} if header else {})
        chunks = answer.iter_encoded()
        next(iter(chunks))
        assert asked.last.closed == 1
        assert not any(piece.is_closed for piece in asked.last.pieces)
        answer.close()
    assert asked.last.pieces
    assert all(piece.is_closed for piece in asked.last.pieces)


def test_what_fails_at_once_is_an_answer(asked):
    asked.content = b"!!" + DIGITS
    answer = asked.get()
    assert (answer.status_code, answer.json["error"]) == (409, "file_changed")
    assert asked.last.closed == 1
    assert all(piece.is_closed for piece in asked.last.pieces)


def test_what_fails_later_is_raised_to_the_server(asked):
    asked.content = DIGITS + b"!!"
    with asked.app.test_client() as client:
        answer = client.get("/")
        assert answer.headers["Content-Length"] == "102"
        chunks = answer.iter_encoded()
        with pytest.raises(ConnectionResetError, match="it has changed"):
            list(chunks)
        answer.close()
    assert all(piece.is_closed for piece in asked.last.pieces)


def test_a_span_that_cannot_be_opened_leaves_no_other_one_open(asked, monkeypatch):
    """As when there is no descriptor left."""
    ours = Memory.read

    def read(self, span):
        if self.pieces:
            raise OSError(24, "Too many open files")
        return ours(self, span)

    monkeypatch.setattr(Memory, "read", read)
    asked.get(Range="bytes=0-1,4-5")
    assert asked.last.closed == 1
    assert all(piece.is_closed for piece in asked.last.pieces)


def test_a_time_in_the_future_is_not_said(asked):
    asked.modified_s = 4e9
    assert asked.get().headers.get("Last-Modified") != "Tue, 02 Oct 2096 07:06:40 GMT"


def test_a_date_whose_second_is_not_over_is_not_said_and_does_not_hold(asked):
    """In it there may be another change, which would have the same date."""
    asked.modified_s = time.time()
    answer = asked.get(If_Modified_Since=format_http_date(asked.modified_s))
    assert (answer.status_code, "Last-Modified" in answer.headers) == (200, False)
    asked.modified_s -= 1.1
    assert "Last-Modified" in asked.get().headers
    known = format_http_date(asked.modified_s)
    assert asked.get(If_Modified_Since=known).status_code == 304


def test_the_etag_of_what_is_not_settled_never_holds(asked):
    asked.etag = etag_of("abc", is_settled=False)
    first = asked.get().headers["ETag"]
    assert re.fullmatch('W/"abc-[0-9a-f]{16}"', first)
    assert asked.get(Range="bytes=0-9", If_Range=first).status_code == 200
    # Each span would be of one moment, but not all of them of the same.
    assert asked.get(Range="bytes=0-9").status_code == 206
    assert asked.get(Range="bytes=0-9,50-59").status_code == 200
    for is_settled in (False, True):
        asked.etag = etag_of("abc", is_settled=is_settled)
        assert asked.get(If_None_Match=first).status_code == 200
        assert asked.get(If_Match=first).status_code == 412
    assert asked.get().headers["ETag"] == '"abc"'


@pytest.mark.parametrize("modified_s", [1e12, -1e12])
def test_a_time_that_http_has_no_date_for_is_not_said(asked, modified_s):
    asked.modified_s = modified_s
    assert asked.get().status_code == 200


# A file.


def test_a_part_of_a_file_is_of_one_moment(tmp_path):
    """The change does not show in the times: pages in memory that were just written."""
    path = tmp_path / "a"
    path.write_bytes(b"A" * CHUNK_BYTES * 4)
    folder = Folder("served", tmp_path)
    with path.open("r+b") as other, mmap.mmap(other.fileno(), 0) as pages:
        pages[:] = b"A" * CHUNK_BYTES * 4
        piece = FilePiece(folder.open("a"), Span(0, CHUNK_BYTES * 2), run_here)
        with closing(piece):
            chunks = iter(piece)
            assert next(chunks) == b"A" * CHUNK_BYTES
            pages[:] = b"B" * CHUNK_BYTES * 4
            with pytest.raises(FileChanged):
                next(chunks)


# A folder as ZIP.


def test_nobody_waits_long_for_a_thread_that_reads_an_archive(tmp_path, monkeypatch):
    """For its last bytes everything is read once: in turns, as there are only some threads."""
    for name in "abcdefgh":
        tmp_path.joinpath(name).write_bytes(b"x" * (4 * READ_BYTES))
    folder = Folder("served", tmp_path)
    archive = ZipArchive(folder, take_snapshot(folder), Digests())
    read_bytes = []
    ours = OpenFile.read

    def read(self, size, position):
        content = ours(self, size, position)
        read_bytes[-1] += len(content)
        return content

    def run_native(work):
        read_bytes.append(0)
        return work()

    monkeypatch.setattr(OpenFile, "read", read)
    size = archive.layout.size
    piece = ZipPiece(ArchiveReader(archive, size - 100, size), run_native)
    assert len(b"".join(piece)) == 100
    piece.close()
    assert sum(read_bytes) == 32 * READ_BYTES
    assert max(read_bytes) <= 4 * READ_BYTES


def test_a_reader_that_is_closed_while_a_thread_reads_leaves_nothing_open(tmp_path, monkeypatch):
    tmp_path.joinpath("a").write_bytes(b"x" * (4 * READ_BYTES))
    folder = Folder("served", tmp_path)
    archive = ZipArchive(folder, take_snapshot(folder), Digests())
    is_reading, may_go_on = threading.Event(), threading.Event()
    ours = OpenFile.read

    def read(self, size, position):
        is_reading.set()
        assert may_go_on.wait(20)
        return ours(self, size, position)

    def read_on_a_thread():
        piece = ZipPiece(ArchiveReader(archive, 0, archive.layout.size), run_here)
        thread = threading.Thread(target=lambda: next(iter(piece)))
        thread.start()
        assert is_reading.wait(20)
        piece.close()
        may_go_on.set()
        thread.join()

    gc.collect()
    before = len(list(Path("/proc/self/fd").iterdir()))
    monkeypatch.setattr(OpenFile, "read", read)
    read_on_a_thread()
    gc.collect()
    assert len(list(Path("/proc/self/fd").iterdir())) == before
