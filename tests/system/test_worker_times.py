"""What the worker refuses or cuts for the time it takes, and counts: slow bodies, deaf clients."""

import json
import socket
from time import monotonic

import pytest

from tests.system.gunicorn_process import GunicornProcess, read_to_end, read_until
from tests.system.server import wait_until

BODY_S, STALL_S = 0.6, 2.0


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server that is short of patience."""
    times = {"HEADWATER_BODY_S": str(BODY_S), "HEADWATER_STALL_S": str(STALL_S)}
    server = GunicornProcess(tmp_path_factory.mktemp("server"), **times)
    yield server
    server.stop()


def counted(server, code):
    return json.loads(server.get("/refusals")).get(code, 0)


HEAD = b"POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\n"
SLOW_BODIES = {
    "nothing of it": (b"/size", b"Content-Length: 5\r\n\r\n"),
    "half of it": (b"/size", b"Content-Length: 5\r\n\r\nab"),
    "line by line": (b"/size?lines", b"Content-Length: 5\r\n\r\na\nb"),
    "half a chunk": (b"/size", b"Transfer-Encoding: chunked\r\n\r\n5\r\nab"),
    "no last chunk": (b"/size", b"Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n"),
}


@pytest.mark.parametrize(("path", "begin"), SLOW_BODIES.values(), ids=SLOW_BODIES.keys())
def test_a_body_that_does_not_come_is_told_so_and_counted(server, path, begin):
    before = counted(server, "request_timeout")
    began = monotonic()
    with server.send(HEAD % path + b"X-Request-ID: mine\r\n" + begin) as client:
        head, _, body = read_until(client, b"}}").partition(b"\r\n\r\n")
        assert client.recv(1) == b""
    assert BODY_S <= monotonic() - began < BODY_S + 2
    assert head.startswith(b"HTTP/1.1 408 Request Timeout\r\n")
    named = b"Content-Type: application/json", b"X-Request-ID: mine", b"X-Frame-Options: DENY"
    for field in (b"Connection: close", *named):
        assert field in head.split(b"\r\n")
    fields = json.loads(body)
    assert fields.pop("message")
    detail = {"body_s": BODY_S}
    assert fields == {"error": "request_timeout", "status": 408, "detail": detail}
    assert counted(server, "request_timeout") == before + 1
    assert "Traceback" not in server.log


BAD_BODIES = {
    "no size": b"zz\r\n",
    "no end of a chunk": b"2\r\nabcd",
}


@pytest.mark.parametrize("body", BAD_BODIES.values(), ids=BAD_BODIES.keys())
def test_a_body_that_is_not_framed_right_is_no_request(server, body):
    before = counted(server, "bad_request")
    request = HEAD % b"/size" + b"Transfer-Encoding: chunked\r\n\r\n" + body
    with server.send(request) as client:
        answer = read_to_end(client)
    assert answer.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"] == "bad_request"
    assert counted(server, "bad_request") == before + 1
    assert "Traceback" not in server.log


def test_a_body_that_was_cut_is_no_mistake_of_ours(server):
    request = HEAD % b"/size" + b"Transfer-Encoding: chunked\r\n\r\n5\r\nab"
    before = counted(server, "bad_request")
    with server.send(request) as client:
        client.shutdown(socket.SHUT_WR)
        assert read_to_end(client).startswith(b"HTTP/1.1 400 ")
    assert counted(server, "bad_request") == before + 1
    assert "Traceback" not in server.log


def test_each_byte_does_not_begin_the_time_anew(server):
    began = monotonic()
    with server.send(HEAD % b"/size" + b"Content-Length: 1000\r\n\r\n") as client:
        client.settimeout(0.1)
        while monotonic() < began + 5:
            client.sendall(b"x")
            try:
                answer = client.recv(1000)
            except TimeoutError:
                continue
            break
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert monotonic() - began < BODY_S + 2


def test_who_is_still_sending_can_read_the_408(server):
    with server.send(HEAD % b"/size" + b"Content-Length: 1000\r\n\r\n") as client:
        wait_until(lambda: counted(server, "request_timeout"), "one is late")
        client.sendall(b"x" * 900)
        assert read_to_end(client).startswith(b"HTTP/1.1 408 ")


def test_a_body_in_time_and_the_next_request_are_served(server):
    with server.send(HEAD % b"/size" + b"Content-Length: 5\r\n\r\nab") as client:
        client.sendall(b"cde")
        assert b"\r\n\r\n2\r\n5\n\r\n" in read_until(client, b"\r\n0\r\n\r\n")
        client.sendall(HEAD % b"/size" + b"Content-Length: 0\r\n\r\n")
        assert b"\r\n\r\n2\r\n0\n\r\n" in read_until(client, b"\r\n0\r\n\r\n")


def test_slow_bodies_free_their_places(tmp_path):
    times = {"HEADWATER_BODY_S": "0.5", "HEADWATER_CONNECTIONS": "20"}
    server = GunicornProcess(tmp_path, **times)
    try:
        request = HEAD % b"/size" + b"Content-Length: 9\r\n\r\n"
        slow = [server.send(request) for _ in range(40)]

        def is_served():
            with server.ask("/hello") as client:
                return read_until(client, b"\r\n\r\n").startswith(b"HTTP/1.1 200 ")

        wait_until(is_served, "their places are free", timeout_s=5)
        assert counted(server, "too_many_connections") >= 20
        assert len(slow) == 40
    finally:
        server.stop()


def deaf(server, path):
    """Return a client that has asked for path and takes nothing of it; its buffer is small."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    client.connect(("127.0.0.1", server.port))
    client.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    return client


@pytest.fixture(scope="module")
def big_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("files") / "big"
    path.write_bytes(bytes(64 * 1024 * 1024))
    return path


@pytest.mark.parametrize("way", ["/flood", "/file?path={}"], ids=["a generator", "sendfile"])
def test_who_takes_nothing_is_cut_and_counted(server, big_file, way):
    before = counted(server, "stalled")
    began = monotonic()
    with deaf(server, way.format(big_file)):
        wait_until(lambda: counted(server, "stalled") > before, "the client is cut", STALL_S + 6)
    assert monotonic() - began >= STALL_S
    assert "client cut off reason=stalled" in server.log
    assert "Traceback" not in server.log


def test_who_takes_a_little_now_and_then_stays(server):
    began, before = monotonic(), counted(server, "stalled")
    with deaf(server, "/flood") as client:
        while monotonic() < began + 2.5 * STALL_S:
            taken = 0
            while taken < 200_000:
                taken += len(client.recv(65536))
            pause_ends = monotonic() + STALL_S / 4
            wait_until(lambda ends=pause_ends: monotonic() > ends, "a pause")
    assert counted(server, "stalled") == before


def test_who_asks_nothing_more_is_let_go_and_counted(tmp_path):
    server = GunicornProcess(tmp_path, "--keep-alive", "1")
    try:
        with server.ask("/hello") as client:
            began = monotonic()
            assert read_to_end(client).startswith(b"HTTP/1.1 200 ")
            assert monotonic() - began >= 1
        assert counted(server, "idle") == 1
        with server.ask("/hello") as client:
            read_until(client, b"\r\n\r\n")
        assert counted(server, "idle") == 1
    finally:
        server.stop()


def test_what_is_no_request_is_counted(server):
    before = counted(server, "bad_request")
    with server.send(b"GET / HTTP/1.1\r\nHost x\r\n\r\n") as client:
        assert read_to_end(client).startswith(b"HTTP/1.1 400 ")
    assert counted(server, "bad_request") == before + 1
