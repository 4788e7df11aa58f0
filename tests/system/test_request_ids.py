"""One id for a request: in its answer, the access log and every line that is logged for it."""

import json
import re
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.system.gunicorn_process import GunicornProcess, read_to_end, read_until
from tests.system.server import wait_until

LINE = b"GET %s HTTP/1.1\r\nHost: localhost\r\n"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = GunicornProcess(tmp_path_factory.mktemp("server"))
    yield server
    server.stop()


def lines(server):
    """Return the whole lines of the log, which are objects; those of others are none."""
    return [json.loads(line) for line in server.log.split("\n")[:-1] if line.startswith("{")]


def logged(server, message):
    """Return the ids of the lines with a message, once there is one."""

    def found():
        return [each.get("request") for each in lines(server) if each["message"] == message]

    return wait_until(found, f"{message!r} is logged")


def access_lines(server, what, value):
    """Return the lines of the access log in which a field has this value, once there is one."""
    log = server.instance / "logs" / "access.log"

    def found():
        told = map(json.loads, log.read_text().splitlines()) if log.exists() else []
        return [each for each in told if each[what] == value]

    return wait_until(found, f"the {what} {value} is in the access log")


def accessed(server, path):
    """Return the ids of a path's lines in the access log, once there is one."""
    return [each["id"] for each in access_lines(server, "path", path)]


def id_in(head):
    (found,) = re.findall(rb"\r\nX-Request-ID: ([^\r]*)", head)
    return found.decode()


def test_every_line_of_a_request_bears_its_id(server):
    def ask(n):
        with server.send(LINE % b"/told?n=%d" % n + b"X-Request-ID: id-%d\r\n\r\n" % n) as client:
            return id_in(read_until(client, b"\r\n0\r\n\r\n"))

    with ThreadPoolExecutor(20) as pool:
        assert list(pool.map(ask, range(20))) == [f"id-{n}" for n in range(20)]
    for n in range(20):
        assert logged(server, f"view {n}") == logged(server, f"body {n}") == [f"id-{n}"]
        assert accessed(server, f"/told?n={n}") == [f"id-{n}"]


def test_each_request_of_a_connection_has_an_id_of_its_own(server):
    with server.send() as client:
        found = []
        for n in (101, 102, 103):
            client.sendall(LINE % b"/told?n=%d" % n + b"\r\n")
            found.append(id_in(read_until(client, b"\r\n0\r\n\r\n")))
    assert len(set(found)) == 3
    for n, own in zip((101, 102, 103), found, strict=True):
        assert logged(server, f"body {n}") == accessed(server, f"/told?n={n}") == [own]


def test_who_takes_over_keeps_the_id(server):
    with server.send(LINE % b"/talks?n=1" + b"X-Request-ID: talker\r\n\r\n") as client:
        assert read_to_end(client) == b"mine"
    assert logged(server, "talk 1") == accessed(server, "/talks?n=1") == ["talker"]
    assert "failed after it took its connection over" not in server.log


REFUSED = {
    "no request": (b"GET / HTTP/1.1\r\nHost x\r\n\r\n", b"400"),
    "another field twice": (LINE % b"/" + b"Content-Length: 1\r\n" * 2 + b"\r\n", b"400"),
    "a blank in a name": (b"GET / HTTP/1.1\r\nHost : x\r\n\r\n", b"400"),
    "too many fields": (LINE % b"/" + b"X: y\r\n" * 101 + b"\r\n", b"431"),
    "a line that is none": (b"\x16\x03\x01\r\n\r\n", b"400"),
    "too long": (b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\n\r\n", b"414"),
    "it fails": (LINE % b"/nowhere" + b"X-Request-ID: failing\r\n\r\n", b"500"),
}


@pytest.mark.parametrize(("data", "status"), REFUSED.values(), ids=REFUSED.keys())
def test_an_error_of_the_worker_has_an_id_and_is_in_both_logs(server, data, status):
    with server.send(data) as client:
        head = read_to_end(client)
    (line,) = access_lines(server, "id", id_in(head))
    assert (line["status"], line["client"]) == (int(status), "127.0.0.1")
    assert head.startswith(b"HTTP/1.1 " + status)
    assert any(each.get("request") == id_in(head) for each in lines(server))
    assert status != b"500" or id_in(head) == "failing"


def test_an_id_that_is_none_is_not_taken(server):
    with server.send(LINE % b"/told?n=7777" + b'X-Request-ID: a"b\r\n\r\n') as client:
        own = id_in(read_until(client, b"\r\n0\r\n\r\n"))
    assert own != 'a"b'
    assert logged(server, "view 7777") == [own]


def test_gunicorns_own_lines_are_objects_too(server):
    greeting = next(each for each in lines(server) if "Listening at: http://" in each["message"])
    assert greeting.keys() == {"time", "level", "logger", "message"}
    assert (greeting["level"], greeting["logger"]) == ("info", "gunicorn.error")


def test_text_is_for_people_and_one_too_many_has_an_id(tmp_path):
    server = GunicornProcess(tmp_path, HEADWATER_LOG_FORMAT="text", HEADWATER_CONNECTIONS="1")
    try:
        with server.ask("/told?n=1"), server.ask("/hello") as too_many:
            assert id_in(read_to_end(too_many))
        pattern = r"(?m)^\S+Z INFO gunicorn\.error Listening at: http://127\.0\.0\.1:\d+ \(\d+\)$"
        assert re.search(pattern, server.log)
    finally:
        server.stop()
