"""Ours beside the generators of textbooks, on their two columns and on the table of eight."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.client import Address, Connection
from benchmarks.data import TABLES
from benchmarks.peers import generators
from benchmarks.results import Figure, Goal, interleave, ratio
from benchmarks.server import USERS, served

NAME = "textbook"
ROUNDS = 3
GOAL = Goal(">=", 8)


def run(database: Path) -> Iterator[Figure]:
    with served(database) as server, generators.served(database, server.folder) as peer:

        def ours(path: str, rows: int) -> Callable[[], float]:
            return lambda: rows / server.produce(path).seconds

        users, table, row, batch, table_row, table_batch = interleave(
            ROUNDS,
            ours("/download/users.csv", USERS),
            ours("/download/big.csv", TABLES["big"]),
            lambda: _rate(peer, "/row", USERS),
            lambda: _rate(peer, "/batch", USERS),
            lambda: _rate(peer, "/table/1", TABLES["big"]),
            lambda: _rate(peer, f"/table/{generators.ROWS_PER_YIELD}", TABLES["big"]),
        )
        # Rows of 8 columns are not rows of 2: the bytes of a row, header and all.
        wide = server.produce("/download/big.csv").body_bytes / TABLES["big"]
        narrow = server.produce("/download/users.csv").body_bytes / USERS
    named = {
        "headwater, users, 2 columns": users,
        "headwater, table, 8 columns": table,
        "a yield per row, 2 columns": row,
        "500 rows a yield, 2 columns": batch,
        "a yield per row, table, 8 columns": table_row,
        "500 rows a yield, table, 8 columns": table_batch,
    }
    for name, samples in named.items():
        yield Figure(NAME, name, statistics.median(samples), "rows/s", samples=samples)
    pairs = [
        ("users / a yield per row", users, row, GOAL),
        ("table / a yield per row of 2 columns, in rows", table, row, GOAL),
        (
            "table / a yield per row of 2 columns, in bytes",
            [rate * wide for rate in table],
            [rate * narrow for rate in row],
            GOAL,
        ),
        ("table / a yield per row of it", table, table_row, GOAL),
        ("users / 500 rows a yield", users, batch, None),
        ("table / 500 rows a yield of it", table, table_batch, None),
    ]
    for name, mine, other, goal in pairs:
        value, ratios = ratio(mine, other)
        yield Figure(NAME, name, value, "", goal, ratios)


def _rate(peer: Address, path: str, rows: int) -> float:
    connection = Connection(peer)
    fetched = connection.fetch(path)
    connection.close()
    return rows / fetched.seconds
