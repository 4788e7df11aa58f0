"""Errors as answers of HTTP, in one JSON shape; auth/answers.py has status and code of each."""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from flask import Flask, Response, current_app, jsonify, render_template, request
from werkzeug.exceptions import (
    HTTPException,
    MethodNotAllowed,
    NotFound,
    RequestEntityTooLarge,
    default_exceptions,
)
from werkzeug.http import HTTP_STATUS_CODES

from auth.answers import ANSWERS, find_answer, headers_of, log_refusal, message_for_client
from journal import JournalFailed
from sources.errors import BadSelection
from streaming.pages import wants_page
from wire.nearest import hint

log = logging.getLogger(__name__)

RETRY_AFTER_S = 5


class Refusal(Exception):
    """A request that is not served. code: one word. detail: for programs; headers: for HTTP."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        detail: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.detail = detail or {}
        self.headers = headers or {}


def unknown(kind: str, name: str, seen: Sequence[str]) -> Refusal:
    """Return the refusal (404) of an unknown name of this kind.

    kind: source, folder or log. seen: only the names that the client may know.
    """
    right = hint(name, seen, f"GET {_LISTS[kind]} lists what there is")
    message = f"there is no {kind} {name[:100]!a}; {right}"
    return Refusal(404, f"unknown_{kind}", message, {f"{kind}s": list(seen)})


_LISTS = {"source": "/sources", "folder": "/files", "log": "/logs"}


# An export that failed before its first byte was sent, by its outcome's code.
FAILURES = {
    "source_failed": 503,
    "cannot_encode": 422,
    "cancelled": 410,
    "abandoned": 410,
    "disk_full": 507,
    "no_room": 507,
}

# A hint that is added if the message has no details.
WHERE_LISTED = "GET /openapi.json lists what there is"
GENERAL = {
    400: "the request cannot be understood",
    415: "a body of this media type is not taken here",
}


def answer_error(
    status: int,
    code: str,
    message: str,
    detail: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Return an error in the one shape: error, message, status, detail; to a browser, as a page.

    The error is counted under its code.
    """
    current_app.extensions["refusals"][code] += 1
    if wants_page(request):
        title = HTTP_STATUS_CODES.get(status, "Error")
        page = render_template(
            "error.html", error=code, message=message, status=status, title=title
        )
        response = Response(page)
    else:
        response = jsonify(error=code, message=message, status=status, detail=detail or {})
    response.status_code = status
    response.headers.update(headers or {})
    if "Range" in request.headers:
        # curl -C - takes an answer with as many bytes as its file for the end of the file.
        response.automatically_set_content_length = False
        response.headers.pop("Content-Length", None)
    if status in (429, 503):
        response.headers.setdefault("Retry-After", str(RETRY_AFTER_S))
    return response


def register_errors(app: Flask) -> Counter[str]:
    """Make app answer every error in the one shape; return how often, by code.

    The worker also counts there its refusals before app is called (server/worker.py).
    """
    refusals: Counter[str] = Counter()
    app.extensions["refusals"] = refusals
    app.register_error_handler(Refusal, _refuse)
    app.register_error_handler(JournalFailed, _say_failure)
    app.register_error_handler(HTTPException, _say_http)
    app.register_error_handler(Exception, _say_internal)
    for kind in ANSWERS:
        app.register_error_handler(kind, _say_known)
    return refusals


def _refuse(error: Refusal) -> Response:
    return answer_error(error.status, error.code, str(error), error.detail, error.headers)


def _say_known(error: Exception) -> Response:
    log_refusal(error, request.remote_addr)
    detail: Mapping[str, Any] = getattr(error, "detail", {})
    if isinstance(error, BadSelection):
        detail = {"problems": error.problems}
    message = message_for_client(error)
    return answer_error(*find_answer(error), message, detail, headers_of(error))


def _say_failure(error: JournalFailed) -> Response:
    return answer_error(FAILURES.get(error.code, 503), error.code, str(error))


def _say_http(error: HTTPException) -> Response:
    """Replace werkzeug's general messages by specific ones; keep those about this request."""
    code = re.sub(r"[^a-z]+", "_", error.name.lower())
    message = error.description or error.name
    detail: dict[str, Any] = {}
    headers = {}
    if isinstance(error, MethodNotAllowed):
        allowed = ", ".join(sorted(error.valid_methods or ()))
        headers = {"Allow": allowed} if allowed else {}
        message = f"{request.method} is not for this address; it takes {allowed or 'others'}"
    elif isinstance(error, NotFound):
        message = f"there is nothing at this address; {WHERE_LISTED}"
    elif isinstance(error, RequestEntityTooLarge):
        # The body of a publication is read to one byte more than allowed: admission.py.
        most_bytes = (request.max_content_length or 0) // 1024 * 1024
        message = f"the body of this request may have {most_bytes} bytes"
        if request.mimetype == "multipart/form-data":
            message += f", and {request.max_form_parts} fields"
        detail = {"max_bytes": most_bytes}
    elif error.code in GENERAL and message == default_exceptions[error.code].description:
        message = f"{GENERAL[error.code]}; {WHERE_LISTED}"
    return answer_error(error.code or 500, code, message, detail, headers)


def _say_internal(error: Exception) -> Response:
    log.exception("request failed", exc_info=error)
    return answer_error(500, "internal_error", "the server made a mistake; it is in its log")
