"""The answer to each error, and the headers of every answer; for streaming/ and sockets/.

One table maps the errors of all rooms below to status and code.

Source: RFC 9110, 10.2.3 and 11.6.1.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

from auth.access import (
    AccessError,
    BadCredential,
    BadForm,
    CrossOrigin,
    Forbidden,
    LinkSpent,
    TooMany,
    Unauthorized,
)
from exports.errors import (
    ExportsFull,
    OwnerExportsFull,
    OwnerQueueFull,
    QueueFull,
    RecordingGone,
    TooManyColumns,
    TooManyRows,
    UnknownFormat,
)
from journal import JournalEnded, JournalFull, ReaderLeft
from sources.errors import (
    BadSelection,
    FileChanged,
    IsAFile,
    IsAFolder,
    MalformedPath,
    MissingAttribute,
    NoSuchFile,
    SourceBusy,
    SourceFailed,
    SourceUnavailable,
    TooManyFiles,
    Unreadable,
)
from state import StateBusy, StateError, StateFull, StateUnusable
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

log = logging.getLogger(__name__)

# The answer to each error of the rooms below: the HTTP status, and a code. TooMany has a code of
# its own; the answer to a JournalFailed is that of its cause.
ANSWERS: Mapping[type[Exception], tuple[int, str]] = {
    AccessError: (403, "refused"),
    Unauthorized: (401, "unauthorized"),
    BadCredential: (401, "bad_credential"),
    Forbidden: (403, "forbidden"),
    CrossOrigin: (403, "cross_origin"),
    BadForm: (403, "bad_form"),
    LinkSpent: (403, "link_spent"),
    TooMany: (429, "too_many"),
    BadSelection: (400, "bad_selection"),
    MissingAttribute: (403, "missing_attribute"),
    SourceUnavailable: (503, "source_unavailable"),
    SourceBusy: (503, "source_busy"),
    SourceFailed: (503, "source_failed"),
    MalformedPath: (400, "malformed_path"),
    NoSuchFile: (404, "no_such_file"),
    IsAFolder: (404, "is_a_folder"),
    IsAFile: (404, "is_a_file"),
    Unreadable: (403, "unreadable"),
    FileChanged: (409, "file_changed"),
    TooManyFiles: (422, "too_many_files"),
    QueueFull: (503, "queue_full"),
    OwnerQueueFull: (429, "too_many_exports"),
    ExportsFull: (503, "exports_full"),
    OwnerExportsFull: (429, "too_many_exports"),
    RecordingGone: (410, "recording_gone"),
    UnknownFormat: (404, "unknown_format"),
    TooManyColumns: (422, "too_many_columns"),
    TooManyRows: (422, "too_many_rows"),
    JournalFull: (507, "no_room"),
    JournalEnded: (409, "ended"),
    ReaderLeft: (408, "client_left"),
    StateBusy: (503, "state_busy"),
    StateFull: (507, "no_room"),
    StateUnusable: (503, "state_unusable"),
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
}

# What clients read of errors whose own messages have paths of this machine; these are logged.
_MESSAGES: Mapping[type[StateError], str] = {
    StateBusy: "the state of the server is locked by another process: try again",
    StateFull: "the disk with the state of the server is full",
    StateUnusable: "the state of the server cannot be used; its log has the reason",
}

# A browser keeps to the declared content type, and never shows an answer as a part of another
# site's page. Pages of an allowed site use CORS, to which the last header does not apply.
SECURITY_HEADERS: Mapping[str, str] = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def find_answer(
    error: Exception, answers: Mapping[type[Exception], tuple[int, str]] = ANSWERS
) -> tuple[int, str]:
    """Return status and code for an error whose class, or a base of it, is in the table.

    Raises LookupError for any other: that is a bug.
    """
    found = next((answers[kind] for kind in type(error).__mro__ if kind in answers), None)
    if found is None:
        raise LookupError(f"no answer to {type(error).__name__}") from error
    status, code = found
    return status, error.code if isinstance(error, TooMany) else code


def message_for_client(error: Exception) -> str:
    """Return the message of the answer to an error, without paths of this machine."""
    known = (text for kind, text in _MESSAGES.items() if isinstance(error, kind))
    return next(known, str(error))


def log_refusal(error: Exception, address: str | None) -> None:
    """Log a refusal when an error is answered, without the credential; log an error of the state.

    A request without a credential is not logged, since browsers begin so; nor is one over a rate.
    """
    if isinstance(error, BadCredential | Forbidden):
        log.warning("refused address=%s reason=%s", address or "local", error)
    elif isinstance(error, StateError):
        log.error("not served address=%s error=%s", address or "local", error)


def headers_of(error: Exception) -> dict[str, str]:
    """Return the header fields that go with an error: how to authenticate, when to retry."""
    if isinstance(error, TooMany):
        return {"Retry-After": str(error.retry_after_s)}
    if isinstance(error, Unauthorized):
        return {"WWW-Authenticate": 'Bearer realm="headwater"'}
    return {}
