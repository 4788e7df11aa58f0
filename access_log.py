"""The server's own access log: a line of JSON for each request, once it is over.

gunicorn's logger, named in gunicorn.conf.py; what gunicorn has to say is written as all our log is
(log_format.py). The file rotates itself; USR1 opens it anew.
Way in: make_logger_class.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Mapping
from datetime import timedelta
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any

from gunicorn.glogging import Logger

from log_format import AUTO, current_request_id, format_time, formatter_for, hide

# With the four before it at most 160 MiB, some 500,000 requests.
MAX_FILE_BYTES = 32 * 1024 * 1024
OLDER_FILES = 4
# RFC 9110 15.2.2: WebSockets.
SWITCHED = "101"
# Of what a client says of itself; gunicorn bounds the rest.
MAX_FIELD_CHARACTERS = 500


class _File(RotatingFileHandler):
    """Says once, and not for each request, that it cannot write."""

    has_failed = False

    def handleError(self, record: logging.LogRecord) -> None:
        if not self.has_failed:
            self.has_failed = True
            print(f"headwater: access log: {sys.exc_info()[1]}", file=sys.stderr)


def make_logger_class(path: Path | None, log_format: str = AUTO) -> type:
    """Return gunicorn's logger, with the access log in the file at path; None for none.

    log_format: of its other lines, see log_format.py.
    """

    class AccessLog(Logger):  # type: ignore[misc]
        """See the module."""

        def setup(self, cfg: Any) -> None:
            super().setup(cfg)
            self._access_file: _File | None = None
            for handler in self.error_log.handlers:
                handler.setFormatter(formatter_for(log_format, getattr(handler, "stream", None)))

        def access(self, resp: Any, req: Any, environ: Any, request_time: timedelta) -> None:
            """Write the line of a request, that is over now and took request_time."""
            client = environ.get("headwater.client")
            sent_bytes = client.sent_bytes if client is not None else None
            fields = describe(environ, str(resp.status)[:3])
            fields["bytes"] = resp.sent if sent_bytes is None else sent_bytes
            self.end(json.dumps(fields), request_time.total_seconds())

        def begin(self, environ: Any) -> str:
            """Return what there is to tell of who takes his connection over; end writes it."""
            return json.dumps(describe(environ, SWITCHED))

        def end(self, told: str, seconds: float) -> None:
            """Write a line. told: the other fields, as JSON. seconds: how long it took."""
            if path is None:
                return
            if self._access_file is None:
                self._access_file = _open(path)
                self.access_log.addHandler(self._access_file)
            now = format_time(time.time())
            self.access_log.info('{"time": "%s", "seconds": %.3f, %s', now, seconds, told[1:])

    return AccessLog


def _open(path: Path) -> _File:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    return _File(
        path, maxBytes=MAX_FILE_BYTES, backupCount=OLDER_FILES, encoding="utf-8",
        errors="backslashreplace", delay=True,
    )  # fmt: skip


def describe(environ: Mapping[str, Any], status: str) -> dict[str, Any]:
    """Return what is told of a request. environ: of WSGI, not whole if it never became one."""
    return {
        # A request that never became one has no more than that of the moment.
        "id": environ.get("headwater.request_id") or current_request_id.get(),
        "client": environ.get("REMOTE_ADDR"),
        "method": environ.get("REQUEST_METHOD"),
        "path": _shown(environ.get("RAW_URI")),
        "protocol": environ.get("SERVER_PROTOCOL"),
        "status": int(status) if status.isdecimal() else None,
        "bytes": None,
        "agent": _cut(_shown(environ.get("HTTP_USER_AGENT"))),
        "referer": _cut(_shown(environ.get("HTTP_REFERER"))),
    }


def _shown(text: str | None) -> str | None:
    return text and hide(text)


def _cut(text: str | None) -> str | None:
    return text and text[:MAX_FIELD_CHARACTERS]
