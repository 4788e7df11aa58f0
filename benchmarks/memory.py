"""How much the memory of the whole server grows while it exports: all its processes together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.client import curls, wait_for_all
from benchmarks.processes import Peak
from benchmarks.results import Figure, Goal
from benchmarks.server import served

NAME = "memory"
MIB = 1024 * 1024
MANY = 20

HUGE = ["/download/huge.csv"]
# A selection that differs is an export of its own; the limit leaves no row out.
BIG = [f"/download/big.csv?limit={2_000_000 + i}" for i in range(MANY)]


def run(database: Path) -> Iterator[Figure]:
    yield from _growth(database, "10M rows", HUGE, Goal("<", 64))
    yield from _growth(database, "20 x 1M rows", BIG, Goal("<", 200))
    yield from _growth(
        database, "20 x 1M rows, all running", BIG, Goal("<", 200), exports_running=MANY
    )


def _growth(
    database: Path, name: str, paths: Sequence[str], goal: Goal, exports_running: int | None = None
) -> Iterator[Figure]:
    with served(database, exports_running=exports_running) as server:
        server.produce("/download/small.csv")
        idle = server.tree.memory()
        urls = [server.url(path) for path in paths]
        with Peak(server.tree) as peak, curls(urls) as running:
            wait_for_all(running)
        server.tree.settle()
        after = server.tree.memory()
    grown = (peak.memory.pss - idle.pss) / MIB
    note = f"from {idle.pss / MIB:.0f} MiB, {(after.pss - idle.pss) / MIB:+.0f} MiB afterwards"
    yield Figure(NAME, f"{name}, growth of PSS", grown, "MiB", goal, note=note)
    grown = (peak.memory.rss - idle.rss) / MIB
    note = f"from {idle.rss / MIB:.0f} MiB; counts what processes share once for each"
    yield Figure(NAME, f"{name}, growth of RSS", grown, "MiB", note=note)
