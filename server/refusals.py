"""Refusals of the worker before the application is called: counted by code, answered as JSON.

Way in: Refusals. For requests that gunicorn cannot read, gunicorn chooses the status.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from contextlib import suppress
from time import monotonic
from typing import Any

from gunicorn import util

from server.connection import Connection, ErrorSent
from server.green_sockets import FileSocket
from server.hooks import WorkerHooks
from server.log_format import take_request_id
from server.monkey_patching import eventlet

# A refused client gets this long to read its answer: a close while its request is unread sends a
# reset, which may overtake the answer. So many connections may linger at once; further ones are
# closed at once.
LINGER_S = 1.0
MAX_LINGERING = 100
# The codes of refusals and cuts here, and the codes of gunicorn's answers, by its reason.
TOO_MANY_CONNECTIONS = "too_many_connections"
TOO_MANY_PENDING = "too_many_pending_connections"
HEADER_TIMEOUT = "header_timeout"
REQUEST_TIMEOUT = "request_timeout"
STALLED = "stalled"
BAD_REQUEST = "bad_request"
NOT_FOUND = "not_found"
IDLE = "idle"
DISPLACED = "displaced"
# The answer to a connection that is refused: status, message.
_OF_CONNECTIONS = {
    TOO_MANY_CONNECTIONS: (
        "503 Service Unavailable",
        "The server has the most connections that it may have: try again in a second.",
    ),
    TOO_MANY_PENDING: (
        "429 Too Many Requests",
        "Your address has too many connections without a request: try again in a second.",
    ),
}
# The status of a request that is refused.
_OF_REQUESTS = {
    BAD_REQUEST: "400 Bad Request",
    NOT_FOUND: "404 Not Found",
    REQUEST_TIMEOUT: "408 Request Timeout",
}
# As every other answer has; auth/answers.py says why.
_HARDENED = [
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("Referrer-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
]


class Refusals:
    """secure: returns a client's socket with TLS, if TLS is on. log: gunicorn's."""

    def __init__(self, hooks: WorkerHooks, secure: Callable[[FileSocket], Any], log: Any) -> None:
        self.counts = hooks.refusals
        self.turn_at = hooks.turn_at
        self._secure = secure
        self.log = log
        self._logged_at_s = -1.0
        self._lingering = eventlet.GreenPool(MAX_LINGERING)

    def refuse_connection(self, client: FileSocket, address: str, code: str, limit: int) -> None:
        """Answer a client for which there is no place, and close its socket; never waits."""
        self.counts[code] += 1
        if monotonic() - self._logged_at_s >= 1.0:
            self._logged_at_s = monotonic()
            named = code.replace("_", " ")
            self.log.warning("%s: limit=%d refused=%d", named, limit, self.counts[code])
        if self._lingering.free() > 0:
            self._lingering.spawn_n(self._turn_away, client, address, code, limit)
        else:
            client.close()

    def _turn_away(self, client: FileSocket, address: str, code: str, limit: int) -> None:
        status, message = _OF_CONNECTIONS[code]
        with eventlet.Timeout(LINGER_S, False), suppress(OSError):
            secured = self._secure(client)
            with self.turn_at(address):
                headers = f"Retry-After: 1\r\nX-Request-ID: {take_request_id()}\r\n"
                answer = _whole(
                    status, error_body(status, code, message, {"limit": limit}), headers
                )
            secured.sendall(answer)
            close_gracefully(secured)

    def refuse_unreadable(
        self, connection: Connection, client: Any, status: int, reason: str, message: str
    ) -> None:
        """Send gunicorn's answer to a request that it cannot read, as JSON instead of its HTML."""
        code = reason.lower().replace(" ", "_")
        self.counts[code] += 1
        named = f"X-Request-ID: {connection.request_id or connection.name()}\r\n"
        line = f"{status} {reason}"
        body = error_body(line, code, message or reason, {})
        connection.error_sent = ErrorSent(str(status), len(body))
        util.write_nonblock(client, _whole(line, body, named))

    def refuse_unread(
        self,
        environ: dict[str, Any],
        start_response: Callable[..., Any],
        code: str,
        message: str,
        detail: dict[str, Any],
    ) -> list[bytes]:
        """Answer by WSGI a request whose head can be read."""
        self.counts[code] += 1
        status = _OF_REQUESTS[code]
        with self.turn_at(environ["REMOTE_ADDR"]):
            body = error_body(status, code, message, detail)
            fields = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
            start_response(status, [*fields, *_HARDENED], sys.exc_info())
        return [body]


def close_gracefully(client: Any) -> None:
    """Close a socket once the client has had time to read what it was sent."""
    util.close_graceful(client, timeout=LINGER_S)


def error_body(status: str, code: str, message: str, detail: dict[str, Any]) -> bytes:
    """Return an error in the one shape."""
    fields = {"error": code, "message": message, "status": int(status[:3]), "detail": detail}
    return json.dumps(fields).encode()


def _whole(status: str, body: bytes, headers: str) -> bytes:
    """Return a whole response. headers: more of them, each with its line end."""
    hardened = "".join(f"{name}: {value}\r\n" for name, value in _HARDENED)
    head = (
        f"HTTP/1.1 {status}\r\n{headers}Connection: close\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n{hardened}\r\n"
    )
    return head.encode() + body
