"""How a line of the server's log is written, for people and for programs, and for which request.

In both forms a record is one line, whatever its message: a line end in a message is data, never the
end of a line. Knows nothing of the server. Way in: formatter_for; for the id of a request
take_request_id, current_request_id.
"""

from __future__ import annotations

import json
import logging
import random
import re
from collections.abc import Iterable
from contextvars import ContextVar
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any
from urllib.parse import unquote

AUTO, TEXT, JSON = "auto", "text", "json"

# The form of an id that another program may give a request; any other would need quoting somewhere.
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
# The credentials that a reader of the log could use: a token, without its id; a signed link, also
# cut out of its address; a Socket.IO session; a browser's session.
_SECRETS = re.compile(
    r"(hw_[0-9a-f]{12}_)[A-Za-z0-9_-]{6,}"
    r"|((?:[?&;]|\b)link=)[^&#\s'\"]+"
    r"|(WyJ[A-Za-z0-9_-]{9})[A-Za-z0-9_.-]+"
    r"|([?&]sid=)[^&#\s'\"]+"
    r"|(headwater_session=)[^;\s'\"]+"
)
# Each credential contains one of these; to search for five texts takes a tenth of the pattern's
# time.
_SIGNS = ("hw_", "link=", "WyJ", "sid=", "headwater_session=", "%")
# How often a credential may have been quoted: an address in a query in a Referer.
_MOST_QUOTED = 3

# Every character that some reader takes for a line end or a terminal command; tabs stay.
_CONTROLS = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")

# A context is a greenlet's own, and a new greenlet's is empty (greenlet's documentation, "Context
# variables"): code that works for a request in another greenlet sets it there.
current_request_id: ContextVar[str | None] = ContextVar("current_request_id", default=None)


def take_request_id(asked: Iterable[str] = ()) -> str:
    """Return the requested id, if there is exactly one and it is valid; else a new one.

    asked: the values of the request's X-Request-ID fields.
    """
    values = list(asked)
    if len(values) == 1 and _REQUEST_ID.fullmatch(values[0]):
        return values[0]
    # No secret, and quicker than one.
    return f"{random.getrandbits(64):016x}"


def formatter_for(form: str, stream: Any) -> logging.Formatter:
    """Return the formatter. form: AUTO, TEXT or JSON. stream: where to; None is no terminal."""
    if form == AUTO:
        form = TEXT if stream is not None and stream.isatty() else JSON
    return TextLines() if form == TEXT else JsonLines()


class TextLines(logging.Formatter):
    """A line for a person; only exceptions have lines of their own."""

    def format(self, record: logging.LogRecord) -> str:
        message = _show(_message(record))
        request_id = current_request_id.get()
        request = f" request={request_id}" if request_id else ""
        line = f"{format_time(record.created)} {record.levelname} {record.name} {message}{request}"
        exception = _exception(self, record)
        return f"{line}\n{_show_lines(exception)}" if exception else line


class JsonLines(logging.Formatter):
    """An object of ASCII characters for a program."""

    def format(self, record: logging.LogRecord) -> str:
        fields = {
            "time": format_time(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": _encodable(_message(record)),
        }
        if request_id := current_request_id.get():
            fields["request"] = request_id
        if exception := _exception(self, record):
            fields["exception"] = _encodable(exception)
        return json.dumps(fields)


def hide(text: str) -> str:
    """Return text without credentials; unquoted, if unquoting reveals some."""
    if not any(sign in text for sign in _SIGNS):
        return text
    shown = _SECRETS.sub(_cut_secret, text)
    plain = text
    for _ in range(_MOST_QUOTED):
        if "%" not in plain:
            break
        plain = unquote(plain)
        hidden = _SECRETS.sub(_cut_secret, plain)
        if hidden != plain:
            shown, plain = hidden, hidden
    return shown


def _cut_secret(found: re.Match[str]) -> str:
    return f"{next(filter(None, found.groups()))}..."


def format_time(time_s: float) -> str:
    """Return unix seconds in the form of both logs: ISO 8601, UTC, milliseconds."""
    second, milliseconds = divmod(int(time_s * 1000), 1000)
    return f"{_second(second)}.{milliseconds:03d}Z"


@lru_cache(2)
def _second(time_s: int) -> str:
    return datetime.fromtimestamp(time_s, UTC).isoformat().removesuffix("+00:00")


def _message(record: logging.LogRecord) -> str:
    try:
        message = record.getMessage()
    except Exception:  # noqa: BLE001 (arguments that do not fit, of a library: the line is not lost)
        message = f"{record.msg} {record.args!r}"
    return hide(message)


def _exception(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    parts = []
    if record.exc_info and record.exc_info[0] is not None:
        parts.append(formatter.formatException(record.exc_info))
    if record.stack_info:
        parts.append(formatter.formatStack(record.stack_info))
    return hide("\n".join(parts))


def _encodable(text: str) -> str:
    """Return text without lone surrogates, which many readers of JSON refuse."""
    return text.encode("utf-8", "backslashreplace").decode()


def _show(text: str) -> str:
    return _CONTROLS.sub(lambda found: ascii(found[0])[1:-1], text)


def _show_lines(text: str) -> str:
    return "\n".join(_show(line) for line in text.split("\n"))
