"""Errors as acknowledgements; auth/answers.py has status and code of most."""

from __future__ import annotations

from typing import Any

from auth import answers
from auth.answers import find_answer, message_for_client
from journal import JournalFailed
from sockets.engineio.errors import refusal, shape_of


class Misuse(Exception):
    """An event of a client cannot be understood; the message says what would be right."""


class UnknownExport(Exception):
    """There is no export with this id."""


# The table, and the errors of sockets only. HTTP answers JournalFailed by the outcome of the
# export.
ANSWERS: dict[type[Exception], tuple[int, str]] = {
    **answers.ANSWERS,
    Misuse: (400, "malformed"),
    UnknownExport: (404, "unknown_export"),
    JournalFailed: (503, "journal_failed"),
}


def answer_of(error: Exception) -> dict[str, Any]:
    """Return the acknowledgement for an error of the table."""
    return refusal(*find_answer(error, ANSWERS), message_for_client(error))


def message_of(error: Exception) -> dict[str, Any]:
    """Return the message that a WebSocket is sent for an error of the table."""
    return shape_of(*find_answer(error, ANSWERS), message_for_client(error))
