"""Which pages may connect: those of the same origin, unless the program decides otherwise.

Pure. Way in: is_same_origin, cors_headers. Source: https://fetch.spec.whatwg.org/#http-cors-protocol
"""

from __future__ import annotations

from collections.abc import Callable

from sockets.engineio.contract import Environ

# Takes an origin and the environ of the request: may pages of that origin connect?
AllowOrigin = Callable[[str, Environ], bool]


def is_same_origin(origin: str, environ: Environ) -> bool:
    return origin == f"{environ['wsgi.url_scheme']}://{environ.get('HTTP_HOST')}"


def cors_headers(
    environ: Environ, allow: AllowOrigin | None, *, credentials: bool
) -> list[tuple[str, str]]:
    """Return the header fields of an answer. allow: None for no fields."""
    if allow is None:
        return []
    headers = []
    origin = environ.get("HTTP_ORIGIN")
    if origin is not None and allow(origin, environ):
        headers.append(("Access-Control-Allow-Origin", origin))
    if environ["REQUEST_METHOD"] == "OPTIONS":
        headers.append(("Access-Control-Allow-Methods", "OPTIONS, GET, POST"))
    if "HTTP_ACCESS_CONTROL_REQUEST_HEADERS" in environ:
        asked = environ["HTTP_ACCESS_CONTROL_REQUEST_HEADERS"]
        headers.append(("Access-Control-Allow-Headers", asked))
    if credentials:
        headers.append(("Access-Control-Allow-Credentials", "true"))
    return headers
