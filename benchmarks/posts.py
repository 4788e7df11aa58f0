"""Many publishers over HTTP, each with one event under way: how long until it is acknowledged?

One process, one epoll, a connection kept alive for each. Way in: post_for.
"""

from __future__ import annotations

import json
import select
import socket
import time

from benchmarks.client import TIMEOUT_S, Address, BadAnswer
from benchmarks.tally import payload


def post_for(address: Address, path: str, publishers: int, seconds: float) -> list[float]:
    """POST single events to path for so long; return how many seconds each took.

    What is under way at the end is waited for. Raises BadAnswer for an answer other than 201.
    """
    epoll = select.epoll()
    sockets: dict[int, socket.socket] = {}
    asked_s: dict[int, float] = {}
    took_s: list[float] = []
    request = _request(path)
    for _ in range(publishers):
        connection = socket.create_connection(address, TIMEOUT_S)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sockets[connection.fileno()] = connection
        epoll.register(connection.fileno(), select.EPOLLIN)
    ends_s = time.monotonic() + seconds
    for descriptor, connection in sockets.items():
        asked_s[descriptor] = time.monotonic()
        connection.sendall(request)
    while asked_s:
        for descriptor, _ in epoll.poll(TIMEOUT_S):
            _read_answer(sockets[descriptor])
            now_s = time.monotonic()
            took_s.append(now_s - asked_s.pop(descriptor))
            if now_s < ends_s:
                asked_s[descriptor] = now_s
                sockets[descriptor].sendall(request)
    for connection in sockets.values():
        connection.close()
    return took_s


def _request(path: str) -> bytes:
    body = json.dumps({"data": payload(0)})
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode()


def _read_answer(connection: socket.socket) -> None:
    """Read one whole answer, which is small and arrives as one or two packets."""
    answer = b""
    while True:
        received = connection.recv(4096)
        answer += received
        head, parted, body = answer.partition(b"\r\n\r\n")
        if not received or (parted and not head.startswith(b"HTTP/1.1 201 ")):
            raise BadAnswer(f"POST: {answer[:300]!r}")
        if parted and len(body) >= _length(head):
            return


def _length(head: bytes) -> int:
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line.partition(b":")[2])
    raise BadAnswer(f"POST: an answer without a length: {head[:300]!r}")
