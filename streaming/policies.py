"""Properties of all responses: header fields, bodies, other sites, speed, proxies.

Way in: STANDING and OF_PAGES for Application, apply_policies.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from flask import Flask
from flask_cors import CORS
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.routing import PathConverter

from auth.answers import SECURITY_HEADERS
from streaming.pace import Paced

# The largest body: a form or a JSON object with a selection. Events have their own bound.
MAX_BODY_BYTES = 64 * 1024

# A page loads what this server has, and neither script nor style that is written in it.
PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:;"
    " media-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none';"
    " frame-ancestors 'none'"
)

# Of all responses: they show what their reader may see.
STANDING = [*SECURITY_HEADERS.items(), ("Cache-Control", "private, no-cache")]
OF_PAGES = [
    ("Content-Security-Policy", PAGE_POLICY),
    ("Cross-Origin-Opener-Policy", "same-origin"),
]

# Fields of responses that pages of other sites may read.
EXPOSED = (
    "Content-Disposition", "Content-Range", "ETag", "Headwater-Connection", "Headwater-Cursor",
    "Headwater-Export", "Location", "Repr-Digest", "Retry-After", "X-Request-ID",
)  # fmt: skip


class AnyPath(PathConverter):
    """Flask's `path`, which takes no line feed; the name of a file may have one."""

    regex = "(?s:[^/].*?)"


def apply_policies(app: Flask, origins: Sequence[str], bytes_per_s: int, proxies: int) -> None:
    """Have all responses of app follow the settings.

    origins: of the sites whose pages may make requests. bytes_per_s: of each download; 0 for any
    speed. proxies: how many of them name the client before this server.
    """
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY_BYTES
    app.url_map.converters["path"] = AnyPath
    if bytes_per_s:
        app.after_request(partial(_slow_down, bytes_per_s=bytes_per_s))
    if origins:
        app.after_request(_vary_by_origin)
        CORS(app, origins=list(origins), expose_headers=EXPOSED)
    if proxies:
        app.wsgi_app = ProxyFix(  # type: ignore[method-assign]
            app.wsgi_app, x_for=proxies, x_proto=proxies, x_host=proxies
        )


def _vary_by_origin(response: Any) -> Any:
    response.vary.add("Origin")
    return response


def _slow_down(response: Any, bytes_per_s: int) -> Any:
    if response.direct_passthrough:
        response.response = Paced(response.response, bytes_per_s)
    return response
