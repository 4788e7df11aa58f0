"""What is said for auth/access.py's errors, and with every answer; for all floors above.

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

log = logging.getLogger(__name__)

# Status and code of each error; TooMany brings a code of its own.
ACCESS_ANSWERS: Mapping[type[Exception], tuple[int, str]] = {
    AccessError: (403, "refused"),
    Unauthorized: (401, "unauthorized"),
    BadCredential: (401, "bad_credential"),
    Forbidden: (403, "forbidden"),
    CrossOrigin: (403, "cross_origin"),
    BadForm: (403, "bad_form"),
    LinkSpent: (403, "link_spent"),
    TooMany: (429, "too_many"),
}

# What is sent is what we say it is, never a page that a browser makes of it, nor a part of another
# site's page. Pages of a site that may ask do so by CORS, to which the last does not apply.
SECURITY_HEADERS: Mapping[str, str] = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def find_answer(
    answers: Mapping[type[Exception], tuple[int, str]], error: Exception
) -> tuple[int, str]:
    """Return status and code for an error of a table, or of a kind below one that is in it."""
    status, code = next(answers[kind] for kind in type(error).__mro__ if kind in answers)
    return status, error.code if isinstance(error, TooMany) else code


def log_refusal(error: Exception, address: str | None) -> None:
    """Log who was refused, without the credential, where an error is answered.

    Not who has shown nothing, which browsers begin with, nor who is only too quick.
    """
    if isinstance(error, BadCredential | Forbidden):
        log.warning("refused address=%s reason=%s", address or "local", error)


def headers_of(error: Exception) -> dict[str, str]:
    """Return the header fields that go with an error: how to say who asks, when to come back."""
    if isinstance(error, TooMany):
        return {"Retry-After": str(error.retry_after_s)}
    if isinstance(error, Unauthorized):
        return {"WWW-Authenticate": 'Bearer realm="headwater"'}
    return {}
