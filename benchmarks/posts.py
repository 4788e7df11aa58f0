"""Many publishers over HTTP, each with one event under way: how long until it is acknowledged?

Way in: post_for.
"""

from __future__ import annotations

import json

from benchmarks.client import Address
from benchmarks.kept import ask_for
from benchmarks.tally import payload

# What the answer to each begins its status with.
CREATED = "201 "


def post_for(address: Address, path: str, publishers: int, seconds: float) -> list[float]:
    """POST single events to path for so long; return how many seconds each took.

    What is under way at the end is waited for. Raises BadAnswer for an answer other than 201.
    """
    return ask_for(address, request_of(path), publishers, seconds, CREATED)


def request_of(path: str) -> bytes:
    """Return the POST of one event."""
    body = json.dumps({"data": payload(0)})
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode()
