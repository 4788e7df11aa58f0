"""How long until the first byte of a body: connect, request, snapshot, first rows, response.

Each production is a fresh one on an idle server: the download is left after its first bytes and
the export deleted before the next begins.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from pathlib import Path

from benchmarks.client import Fetched
from benchmarks.results import Figure, Goal, percentile
from benchmarks.server import served

NAME = "first-byte"
GOAL = Goal("<=", 50)

# Format, rounds, goal. A typed format looks through the whole table for its types first.
FORMATS = [("csv", 25, GOAL), ("csv.gz", 7, None), ("ndjson", 7, None), ("parquet", 3, None)]
TABLES = {"small": "1k rows", "big": "1M rows", "huge": "10M rows"}

# Past the line of names, which is 44 bytes long: a row has been read and written.
A_ROW_BYTES = 64


def run(database: Path) -> Iterator[Figure]:
    with served(database) as server:
        for extension, rounds, goal in FORMATS:
            for table, size in TABLES.items():
                path = f"/download/{table}.{extension}"
                server.produce(path, stop_after_bytes=1)
                rows = rounds if rounds > 3 or table != "small" else 7
                took = [server.produce(path, stop_after_bytes=A_ROW_BYTES) for _ in range(rows)]
                yield from _figures(f"{extension}, {size}", took, goal)


def _figures(name: str, took: list[Fetched], goal: Goal | None) -> Iterator[Figure]:
    samples = [fetched.first_byte_s * 1000 for fetched in took]
    a_row = statistics.median(fetched.seconds * 1000 for fetched in took)
    p95 = percentile(samples, 95)
    note = f"p95 {p95:.1f} ms, first 64 bytes {a_row:.1f} ms, {len(took)} rounds"
    yield Figure(NAME, name, statistics.median(samples), "ms", goal, samples, note)
