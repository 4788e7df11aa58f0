"""Answers on a kept connection, each read to its end and no further."""

from __future__ import annotations

import socket

import pytest

from benchmarks.client import BadAnswer
from benchmarks.kept import read_answer

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX: y\r\n\r\n{}"


@pytest.fixture
def pair():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.settimeout(10)
        yield ours, theirs


@pytest.mark.parametrize("at", [1, 20, len(ANSWER) - 1])
def test_an_answer_is_read_to_its_end(pair, at):
    ours, theirs = pair
    theirs.sendall(ANSWER[:at])
    theirs.sendall(ANSWER[at:])
    assert read_answer(ours) == ANSWER


BAD = {
    "refused": b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n",
    "cut in the head": ANSWER[:20],
    "cut in the body": ANSWER[:-1],
    "without a length": b"HTTP/1.1 200 OK\r\n\r\n",
}


@pytest.mark.parametrize("answer", BAD.values(), ids=BAD.keys())
def test_anything_else_is_told(pair, answer):
    ours, theirs = pair
    theirs.sendall(answer)
    theirs.close()
    with pytest.raises(BadAnswer):
        read_answer(ours)
