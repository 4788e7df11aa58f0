"""A table of 1,000,000 rows as CSV: ours over loopback, the sqlite3 program into a file."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from pathlib import Path

from benchmarks.data import TABLES
from benchmarks.peers import sqlite3_program
from benchmarks.results import Figure, Goal, interleave, ratio
from benchmarks.server import served

NAME = "csv-throughput"
ROUNDS = 7
GOAL = Goal(">=", 0.8)
ROWS = TABLES["big"]


def run(database: Path) -> Iterator[Figure]:
    with served(database) as server:

        def ours() -> float:
            return ROWS / server.produce("/download/big.csv").seconds

        def theirs() -> float:
            return ROWS / sqlite3_program.export(database, "big", server.folder / "theirs.csv")

        ours()  # the first reads the table from the disk
        if not sqlite3_program.is_there():
            (mine,) = interleave(ROUNDS, ours)
            yield _rate("headwater, 1M x 8", mine)
            for name in ("sqlite3 -csv, 1M x 8", "headwater / sqlite3"):
                yield Figure(NAME, name, None, "", note=sqlite3_program.INSTALL)
            return
        mine, other = interleave(ROUNDS, ours, theirs)
    yield _rate("headwater, 1M x 8", mine)
    yield _rate("sqlite3 -csv, 1M x 8", other)
    value, ratios = ratio(mine, other)
    yield Figure(NAME, "headwater / sqlite3", value, "", GOAL, ratios)


def _rate(name: str, samples: list[float]) -> Figure:
    return Figure(NAME, name, statistics.median(samples), "rows/s", samples=samples)
