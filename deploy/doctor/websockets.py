"""WebSockets and Socket.IO: the upgrade and the page's origin arrive at the server.

Has only the parts of RFC 6455 that an examination needs: the opening handshake, and short frames of
a server.
"""

from __future__ import annotations

import base64
import http.client
import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import IO, NamedTuple

from . import remedies
from .findings import Unfit, Wrong
from .site import Reply, Site

FEED = "/ws/events/status"
ENGINE = "/socket.io/?EIO=4&transport="
# The status is published each second.
FRAME_S = 4.0
TEXT = 1
# Names that a proxy may put in place of this one: its own for the server, the server's address.
UPSTREAMS = ("headwater", "127.0.0.1:8000", "localhost:8000", "127.0.0.1", "localhost")
# RFC 6455, 4.1.
HANDSHAKE = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"}


class Opening(NamedTuple):
    """The answer to a handshake. reply: with a body, unless it is 101. file: the bytes after it."""

    reply: Reply
    file: IO[bytes]

    def first_text(self) -> bytes:
        """Return the first text message. Raises OSError if none arrives."""
        while True:
            head = self.file.read(2)
            if len(head) < 2:
                raise ConnectionError("it was closed at once")
            length = head[1] & 0x7F
            if length >= 126:
                length = int.from_bytes(self.file.read(2 if length == 126 else 8), "big")
            data = self.file.read(length)
            if head[0] & 0x0F == TEXT:
                return data


@contextmanager
def shake_hands(site: Site, path: str, headers: Mapping[str, str]) -> Iterator[Opening]:
    """Request a WebSocket, and yield the answer."""
    key = base64.b64encode(secrets.token_bytes(16)).decode()
    fields = site.fields({**HANDSHAKE, "Sec-WebSocket-Key": key, **headers})
    lines = [f"GET {site.path}{path} HTTP/1.1", *(f"{k}: {v}" for k, v in fields.items())]
    began_s = time.monotonic()
    with site.connect() as sock:
        sock.sendall("\r\n".join([*lines, "", ""]).encode())
        file = sock.makefile("rb")
        words = file.readline(1024).split()
        first_s = time.monotonic() - began_s
        if len(words) < 2 or not words[1].isdigit():
            raise ConnectionError("the answer is no HTTP")
        status, fields_of_it = int(words[1]), http.client.parse_headers(file)
        length = fields_of_it.get("Content-Length", "")
        body = file.read(int(length)) if status != 101 and length.isdigit() else b""
        sock.settimeout(FRAME_S)
        yield Opening(Reply(status, fields_of_it, body, first_s, first_s), file)


def check_websocket(site: Site) -> str:
    """A WebSocket opens, and an event arrives."""
    began_s = time.monotonic()
    with shake_hands(site, FEED, {}) as opening:
        _check_upgraded(opening.reply)
        _first_text(opening)
    return f"an event after {time.monotonic() - began_s:.2f} s"


def check_origin(site: Site) -> str:
    """The server treats pages of this address as its own."""
    reply = _try_origin(site, site.origin)
    if reply.status == 101:
        return site.origin
    if _try_origin(site, None).status != 101:
        raise Unfit("no WebSocket opens")
    other = "http" if site.is_tls else "https"
    if _try_origin(site, f"{other}://{site.name}").status == 101:
        told = f"pages of {site.origin} are foreign: the server believes that it is {other}"
        raise Wrong(told, remedies.SCHEME)
    hosts = [site.host, *UPSTREAMS]
    found = (h for h in hosts if _try_origin(site, f"{site.scheme}://{h}").status == 101)
    name = next(found, "something else")
    told = f"pages of {site.origin} are foreign: the server believes that it is {name}"
    raise Wrong(told, remedies.HOST, remedies.SCHEME)


def check_socket_io(site: Site) -> str:
    """Socket.IO opens a session, by polling and by a WebSocket."""
    began_s = time.monotonic()
    reply = site.ask(f"{ENGINE}polling").check_allowed()
    if reply.status != 200 or not reply.body.startswith(b"0{"):
        told = f"polling is answered by {reply.describe()}"
        raise Wrong(told, remedies.PASS)
    session = reply.body.partition(b'"sid":"')[2].partition(b'"')[0].decode("ascii", "replace")
    told_back = site.ask(f"{ENGINE}polling&sid={session}", method="POST", body=b"40/live,")
    if told_back.body != b"ok":
        raise Wrong(f"a packet is answered by {told_back.describe()}", remedies.PASS)
    heard = site.ask(f"{ENGINE}polling&sid={session}")
    with suppress(OSError):
        site.ask(f"{ENGINE}polling&sid={session}", method="POST", body=b"1")
    if b"44/live," in heard.body:
        raise Unfit("the token does not open /live")
    if b"40/live," not in heard.body:
        raise Wrong(f"/live does not open: {heard.describe()}", remedies.UNCACHED)
    seconds = time.monotonic() - began_s
    with shake_hands(site, f"{ENGINE}websocket", {}) as opening:
        _check_upgraded(opening.reply)
        _first_text(opening)
    return f"/live opens by polling after {seconds * 1000:.0f} ms, and by a WebSocket"


def _try_origin(site: Site, origin: str | None) -> Reply:
    with shake_hands(site, FEED, {"Origin": origin} if origin else {}) as opening:
        return opening.reply


def _first_text(opening: Opening) -> bytes:
    try:
        return opening.first_text()
    except OSError as error:
        raise Wrong(
            "it opens, and nothing comes through", remedies.UPGRADE, remedies.IDLE
        ) from error


def _check_upgraded(reply: Reply) -> None:
    """Raises Wrong, Unfit."""
    if reply.status == 101:
        return
    reply.check_allowed()
    refusal = reply.refusal
    if refusal and "HTTP/1.1" in refusal["message"]:
        raise Wrong("the server is asked by HTTP/1.0", remedies.HTTP_1_1)
    if reply.status in (400, 426) and refusal:
        told = "the request for an upgrade does not arrive"
        raise Wrong(told, remedies.HTTP_1_1, remedies.UPGRADE, remedies.CONNECTION)
    raise Wrong(f"an upgrade is answered by {reply.describe()}", remedies.UPGRADE, remedies.PASS)
