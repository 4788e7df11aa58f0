"""RFC 9110, 13 and 14, on a running server: what is answered to ranges and conditions."""

import base64
import email
import hashlib

import pytest

from tests.system.server import wait_until


class Finished:
    """A finished export by one of its two addresses."""

    def __init__(self, server, path, told):
        self.server, self.path, self.id = server, path, told["id"]
        self.etag = f'"{told["id"]}"'
        self.whole = server.get(told["url"]).body
        self.size = len(self.whole)

    def get(self, method="GET", **headers):
        return self.server.get(self.path, method, None, **headers)


@pytest.fixture(scope="module", params=["file", "download"])
def finished(server, request):
    told = server.finished("numbers", limit=5000)
    path = told["url"] if request.param == "file" else "/download/numbers.csv?limit=5000"
    return Finished(server, path, told)


OTHER = '"0000000000000000"'

# What is asked, with {etag} for the right one, the status, and the bytes. tests/wire has all cases.
FIVE = {
    "14.1.2 the last 500": ({"Range": "bytes=-500"}, 206, slice(-500, None)),
    "14.2 an unknown unit": ({"Range": "items=0-9"}, 200, slice(None)),
    "13.1.5 If-Range of another": ({"If_Range": OTHER, "Range": "bytes=1-2"}, 200, slice(None)),
    "13.2.2 412 before 206": ({"If_Match": OTHER, "Range": "bytes=1-2"}, 412, None),
    "13.2.2 304 before 416": ({"If_None_Match": "{etag}", "Range": "bytes=99999999-"}, 304, None),
}


@pytest.mark.parametrize(("asked", "status", "part"), FIVE.values(), ids=FIVE.keys())
def test_conditions_and_one_span(finished, asked, status, part):
    headers = {name: value.replace("{etag}", finished.etag) for name, value in asked.items()}
    answer = finished.get(**headers)
    assert answer.status == status
    assert answer.headers["ETag"] == finished.etag
    if part is not None:
        assert answer.body == finished.whole[part]
        assert answer.headers["Content-Type"].startswith("text/csv")
        start, stop, _ = part.indices(finished.size)
        span = f"bytes {start}-{stop - 1}/{finished.size}" if status == 206 else None
        assert answer.headers["Content-Range"] == span
    elif status == 412:
        assert answer.json()["error"] == "precondition_failed"
    else:
        assert answer.body == b""


@pytest.mark.parametrize("spans", ["0-9,20-29", "-5,0-4", "5-6,1-2,99990-"])
def test_several_spans(finished, spans):
    answer = finished.get(Range=f"bytes={spans}")
    assert answer.status == 206
    assert answer.headers["Content-Range"] is None
    assert answer.headers["Content-Length"] == str(len(answer.body))
    head = f"Content-Type: {answer.headers['Content-Type']}\r\n\r\n".encode()
    parts = email.message_from_bytes(head + answer.body).get_payload()
    assert len(parts) == spans.count(",") + 1
    for part, asked in zip(parts, spans.split(","), strict=True):
        first, last = asked.split("-")
        start = int(first) if first else finished.size - int(last)
        stop = int(last) + 1 if first and last else finished.size
        assert part["Content-Range"] == f"bytes {start}-{stop - 1}/{finished.size}"
        assert part["Content-Type"].startswith("text/csv")
        assert part.get_payload(decode=True) == finished.whole[start:stop]


@pytest.mark.parametrize("header", ["bytes=99999999-", "bytes=-0", "bytes=99999999-,-0"])
def test_no_byte_that_exists_is_416(finished, header):
    answer = finished.get(Range=header)
    assert answer.status == 416
    assert answer.headers["Content-Range"] == f"bytes */{finished.size}"
    assert answer.json()["detail"] == {"size": finished.size}


def test_head_is_get_without_the_body(finished):
    got, head = finished.get(), finished.get("HEAD")
    assert (head.status, head.body) == (200, b"")
    own = ("Date", "X-Request-ID")
    named = {name: value for name, value in got.headers.items() if name not in own}
    assert {name: value for name, value in head.headers.items() if name not in own} == named


@pytest.mark.parametrize("header", ["bytes=0-9", "bytes=99999999-"])
def test_head_ignores_a_range(finished, header):
    head = finished.get("HEAD", Range=header)
    assert (head.status, head.headers["Content-Length"]) == (200, str(finished.size))
    assert head.headers["Content-Range"] is None


@pytest.mark.parametrize("asked", [{}, {"Range": "bytes=4-9"}, {"Range": "bytes=1-2,4-5"}])
def test_repr_digest_is_of_the_whole(finished, asked):
    digest = base64.b64encode(hashlib.sha256(finished.whole).digest()).decode()
    assert finished.get(**asked).headers["Repr-Digest"] == f"sha-256=:{digest}:"


def test_several_spans_that_are_cut_leave_no_reader(server):
    # 10 MB: more than the sockets between us hold.
    told = server.finished("numbers", "json")
    stream = server.open(told["url"], Range="bytes=0-4999999,5000000-")
    assert stream.status == 206
    stream.read(1000)
    stream.close()
    wait_until(lambda: server.export(told["id"])["readers"] == 0, "no reader is left")


# While it is recorded.


@pytest.fixture
def open_ended(server):
    """The server, on which nothing that was begun goes on after the test."""
    yield server
    server.cancel_all()


@pytest.fixture
def running(open_ended):
    """The file address of an export that goes on until the test is over."""
    return f"/exports/{open_ended.running()}/file"


def test_recorded_bytes_of_a_running_export(server, running):
    answer = server.get(running, Range="bytes=4-16")
    assert (answer.status, answer.body) == (206, b"1,row 1\n2,row")
    assert answer.headers["Content-Range"] == "bytes 4-16/*"
    assert answer.headers["Repr-Digest"] is None


def test_head_of_a_running_export_says_no_length(server, running):
    answer = server.get(running, "HEAD")
    assert (answer.status, answer.headers["Content-Length"]) == (200, None)


def test_a_bounded_range_waits_for_its_own_bytes_only(server, running):
    export_id = running.split("/")[2]
    ahead = server.export(export_id)["bytes"] + 1_000_000
    answer = server.get(running, Range=f"bytes=4-{ahead}")
    assert (answer.status, len(answer.body)) == (206, ahead - 3)
    assert answer.headers["Content-Range"] == f"bytes 4-{ahead}/*"
    assert server.export(export_id)["state"] == "running"


@pytest.mark.parametrize(("header", "status"), [("bytes=0-", 200), ("bytes=0-999", 206)])
def test_a_download_that_begins_with_a_range_begins_at_once(open_ended, header, status):
    # Download managers and players ask so for a file that they have nothing of.
    rows = 1_900_000_000 + len(header)
    stream = open_ended.open(f"/download/long.csv?rows={rows}", Range=header)
    assert stream.status == status
    assert stream.read(11) == b"i,t\n1,row 1"
    stream.close()


def test_an_open_range_waits_for_the_end(server):
    export_id = server.prepare("long", rows=700_000)
    path = f"/exports/{export_id}/file"
    answer = server.get(path, Range="bytes=17-")
    told = server.export(export_id)
    assert answer.status == 206
    assert answer.headers["Content-Range"] == f"bytes 17-{told['bytes'] - 1}/{told['bytes']}"
    assert hashlib.sha256(b"i,t\n1,row 1\n2,row" + answer.body).hexdigest() == told["sha256"]


def test_an_open_range_that_would_wait_too_long_is_told_so(serve):
    server = serve(HEADWATER_RESUME_WAIT_S="0.2")
    path = f"/exports/{server.running()}/file"
    for headers in {"Range": "bytes=5-"}, {"Range": "bytes=-5"}, {"Range": "bytes=1-2,3-4"}:
        answer = server.get(path, **headers)
        assert (answer.status, answer.json()["error"]) == (503, "still_recording")
        assert answer.headers["Retry-After"]
