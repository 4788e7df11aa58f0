"""What is written for an answer, and in how many writes."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from server.response import MAX_JOINED_BYTES, Answer

TYPE = ("Content-Type", "text/plain")


class Socket:
    def __init__(self):
        self.writes = []

    def sendall(self, data):
        self.writes.append(bytes(data))


@pytest.fixture
def answer():
    """answer(*pieces, fields, status): the writes of an answer with this body."""

    def write(*pieces, fields=(TYPE,), status="200 OK", method="GET", version=(1, 1)):
        request = SimpleNamespace(method=method, version=version, should_close=lambda: False)
        socket = Socket()
        made = Answer(request, socket, SimpleNamespace(protocol="http"), "an-id")
        made.start_response(status, list(fields))
        for piece in pieces:
            made.write(piece)
        made.close()
        return socket.writes

    return write


def test_head_and_body_are_one_write(answer):
    (write,) = answer(b"hello", fields=[TYPE, ("Content-Length", "5")])
    head, _, body = write.partition(b"\r\n\r\n")
    assert (head[:15], body) == (b"HTTP/1.1 200 OK", b"hello")
    assert b"\r\nX-Request-ID: an-id" in head
    assert b"\r\nConnection: keep-alive\r\n" in head


def test_each_piece_but_the_first_is_a_write_by_itself(answer):
    first, second, end = answer(b"one", b"two")
    assert first.endswith(b"\r\n\r\n3\r\none\r\n")
    assert (second, end) == (b"3\r\ntwo\r\n", b"0\r\n\r\n")


def test_a_head_does_not_wait_for_a_late_body(answer):
    head, piece, _ = answer(b"", b"late")
    assert head.endswith(b"\r\n\r\n")
    assert piece == b"4\r\nlate\r\n"


def test_a_large_piece_is_not_copied(answer):
    large = b"x" * (MAX_JOINED_BYTES + 1)
    head, body = answer(large, fields=[("Content-Length", str(len(large)))])
    assert head.endswith(b"\r\n\r\n")
    assert body == large


WITHOUT_BODY = {
    "none": ((), {}),
    "an empty one": ((b"",), {"fields": [("Content-Length", "0")]}),
    "more than it says": ((b"more",), {"fields": [("Content-Length", "0")]}),
    "HEAD": ((b"body",), {"method": "HEAD", "fields": [("Content-Length", "4")]}),
    "304": ((), {"status": "304 Not Modified"}),
}


@pytest.mark.parametrize(("pieces", "how"), WITHOUT_BODY.values(), ids=WITHOUT_BODY.keys())
def test_a_head_without_a_body_is_sent(answer, pieces, how):
    writes = b"".join(answer(*pieces, **how))
    assert writes.partition(b"\r\n\r\n")[2] in (b"", b"0\r\n\r\n")
    assert writes.count(b"HTTP/1.1") == 1


def test_fields_that_are_not_the_applications_are_dropped_each_time(answer):
    fields = [("Connection", "close"), ("x-request-id", "other"), ("Keep-Alive", "1"), TYPE]
    for _ in range(2):
        (write, _) = answer(b"x", fields=fields)
        assert b"other" not in write
        assert b"Keep-Alive" not in write
        assert write.count(b"Connection") == 1


BAD = {
    "a line end in a value": ("X", "a\r\nY: b"),
    "a blank in a name": ("X Y", "a"),
    "no text": ("X", 5),
    "a NUL": ("X", "\0"),
}


@pytest.mark.parametrize("field", BAD.values(), ids=BAD.keys())
def test_what_is_no_field_is_refused_each_time(answer, field):
    for _ in range(2):
        with pytest.raises(Exception, match=r".*"):
            answer(b"x", fields=[field])
