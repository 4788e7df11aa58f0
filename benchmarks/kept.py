"""Kept connections that ask the same again and again: how many answers come in a while?

One process, one epoll, one request under way on each connection. Way in: ask_for.
"""

from __future__ import annotations

import re
import select
import socket
import time

from benchmarks.client import TIMEOUT_S, Address, BadAnswer

# A page of a few KiB comes as one read.
READ_BYTES = 256 * 1024
_LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]{1,9})\r\n", re.IGNORECASE)


def ask_for(
    address: Address, request: bytes, clients: int, seconds: float, status: str = "2"
) -> list[float]:
    """Send request on so many connections for so long; return how many seconds each answer took.

    What is under way at the end is waited for. status: what that of each answer begins with.
    Raises BadAnswer for another one.
    """
    epoll = select.epoll()
    sockets: dict[int, socket.socket] = {}
    asked_s: dict[int, float] = {}
    took_s: list[float] = []
    for _ in range(clients):
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
            read_answer(sockets[descriptor], status)
            now_s = time.monotonic()
            took_s.append(now_s - asked_s.pop(descriptor))
            if now_s < ends_s:
                asked_s[descriptor] = now_s
                sockets[descriptor].sendall(request)
    for connection in sockets.values():
        connection.close()
    return took_s


def read_answer(connection: socket.socket, status: str = "2") -> bytes:
    """Read one whole answer, which says its length, and return it."""
    begins = f"HTTP/1.1 {status}".encode()
    answer = b""
    while True:
        received = connection.recv(READ_BYTES)
        answer += received
        head_bytes = answer.find(b"\r\n\r\n") + 4
        if not received or (head_bytes > 3 and not answer.startswith(begins)):
            raise BadAnswer(f"{answer[:300]!r}")
        if head_bytes > 3:
            length = _LENGTH.search(answer, 0, head_bytes)
            if length is None:
                raise BadAnswer(f"an answer without a length: {answer[:300]!r}")
            if len(answer) >= head_bytes + int(length[1]):
                return answer
