"""The environ of the request that opened a session, for its handlers. Way in: KeptEnviron."""

from __future__ import annotations

import io
import sys
from collections.abc import Mapping
from typing import Any

# The keys that are kept of the request that opened a session, besides the header fields.
_KEPT = (
    "REQUEST_METHOD", "SCRIPT_NAME", "PATH_INFO", "QUERY_STRING", "SERVER_NAME", "SERVER_PORT",
    "SERVER_PROTOCOL", "REMOTE_ADDR", "REMOTE_PORT", "wsgi.url_scheme",
)  # fmt: skip
# Fields that only concern that one request.
_DROPPED = (
    "HTTP_CONNECTION", "HTTP_UPGRADE", "HTTP_ACCEPT_ENCODING", "HTTP_CACHE_CONTROL", "HTTP_PRAGMA",
    "HTTP_SEC_WEBSOCKET_KEY", "HTTP_SEC_WEBSOCKET_VERSION", "HTTP_SEC_WEBSOCKET_EXTENSIONS",
)  # fmt: skip


class KeptEnviron:
    """A WSGI environ in a fifth of the space: one string, parsed again for each handler."""

    __slots__ = ("_app", "_text")

    def __init__(self, environ: Mapping[str, Any]) -> None:
        self._app = environ.get("flask.app")
        names = [name for name in environ if name.startswith("HTTP_") and name not in _DROPPED]
        names += [name for name in _KEPT if name in environ]
        # Neither names nor values hold a NUL: HTTP refuses it.
        self._text = "\0".join(f"{name}\0{environ[name]}" for name in names)

    def environ(self) -> dict[str, Any]:
        """Return a new environ, which the caller owns."""
        parts = iter(self._text.split("\0"))
        environ: dict[str, Any] = dict(zip(parts, parts, strict=True))
        environ["flask.app"] = self._app
        environ["wsgi.input"] = io.BytesIO()
        environ["wsgi.errors"] = sys.stderr
        environ["wsgi.version"] = (1, 0)
        environ["wsgi.multithread"] = True
        environ["wsgi.multiprocess"] = environ["wsgi.run_once"] = False
        return environ
