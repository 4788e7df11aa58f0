"""Errors as acknowledgements: one table from the lower floors' errors to what a client is told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from access import (
    AccessError,
    BadCredential,
    BadForm,
    CrossOrigin,
    Forbidden,
    LinkSpent,
    TooMany,
    Unauthorized,
)
from journal import JournalFailed, JournalFull
from sockets.errors import SocketError
from topics import (
    FutureCursor,
    KeyReused,
    MalformedTopic,
    NotReady,
    NotWritable,
    TooManyTopics,
    UnknownTopic,
)
from wire.cursors import MalformedCursor
from wire.errors import WireError
from wire.events import MalformedEvent


class Misuse(Exception):
    """What a client emitted cannot be understood; the message says what would be right."""


class UnknownExport(Exception):
    """There is no export of that id."""


# What a client is told of each error: status as HTTP has it, code.
ANSWERS: dict[type[Exception], tuple[int, str]] = {
    AccessError: (403, "refused"),
    Unauthorized: (401, "unauthorized"),
    BadCredential: (401, "bad_credential"),
    Forbidden: (403, "forbidden"),
    CrossOrigin: (403, "cross_origin"),
    BadForm: (403, "bad_form"),
    LinkSpent: (403, "link_spent"),
    TooMany: (429, "too_many"),
    Misuse: (400, "malformed"),
    UnknownExport: (404, "unknown_export"),
    MalformedTopic: (400, "malformed_topic"),
    UnknownTopic: (404, "unknown_topic"),
    TooManyTopics: (409, "too_many_topics"),
    FutureCursor: (409, "future_cursor"),
    KeyReused: (422, "key_reused"),
    NotWritable: (403, "not_writable"),
    NotReady: (503, "not_ready"),
    MalformedCursor: (400, "malformed_cursor"),
    MalformedEvent: (400, "malformed_event"),
    WireError: (400, "malformed"),
    JournalFull: (507, "no_room"),
    JournalFailed: (503, "journal_failed"),
}


def answer_of(error: Exception) -> dict[str, Any]:
    """Return the answer for an error of the table."""
    status, code = next(ANSWERS[kind] for kind in type(error).__mro__ if kind in ANSWERS)
    return refusal(status, error.code if isinstance(error, TooMany) else code, str(error))


def http_answer_of(error: SocketError | AccessError) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the body, in the one shape of errors, and more headers, while HTTP is spoken."""
    if isinstance(error, SocketError):
        return _shape(error.status, error.code, str(error)), error.headers
    shape = answer_of(error)
    del shape["ok"]
    headers = {}
    if isinstance(error, TooMany):
        headers["Retry-After"] = str(error.retry_after_s)
    elif isinstance(error, Unauthorized):
        headers["WWW-Authenticate"] = 'Bearer realm="headwater"'
    return shape, headers


def refusal(
    status: int, code: str, message: str, detail: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return an acknowledgement that says no, in the one shape of errors."""
    return {"ok": False, **_shape(status, code, message, detail)}


def _shape(
    status: int, code: str, message: str, detail: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    return {"error": code, "message": message, "status": status, "detail": dict(detail or {})}
