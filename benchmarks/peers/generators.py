"""The generators that textbooks stream with: Flask under gunicorn's threaded worker.

/row: two columns, a yield per row. /batch: the same, 500 rows a yield. /table/<n>: 8 columns read
from SQLite, n rows a yield. Way in: served; `app` is what gunicorn loads.
"""

from __future__ import annotations

import csv
import io
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from flask import Flask, Response

from benchmarks.client import Address
from benchmarks.processes import free_port, running
from benchmarks.server import GUNICORN, PROJECT, USERS

DATABASE = "BENCHMARKS_DATABASE"
ROWS_PER_YIELD = 500

app = Flask(__name__)


@app.get("/row")
def row() -> Response:
    def generate() -> Iterator[str]:
        yield "id,name\n"
        for i in range(1, USERS + 1):
            yield f"{i},User {i}\n"

    return Response(generate(), mimetype="text/csv")


@app.get("/batch")
def batch() -> Response:
    def generate() -> Iterator[str]:
        yield "id,name\n"
        for first in range(1, USERS + 1, ROWS_PER_YIELD):
            stop = min(first + ROWS_PER_YIELD, USERS + 1)
            yield "".join(f"{i},User {i}\n" for i in range(first, stop))

    return Response(generate(), mimetype="text/csv")


@app.get("/table/<int:rows_per_yield>")
def table(rows_per_yield: int) -> Response:
    def generate() -> Iterator[str]:
        with closing(sqlite3.connect(os.environ[DATABASE])) as connection:
            cursor = connection.execute("select * from big")
            rows = [tuple(column[0] for column in cursor.description)]
            while rows:
                text = io.StringIO()
                csv.writer(text, lineterminator="\n").writerows(rows)
                yield text.getvalue()
                rows = cursor.fetchmany(rows_per_yield)

    return Response(generate(), mimetype="text/csv")


@contextmanager
def served(database: Path, folder: Path) -> Iterator[Address]:
    """Serve all of them. folder: for its log."""
    address = ("127.0.0.1", free_port())
    command = [*GUNICORN, "-k", "gthread", "--threads", "8", "-b", f"127.0.0.1:{address[1]}"]
    command += ["--timeout", "120", "-c", "/dev/null", "benchmarks.peers.generators:app"]
    environ = {**os.environ, DATABASE: str(database)}
    with running(command, address, folder / "generators.log", environ, PROJECT):
        yield address
