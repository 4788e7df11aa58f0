"""A finished export fetched again: ours, and nginx sending the very same file."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.client import Address, Connection
from benchmarks.peers import nginx
from benchmarks.results import Figure, Goal, interleave, ratio
from benchmarks.server import Server, served

NAME = "served-again"
GOAL = Goal(">=", 0.6)
MB = 1_000_000
ROUNDS = 7

# 14 rows and the names are about 1 KiB.
SMALL = "/download/big.csv?limit=14"
SMALL_FOR_S = 1.5


def run(database: Path) -> Iterator[Figure]:
    with served(database) as server:
        for path in ("/download/big.csv", "/download/huge.csv"):
            export = server.prepare(path)
            size = f"{export['bytes'] / MB:,.0f} MB"
            yield from _compare(server, export, size, "MB/s", _throughput, GOAL)
        yield from _compare(server, server.prepare(SMALL), "1 KiB", "requests/s", _requests, None)


def _throughput(address: Address, path: str) -> float:
    connection = Connection(address)
    fetched = connection.fetch(path)
    connection.close()
    return fetched.body_bytes / MB / fetched.seconds


def _requests(address: Address, path: str) -> float:
    """Return how many a second one connection gets, one after another."""
    connection = Connection(address)
    done, started_s = 0, time.perf_counter()
    while time.perf_counter() - started_s < SMALL_FOR_S:
        connection.fetch(path)
        done += 1
    seconds = time.perf_counter() - started_s
    connection.close()
    return done / seconds


def _compare(
    server: Server,
    export: dict[str, Any],
    size: str,
    unit: str,
    measure: Callable[[Address, str], float],
    goal: Goal | None,
) -> Iterator[Figure]:
    def ours() -> float:
        return measure(server.address, export["url"])

    file = server.journal(export)
    if not nginx.is_there():
        (mine,) = interleave(ROUNDS, ours)
        yield _median(f"headwater, {size}", mine, unit)
        for name in (f"nginx, {size}", f"headwater / nginx, {size}"):
            yield Figure(NAME, name, None, "", note=nginx.INSTALL)
        return
    folder = server.folder / f"nginx-{export['id']}"
    with nginx.served(file.parent, folder) as address:
        ours()  # the first finds the file in the page cache or brings it there
        mine, other = interleave(ROUNDS, ours, lambda: measure(address, f"/{file.name}"))
    yield _median(f"headwater, {size}", mine, unit)
    yield _median(f"nginx, {size}", other, unit)
    value, ratios = ratio(mine, other)
    yield Figure(NAME, f"headwater / nginx, {size}", value, "", goal, ratios)


def _median(name: str, samples: list[float], unit: str) -> Figure:
    return Figure(NAME, name, statistics.median(samples), unit, samples=samples)
