"""How late are one principal's requests while another floods the server?

One sends ten requests a second, like a user of pages; another sends a request as soon as the one
before is answered, on a hundred connections, from a process that has a core. For comparison a
second client of the flood's own principal waits behind all requests of the flood: so would all
clients if owners did not take turns. Then beside floods of refused requests. Last, a client with a
new connection for each request, beside 2,100 silent connections of another address.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

from auth import Tokens
from benchmarks.client import TIMEOUT_S, BadAnswer, Connection, ask
from benchmarks.flooder import count_served, flood
from benchmarks.frame_flooder import count_opened, flood_frames
from benchmarks.processes import raise_descriptor_limit
from benchmarks.results import Figure, Goal, percentile
from benchmarks.server import Server, served
from state import State

NAME = "flood"
LIMIT_S = 500
# The first page, of so many sources; and the smallest request.
SOURCES = 12
PAGE, SMALL = "/sources", "/files/small/file"
CONNECTIONS = 100
EVERY_S = 0.1
WATCHED_S = 20.0
# A second until the flood has begun, or has used up its requests of a minute.
BEGIN_S = 1.0
# One request of the flood is in hand, and three processes have two cores.
GOAL = Goal("<=", 10)
# Beside what is refused.
REFUSED_P50, REFUSED_P99 = Goal("<=", 20), Goal("<=", 150)
# Twice the rate of a client with ten requests a second.
LIMITED = {"HEADWATER_REQUESTS_PER_MINUTE": "1200"}

# More than all places; each is closed after ten seconds. The same bound as by default.
SILENT_CONNECTIONS, SILENT_S = 2100, 8.0
BOUNDED = {"HEADWATER_CONNECTIONS_PENDING": "1000"}

# Empty packets, by clients without a token.
SOCKETS, SESSION, NOOP = 50, "/socket.io/?EIO=4&transport=websocket", "6"

# The path of the flood, and whether each request has a connection of its own.
FLOODS = {
    "the same page": (PAGE, False),
    "small files": (SMALL, False),
    "the same page, a connection each": (PAGE, True),
}

# The addresses of refused requests, and of silent connections.
OTHER = "127.0.0.2"

# Refused requests, by their header fields; see benchmarks.flooder.
POLLING = "/socket.io/?EIO=4&transport=polling"
FOREIGN = "Origin: https://example.org\r\nContent-Length: 0\r\n"
REFUSED: dict[str, dict[str, Any]] = {
    "404": {"path": "/nowhere"},
    "401": {"path": PAGE},
    "401, a connection each": {"path": PAGE, "anew": True},
    "403": {"path": PAGE, "line": "POST /exports HTTP/1.1", "fields": FOREIGN},
    "400, no request": {"path": PAGE, "line": "g!t / HTTP/1.1"},
    "sessions, one too many": {"path": POLLING},
}
REFUSED_WATCHED_S = 10.0


def run(database: Path) -> Iterator[Figure]:
    catalogue = _catalogue(database)
    with served(database, catalogue=catalogue) as server:
        calm, flooding = _tokens_of(server)
        alone_ms = _watch(server, calm)
        yield _shown("no flood", alone_ms, 50, "")
        yield _shown("no flood", alone_ms, 99, "")
        for name, (path, anew) in FLOODS.items():
            yield from _beside(name, server, calm, flooding, alone_ms, path, anew=anew)
        yield from _beside_frames(server, calm, alone_ms)
        for name, options in REFUSED.items():
            yield from _beside_refused(name, server, calm, options)
        yield from _beside("as the flood's own", server, flooding, flooding, (), PAGE)
    with served(database, catalogue=catalogue, settings=LIMITED) as server:
        calm, flooding = _tokens_of(server)
        yield from _beside("limited to 1,200 a minute", server, calm, flooding, alone_ms, PAGE)
    with served(database, catalogue=catalogue, settings=BOUNDED) as server:
        calm, _ = _tokens_of(server)
        yield from _beside_silence(server, calm)


def _catalogue(database: Path) -> str:
    small = database.parent / "small"
    small.mkdir(exist_ok=True)
    (small / "file").write_bytes(bytes(1000))
    sources = [
        f'[sources.s{number}]\ndatabase = "sqlite:///{database}"\ntable = "big"\n'
        for number in range(SOURCES)
    ]
    return "".join([*sources, f'[folders.small]\npath = "{small}"\n'])


def _tokens_of(server: Server) -> list[str]:
    """Return what two principals show, once the server knows of them."""
    tokens = Tokens(State(server.folder))
    shown = [f"Bearer {tokens.add(name, ['admin'], {})}" for name in ("calm", "flooding")]
    ends_s = time.monotonic() + TIMEOUT_S
    while time.monotonic() < ends_s:
        try:
            ask(server.address, PAGE)
        except (BadAnswer, ConnectionError):  # refused, or cut at the very moment
            return shown
        time.sleep(EVERY_S)
    raise BadAnswer(f"it asks for no token after {TIMEOUT_S} s")


def _beside(
    name: str,
    server: Server,
    asking: str,
    flooding: str,
    alone_ms: Sequence[float],
    path: str,
    *,
    anew: bool = False,
) -> Iterator[Figure]:
    seconds = BEGIN_S + WATCHED_S + BEGIN_S
    with flood(server.address[1], path, flooding, CONNECTIONS, seconds, anew=anew) as process:
        time.sleep(BEGIN_S)
        took_ms = _watch(server, asking)
        note = _note(count_served(process), seconds)
    yield _shown(name, took_ms, 50, note)
    yield _shown(name, took_ms, 99, note)
    if alone_ms:
        later_ms = percentile(took_ms, 99) - percentile(alone_ms, 99)
        yield Figure(NAME, f"{name}, p99 later by", later_ms, "ms", GOAL)


def _beside_refused(
    name: str, server: Server, asking: str, options: dict[str, Any]
) -> Iterator[Figure]:
    seconds = BEGIN_S + REFUSED_WATCHED_S + BEGIN_S
    with flood(
        server.address[1],
        authorization="",
        connections=CONNECTIONS,
        seconds=seconds,
        address=OTHER,
        **options,
    ) as process:
        time.sleep(BEGIN_S)
        took_ms = _watch(server, asking, REFUSED_WATCHED_S)
        note = _note(count_served(process), seconds)
    yield _shown(f"refused, {name}", took_ms, 50, note, REFUSED_P50)
    yield _shown(f"refused, {name}", took_ms, 99, note, REFUSED_P99)


def _beside_silence(server: Server, asking: str) -> Iterator[Figure]:
    raise_descriptor_limit()
    alone_ms = _watch(server, asking, SILENT_S, anew=True)
    with ExitStack() as stack:
        for _ in range(SILENT_CONNECTIONS):
            silent = socket.create_connection(server.address, source_address=(OTHER, 0))
            stack.enter_context(silent)
        time.sleep(BEGIN_S)
        took_ms = _watch(server, asking, SILENT_S, anew=True)
    name, note = "silent connections", f"{SILENT_CONNECTIONS:,} of another address"
    yield _shown(name, took_ms, 50, note)
    yield _shown(name, took_ms, 99, note)
    later_ms = percentile(took_ms, 99) - percentile(alone_ms, 99)
    yield Figure(NAME, f"{name}, p99 later by", later_ms, "ms", GOAL)


def _beside_frames(server: Server, asking: str, alone_ms: Sequence[float]) -> Iterator[Figure]:
    seconds = BEGIN_S + WATCHED_S + BEGIN_S
    with flood_frames(server.address[1], SESSION, NOOP, SOCKETS, seconds) as process:
        time.sleep(BEGIN_S)
        took_ms = _watch(server, asking)
        note = f"the flood has opened {count_opened(process) / seconds:,.0f} sockets a second"
    name = "frames that say nothing"
    yield _shown(name, took_ms, 50, note)
    yield _shown(name, took_ms, 99, note)
    later_ms = percentile(took_ms, 99) - percentile(alone_ms, 99)
    yield Figure(NAME, f"{name}, p99 later by", later_ms, "ms")


def _watch(
    server: Server, asking: str, seconds: float = WATCHED_S, *, anew: bool = False
) -> list[float]:
    """Return how many milliseconds each answer took to one who asks every EVERY_S.

    anew: on a connection of its own.
    """
    took_ms = []
    due_s = time.monotonic()
    ends_s = due_s + seconds
    with closing(Connection(server.address, asking)) as client:
        while due_s < ends_s:
            time.sleep(max(0.0, due_s - time.monotonic()))
            took_ms.append(client.fetch(PAGE).seconds * 1000)
            if anew:
                client.close()
            due_s += EVERY_S
    return took_ms


def _note(answers: Mapping[int, int], seconds: float) -> str:
    shown = ", ".join(f"{count / seconds:,.0f} of {status}" for status, count in answers.items())
    return f"the flood has {shown} a second"


def _shown(
    name: str, took_ms: Sequence[float], percent: int, note: str, goal: Goal | None = None
) -> Figure:
    value = percentile(took_ms, percent)
    return Figure(NAME, f"{name}, p{percent}", value, "ms", goal, samples=took_ms, note=note)
