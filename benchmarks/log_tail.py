"""Many followers of a growing log, and its writer: the load of the benchmark `logs`.

All followers get the same bytes, so the first one parses them line by line, and those of the others
are compared where they arrive: each byte of each follower is checked, for less than it costs to
parse it. A line has its number, so the time when it was due is known.

Way in: append to write; Tail.feed for the bytes of one follower.
"""

from __future__ import annotations

import os
import re
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack

from benchmarks.client import TIMEOUT_S, Address, BadAnswer
from benchmarks.tally import payload

# So many lines a write: one each millisecond at 20,000 lines/s.
BURST = 20
# Of so many lines one is asked how late it was, at every follower.
SAMPLED_OF = 8
_NUMBER = re.compile(rb"#([0-9]{9}) ")
NDJSON = "application/x-ndjson"
_SLACK_BYTES = 4 * 1024 * 1024


def open_source(everything: ExitStack, address: Address | None, path: str) -> int:
    """Return the descriptor that one follower reads from, closed with everything else.

    See load_tasks.tail. A server's answer has begun, its head is read.
    """
    if address is None:
        command = ["tail", "-n", "0", "-F", path]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, bufsize=0)
        assert process.stdout is not None
        everything.callback(process.wait)
        everything.callback(process.kill)
        return everything.enter_context(process.stdout).fileno()
    connection = everything.enter_context(socket.create_connection(address, TIMEOUT_S))
    head = f"GET /logs/{path}?follow=1&lines=all HTTP/1.1\r\nHost: x\r\nAccept: {NDJSON}\r\n\r\n"
    connection.sendall(head.encode())
    answer = b""
    while not answer.endswith(b"\r\n\r\n"):
        answer += connection.recv(1)
    if b" 200 " not in answer[:20]:
        raise BadAnswer(f"/logs/{path}: {answer[:300]!r}")
    return connection.fileno()


def append(path: str, rate: float, seconds: float) -> tuple[float, int]:
    """Append numbered lines of 100 bytes; return when the first was due, and how many there are."""
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    count = int(rate * seconds)
    began_s = time.monotonic()
    for first in range(0, count, BURST):
        lines = "".join(payload(seq)[:-1] + "\n" for seq in range(first, first + BURST))
        if (early_s := began_s + first / rate - time.monotonic()) > 0:
            time.sleep(early_s)
        os.write(file, lines.encode())
    os.close(file)
    return began_s, count


class Stream:
    """The bytes that all followers get. arrived_s: how many bytes each had, and when."""

    def __init__(self, followers: int) -> None:
        self.lines = 0
        self.wrong = 0
        self.begin = 0
        self.bytes = bytearray()
        self.ends: list[int] = []
        self.places = [0] * followers
        self.parsed = 0

    def take(self, follower: int, data: bytes) -> None:
        """Compare what a follower got with what the others did, and note how far it is."""
        place = self.places[follower]
        known = bytes(self.bytes[place - self.begin : place - self.begin + len(data)])
        if not data.startswith(known):
            raise BadAnswer(f"follower {follower} got other bytes than the rest at {place}")
        if len(data) > len(known):
            self.bytes += data[len(known) :]
            self._parse()
        self.places[follower] = place + len(data)
        if len(self.bytes) > 2 * _SLACK_BYTES:
            gone = min(min(self.places), self.parsed) - self.begin
            del self.bytes[:gone]
            self.begin += gone

    def _parse(self) -> None:
        start = self.parsed - self.begin
        stop = self.bytes.rfind(b"\n") + 1
        if stop <= start:
            return
        for line in bytes(self.bytes[start:stop]).splitlines(keepends=True):
            self.parsed += len(line)
            if found := _NUMBER.search(line):
                # One that is missing, or comes twice.
                self.wrong += int(found[1]) != self.lines
                self.lines = int(found[1]) + 1
                self.ends.append(self.parsed)


class Tail:
    """One follower; feed it what it received. latencies: (number of a line, when it was there)."""

    def __init__(self, index: int, stream: Stream, *, is_http: bool) -> None:
        self.lines = 0
        self.latencies: list[tuple[int, float]] = []
        self._index = index
        self._stream = stream
        self._is_http = is_http
        self._rest = b""

    def feed(self, data: bytes) -> None:
        now_s = time.monotonic()
        for piece in self._chunks(data) if self._is_http else (data,):
            # A heartbeat is a chunk of its own, which begins with a blank line.
            if not piece.startswith(b"\n"):
                self._stream.take(self._index, piece)
        ends, place = self._stream.ends, self._stream.places[self._index]
        first = self.lines
        while self.lines < len(ends) and ends[self.lines] <= place:
            self.lines += 1
        sampled = range(first + -first % SAMPLED_OF, self.lines, SAMPLED_OF)
        self.latencies += [(line, now_s) for line in sampled]

    def _chunks(self, data: bytes) -> Iterator[bytes]:
        data = self._rest + data
        at = 0
        while (stop := data.find(b"\r\n", at)) >= 0:
            end = stop + 2 + int(data[at:stop], 16)
            if len(data) < end + 2:
                break
            yield data[stop + 2 : end]
            at = end + 2
        self._rest = data[at:]
