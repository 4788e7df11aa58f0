"""The textbook's two downloads, byte for byte."""

import pytest

USERS = "id,name\n" + "".join(f"{i},User {i}\n" for i in range(1, 10_001))

BOTH = pytest.mark.parametrize("path", ["/download", "/download-async"])


@BOTH
def test_bytes_and_headers(server, path):
    answer = server.get(path)
    assert answer.status == 200
    assert answer.body.decode() == USERS
    assert answer.headers["Content-Type"].split(";")[0] == "text/csv"
    assert answer.headers["Content-Disposition"] == 'attachment; filename="users.csv"'


@BOTH
def test_the_first_chunk_comes_alone_and_at_once(server, path):
    client = server.send(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    received = b""
    while b"\r\n\r\n" not in received or received.endswith(b"\r\n\r\n"):
        received += client.recv(1 << 20)
    head, body = received.split(b"\r\n\r\n", 1)
    assert b"chunked" in head.lower()
    assert body.startswith(b"8\r\nid,name\n\r\n")


@BOTH
def test_a_client_of_http_1_0_gets_the_same_bytes(server, path):
    curl = server.curl(path, "--http1.0")
    assert curl.communicate(timeout=20)[0].decode() == USERS
    assert curl.returncode == 0


@BOTH
def test_head_has_no_body(server, path):
    answer = server.get(path, "HEAD")
    assert (answer.status, answer.body) == (200, b"")
    assert answer.headers["Content-Disposition"] == 'attachment; filename="users.csv"'


@BOTH
def test_others_are_answered_while_one_stalls(server, path):
    stalled = server.open(path)
    assert stalled.read(8) == b"id,name\n"
    assert server.get("/sources").status == 200
    assert stalled.read() == USERS[8:].encode()
