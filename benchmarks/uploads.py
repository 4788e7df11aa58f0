"""Events published on one connection as fast as possible: streamed with receipts, or in batches.

Way in: upload.
"""

from __future__ import annotations

import json
import select
import socket
import time

from benchmarks.client import TIMEOUT_S, Address, BadAnswer
from benchmarks.kept import read_answer
from benchmarks.tally import payload

CHUNK_LINES = 500
WRITE_BYTES = 256 * 1024
# What a POST may have.
BATCH = 10_000


def upload(address: Address, topic: str, events: int, how: str) -> float:
    """Publish so many events on one connection; return the seconds until the last receipt."""
    lines = [json.dumps({"data": payload(seq)}).encode() + b"\n" for seq in range(events)]
    with socket.create_connection(address, TIMEOUT_S) as connection:
        return (_upload_stream if how == "stream" else _upload_batches)(connection, topic, lines)


def _upload_stream(connection: socket.socket, topic: str, lines: list[bytes]) -> float:
    chunks = [b"".join(lines[at : at + CHUNK_LINES]) for at in range(0, len(lines), CHUNK_LINES)]
    framed = [b"%X\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks]
    head = f"POST /events/{topic}?receipts=stream HTTP/1.1\r\nHost: localhost\r\n"
    head += "Content-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n"
    began_s = time.perf_counter()
    connection.sendall(head.encode())
    connection.setblocking(False)
    poller = select.poll()
    pending, answer = memoryview(b"".join([*framed, b"0\r\n\r\n"])), b""
    while b'"done"' not in answer:
        poller.register(connection, select.POLLIN | (select.POLLOUT if pending else 0))
        ((_, ready),) = poller.poll()
        if ready & select.POLLOUT:
            pending = pending[connection.send(pending[:WRITE_BYTES]) :]
        if not ready & ~select.POLLOUT:
            continue
        received = connection.recv(WRITE_BYTES)
        answer = answer[-100:] + received
        if not received or b'"error"' in answer:
            raise BadAnswer(f"upload: {answer[-300:]!r}")
    return time.perf_counter() - began_s


def _upload_batches(connection: socket.socket, topic: str, lines: list[bytes]) -> float:
    head = f"POST /events/{topic} HTTP/1.1\r\nHost: localhost\r\n"
    head += "Content-Type: application/x-ndjson\r\nContent-Length: "
    bodies = [b"".join(lines[at : at + BATCH]) for at in range(0, len(lines), BATCH)]
    began_s = time.perf_counter()
    for body in bodies:
        connection.sendall(f"{head}{len(body)}\r\n\r\n".encode() + body)
        read_answer(connection)
    return time.perf_counter() - began_s
