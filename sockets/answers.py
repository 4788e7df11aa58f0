"""Errors as acknowledgements; auth/answers.py has status and code of most."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from auth import answers
from auth.access import AccessError
from auth.answers import find_answer, headers_of
from journal import JournalFailed
from sockets.engineio.errors import SocketError


class Misuse(Exception):
    """What a client emitted cannot be understood; the message says what would be right."""


class UnknownExport(Exception):
    """There is no export of that id."""


# The table, and what only sockets say. HTTP answers JournalFailed by the outcome of the export.
ANSWERS: dict[type[Exception], tuple[int, str]] = {
    **answers.ANSWERS,
    Misuse: (400, "malformed"),
    UnknownExport: (404, "unknown_export"),
    JournalFailed: (503, "journal_failed"),
}


def answer_of(error: Exception) -> dict[str, Any]:
    """Return the answer for an error of the table."""
    return refusal(*find_answer(error, ANSWERS), str(error))


def http_answer_of(error: SocketError | AccessError) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the body, in the one shape of errors, and more headers, while HTTP is spoken."""
    if isinstance(error, SocketError):
        return _shape(error.status, error.code, str(error)), error.headers
    return _shape(*find_answer(error), str(error)), headers_of(error)


def refusal(
    status: int, code: str, message: str, detail: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return an acknowledgement of a refusal, in the one shape of errors."""
    return {"ok": False, **_shape(status, code, message, detail)}


def _shape(
    status: int, code: str, message: str, detail: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    return {"error": code, "message": message, "status": status, "detail": dict(detail or {})}
