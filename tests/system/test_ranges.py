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


ONE = {
    "14.1.2 the first 500": ("bytes=0-499", slice(0, 500)),
    "14.1.2 the second 500": ("bytes=500-999", slice(500, 1000)),
    "14.1.2 one byte": ("bytes=7-7", slice(7, 8)),
    "14.1.2 the last 500": ("bytes=-500", slice(-500, None)),
    "14.1.2 open": ("bytes=9500-", slice(9500, None)),
    "14.1.2 open from the start": ("bytes=0-", slice(0, None)),
    "14.1.2 last past the end is clipped": ("bytes=99-99999999", slice(99, None)),
    "14.1.2 suffix longer than the whole": ("bytes=-99999999", slice(0, None)),
    "14.1.2 one satisfiable span is enough": ("bytes=3-5,99999999-", slice(3, 6)),
    "14.1 unit in any case": ("BYTES=1-2", slice(1, 3)),
}


@pytest.mark.parametrize(("header", "part"), ONE.values(), ids=ONE.keys())
def test_one_span(finished, header, part):
    answer = finished.get(Range=header)
    assert answer.status == 206
    assert answer.body == finished.whole[part]
    start, stop, _ = part.indices(finished.size)
    assert answer.headers["Content-Range"] == f"bytes {start}-{stop - 1}/{finished.size}"
    assert answer.headers["ETag"] == finished.etag
    assert answer.headers["Content-Type"].startswith("text/csv")


WHOLE = {
    "14.2 unknown unit": "items=0-9",
    "14.1.1 last before first": "bytes=9-5",
    "14.1.1 no number": "bytes=a-b",
    "14.1.1 empty": "bytes=",
    "14.1.1 negative": "bytes=--5",
    "ours: not ASCII digits": "bytes=1_0-20",
    "ours: absurd number": f"bytes={'9' * 30}-",
    "14.2 many small spans": "bytes=" + ",".join(f"{i}-{i}" for i in range(17)),
    "14.2 more than the whole": "bytes=0-,0-",
    "14.2 header of 3,000 characters": "bytes=0-1" + "," * 3000,
}


@pytest.mark.parametrize("header", WHOLE.values(), ids=WHOLE.keys())
def test_what_is_no_range_gets_the_whole(finished, header):
    answer = finished.get(Range=header)
    assert (answer.status, answer.body) == (200, finished.whole)
    assert answer.headers["Content-Range"] is None


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


OTHER = '"0000000000000000"'
DATE = "Sat, 01 Jan 2050 00:00:00 GMT"

# What is asked, with {etag} for the right one, and the status it gets.
CONDITIONS = {
    "13.1.5 If-Range that matches": ({"If_Range": "{etag}", "Range": "bytes=1-2"}, 206),
    "13.1.5 If-Range of another": ({"If_Range": OTHER, "Range": "bytes=1-2"}, 200),
    "13.1.5 If-Range is compared strongly": ({"If_Range": "W/{etag}", "Range": "bytes=1-2"}, 200),
    "13.1.5 If-Range with a date": ({"If_Range": DATE, "Range": "bytes=1-2"}, 200),
    "14.2 If-Range without Range": ({"If_Range": "{etag}"}, 200),
    "13.1.1 If-Match that matches": ({"If_Match": "{etag}"}, 200),
    "13.1.1 If-Match in a list": ({"If_Match": OTHER + ", {etag}"}, 200),
    "13.1.1 If-Match *": ({"If_Match": "*"}, 200),
    "13.1.1 If-Match of another": ({"If_Match": OTHER}, 412),
    "13.1.1 If-Match is compared strongly": ({"If_Match": "W/{etag}"}, 412),
    "13.1.2 If-None-Match that matches": ({"If_None_Match": "{etag}"}, 304),
    "13.1.2 If-None-Match is compared weakly": ({"If_None_Match": "W/{etag}"}, 304),
    "13.1.2 If-None-Match *": ({"If_None_Match": "*"}, 304),
    "13.1.2 If-None-Match of another": ({"If_None_Match": OTHER}, 200),
    "13.2.2 412 before 304": ({"If_Match": OTHER, "If_None_Match": "{etag}"}, 412),
    "13.2.2 304 before 206": ({"If_None_Match": "{etag}", "Range": "bytes=0-1"}, 304),
    "13.2.2 412 before 416": ({"If_Match": OTHER, "Range": "bytes=99999999-"}, 412),
    "13.2.2 304 before 416": ({"If_None_Match": "{etag}", "Range": "bytes=99999999-"}, 304),
    "13.2.2 a date says nothing here": ({"If_Modified_Since": DATE}, 200),
}


@pytest.mark.parametrize(("asked", "status"), CONDITIONS.values(), ids=CONDITIONS.keys())
def test_conditions(finished, asked, status):
    headers = {name: value.replace("{etag}", finished.etag) for name, value in asked.items()}
    answer = finished.get(**headers)
    assert answer.status == status
    assert answer.headers["ETag"] == finished.etag
    if status == 200:
        assert answer.body == finished.whole
    if status == 304:
        assert answer.body == b""
    if status == 412:
        assert answer.json()["error"] == "precondition_failed"


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
