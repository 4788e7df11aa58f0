"""The opening handshake of a WebSocket, on the server's side.

Pure: a WSGI environ in, the bytes of the 101 out, or BadHandshake. No extensions and no
subprotocols are negotiated, so frames are the same for every client. Way in: answer_handshake.
Source: RFC 6455, 4.2.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from wsproto.utilities import generate_accept_token

from sockets.engineio.errors import BadHandshake

VERSION = "13"

# 4.2.1: base64 of 16 bytes.
_KEY = re.compile(r"[A-Za-z0-9+/]{22}==")
# RFC 9110, 5.6.2 and 5.5.
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[ \t\x21-\x7e\x80-\xff]*")


def answer_handshake(environ: Mapping[str, Any], headers: Iterable[tuple[str, str]] = ()) -> bytes:
    """Return the head that accepts a client's handshake.

    headers: more fields of the head. Raises BadHandshake if the request does not follow 4.2.1.
    """
    _check(environ)
    accept = generate_accept_token(environ["HTTP_SEC_WEBSOCKET_KEY"].encode()).decode()
    fields = [
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Accept", accept),
        *headers,
    ]
    for name, value in fields:
        if not _NAME.fullmatch(name) or not _VALUE.fullmatch(value):
            raise ValueError(f"no header field: {name!r}")
    lines = [f"{name}: {value}\r\n" for name, value in fields]
    return f"HTTP/1.1 101 Switching Protocols\r\n{''.join(lines)}\r\n".encode("latin-1")


def is_upgrade(environ: Mapping[str, Any]) -> bool:
    """Tell whether a request asks for a WebSocket."""
    return "websocket" in _words(environ, "HTTP_UPGRADE") and "upgrade" in _words(
        environ, "HTTP_CONNECTION"
    )


def _check(environ: Mapping[str, Any]) -> None:
    if not is_upgrade(environ):
        # RFC 9110, 15.5.22: MUST name the protocol.
        headers = {"Upgrade": "websocket", "Connection": "Upgrade"}
        raise BadHandshake(426, "this address speaks WebSocket: ask for an upgrade", headers)
    if environ.get("HTTP_SEC_WEBSOCKET_VERSION") != VERSION:
        headers = {"Sec-WebSocket-Version": VERSION}  # 4.2.2, and 4.4
        raise BadHandshake(426, f"only version {VERSION} of WebSocket is spoken here", headers)
    if environ["REQUEST_METHOD"] != "GET":
        raise BadHandshake(400, "a WebSocket is requested by GET")
    if environ["SERVER_PROTOCOL"] == "HTTP/1.0":
        raise BadHandshake(400, "a WebSocket is requested by HTTP/1.1")
    if not _KEY.fullmatch(environ.get("HTTP_SEC_WEBSOCKET_KEY", "")):
        raise BadHandshake(400, "Sec-WebSocket-Key must be base64 of 16 bytes")
    if environ.get("CONTENT_LENGTH", "0") not in ("", "0") or "HTTP_TRANSFER_ENCODING" in environ:
        # The body would be read as frames.
        raise BadHandshake(400, "a request for a WebSocket has no body")


def _words(environ: Mapping[str, Any], field: str) -> list[str]:
    return [word.strip().lower() for word in environ.get(field, "").split(",")]
