"""The address that is examined: connections to it, requests and their answers.

No request is retried and no connection is kept open, so that each figure is of one exchange. Way
in: Site.parse. A late answer raises TimeoutError, which is an OSError like all errors here.
"""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from email.message import Message
from typing import Any
from urllib.parse import urlsplit

from .findings import Unfit

# A first byte may have to wait for a database.
ANSWER_S = 20.0
AGENT = "headwater-doctor"
SHAPE = {"error", "message", "status", "detail"}


@dataclass(frozen=True)
class Reply:
    """One answer, read to its end. first_s: until its head was there; seconds: until its end."""

    status: int
    headers: Message
    body: bytes
    first_s: float
    seconds: float

    def json(self) -> Any:
        """Return the parsed body, None if it is not JSON."""
        with suppress(ValueError):
            return json.loads(self.body)
        return None

    @property
    def refusal(self) -> dict[str, Any] | None:
        """The error in the server's one shape; None for an error of a proxy."""
        fields = self.json() if self.status >= 400 else None
        return fields if isinstance(fields, dict) and fields.keys() == SHAPE else None

    def describe(self) -> str:
        """Return a summary of the answer, for a line."""
        refusal = self.refusal
        said = refusal["message"] if refusal else self.headers.get("Content-Type", "no type")
        return f"{self.status}, {said}"

    def check_allowed(self) -> Reply:
        """Return this answer. Raises Unfit if the server reports that the token may not read it."""
        refusal = self.refusal
        if refusal and self.status in (401, 403, 429):
            raise Unfit(f"{self.status}: {refusal['message']}")
        return self


class Stream:
    """An answer that is read as it arrives."""

    def __init__(self, sock: socket.socket, answer: http.client.HTTPResponse) -> None:
        self._sock = sock
        self._answer = answer
        self.status = answer.status
        self.headers = answer.headers

    def read(self, size: int | None = None) -> bytes:
        return self._answer.read(size)

    def lines_until(self, ends_s: float) -> Iterator[bytes]:
        """Yield lines as they arrive. Raises TimeoutError at ends_s, a time.monotonic()."""
        while True:
            left_s = ends_s - time.monotonic()
            if left_s <= 0:
                raise TimeoutError
            self._sock.settimeout(left_s)
            line = self._answer.readline()
            if not line:
                return
            yield line


@dataclass(frozen=True)
class Site:
    """The address of the server for its clients. path: the prefix of all paths."""

    scheme: str
    host: str
    port: int
    path: str
    token: str | None = None

    @classmethod
    def parse(cls, url: str, token: str | None = None) -> Site:
        """Raises ValueError if url is no http(s) address."""
        parts = urlsplit(url if "//" in url else f"http://{url}")
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"{url!a} is no address; https://headwater.example would be one")
        port = parts.port or (443 if parts.scheme == "https" else 80)
        return cls(parts.scheme, parts.hostname, port, parts.path.rstrip("/"), token)

    @property
    def is_tls(self) -> bool:
        return self.scheme == "https"

    @property
    def name(self) -> str:
        """Host and port, as a browser writes them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.is_tls else 80) else f"{host}:{self.port}"

    @property
    def origin(self) -> str:
        return f"{self.scheme}://{self.name}"

    def connect(
        self, timeout_s: float = ANSWER_S, receive_bytes: int | None = None
    ) -> socket.socket:
        """Return a connection with a checked certificate. The caller closes it.

        receive_bytes: the receive buffer of this end; None leaves it to the system.
        """
        plain = socket.create_connection((self.host, self.port), timeout=timeout_s)
        if receive_bytes is not None:
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        if not self.is_tls:
            return plain
        try:
            return ssl.create_default_context().wrap_socket(plain, server_hostname=self.host)
        except BaseException:
            plain.close()
            raise

    def fields(self, headers: Mapping[str, str]) -> dict[str, str]:
        """Return headers, after those that every request has."""
        token = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        return {"Host": self.name, "User-Agent": AGENT, **token, **headers}

    @contextmanager
    def open(
        self,
        path: str,
        headers: Mapping[str, str] | None = None,
        *,
        method: str = "GET",
        body: bytes | None = None,
        timeout_s: float = ANSWER_S,
        receive_bytes: int | None = None,
    ) -> Iterator[Stream]:
        """Send a request; yield the answer once its head is there. The others are as in connect."""
        client = http.client.HTTPConnection(self.name, timeout=timeout_s)
        with closing(client), self.connect(timeout_s, receive_bytes) as sock:
            client.sock = sock
            try:
                client.request(method, self.path + path, body, self.fields(headers or {}))
            except (BrokenPipeError, ConnectionResetError):
                pass  # It was answered before the body was sent.
            with closing(client.getresponse()) as answer:
                yield Stream(sock, answer)

    def ask(
        self,
        path: str,
        headers: Mapping[str, str] | None = None,
        *,
        method: str = "GET",
        body: bytes | None = None,
    ) -> Reply:
        """Return the whole answer."""
        began_s = time.monotonic()
        with self.open(path, headers, method=method, body=body) as stream:
            first_s = time.monotonic() - began_s
            data = stream.read()
        return Reply(stream.status, stream.headers, data, first_s, time.monotonic() - began_s)
