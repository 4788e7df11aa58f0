from __future__ import annotations

import socket

import pytest

from benchmarks.client import BadAnswer
from benchmarks.kept import read_answer
from benchmarks.posts import CREATED

KEPT = b"HTTP/1.1 201 CREATED\r\nContent-Length: 2\r\nX: y\r\n\r\n{}"


@pytest.fixture
def pair():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.settimeout(10)
        yield ours, theirs


def test_an_answer_is_read_to_its_end(pair):
    ours, theirs = pair
    theirs.sendall(KEPT)
    read_answer(ours, CREATED)
    ours.setblocking(False)
    with pytest.raises(BlockingIOError):
        ours.recv(1)


BAD = {
    "another status": KEPT.replace(b"201", b"200"),
    "refused": b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n",
    "cut in the head": KEPT[:20],
    "cut in the body": KEPT[:-1],
    "without a length": b"HTTP/1.1 201 CREATED\r\n\r\n",
}


@pytest.mark.parametrize("answer", BAD.values(), ids=BAD.keys())
def test_anything_else_is_told(pair, answer):
    ours, theirs = pair
    theirs.sendall(answer)
    theirs.close()
    with pytest.raises(BadAnswer):
        read_answer(ours, CREATED)
