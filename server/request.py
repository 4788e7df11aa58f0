"""gunicorn's request, whose head is parsed once for all requests that begin with the same bytes.

Most requests on a kept connection have the head of the one before. The result of gunicorn's parser
depends on the bytes of the head, on whether the peer is a trusted proxy, and on settings, which a
worker does not change: so it is remembered for those bytes, up to the empty line. The caller's
identity and rights are not remembered: they are read from the environ each time. The parser and the
environ are gunicorn's (`gunicorn.http`, pinned exactly).

Way in: know_heads, once in a worker; environ_of, for each request.
"""

from __future__ import annotations

from functools import lru_cache
from io import RawIOBase
from typing import Any

from gunicorn.http import wsgi
from gunicorn.http.body import LengthReader
from gunicorn.http.message import Request, _ip_in_allow_list
from gunicorn.http.parser import Parser, RequestParser

# How many heads are remembered, each at most 11 KB with its result: 5 MB. All are forgotten when
# there are more. A longer head, such as one of a browser with many cookies, is parsed each time.
MAX_HEADS = 512
MAX_HEAD_BYTES = 2048
# For so many peers it is remembered whether they are trusted.
MAX_PEERS = 1024

_END = b"\r\n\r\n"
# The values of an environ that differ between requests with the same head.
_OWN = ("wsgi.input", "wsgi.early_hints", "gunicorn.socket", "REMOTE_ADDR", "REMOTE_PORT")


class Errors(RawIOBase):
    """`wsgi.errors`: gunicorn's stream, made at each write, since its files may change."""

    def __init__(self, cfg: Any) -> None:
        self._cfg = cfg

    def write(self, text: Any) -> None:
        wsgi.WSGIErrorsWrapper(self._cfg).write(text)


class Head:
    """The result of parsing a head. fields: of the request. environs: by the listening address."""

    __slots__ = ("environs", "fields", "headers")

    def __init__(self, request: KnownRequest) -> None:
        self.headers = request.headers
        mine = ("unreader", "body", "trailers", "headers", "peer_addr", "remote_addr", "req_number")
        self.fields = {k: v for k, v in vars(request).items() if k not in mine}
        self.environs: dict[Any, dict[str, Any]] = {}


_heads: dict[tuple[bytes, bool], Head] = {}


class KnownRequest(Request):  # type: ignore[misc]
    """See the module. head: the part shared with other requests, None if nothing is remembered."""

    head: Head | None = None
    headers: list[tuple[str, str]]
    trailers: list[tuple[str, str]]
    _closes: bool | None = None

    def __init__(self, cfg: Any, unreader: Any, peer_addr: Any, req_number: int = 1) -> None:
        data = unreader.read()
        if not data:
            raise StopIteration
        # A proxy's line with the client's address comes before the first head.
        is_plain = req_number > 1 or cfg.proxy_protocol == "off"
        end = data.find(_END) + len(_END) if is_plain else 0
        if not len(_END) <= end <= MAX_HEAD_BYTES or data.startswith(b"\r"):
            unreader.unread(data)
            super().__init__(cfg, unreader, peer_addr, req_number)
            return
        # The parser looks for the same end, so later bytes change nothing.
        key = data[:end], _is_trusted(cfg, peer_addr)
        head = _heads.get(key)
        if head is None:
            unreader.unread(data)
            super().__init__(cfg, unreader, peer_addr, req_number)
            self._closes = super().should_close()
            if len(_heads) >= MAX_HEADS:
                _heads.clear()
            self.head = _heads[key] = Head(self)
            return
        self.__dict__.update(head.fields)
        self.head = head
        self.headers, self.trailers = head.headers.copy(), []
        self.unreader, self.req_number = unreader, req_number
        self.peer_addr = self.remote_addr = peer_addr
        unreader.unread(data[end:])
        self.set_body_reader()

    def should_close(self) -> bool:
        if self._closes is None:
            return bool(super().should_close())
        return bool(self.must_close) or self._closes


def know_heads() -> None:
    """Make gunicorn use remembered heads for the requests of this process."""
    RequestParser.mesg_class = KnownRequest
    RequestParser.finish_body = _finish_body


def _finish_body(parser: Any, deadline: float | None = None, max_bytes: int | None = None) -> bool:
    """Drop the rest of a body; most were read to the end."""
    body = parser.mesg and parser.mesg.body
    if body and isinstance(body.reader, LengthReader) and not (body.reader.length or body.failed):
        return True
    return bool(Parser.finish_body(parser, deadline, max_bytes))


def environ_of(
    request: Any, sock: Any, addr: Any, server: Any, cfg: Any, answer: type, request_id: str
) -> tuple[Any, dict[str, Any]]:
    """Return the answer and the environ that gunicorn's `create` would make for a request.

    addr: the peer's. server: the listening address. answer: its class.
    """
    head = getattr(request, "head", None)
    if head is None or request.proxy_protocol_info or not isinstance(addr, tuple):
        made: tuple[Any, dict[str, Any]] = wsgi.create(
            request, sock, addr, server, cfg, answer, (request_id,)
        )
        return made
    known = head.environs.get(server)
    if known is None:
        made = wsgi.create(request, sock, addr, server, cfg, answer, (request_id,))
        common = {k: v for k, v in made[1].items() if k not in _OWN}
        head.environs[server] = {**common, "wsgi.errors": Errors(cfg)}
        return made
    environ = known.copy()
    reply = answer(request, sock, cfg, request_id)
    environ["wsgi.input"] = request.body
    environ["wsgi.early_hints"] = wsgi._make_early_hints_callback(request, sock, reply)
    environ["gunicorn.socket"] = sock
    environ["REMOTE_ADDR"], environ["REMOTE_PORT"] = addr[0], str(addr[1])
    return reply, environ


def _is_trusted(cfg: Any, peer_addr: Any) -> bool:
    """Tell whether gunicorn trusts the peer's header fields about the clients that it forwards."""
    return not isinstance(peer_addr, tuple) or _is_trusted_host(cfg, peer_addr[0])


@lru_cache(MAX_PEERS)
def _is_trusted_host(cfg: Any, host: str) -> bool:
    return bool(_ip_in_allow_list(host, cfg.forwarded_allow_ips, cfg.forwarded_allow_networks()))
