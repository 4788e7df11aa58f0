"""A publisher over HTTP that sends each event by a POST of its own, in one of three ways.

It belongs to the loop of a Crowd: nothing here waits. `publish` sends an event, or queues it while
all connections are in use; `turn` reads answers and sends what is queued. Way in: Poster.
"""

from __future__ import annotations

import re
import select
import socket
import time
from collections import deque

from benchmarks.client import Address, BadAnswer

# One connection, and no answer is awaited; so many kept connections, each with one request under
# way; and a new connection for each request, as `curl` in a loop does.
PIPELINED, KEPT, ANEW = "pipelined", "16 kept", "a connection each"
WAYS = (PIPELINED, KEPT, ANEW)
KEPT_CONNECTIONS = 16
# As many as a busy site has at once. More would only measure the backlog.
ANEW_CONNECTIONS = 32
READ_BYTES = 64 * 1024

_STATUS = re.compile(rb"HTTP/1\.[01] ([0-9]{3})")
_STATUS_BYTES = len(b"HTTP/1.1 201")


class _Connection:
    """under_way: how many answers are to come. rest: the end of what has come, where a status line
    may have begun. unsent: to be written.
    """

    __slots__ = ("rest", "socket", "under_way", "unsent")

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self.under_way = 0
        self.rest = b""
        self.unsent = b""


class Poster:
    """See the module. acked: how many events were answered, the last of them at last_ack_s."""

    def __init__(self, address: Address, path: str, way: str) -> None:
        self.acked = 0
        self.last_ack_s = 0.0
        self._address = address
        self._path = path
        self._way = way
        self._queue: deque[bytes] = deque()
        self._epoll = select.epoll()
        self._open: dict[int, _Connection] = {}
        self._free: deque[_Connection] = deque()
        for _ in range({PIPELINED: 1, KEPT: KEPT_CONNECTIONS, ANEW: 0}[way]):
            self._free.append(self._connect())

    def publish(self, body: str) -> None:
        """Send a JSON body, as soon as there is a connection for it."""
        close = "Connection: close\r\n" if self._way == ANEW else ""
        head = f"POST {self._path} HTTP/1.1\r\nHost: localhost\r\n{close}"
        typed = f"{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        self._queue.append(f"{typed}{body}".encode())
        self._send_queued()

    def turn(self) -> None:
        """Read the answers that have come, and send what has waited for them."""
        for descriptor, events in self._epoll.poll(0):
            connection = self._open[descriptor]
            if events & select.EPOLLOUT:
                self._send(connection, b"")
            if events & ~select.EPOLLOUT:
                self._receive(connection)
        self._send_queued()

    def close(self) -> None:
        for connection in self._open.values():
            connection.socket.close()
        self._epoll.close()

    def _connect(self) -> _Connection:
        connection = _Connection(socket.socket())
        connection.socket.setblocking(False)
        connection.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.socket.connect_ex(self._address)
        self._open[connection.socket.fileno()] = connection
        self._epoll.register(connection.socket.fileno(), select.EPOLLIN)
        return connection

    def _send_queued(self) -> None:
        while self._queue:
            if self._way == ANEW and len(self._open) < ANEW_CONNECTIONS:
                connection = self._connect()
            elif self._free:
                connection = self._free[0] if self._way == PIPELINED else self._free.popleft()
            else:
                return
            connection.under_way += 1
            self._send(connection, self._queue.popleft())

    def _send(self, connection: _Connection, data: bytes) -> None:
        had_unsent, data = bool(connection.unsent), connection.unsent + data
        try:
            sent = connection.socket.send(data)
        except BlockingIOError:
            sent = 0
        connection.unsent = data[sent:]
        if bool(connection.unsent) != had_unsent:
            wanted = select.EPOLLIN | (select.EPOLLOUT if connection.unsent else 0)
            self._epoll.modify(connection.socket.fileno(), wanted)

    def _receive(self, connection: _Connection) -> None:
        try:
            data = connection.socket.recv(READ_BYTES)
        except BlockingIOError:
            return
        if not data:
            self._lose(connection)
            return
        data = connection.rest + data
        at = 0
        for found in _STATUS.finditer(data):
            if not found[1].startswith(b"2"):
                raise BadAnswer(f"POST {self._path}: {data[found.start() :][:300]!r}")
            at = found.end()
            self.acked += 1
            connection.under_way -= 1
            self.last_ack_s = time.monotonic()
            if self._way == KEPT:
                self._free.append(connection)
        connection.rest = data[max(at, len(data) - _STATUS_BYTES + 1) :]

    def _lose(self, connection: _Connection) -> None:
        """Forget a connection that the server has closed; a kept one is made anew."""
        if connection.under_way:
            raise BadAnswer("a publisher's connection was closed without an answer")
        descriptor = connection.socket.fileno()
        self._epoll.unregister(descriptor)
        del self._open[descriptor]
        connection.socket.close()
        if self._way != ANEW:
            self._free.remove(connection)
            self._free.append(self._connect())
