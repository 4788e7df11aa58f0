"""The errors of sockets, and their answers: by HTTP, a close code, or an event."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class SocketError(Exception):
    """Any error of this package. As long as the client speaks HTTP, its answer is a status.

    status, code, headers: of the answer; the message is the exception's text.

    SocketError
    +-- BadHandshake    the request asks for no WebSocket, or not as RFC 6455 wants (400, 426)
    +-- NoConnection    the server gives the application no connection to speak on (501)
    +-- BadPacket       the client sent no packet of Engine.IO or Socket.IO (400, or a close)
    |   +-- TooManyFrames   it sent too many that say nothing (429, or a close)
    |   +-- NoRoom          what it sent is not whole, and there is no room for more of that (same)
    +-- BadSession      Engine.IO: there is no such session, or it is not asked like this (400)
    +-- ForeignOrigin   a page of another site sends the request (403)
    +-- Refused         the program that uses the stack refuses the client; status, code: its own
    """

    status = 500
    code = "internal_error"

    def __init__(self, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.headers = headers or {}


class BadHandshake(SocketError):
    """The request is no opening handshake, or not an acceptable one. status: 400 or 426."""

    code = "bad_handshake"

    def __init__(self, status: int, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message, headers)
        self.status = status


class NoConnection(SocketError):
    """The WSGI server does not hand the client's connection over."""

    status = 501
    code = "no_websocket"


class BadPacket(SocketError):
    """A client sent an invalid packet; its session is closed. close_code: of its WebSocket."""

    status = 400
    code = "bad_packet"
    close_code = 1002


class TooManyFrames(BadPacket):
    """A client sent too many frames or packets without content."""

    status = 429
    code = "too_many_frames"
    close_code = 1008


class NoRoom(BadPacket):
    """There is no room for more incomplete input."""

    status = 429
    close_code = 1013

    def __init__(self, refused: Refused) -> None:
        super().__init__(str(refused))
        self.code = refused.code


class BadSession(SocketError):
    """An Engine.IO request that does not fit the session it names, or names none. status: 4xx."""

    code = "bad_session"

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


class ForeignOrigin(SocketError):
    """A page of a site that may not connect sends a request on behalf of its visitor."""

    status = 403
    code = "cross_origin"


class Refused(SocketError):
    """The program that uses the stack refuses a client."""

    def __init__(
        self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message, headers)
        self.status = status
        self.code = code


class ConnectRefused(Exception):
    """A connect handler refuses a client. answer: the data of its CONNECT_ERROR."""

    def __init__(self, answer: Any) -> None:
        super().__init__()
        self.answer = answer


def shape_of(
    status: int, code: str, message: str, detail: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return the one shape of errors: the body of an HTTP answer."""
    return {"error": code, "message": message, "status": status, "detail": dict(detail or {})}


def refusal(status: int, code: str, message: str) -> dict[str, Any]:
    """Return a negative acknowledgement, in the one shape of errors."""
    return {"ok": False, **shape_of(status, code, message)}


INTERNAL_ERROR = refusal(500, "internal_error", "the server made a mistake; it is in its log")
