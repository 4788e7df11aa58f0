"""The connections of the gunicorn worker, for the protocol stack. Way in: make_acceptor."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sockets.engineio.acceptor import Acceptor
from sockets.engineio.contract import InputSchedule
from sockets.engineio.unfinished import Unfinished
from topics import ConnectionWriter
from wire.connection import connection_of


def make_acceptor(schedule: InputSchedule) -> Acceptor:
    """Return the acceptor of WebSockets. schedule: client messages are handled in its turns."""
    return Acceptor(connection_of, ConnectionWriter, schedule, Unfinished(), _request_id)


def _request_id(environ: Mapping[str, Any]) -> list[tuple[str, str]]:
    request_id = environ.get("headwater.request_id")
    return [("X-Request-ID", request_id)] if request_id else []
