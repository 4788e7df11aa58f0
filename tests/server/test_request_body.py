"""A request's body as it is read: what waits for the client, and what is understood in turn."""

from __future__ import annotations

import socket
from contextlib import closing, contextmanager
from functools import partialmethod

import pytest
from gunicorn.config import Config
from gunicorn.http import RequestParser
from gunicorn.http.unreader import SocketUnreader

from server.request_body import RequestBody, receive_in_turn

HEAD = b"POST / HTTP/1.1\r\nHost: localhost\r\n"
DATA = b"x" * 4000
CHUNKS = HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * len(DATA) + b"0\r\n\r\n"
WHOLE = HEAD + b"Content-Length: %d\r\n\r\n" % len(DATA) + DATA


@pytest.fixture
def read(monkeypatch):
    """read(sent, how): what is read of a body, and how often a turn has rested meanwhile."""
    chunk = partialmethod(receive_in_turn, SocketUnreader.chunk)
    monkeypatch.setattr(SocketUnreader, "chunk", chunk)

    def read(sent, how):
        rests = []

        @contextmanager
        def paused():
            rests.append(True)
            yield

        ours, theirs = socket.socketpair()
        with closing(ours), closing(theirs):
            theirs.sendall(sent)
            body = next(RequestParser(Config(), ours, ("127.0.0.1", 1))).body
            stream = RequestBody(body, 5.0, lambda: None, lambda waits: None, paused)
            return how(stream), len(rests), stream.waits_in_turn()

    return read


def pieces(stream):
    return b"".join(iter(stream.read_some, b""))


@pytest.mark.parametrize("how", [RequestBody.read, pieces], ids=["whole", "as it comes"])
def test_the_turn_rests_only_while_chunks_are_received(read, how):
    """4,000 chunks of a byte come in three receives, and cost as much as megabytes."""
    data, rests, waits_in_turn = read(CHUNKS, how)
    assert (data, waits_in_turn) == (DATA, False)
    assert 1 <= rests <= 3


def test_a_body_with_a_length_is_waited_for_by_its_reader(read):
    first, rests, waits_in_turn = read(WHOLE[:-1], lambda stream: stream.read(1))
    assert (first, rests, waits_in_turn) == (b"x", 0, True)
