"""gunicorn's answer: one write with the first piece of its body; its parts are remembered.

A head of gunicorn's own takes two regular expressions a field, a calendar, and a packet by itself.
Here each field is checked once, and the date is made once a second. The framing and all rules are
gunicorn's (`gunicorn.http.wsgi.Response`, pinned exactly). Knows nothing of the application.

Way in: Answer, for server/worker.py.
"""

from __future__ import annotations

import time
from functools import lru_cache
from typing import Any

from gunicorn import util
from gunicorn.http.message import TOKEN_RE
from gunicorn.http.wsgi import HEADER_VALUE_RE, Response

# A larger piece is sent by itself: a copy of it costs more than a packet.
MAX_JOINED_BYTES = 64 * 1024
# How many fields are remembered: most are the same on each answer. Names and short values only.
MAX_KNOWN = 512
MAX_KNOWN_CHARS = 128


class Answer(Response):  # type: ignore[misc]
    """See the module. request_id: the id in the answer, whatever the application sets."""

    def __init__(self, req: Any, sock: Any, cfg: Any, request_id: str) -> None:
        super().__init__(req, sock, cfg)
        self._request_id = request_id
        # The head, while it is due and waits for the first piece of the body.
        self._held = b""

    def process_headers(self, headers: list[tuple[str, str]]) -> None:
        """Take the application's fields. Raises TypeError and ValueError for an invalid one."""
        for field in headers:
            name, value = field
            if len(value) <= MAX_KNOWN_CHARS and _is_plain(name, value):
                self.headers.append(field)
            elif name.lower() != "x-request-id":
                super().process_headers([field])

    def default_headers(self) -> list[str]:
        connection = "close" if self.should_close() else "keep-alive"
        if self.upgrade:
            connection = "upgrade"
        major, minor = self.req.version
        lines = [
            f"HTTP/{major}.{minor} {self.status}\r\nServer: {self.version}\r\n"
            f"Date: {_date_of(int(time.time()))}\r\nConnection: {connection}\r\n"
        ]
        if self.chunked:
            lines.append("Transfer-Encoding: chunked\r\n")
        lines.append(f"X-Request-ID: {self._request_id}\r\n")
        return lines

    def send_headers(self) -> None:
        """Send the head by itself, unless it was sent or is held for the next piece."""
        if not self.headers_sent:
            self._hold_head()
            self._send(b"")

    def write(self, arg: bytes) -> None:
        # An empty piece means: the body comes later, but send the head now.
        if arg and not self.headers_sent:
            self._hold_head()
        super().write(arg)
        if self._held:
            self._send(b"")

    def _hold_head(self) -> None:
        fields = [f"{name}: {value}\r\n" for name, value in self.headers]
        self._held = "".join([*self.default_headers(), *fields, "\r\n"]).encode("latin-1")
        self.headers_sent = True

    def _emit_body(self, data: bytes) -> None:
        self._send(b"%X\r\n%b\r\n" % (len(data), data) if self.chunked else data)

    def _send(self, data: bytes) -> None:
        held, self._held = self._held, b""
        if held and len(data) > MAX_JOINED_BYTES:
            self.sock.sendall(held)
            held = b""
        self.sock.sendall(held + data if held else data)


@lru_cache(MAX_KNOWN)
def _is_plain(name: str, value: str) -> bool:
    """Is a field sent as it is: valid, and not treated specially by gunicorn?"""
    return bool(
        TOKEN_RE.fullmatch(name)
        and HEADER_VALUE_RE.fullmatch(value)
        and value == value.strip(" \t")
        and name.lower() not in ("content-length", "x-request-id")
        and not util.is_hoppish(name)
    )


@lru_cache(2)
def _date_of(second: int) -> str:
    text: str = util.http_date(second)
    return text
