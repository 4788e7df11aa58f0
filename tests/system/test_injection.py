"""What a client says stays what it is: in heads, in names of files, in both logs."""

import http.client
import json
from contextlib import closing
from urllib.parse import quote

import pytest

from tests.system.server import wait_until

EVIL = {
    "a line end": "a\r\nX-Evil: 1",
    "a line feed": "a\nX-Evil: 1",
    "a bare return": "a\rX-Evil: 1",
    "a NUL": "a\0b",
    "an end of JSON": '"}\n{"level": "error", "message": "evil"}',
    "an escape": "\x1b[31mred",
    "a mark of direction": "\u202eevil",
    "a line separator": "a\u2028b",
    "half a pair": "\udcff",
    "a format": "%s%n{0}{x}",
    "a template": "{{ 7 * 7 }}",
    "a tag": "<script>alert(1)</script>",
}
PLACES = {
    "a path": "/{}",
    "a source": "/sources/{}",
    "a download": "/download/{}.csv",
    "a filter": "/download/things.csv?t={}",
    "a column": "/download/things.csv?columns={}",
    "a topic": "/events/{}?poll=1",
    "a cursor": "/events/demo/a?poll=1&since={}",
    "a log": "/logs/{}",
    "a search": "/logs/none?grep={}",
    "a file": "/files/none/{}",
    "an export": "/exports/{}",
    "what comes after the log-in": "/login?next={}",
    "a link": "/download/things.csv?link={}",
}


def quoted(text):
    return quote(text.encode("utf-8", "surrogateescape"), safe="")


@pytest.mark.parametrize("text", EVIL.values(), ids=EVIL.keys())
@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES.keys())
def test_nothing_is_put_into_an_answer(server, place, text):
    answer = server.get(place.format(quoted(text)), Accept="text/html")
    assert answer.status < 500
    assert "X-Evil" not in answer.headers
    assert b"<script>alert(1)" not in answer.body
    assert not any(c in str(answer.headers.items()) for c in ("\x1b", "\0"))


HEADERS = ("X-Request-ID", "User-Agent", "Referer", "Last-Event-ID", "If-Range", "Range", "Cookie")


def ask_raw(server, name, value):
    """Return the status for a request with this header, which no library would send."""
    head = f"GET /exports HTTP/1.1\r\nHost: localhost\r\n{name}: ".encode()
    value = value.encode("utf-8", "surrogateescape")
    with closing(server.send(head + value + b"\r\nConnection: close\r\n\r\n")) as client:
        answer = http.client.HTTPResponse(client)
        answer.begin()
        return answer.status, answer.headers


@pytest.mark.parametrize("text", EVIL.values(), ids=EVIL.keys())
@pytest.mark.parametrize("name", HEADERS)
def test_a_header_is_one_header(server, name, text):
    status, headers = ask_raw(server, name, text)
    assert status < 500
    assert "X-Evil" not in headers
    request_id = headers.get("X-Request-ID", "")
    assert request_id.isascii()
    assert all(c.isalnum() or c in "._-" for c in request_id)


def lines_of(path):
    return [json.loads(line) for line in path.read_text().split("\n") if line]


def test_every_line_of_both_logs_is_one_object(server):
    """Last in this file: what the others have asked is in the logs by now."""
    server.get("/exports?last=1")
    log = server.instance / "logs" / "access.log"
    wait_until(lambda: "last=1" in log.read_text(), "it is logged")
    asked = lines_of(log)
    assert len(asked) > len(PLACES) * len(EVIL)
    assert all("method" in each for each in asked)
    said = [json.loads(line) for line in server.log.split("\n") if line]
    assert {"evil"}.isdisjoint(each["message"] for each in said)
