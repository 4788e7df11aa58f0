"""A topic of 100,000 events replayed to one reader; and how fast single events get in.

The body of one replay is read event by event, to see that it is whole and in order; the timed ones
are only counted. Publishing is told for information: 32 publishers with an event under way each.
"""

from __future__ import annotations

import itertools
import json
import socket
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.client import BUFFER_BYTES, TIMEOUT_S, BadAnswer, Connection, ask, read
from benchmarks.load import loading
from benchmarks.results import Figure, Goal, interleave, percentile
from benchmarks.server import Server, served
from benchmarks.tally import payload
from benchmarks.websocket import count_texts, opening

NAME = "replay"
LIMIT_S = 600
EVENTS = 100_000
# A request may carry 10,000 events and 4 MiB.
BATCH = 10_000
ROUNDS = 7
GOAL = Goal(">=", 200_000)
TOPICS = {"bench": "ephemeral", "kept": "durable"}
NDJSON, SSE = "application/x-ndjson", "text/event-stream"
SLACK_BYTES = 100

PUBLISHERS = 32
POST_S = 8.0
POST_ROUNDS = 3


def run(database: Path) -> Iterator[Figure]:
    with served(database, live=True) as server:
        for topic, kind in TOPICS.items():
            _fill(server, topic)
            whole_bytes = _check(server, topic)
            ndjson, sse, frames = interleave(ROUNDS, *_readers(server, topic, whole_bytes))
            yield _rate(f"{kind}, NDJSON", ndjson, GOAL)
            yield _rate(f"{kind}, SSE", sse)
            yield _rate(f"{kind}, WebSocket", frames)
    with served(database, live=True) as server:
        for topic, kind in TOPICS.items():
            yield from _publish(server, topic, kind)


def _fill(server: Server, topic: str) -> None:
    for first in range(0, EVENTS, BATCH):
        lines = (json.dumps({"data": payload(seq)}) for seq in range(first, first + BATCH))
        body = "\n".join(lines).encode()
        said = ask(server.address, f"/events/{topic}", method="POST", ndjson=body)
        if said["count"] != BATCH:
            raise BadAnswer(f"of {BATCH} events {said['count']} were kept")


def _path(topic: str) -> str:
    return f"/events/{topic}?since=all&poll=1"


def _check(server: Server, topic: str) -> dict[str, int]:
    """Return how many bytes a replay has, by media type.

    Raises BadAnswer unless it holds every event, once, in order.
    """
    stream = read(server.address, _path(topic), accept=SSE)
    in_stream = [line for line in stream.splitlines() if line.startswith(b'data: "#')]
    body = read(server.address, _path(topic))
    events = [json.loads(line) for line in body.splitlines() if line]
    events = [event for event in events if event["name"] == "message"]
    ids = [event["id"] for event in events]
    published = [payload(seq) for seq in range(EVENTS)]
    if [event["data"] for event in events] != published:
        raise BadAnswer(f"{topic}: of {EVENTS} events {len(events)} came, or others")
    if in_stream != [f'data: "{data}"'.encode() for data in published]:
        raise BadAnswer(f"{topic}: of {EVENTS} events {len(in_stream)} came by SSE, or others")
    if any(one >= other for one, other in itertools.pairwise(ids)):
        raise BadAnswer(f"{topic}: ids do not ascend")
    return {NDJSON: len(body), SSE: len(stream)}


def _readers(server: Server, topic: str, whole_bytes: dict[str, int]) -> list[Callable[[], float]]:
    """Return functions that read the whole topic once and return events/s: NDJSON, SSE, WebSocket.

    whole_bytes: how many bytes that has, by media type; over WebSocket events are only counted.
    """

    def over_http(accept: str) -> Callable[[], float]:
        def read_all() -> float:
            connection = Connection(server.address)
            fetched = connection.fetch(_path(topic), accept=accept)
            connection.close()
            # The first lines of SSE say when to come back, which differs.
            if abs(fetched.body_bytes - whole_bytes[accept]) > SLACK_BYTES:
                raise BadAnswer(f"{accept}: {fetched.body_bytes} bytes are not all of {topic}")
            return EVENTS / fetched.seconds

        return read_all

    return [
        over_http(NDJSON),
        over_http(SSE),
        lambda: EVENTS / _read_frames(server, topic),
    ]


def _read_frames(server: Server, topic: str) -> float:
    """Read every event over a WebSocket; return the seconds from before the connect."""
    buffer, kept, texts = bytearray(BUFFER_BYTES), 0, 0
    view = memoryview(buffer)
    started_s = time.perf_counter()
    with socket.create_connection(server.address, TIMEOUT_S) as connection:
        connection.sendall(opening(f"/ws/events/{topic}?since=all"))
        while (head_end := buffer.find(b"\r\n\r\n", 0, kept)) < 0:
            kept += _receive(connection, view[kept:])
        if b" 101 " not in buffer[:20]:
            raise BadAnswer(f"{topic}: {bytes(buffer[:300])!r}")
        at = head_end + 4
        while True:
            came, at = count_texts(buffer, at, kept)
            texts += came
            if texts >= EVENTS:
                return time.perf_counter() - started_s
            buffer[: kept - at] = buffer[at:kept]
            kept, at = kept - at, 0
            kept += _receive(connection, view[kept:])


def _receive(connection: socket.socket, into: memoryview) -> int:
    received = connection.recv_into(into)
    if not received:
        raise BadAnswer("the WebSocket was cut")
    return received


def _publish(server: Server, topic: str, kind: str) -> Iterator[Figure]:
    rates, took_ms = [], []
    for _ in range(POST_ROUNDS):
        told = {"path": f"/events/{topic}", "clients": PUBLISHERS, "seconds": POST_S}
        with loading("post", TIMEOUT_S, address=server.address, **told) as load:
            report = load.report(TIMEOUT_S)
        rates.append(len(report["took_s"]) / report["seconds"])
        took_ms += [seconds * 1000 for seconds in report["took_s"]]
    p50, p99 = percentile(took_ms, 50), percentile(took_ms, 99)
    note = f"one event a POST, {PUBLISHERS} publishers; p50 {p50:.1f} ms, p99 {p99:.1f} ms"
    value = statistics.median(rates)
    yield Figure(NAME, f"{kind}, publishing", value, "POST/s", None, rates, note)


def _rate(name: str, samples: list[float], goal: Goal | None = None) -> Figure:
    return Figure(NAME, name, statistics.median(samples), "events/s", goal, samples)
