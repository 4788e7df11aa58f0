"""A head that is known: what is found for it is what gunicorn finds, for each request anew."""

from __future__ import annotations

import pytest
from gunicorn.config import Config
from gunicorn.http import wsgi
from gunicorn.http.body import ChunkedReader
from gunicorn.http.errors import NoMoreData, ParseException
from gunicorn.http.message import Request
from gunicorn.http.unreader import IterUnreader

from server import request as heads
from server.request import MAX_HEAD_BYTES, MAX_HEADS, KnownRequest, environ_of
from server.response import Answer

ADDR, SERVER, UNIX = ("127.0.0.1", 4000), ("127.0.0.1", 8000), ""
HOST = b"Host: localhost\r\n"

# What a client sends at once; the second time it is known.
SENT = {
    "a GET": b"GET /a?b=%2f HTTP/1.1\r\n" + HOST + b"\r\n",
    "no field": b"GET / HTTP/1.0\r\n\r\n",
    "fields twice, in any case": b"GET / HTTP/1.1\r\n" + HOST + b"X-a: 1\r\nx-A: 2\r\n\r\n",
    "a body": b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\n\r\nhello",
    "a body, and what is behind it": b"POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\nhiGET /",
    "a chunked body": b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
    "chunked by the way": b"POST / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "a body that waits": b"POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n",
    "the last": b"GET / HTTP/1.1\r\nConnection: Close\r\n\r\n",
    "not the last": b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    "a WebSocket": b"GET / HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    "an empty line before": b"\r\nGET / HTTP/1.1\r\n" + HOST + b"\r\n",
    "a scheme that a proxy tells": b"GET / HTTP/1.1\r\nX-Forwarded-Proto: https\r\n\r\n",
    "too long to be known": b"GET / HTTP/1.1\r\nX-Long: " + b"x" * MAX_HEAD_BYTES + b"\r\n\r\n",
}
BROKEN = {
    "no method": b"get / HTTP/1.1\r\n\r\n",
    "a bare line feed": b"GET / HTTP/1.1\r\nA: b\nC: d\r\n\r\n",
    "no end": b"GET / HTTP/1.1\r\nA: b\r\n",
    "two lengths": b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\na",
    "a length and chunks": b"POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked"
    b"\r\n\r\n",
}


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch):
    monkeypatch.setattr(heads, "_heads", {})


@pytest.fixture
def cfg():
    made = Config()
    made.set("forwarded_allow_ips", "")
    made.set("http_parser", "python")
    made.__dict__.update({name: each.get() for name, each in made.settings.items()})
    return made


@pytest.fixture
def find(cfg):
    """find(sent, ...): all that is found in it, and of its body, by a kind of request."""

    def find(sent, kind=KnownRequest, addr=ADDR, number=2, server=SERVER):
        pieces = [sent] if isinstance(sent, bytes) else sent
        unreader = IterUnreader(pieces)
        request = kind(cfg, unreader, addr, number)
        request.proxy_protocol_info = {}
        closes, waits = request.should_close(), request._expected_100_continue
        request._expected_100_continue = False
        if kind is KnownRequest:
            _, environ = environ_of(request, None, addr, server, cfg, Answer, "an-id")
        else:
            _, environ = wsgi.create(request, None, addr, server, cfg, Answer, ("an-id",))
        environ = {k: v for k, v in environ.items() if not callable(v) and k != "wsgi.errors"}
        assert environ.pop("wsgi.input") is request.body
        mine = ("unreader", "body", "head", "_closes")
        fields = {k: v for k, v in vars(request).items() if k not in mine}
        is_chunked = isinstance(request.body.reader, ChunkedReader)
        body = b"" if waits else request.body.read()
        return fields, environ, is_chunked, body, unreader.take_buffered(), closes, waits

    return find


@pytest.mark.parametrize("sent", SENT.values(), ids=SENT.keys())
@pytest.mark.parametrize("addr", [ADDR, UNIX], ids=["tcp", "unix"])
def test_what_is_known_is_what_gunicorn_finds(find, sent, addr):
    want = find(sent, Request, addr)
    for _ in range(3):
        assert find(sent, addr=addr) == want


def test_a_head_is_parsed_once(find, monkeypatch):
    find(SENT["a body"])
    monkeypatch.setattr(Request, "parse", None)
    assert find(SENT["a body"].replace(b"hello", b"other"))[3] == b"other"


@pytest.mark.parametrize(
    ("one", "other"),
    [(b"a", b"A"), (b"1.1", b"1.0"), (b"Accept", b"ACCEPT"), (b"x/y", b"x/y ")],
    ids=["path", "version", "name", "blank"],
)
def test_another_byte_is_another_head(find, one, other):
    sent = b"GET /a HTTP/1.1\r\nAccept: x/y\r\n\r\n"
    for each in (sent, sent.replace(one, other, 1)):
        assert find(each) == find(each, Request)


def test_who_is_trusted_is_another_one(find):
    """One that asks by the Unix socket is a proxy, and may say https."""
    sent = SENT["a scheme that a proxy tells"]
    schemes = [find(sent, addr=addr)[1]["wsgi.url_scheme"] for addr in (ADDR, UNIX, ADDR, UNIX)]
    assert schemes == ["http", "https", "http", "https"]


def test_each_has_its_own_peer_and_server(find):
    other, elsewhere = ("127.0.0.2", 5), ("::1", 9, 0, 0)
    for addr, server in [(ADDR, SERVER), (other, SERVER), (other, elsewhere), (ADDR, SERVER)]:
        sent = SENT["a GET"]
        assert find(sent, addr=addr, server=server) == find(sent, Request, addr, server=server)


def test_what_is_done_to_one_is_not_done_to_the_next(cfg):
    for _ in range(3):
        request = KnownRequest(cfg, IterUnreader([SENT["a body that waits"]]), ADDR, 2)
        request.proxy_protocol_info = {}
        assert (request._expected_100_continue, request.should_close()) == (True, False)
        request._expected_100_continue = False
        _, environ = environ_of(request, None, ADDR, SERVER, cfg, Answer, "an-id")
        assert "gone" not in environ
        environ["gone"] = environ.pop("HTTP_EXPECT")
        request.headers.clear()
        request.force_close()
        assert request.should_close()


@pytest.mark.parametrize("sent", BROKEN.values(), ids=BROKEN.keys())
def test_what_cannot_be_read_is_refused_each_time(find, sent):
    for _ in range(2):
        with pytest.raises((ParseException, NoMoreData)):
            find(sent)
    assert not heads._heads


def test_a_head_in_pieces_is_read_as_it_comes(find):
    sent = SENT["a body"]
    want = find(sent, Request)
    for at in range(1, len(sent)):
        assert find([sent[:at], sent[at:]]) == want


def test_what_is_remembered_is_bounded(find):
    for number in range(MAX_HEADS + 10):
        find(b"GET /%d HTTP/1.1\r\n\r\n" % number)
    assert len(heads._heads) == 10


def test_whom_a_proxy_names_is_no_part_of_a_head(cfg):
    cfg.__dict__.update(proxy_protocol="v1", proxy_allow_ips=["127.0.0.1"])
    for address in ("10.0.0.1", "10.0.0.2"):
        sent = b"PROXY TCP4 %b 10.0.0.9 1 2\r\n" % address.encode() + SENT["a GET"]
        request = KnownRequest(cfg, IterUnreader([sent]), ADDR, 1)
        _, environ = environ_of(request, None, ADDR, SERVER, cfg, Answer, "an-id")
        assert environ["REMOTE_ADDR"] == address


def test_nobody_who_has_left_is_a_request(cfg):
    with pytest.raises(StopIteration):
        KnownRequest(cfg, IterUnreader([b""]), ADDR, 1)
