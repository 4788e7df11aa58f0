"""The downloads of the original contract: 10,000 users as CSV, without and with waiting.

The original contract is the set of addresses that the server was first built for; they do not
change: `/download` and `/download-async` here, `/live` and `/ws/live` in sockets/.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from flask import Blueprint, Response

from wire.filenames import content_disposition

ROWS = 10_000
# A yield per row is a chunk and a system call per row: 500 rows are four times as fast.
ROWS_PER_CHUNK = 500


def make_blueprint(wait: Callable[[], None]) -> Blueprint:
    """Return the blueprint. wait: returns once other work has had its turn, as I/O would."""
    blueprint = Blueprint("original", __name__)

    @blueprint.get("/download")
    def download() -> Response:
        return _answer(users())

    @blueprint.get("/download-async")
    def download_async() -> Response:
        return _answer(waiting(users(), wait))

    return blueprint


def users() -> Iterator[str]:
    """Yield the file in chunks of up to ROWS_PER_CHUNK lines."""
    yield "id,name\n"
    for first in range(1, ROWS + 1, ROWS_PER_CHUNK):
        stop = min(first + ROWS_PER_CHUNK, ROWS + 1)
        yield "".join(f"{i},User {i}\n" for i in range(first, stop))


def waiting(chunks: Iterator[str], wait: Callable[[], None]) -> Iterator[str]:
    """Yield the chunks, waiting before each."""
    for chunk in chunks:
        wait()
        yield chunk


def _answer(chunks: Iterator[str]) -> Response:
    headers = {"Content-Disposition": content_disposition("users.csv")}
    return Response(chunks, mimetype="text/csv", headers=headers)
