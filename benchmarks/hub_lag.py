"""How late the hub is while 8 exports run at once, seen from inside and from outside.

Inside: a green timer of 10 ms (lag_wsgi.py). Outside: a trivial request every 10 ms on a connection
kept alive, which also waits for the client's own turn on a busy machine.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from benchmarks.client import TIMEOUT_S, Connection, ask, curls, wait_for_all
from benchmarks.results import Figure, Goal, percentile
from benchmarks.server import Server, served

NAME = "hub-lag"
EXPORTS = 8
GOAL = Goal("<", 25)
PING_EVERY_S = 0.01
IDLE_S = 3.0


def run(database: Path) -> Iterator[Figure]:
    app = "benchmarks.lag_wsgi:app"
    with served(database, app=app) as server:
        ends_s = time.monotonic() + IDLE_S
        yield from _figures("idle", server, lambda: time.monotonic() > ends_s, None)
        yield from _under_load("8 asked for, default settings", server)
    with served(database, app=app, exports_running=EXPORTS) as server:
        yield from _under_load("8 running", server)


def _under_load(name: str, server: Server) -> Iterator[Figure]:
    urls = [server.url(f"/download/big.csv?limit={2_000_000 + i}") for i in range(EXPORTS)]
    with curls(urls) as running:

        def have_ended() -> bool:
            return all(process.poll() is not None for process in running)

        yield from _figures(name, server, have_ended, GOAL)
        wait_for_all(running)


def _figures(
    name: str, server: Server, has_ended: Callable[[], bool], goal: Goal | None
) -> Iterator[Figure]:
    outside = Connection(server.address)
    outside.fetch("/_ping")
    ask(server.address, "/_lag")
    latencies_ms = []
    deadline_s = time.monotonic() + TIMEOUT_S
    while not has_ended() and time.monotonic() < deadline_s:
        latencies_ms.append(outside.fetch("/_ping").seconds * 1000)
        time.sleep(PING_EVERY_S)
    inside = ask(server.address, "/_lag")
    outside.close()
    yield _p99(f"{name}, inside p99", inside, goal)
    yield _p99(f"{name}, outside p99", latencies_ms, None)


def _p99(name: str, samples: Sequence[float], goal: Goal | None) -> Figure:
    parts = [f"p{percent} {percentile(samples, percent):.1f}" for percent in (50, 95, 100)]
    note = ", ".join(parts) + f" ms, {len(samples)} samples"
    return Figure(NAME, name, percentile(samples, 99), "ms", goal, note=note)
