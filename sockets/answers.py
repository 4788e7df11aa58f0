"""Errors as acknowledgements: one table from the lower floors' errors to what a client is told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from auth.access import AccessError
from auth.answers import ACCESS_ANSWERS, find_answer, headers_of
from journal import JournalFailed, JournalFull
from sockets.engineio.errors import SocketError
from topics import (
    FutureCursor,
    KeyReused,
    MalformedTopic,
    NotReady,
    NotWritable,
    TooManyTopics,
    TopicQuota,
    TopicsFull,
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
    **ACCESS_ANSWERS,
    Misuse: (400, "malformed"),
    UnknownExport: (404, "unknown_export"),
    MalformedTopic: (400, "malformed_topic"),
    UnknownTopic: (404, "unknown_topic"),
    TooManyTopics: (409, "too_many_topics"),
    TopicQuota: (403, "topic_quota"),
    TopicsFull: (507, "topics_full"),
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
    return refusal(*find_answer(ANSWERS, error), str(error))


def http_answer_of(error: SocketError | AccessError) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the body, in the one shape of errors, and more headers, while HTTP is spoken."""
    if isinstance(error, SocketError):
        return _shape(error.status, error.code, str(error)), error.headers
    return _shape(*find_answer(ANSWERS, error), str(error)), headers_of(error)


def refusal(
    status: int, code: str, message: str, detail: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return an acknowledgement that says no, in the one shape of errors."""
    return {"ok": False, **_shape(status, code, message, detail)}


def _shape(
    status: int, code: str, message: str, detail: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    return {"error": code, "message": message, "status": status, "detail": dict(detail or {})}
