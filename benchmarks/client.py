"""Clients of downloads: one too small to be the bottleneck, and curl where many are needed.

Connection reads into one buffer that it reuses and looks at chunk sizes only: it took 2.0 to 2.6
GB/s from nginx, where an export being recorded gives 0.1. Each curl is a process of its own, so
that a load of many clients disturbs neither the server's interpreter nor ours.
"""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any, NamedTuple

# No single answer takes longer: 10,000,000 rows take 15 s.
TIMEOUT_S = 180
BUFFER_BYTES = 1024 * 1024

Address = tuple[str, int]


class Fetched(NamedTuple):
    """One answer. Seconds count from before the connect, if it was for this request.

    body_bytes: of the payload; first_byte_s: until the first of them, the whole for an empty one.
    """

    status: int
    headers: dict[str, str]
    body_bytes: int
    first_byte_s: float
    seconds: float


class BadAnswer(Exception):
    """The server did not answer as a benchmark needs it."""


class Connection:
    """One connection to 127.0.0.1, opened by the first request and kept alive.

    authorization: the header field of each request, "" for none. source: the client's address.
    """

    def __init__(self, address: Address, authorization: str = "", source: str = "") -> None:
        self._address = address
        self._source = (source, 0) if source else None
        self._shown = f"Authorization: {authorization}\r\n" if authorization else ""
        self._socket: socket.socket | None = None
        self._buffer = bytearray(BUFFER_BYTES)

    def fetch(
        self,
        path: str,
        *,
        method: str = "GET",
        accept: str = "*/*",
        stop_after_bytes: int | None = None,
    ) -> Fetched:
        """Ask and read the whole body, or only its first bytes; then the connection is closed.

        accept: the media type asked for. Raises BadAnswer for a status other than 2xx and for a
        body that is cut.
        """
        started_s = time.perf_counter()
        if self._socket is None:
            self._socket = socket.create_connection(self._address, TIMEOUT_S, self._source)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nAccept: {accept}\r\n"
        self._socket.sendall(f"{head}{self._shown}\r\n".encode())
        status, headers, received = self._read_head(self._socket)
        if not 200 <= status < 300:
            raise BadAnswer(f"{method} {path}: {status} {bytes(self._buffer[:received])[:300]!r}")
        framing = _Framing(headers)
        first_byte_s = 0.0
        while True:
            framing.take(self._buffer, received)
            if framing.body_bytes and not first_byte_s:
                first_byte_s = time.perf_counter() - started_s
            if framing.is_whole or framing.body_bytes >= (stop_after_bytes or 2**63):
                break
            received = self._socket.recv_into(self._buffer)
            if not received:
                raise BadAnswer(f"{method} {path}: cut after {framing.body_bytes} bytes")
        seconds = time.perf_counter() - started_s
        if not framing.is_whole:
            self.close()
        return Fetched(status, headers, framing.body_bytes, first_byte_s or seconds, seconds)

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _read_head(self, connection: socket.socket) -> tuple[int, dict[str, str], int]:
        """Return the status, the fields, and how much of the body stands in the buffer."""
        received = 0
        while (end := self._buffer.find(b"\r\n\r\n", 0, received)) < 0:
            more = connection.recv_into(memoryview(self._buffer)[received:])
            if not more:
                raise BadAnswer("closed before the head was whole")
            received += more
        line, *fields = bytes(self._buffer[:end]).decode("latin-1").split("\r\n")
        pairs = (field.partition(":") for field in fields)
        headers = {name.lower(): value.strip() for name, _, value in pairs}
        rest = received - end - 4
        self._buffer[:rest] = self._buffer[end + 4 : received]
        return int(line.split()[1]), headers, rest


class _Framing:
    """Follows a body by its length or its chunks."""

    def __init__(self, headers: dict[str, str]) -> None:
        self.body_bytes = 0
        self._is_chunked = headers.get("transfer-encoding") == "chunked"
        self._left = 0 if self._is_chunked else int(headers.get("content-length", 0))
        self._line = b""
        self._is_last = False
        self.is_whole = not self._is_chunked and not self._left

    def take(self, buffer: bytearray, end: int) -> None:
        """Look at buffer[:end], what has just come."""
        if not self._is_chunked:
            self.body_bytes += end
            self._left -= end
            self.is_whole = self._left <= 0
            return
        at = 0
        while at < end and not self.is_whole:
            if not self._left:
                at = self._read_size(buffer, at, end)
                continue
            step = min(self._left, end - at)
            at += step
            self._left -= step
            self.is_whole = self._is_last and not self._left

    def _read_size(self, buffer: bytearray, at: int, end: int) -> int:
        stop = buffer.find(b"\n", at, end) + 1
        self._line += buffer[at : stop or end]
        if stop:
            size = int(self._line, 16)
            self.body_bytes += size
            self._left = size + len(b"\r\n")
            self._line = b""
            self._is_last = size == 0
        return stop or end


def ask(address: Address, path: str, *, method: str = "GET", ndjson: bytes | None = None) -> Any:
    """Return a small JSON answer. ndjson: the body to send, None for none."""
    return json.loads(read(address, path, method=method, ndjson=ndjson))


def read(
    address: Address,
    path: str,
    *,
    method: str = "GET",
    accept: str = "*/*",
    ndjson: bytes | None = None,
) -> bytes:
    """Return a whole body. Raises BadAnswer for a status other than 2xx."""
    headers = {"Accept": accept}
    if ndjson is not None:
        headers["Content-Type"] = "application/x-ndjson"
    with closing(http.client.HTTPConnection(*address, timeout=TIMEOUT_S)) as connection:
        connection.request(method, path, ndjson, headers)
        answer = connection.getresponse()
        body = answer.read()
    if not 200 <= answer.status < 300:
        raise BadAnswer(f"{method} {path}: {answer.status} {body[:300]!r}")
    return body


@contextmanager
def curls(urls: Sequence[str]) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Start a curl for each URL, all at once; at the end none of them runs any more."""
    command = ["curl", "-sS", "--fail", "-o", "/dev/null", "--max-time", str(TIMEOUT_S)]
    running = [subprocess.Popen([*command, url]) for url in urls]
    try:
        yield running
    finally:
        for process in running:
            process.kill()
            process.wait()


def wait_for_all(running: Sequence[subprocess.Popen[bytes]]) -> None:
    """Wait until every curl has its file. Raises BadAnswer when one has not."""
    statuses = [process.wait(TIMEOUT_S) for process in running]
    if any(statuses):
        raise BadAnswer(f"curl ended with {statuses}")
