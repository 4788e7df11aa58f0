"""1,000,000 rows of 8 columns over loopback: CSV beside the sqlite3 program, and typed formats."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from pathlib import Path

from benchmarks.data import TABLES
from benchmarks.peers import sqlite3_program
from benchmarks.results import Figure, Goal, interleave, ratio
from benchmarks.server import Server, served

NAME = "csv-throughput"
ROUNDS = 7
TYPED_ROUNDS = 3
GOAL = Goal(">=", 1.0)
ROWS = TABLES["big"]
TYPED = ("parquet", "arrow", "xlsx")

# Expressions have no declared type, a view of them neither.
QUERY = (
    "select id, account, round(ratio * 100, 3) as share, upper(name) as name, note,"
    " price * 1.19 as gross, iif(percent > 50, 'high', percent) as level, day from big"
)
CATALOGUE = """
[sources.computed]
database = "sqlite:///{database}"
query = "{query}"
"""


def run(database: Path) -> Iterator[Figure]:
    with served(database, catalogue=CATALOGUE.format(database=database, query=QUERY)) as server:
        yield from _csv(server, database, "big", "a table", "select * from big")
        yield from _csv(server, database, "computed", "a query", QUERY)
        for extension in TYPED:
            taken = [_seconds(server, f"big.{extension}") for _ in range(TYPED_ROUNDS)]
            value = statistics.median(taken)
            yield Figure(NAME, f"headwater, {extension}", value, "s", samples=taken)


def _csv(server: Server, database: Path, source: str, name: str, sql: str) -> Iterator[Figure]:
    def ours() -> float:
        return ROWS / _seconds(server, f"{source}.csv")

    def theirs() -> float:
        return ROWS / sqlite3_program.export(database, sql, server.folder / "theirs.csv")

    ours()  # the first reads the table from the disk
    if not sqlite3_program.is_there():
        (mine,) = interleave(ROUNDS, ours)
        yield _rate(f"headwater, {name}", mine)
        for other in (f"sqlite3 -csv, {name}", f"headwater / sqlite3, {name}"):
            yield Figure(NAME, other, None, "", note=sqlite3_program.INSTALL)
        return
    mine, their = interleave(ROUNDS, ours, theirs)
    yield _rate(f"headwater, {name}", mine)
    yield _rate(f"sqlite3 -csv, {name}", their)
    value, ratios = ratio(mine, their)
    yield Figure(NAME, f"headwater / sqlite3, {name}", value, "", GOAL, ratios)


def _seconds(server: Server, file: str) -> float:
    return server.produce(f"/download/{file}").seconds


def _rate(name: str, samples: list[float]) -> Figure:
    return Figure(NAME, name, statistics.median(samples), "rows/s", samples=samples)
