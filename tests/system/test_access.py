"""Who may do what: every route and every socket event, by every kind of who asks.

The rows are held against the routing table and the handlers of /live: a new one without a row
fails.
"""

import http.client
import json
import socket
import sqlite3
import time
from contextlib import closing, nullcontext, suppress
from itertools import count
from typing import NamedTuple

import pytest

from app import create_app
from auth import Tokens
from settings import Settings
from sockets.live import Live
from state import State
from tests.sockets.clients import RawWebSocket
from tests.system.feeds import READERS
from tests.system.server import CATALOGUE, status_unless_cut, wait_until
from wire.cursors import Cursor, format_cursor, topic_mark

JSON = "application/json"
HOUSE = """
[folders.papers]
path = "papers"

[logs.diary]
path = "diary.log"
"""
RIGHT = ("read:*", "subscribe:*", "publish:*")
WRONG = ("read:nothing", "subscribe:nothing", "publish:nothing")


class Row(NamedTuple):
    """A request, and the status for each kind of who asks.

    {export} in the path is the id of an export that the right one has asked for. link: of following
    one, or 422 or 404 where none can be made.
    """

    path: str
    none: int
    wrong: int
    right: int
    link: int = 422
    body: dict | None = None
    content_type: str = JSON


def public(path, status=200, **more):
    return Row(path, status, status, status, **more)


def signed_in(path, status=200, **more):
    return Row(path, 401, status, status, **more)


def scoped(path, status=200, **more):
    return Row(path, 401, 403, status, link=status, **more)


EVENT = {"name": "a", "data": 1}

# By rule and method.
ROWS = {
    "/ GET": signed_in("/"),
    "/api GET": public("/api"),
    "/broadcast/<path:message> POST": Row("/broadcast/hi", 401, 403, 200),
    "/download GET": scoped("/download"),
    "/download-async GET": scoped("/download-async"),
    "/download/<name>.zip GET": scoped("/download/papers.zip"),
    "/download/<path:file> GET": scoped("/download/things.csv"),
    "/events GET": signed_in("/events"),
    "/events/<path:names> GET": scoped("/events/demo/a?poll=1"),
    "/events/<path:topic> POST": Row("/events/demo/a", 401, 403, 201, body=EVENT),
    "/events/<path:topic>/readers GET": scoped("/events/demo/a/readers"),
    "/exports GET": signed_in("/exports"),
    "/exports POST": Row(
        "/exports", 401, 403, 202, body={"source": "things", "format": "csv"}
    ),
    "/exports/<export_id> GET": Row("/exports/{export}", 401, 404, 200, link=200),
    "/exports/<export_id>/file GET": Row("/exports/{export}/file", 401, 404, 200, link=200),
    "/exports/<export_id> DELETE": Row("/exports/{export}", 401, 404, 200),
    "/favicon.ico GET": public("/favicon.ico"),
    "/files GET": signed_in("/files"),
    "/files/<name>/ GET": scoped("/files/papers/"),
    "/files/<name>/<path:path> GET": scoped("/files/papers/a.txt"),
    "/healthz GET": public("/healthz"),
    "/links POST": Row(
        "/links", 401, 403, 201, body={"url": "/download/things.csv", "expires_s": 60}
    ),
    "/login GET": public("/login"),
    # Without the mark of the form.
    "/login POST": public("/login", 403, body={}),
    "/logout POST": public("/logout", 403, body={}),
    "/logs GET": signed_in("/logs"),
    "/logs/<name> GET": scoped("/logs/diary"),
    "/metrics GET": Row("/metrics", 401, 403, 403, link=403),
    "/openapi.json GET": public("/openapi.json"),
    "/readyz GET": public("/readyz"),
    "/report/<name> GET": scoped("/report/things"),
    "/sources GET": signed_in("/sources"),
    "/sources/<name> GET": scoped("/sources/things"),
    "/static/<path:filename> GET": public("/static/page.css"),
    "/ws/events/<path:names> GET": scoped("/ws/events/demo/a", 101),
    "/ws/live/ GET": signed_in("/ws/live/", 101),
}  # fmt: skip


# Of names that are nearly those that are there.
NEARLY = ["read:thing", "read:paper", "read:users", "subscribe:logs/diar", "subscribe:dem/a"]


class Site(NamedTuple):
    """A server, the texts of its tokens by kind, and what makes more of them."""

    server: object
    tokens: dict[str, str]
    file: Tokens


@pytest.fixture(scope="module")
def site(serve_all, tmp_path_factory):
    """A server with a token of each kind; `good` has no row of its own."""
    folder = tmp_path_factory.mktemp("tokens")
    (folder / "papers").mkdir()
    (folder / "papers" / "a.txt").write_text("a paper")
    (folder / "diary.log").write_text("a line\n")
    house = HOUSE.replace('"papers"', f'"{folder / "papers"}"')
    house = house.replace("diary.log", str(folder / "diary.log"))
    file = Tokens(State(folder / "instance"))
    tokens = {
        "right": file.add("right", RIGHT, {}),
        "wrong": file.add("wrong", WRONG, {}),
        "admin": file.add("admin", ["admin"], {}),
        "metrics": file.add("metrics", ["metrics"], {}),
        "near": file.add("near", NEARLY, {}),
        "withdrawn": file.add("withdrawn", RIGHT, {}),
    }
    file.withdraw(tokens["withdrawn"].split("_")[1])
    # Every request here is from one address, and most are refused.
    server = serve_all(CATALOGUE + house, HEADWATER_INSTANCE=str(folder / "instance"))
    return Site(server, tokens, file)


@pytest.fixture
def export(site):
    """The id of a complete export that the right one has asked for."""
    return ask(site, "right", "/exports", "POST", ROWS["/exports POST"].body).json()["id"]


def bearer(site, kind):
    """Return the headers of who is of this kind."""
    return {"Authorization": f"Bearer {site.tokens[kind]}"} if kind in site.tokens else {}


def ask(site, kind, path, method="GET", body=None, content_type=JSON):
    headers = bearer(site, kind)
    if body is not None:
        headers["Content_Type"] = content_type
    return site.server.get(path, method, body and json.dumps(body), **headers)


def status_of(site, kind, path, method, body):
    """Return the status of the answer; of a WebSocket's, that of its handshake."""
    if not path.startswith("/ws/"):
        return ask(site, kind, path, method, body).status
    with closing(RawWebSocket(site.server.port, path, **bearer(site, kind))) as client:
        return client.status


def test_every_route_has_a_row(tmp_path, lay_site):
    app = create_app(Settings(catalogue=lay_site(tmp_path), instance=tmp_path / "instance"))
    routes = {
        f"{rule.rule} {method}"
        for rule in app.url_map.iter_rules()
        for method in rule.methods - {"HEAD", "OPTIONS"}
    }
    assert routes == set(ROWS)


@pytest.mark.parametrize("kind", ["none", "wrong", "right", "withdrawn", "admin"])
@pytest.mark.parametrize("rule", ROWS)
def test_who_may_ask(site, export, rule, kind):
    row, method = ROWS[rule], rule.split()[1]
    path = row.path.format(export=export)
    is_public = row.none == row.right
    wanted = {
        "none": row.none,
        "wrong": row.wrong,
        "right": row.right,
        # To who may do everything a route that is refused to the right one is open.
        "admin": 200 if row.right == 403 and not is_public else row.right,
        "withdrawn": row.none if is_public else 401,
    }
    assert status_of(site, kind, path, method, row.body) == wanted[kind]


def test_who_may_see_the_metrics_may_do_nothing_else(site):
    shown = {rule: status_of(site, "metrics", ROWS[rule].path, "GET", None) for rule in GETS}
    assert shown.pop("/metrics GET") == 200
    assert shown == {rule: ROWS[rule].wrong for rule in GETS if rule != "/metrics GET"}


GETS = [rule for rule in ROWS if rule.endswith(" GET") and ROWS[rule].none == 401]


def make_link(site, path, **fields):
    """Return the answer to who may do everything and asks for a link."""
    return ask(site, "right", "/links", "POST", {"url": path, "expires_s": 60, **fields})


@pytest.mark.parametrize("rule", GETS)
def test_a_link(site, export, rule):
    row = ROWS[rule]
    path = row.path.format(export=export)
    made = make_link(site, path)
    wanted = 403 if row.right == 403 else row.link
    if made.status != 201:
        assert made.status == wanted
        return
    assert status_of(site, "none", made.json()["url"], "GET", None) == wanted


def test_links_that_have_expired(site, export):
    paths = [ROWS[rule].path.format(export=export) for rule in GETS]
    answers = [make_link(site, path, expires_s=1) for path in paths]
    made = [answer.json() for answer in answers if answer.status == 201]
    assert len(made) > 10
    wait_until(lambda: time.time() > made[-1]["expires"], "they have expired")
    statuses = [status_of(site, "none", link["url"], "GET", None) for link in made]
    assert set(statuses) == {403}


def test_a_link_goes_with_its_token(site, server_turn):
    text = site.file.add("short", RIGHT, {})
    server_turn(text)
    headers = {"Authorization": f"Bearer {text}", "Content_Type": JSON}
    body = json.dumps({"url": "/download/things.csv"})
    url = site.server.get("/links", "POST", body, **headers).json()["url"]
    assert site.server.get(url).status == 200
    site.file.withdraw(text.split("_")[1])
    wait_until(
        lambda: status_unless_cut(lambda: site.server.get(url)) == 401, "the link is no good"
    )


@pytest.fixture
def server_turn(site):
    """server_turn(text): wait until the server knows the token."""

    def wait(text):
        headers = {"Authorization": f"Bearer {text}"}
        wait_until(lambda: site.server.get("/sources", **headers).status == 200, "it is known")

    return wait


def test_a_link_is_used_up(site):
    url = make_link(site, "/download/things.csv?limit=2", uses=2).json()["url"]
    methods = ["GET", "HEAD", "GET", "GET", "HEAD"]
    statuses = [site.server.get(url, method).status for method in methods]
    assert statuses == [200, 200, 200, 403, 403]


def changed(text, index):
    return text[:index] + ("A" if text[index] != "A" else "B") + text[index + 1 :]


def test_a_link_with_one_character_changed_opens_nothing(site):
    url = make_link(site, "/download/things.csv?limit=2").json()["url"]
    start = url.index("link=") + 5
    # The last character of base64 has bits that mean nothing.
    others = [changed(url, index) for index in range(start, len(url) - 1, 7)]
    others += [url.replace("things", "numbers"), url.replace("limit=2", "limit=3"), url + "&a=1"]
    others += [url.replace("?limit=2&", "?"), url[:-5], url.partition("link=")[0] + "link="]
    statuses = {site.server.get(other).status for other in others}
    assert statuses <= {401, 429}


def test_no_link_is_made_to_what_its_maker_may_not_read(site):
    answer = ask(site, "wrong", "/links", "POST", {"url": "/download/things.csv"})
    assert (answer.status, answer.json()["error"]) == (403, "forbidden")


NO_LINKS = {
    "no path": "things.csv", "another site": "https://example.com/download/things.csv",
    "a path that is a host": "//example.com/download/things.csv", "nothing there": "/nothing",
    "a line": "/a\nb",
    "no text": 7, "a link": "/download/things.csv?link=x", "a form": "/login", "no ASCII": "/ü",
}  # fmt: skip


@pytest.mark.parametrize("url", NO_LINKS.values(), ids=NO_LINKS.keys())
def test_what_no_link_is_made_to(site, url):
    answer = make_link(site, url)
    assert answer.status in (400, 422)
    assert answer.json()["message"]


# Names that the asker may not know, each beside one that is nearly the same.
NEAR = {
    "/sources/thing": ("things", {"sources": ["users"]}),
    "/download/thing.csv": ("things", {"sources": ["users"]}),
    "/report/thing": ("things", {"sources": ["users"]}),
    "/files/paper/": ("papers", {"folders": []}),
    "/download/paper.zip": ("papers", {"folders": []}),
    "/download/paper.tar.zst": ("papers", {"folders": []}),
    "/logs/diar": ("diary", {"logs": []}),
    "/events/dem/a": ("demo", {}),
}


@pytest.mark.parametrize(("path", "told"), NEAR.items(), ids=NEAR.keys())
def test_a_refusal_names_nothing_that_the_asker_may_not_see(site, path, told):
    name, detail = told
    answer = ask(site, "near", path)
    assert (answer.status, answer.json()["detail"]) == (404, detail)
    assert name not in answer.body.decode()
    admins = ask(site, "admin", path).json()
    assert not detail or f"is it {name}?" in admins["message"]


# What shows up at /live.

EVENTS = {
    "subscribe": ({"topic": "demo/a"}, 403),
    "unsubscribe": ({"topic": "demo/a"}, None),
    "publish": ({"topic": "demo/a", "name": "a", "data": 1}, 403),
    "readers": ({"topic": "demo/a"}, 403),
    # This principal does not see it.
    "cancel": ({"id": "{export}"}, 404),
    "request_data": ({"message": "m"}, None),
    # Of the connection itself.
    "connect": None,
    "disconnect": None,
}


def test_every_socket_event_has_a_row():
    handlers = {name.removeprefix("on_") for name in vars(Live) if name.startswith("on_")}
    assert handlers == set(EVENTS)


class Socket:
    """A client of /live, frame by frame. token: in its CONNECT, None for none."""

    def __init__(self, site, token=None, **headers):
        path = "/socket.io/?EIO=4&transport=websocket"
        self._ws = RawWebSocket(site.server.port, path, **headers)
        self._ws.text()
        self._ws.send("40/live," + (json.dumps({"token": token}) if token is not None else ""))
        self.answer = self._ws.text()

    def ask(self, event, fields):
        """Return the acknowledgement."""
        self._ws.send(f"42/live,7{json.dumps([event, fields])}")
        while not (text := self._ws.text()).startswith("43/live,7"):
            pass
        return json.loads(text.removeprefix("43/live,7"))[0]

    def text(self):
        return self._ws.text()

    def wait_until_left(self):
        """Wait for the server to end the namespace, and the connection."""
        while not self._ws.text().startswith("41/live"):
            pass
        assert self._ws.is_ended()

    def close(self):
        self._ws.close()


@pytest.mark.parametrize("event", [e for e, row in EVENTS.items() if row and e != "request_data"])
@pytest.mark.parametrize("kind", ["right", "wrong", "admin"])
def test_who_may_emit(site, export, event, kind):
    fields, wrong = EVENTS[event]
    fields = {key: str(value).format(export=export) for key, value in fields.items()}
    with closing(Socket(site, site.tokens[kind])) as client:
        answer = client.ask(event, fields)
    assert answer.get("status", 200) == (wrong or 200 if kind == "wrong" else 200)


@pytest.mark.parametrize("kind", ["none", "withdrawn"])
def test_who_may_not_connect(site, kind):
    with closing(Socket(site, site.tokens.get(kind))) as client:
        assert client.answer.startswith("44/live,")
        refused = json.loads(client.answer.removeprefix("44/live,"))
    assert refused["data"]["status"] == 401
    assert refused["data"]["ok"] is False


def test_a_header_says_it_as_well(site):
    with closing(Socket(site, **bearer(site, "right"))) as client:
        assert client.ask("subscribe", {"topic": "demo/a"})["ok"]


def test_two_that_disagree_do_not_connect(site):
    with closing(Socket(site, site.tokens["wrong"], **bearer(site, "right"))) as client:
        assert client.answer.startswith("44/live,")


NO_TOKENS = {
    "a list": [], "a number": 7, "empty": "", "a word": "secret", "an object": {"a": 1},
    "half of one": "hw_0123456789ab_", "of another server": "hw_0123456789ab_" + "A" * 43,
    "long": "hw_" + "a" * 60_000,
}  # fmt: skip


@pytest.mark.parametrize("token", NO_TOKENS.values(), ids=NO_TOKENS.keys())
def test_what_is_no_token_does_not_connect(site, token):
    with closing(Socket(site, token)) as client:
        assert client.answer.startswith("44/live,")
        assert json.loads(client.answer.removeprefix("44/live,"))["data"]["status"] in (401, 429)


NO_HEADERS = {
    "empty": "", "no scheme": "hw_0123456789ab_" + "A" * 43, "basic": "Basic YTpi",
    "no token": "Bearer", "a word": "Bearer secret", "two": "Bearer a, Bearer b",
    "of another server": "Bearer hw_0123456789ab_" + "A" * 43,
    "latin": "Bearer hw_0123456789ab_ü" + "A" * 42, "long": "Bearer " + "a" * 7000,
}  # fmt: skip


@pytest.mark.parametrize("header", NO_HEADERS.values(), ids=NO_HEADERS.keys())
def test_what_is_no_credential(site, header):
    answer = site.server.get("/sources", Authorization=header.encode("latin-1"))
    assert answer.status in (401, 429)
    assert answer.headers["WWW-Authenticate" if answer.status == 401 else "Retry-After"]
    assert answer.json()["error"] in ("bad_credential", "too_many_mistakes")


def test_a_megabyte_of_a_token_is_refused(site):
    client = site.server.send(b"GET /sources HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ")
    try:
        client.sendall(b"a" * 1_000_000 + b"\r\n\r\n")
    except OSError:
        pass
    try:
        assert client.recv(4096).startswith((b"HTTP/1.1 431", b"HTTP/1.1 400"))
    except ConnectionResetError:
        pass


# What is cut.


def test_a_withdrawn_token_ends_what_is_open(site, server_turn):
    text = site.file.add("gone", RIGHT, {})
    server_turn(text)
    headers = {"Authorization": f"Bearer {text}"}
    feed = site.server.open("/events/demo/a", **headers)
    download = site.server.open("/download/long.csv", **headers)
    download.read(100_000)
    raw = RawWebSocket(site.server.port, "/ws/events/demo/a", **headers)
    with closing(raw), closing(Socket(site, text)) as live:
        began_s = time.monotonic()
        site.file.withdraw(text.split("_")[1])
        for stream in (feed, download):
            with pytest.raises((OSError, http.client.IncompleteRead)):
                read_all(stream)
        assert raw.is_ended()
        live.wait_until_left()
        assert time.monotonic() - began_s < 5
    assert site.server.get("/sources", **headers).status == 401


def test_what_a_withdrawn_token_was_told_is_told_to_no_other(site):
    text, other = site.file.add("polls", RIGHT, {}), site.file.add("listens", RIGHT, {})
    port = site.server.port

    def ask(method, query, token, body=None):
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as client:
            address = f"/socket.io/?EIO=4&transport=polling{query}"
            client.request(method, address, body, {"Authorization": f"Bearer {token}"})
            answer = client.getresponse()
            return answer.status, answer.read().decode()

    wait_until(lambda: ask("GET", "", text)[0] == 200, "the token is known")
    session = f"&sid={json.loads(ask('GET', '', text)[1][1:])['sid']}"
    assert ask("POST", session, text, "40/live,") == (200, "ok")
    assert ask("POST", session, other, "3")[0] == 403
    site.file.withdraw(text.split("_")[1])
    wait_until(lambda: ask("POST", session, other, "3")[0] == 400, "the session has ended")
    assert ask("GET", session, other)[0] == 400


def test_the_same_bytes_are_admitted_anew_each_time(site):
    text = site.file.add("leaves", RIGHT, {})
    head = f"GET /sources HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {text}\r\n\r\n"

    def ask(client):
        """Return the status of one more answer, None when the connection was cut."""
        with suppress(OSError, http.client.HTTPException):
            client.sendall(head.encode())
            answer = http.client.HTTPResponse(client)
            answer.begin()
            answer.read()
            return answer.status
        return None

    def connect():
        return closing(socket.create_connection(("127.0.0.1", site.server.port), timeout=20))

    with connect() as kept:
        wait_until(lambda: ask(kept) == 200, "the token is known")
        assert ask(kept) == 200
        site.file.withdraw(text.split("_")[1])
        wait_until(lambda: ask(kept) != 200, "the token is withdrawn")
    with connect() as anew:
        assert ask(anew) == 401


def test_an_expired_link_ends_the_feed_that_it_opened(site):
    urls = [make_link(site, f"{path}/demo/a", expires_s=2).json()["url"] for path in FEEDS]
    feed = site.server.open(urls[0])
    with closing(RawWebSocket(site.server.port, urls[1])) as raw:
        assert (feed.status, raw.status) == (200, 101)
        with pytest.raises((OSError, http.client.IncompleteRead)):
            read_all(feed)
        assert raw.is_ended()
    assert site.server.get(urls[0]).status == 403


FEEDS = ["/events", "/ws/events"]

POLLS = "/socket.io/?EIO=4&transport=polling"


@pytest.mark.parametrize("kind", ["none", "wrong", "admin"])
def test_a_session_is_its_openers(site, kind):
    opened = site.server.get(POLLS, **bearer(site, "right"))
    path = f"{POLLS}&sid={json.loads(opened.body[1:])['sid']}"
    for method, body in (("POST", b"40/live,"), ("GET", None)):
        refused = site.server.get(path, method, body, **bearer(site, kind))
        assert (refused.status, refused.json()["error"]) == (403, "forbidden")
    websocket = path.replace("polling", "websocket")
    with closing(RawWebSocket(site.server.port, websocket, **bearer(site, kind))) as client:
        assert client.status == 403
    assert site.server.get(path, "POST", b"40/live,", **bearer(site, "right")).status == 200
    assert b"40/live," in site.server.get(path, **bearer(site, "right")).body


def test_no_namespace_is_open_to_everybody(site):
    with closing(RawWebSocket(site.server.port, POLLS.replace("polling", "websocket"))) as client:
        client.text()
        client.send("40")
        assert client.text().startswith("44{")


def test_what_stands_in_a_path_is_no_credential(site):
    token = site.tokens["admin"]
    path = f"/socket.io/%00HTTP_AUTHORIZATION%00Bearer%20{token}?EIO=4&transport=polling"
    assert site.server.get(path).status == 404


def count_refused(site):
    return site.server.log.count("refused address=")


def test_each_refusal_is_logged_once(site, export):
    with closing(Socket(site, site.tokens["wrong"])) as client:
        before = count_refused(site)
        refused = [
            client.ask("subscribe", {"topic": "demo/a"})["status"],
            client.ask("publish", {"topic": "demo/a", "data": 1})["status"],
            ask(site, "wrong", "/exports", "POST", {"source": "things", "format": "csv"}).status,
            ask(site, "wrong", "/links", "POST", {"url": "/download/things.csv"}).status,
            ask(site, "wrong", "/sources/things").status,
        ]
    assert refused == [403] * 5
    wait_until(lambda: count_refused(site) == before + 5, "they are logged")


SECRETS = {
    "a token in the address": "/sources?token={token}",
    "quoted": "/sources?token=hw%5F{rest}",
    "a link to come back to": "/login?next=/download/things.csv%3Flink%3D{link}",
    "a link among others": "/download/things.csv?limit=2&link={link}&utm=1",
    "a session": "/socket.io/?EIO=4&transport=polling&sid={link}",
}


@pytest.mark.parametrize("path", SECRETS.values(), ids=SECRETS.keys())
@pytest.mark.parametrize("place", ["path", "Referer", "User-Agent"])
def test_what_opens_something_is_in_no_log(site, path, place):
    token = site.tokens["right"]
    link = make_link(site, "/download/things.csv?limit=2").json()["url"].partition("link=")[2]
    address = path.format(token=token, rest=token.partition("_")[2], link=link)
    other = {} if place == "path" else {place: f"http://x{address}"}
    answer = site.server.get(
        address if place == "path" else "/sources", Accept="text/html", **other
    )
    own = answer.headers["X-Request-ID"]
    (line,) = wait_until(
        lambda: [line for line in site.server.accessed() if line["id"] == own], "it is logged"
    )
    for secret in (token.split("_", 2)[2], link):
        assert secret not in str(line) + site.server.log


def test_a_request_that_is_none_is_logged_without_what_it_shows(site):
    token = site.tokens["right"]
    requests = [f"Authorization Bearer {token}", f"Host: x\r\nTransfer-Encoding: {token}"]
    for fields in requests:
        with site.server.send(f"GET / HTTP/1.1\r\n{fields}\r\n\r\n".encode()) as client:
            assert client.recv(4096).startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 501 "))
    wait_until(lambda: "Invalid" in site.server.log, "it is logged")
    assert token.split("_", 2)[2] not in site.server.log


def test_a_link_opens_a_target_in_absolute_form_too(site):
    url = make_link(site, "/download/things.csv?limit=2").json()["url"]
    asked = f"GET http://localhost{url} HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with site.server.send(asked.encode()) as client:
        assert client.recv(4096).startswith(b"HTTP/1.1 200 ")


def test_two_links_are_none(site):
    good = make_link(site, "/download/things.csv?limit=2").json()["url"]
    for url in (f"{good}&link=x", good.replace("&link=", "&link=x&link=")):
        assert site.server.get(url).status == 401


def read_all(stream):
    while stream.read(65536):
        pass


def test_no_token_is_in_any_log(site):
    logged = site.server.log + "".join(
        path.read_text(errors="replace") for path in (site.server.instance / "logs").glob("*")
    )
    assert "refused address=" in logged
    assert '"path": "/links"' in logged
    for text in site.tokens.values():
        assert text not in logged
        assert text.split("_", 2)[2] not in logged
    assert "link=W" not in logged
    assert "link=..." in logged


# Topics.


def topics_of(site):
    return {each["topic"] for each in ask(site, "admin", "/events").json()["topics"]}


def made_up(name):
    """Return a cursor that was never given out, as of an event of the topic."""
    return format_cursor(Cursor(1, 1, 1, topic_mark(name)))


@pytest.mark.parametrize("transport", ["ndjson", "websocket", "socket.io"])
@pytest.mark.parametrize("kind", ["demo", "brief"])
def test_who_follows_makes_no_topic(site, transport, kind):
    before = topics_of(site)
    for number in range(5):
        name = f"{kind}/{transport}-{number}"
        words = f"{name}?since={made_up(name)}"
        if transport == "ndjson":
            answer = ask(site, "right", f"/events/{words}&poll=1")
            assert (answer.status, json.loads(answer.body)["name"]) == (200, "gap")
        elif transport == "websocket":
            path = f"/ws/events/{words}"
            with closing(RawWebSocket(site.server.port, path, **bearer(site, "right"))) as raw:
                assert '"name":"gap"' in raw.text()
        else:
            with closing(Socket(site, site.tokens["right"])) as live:
                asked = {"topic": name, "since": made_up(name)}
                assert live.ask("subscribe", asked)["ok"]
    assert topics_of(site) == before


def publish_with_key(site, kind, topic, data):
    headers = {**bearer(site, kind), "Content_Type": JSON, "Idempotency_Key": "k-1"}
    return site.server.get(f"/events/{topic}", "POST", json.dumps({"data": data}), **headers)


@pytest.mark.parametrize("topic", ["demo/keys", "brief/keys"])
def test_a_key_is_of_who_sends_it(site, topic):
    answers = [publish_with_key(site, kind, topic, 1) for kind in ("right", "admin", "right")]
    assert [answer.status for answer in answers] == [201, 201, 201]
    ids = [answer.json()["id"] for answer in answers]
    assert ids[0] == ids[2] != ids[1]
    with closing(Socket(site, site.tokens["admin"])) as live:
        asked = {"topic": topic, "data": 1, "key": "k-1"}
        assert live.ask("publish", asked)["id"] == ids[1]
    assert publish_with_key(site, "right", topic, 2).status == 422
    assert publish_with_key(site, "admin", topic, 2).status == 422


# Events of exports.


@pytest.fixture(scope="module")
def regions(serve_all, tmp_path_factory):
    """A server whose source `own` has other rows for each region, with a token for each."""
    folder = tmp_path_factory.mktemp("regions")
    with closing(sqlite3.connect(folder / "own.db")) as connection, connection:
        connection.execute("create table own (n integer, region text)")
    own = f"[sources.own]\ndatabase = 'sqlite:///{folder}/own.db'\ntable = 'own'\n"
    own += "where = 'region = :principal.region'\n"
    file = Tokens(State(folder / "instance"))
    tokens = {name: file.add(name, RIGHT, {"region": name}) for name in ("EU", "US")}
    tokens |= {"admin": file.add("admin", ["admin"], {})}
    tokens |= {"blind": file.add("blind", ["subscribe:*"], {})}
    server = serve_all(CATALOGUE + own, HEADWATER_INSTANCE=str(folder / "instance"))
    return Site(server, tokens, file)


_numbers = count(1)


def export_own(regions, kind):
    """Return the id of a complete export of `own` that nobody else has asked for."""
    body = {"source": "own", "format": "csv", "n": str(next(_numbers))}
    made = ask(regions, kind, "/exports", "POST", body).json()["id"]
    wait_until(
        lambda: ask(regions, kind, f"/exports/{made}").json()["state"] == "complete", "it is whole"
    )
    return made


def follow_exports(regions, transport, topics, since):
    """Return an iterator of texts, each of which may tell of exports, as US follows them."""
    if transport in ("ndjson", "sse", "websocket"):
        more = {"whole": "1"} if transport == "sse" else {}
        headers = bearer(regions, "US")
        reader = READERS[transport](regions.server.base, topics, since, headers, **more)
        return map(str, reader), reader
    if transport == "socket.io":
        live = Socket(regions, regions.tokens["US"])
        assert live.ask("subscribe", {"topic": topics, "since": since})["ok"]
        return iter(live.text, None), live
    headers = bearer(regions, "US")
    opened = regions.server.get(POLLS, **headers)
    path = f"{POLLS}&sid={json.loads(opened.body[1:])['sid']}"
    asked = json.dumps(["subscribe", {"topic": topics, "since": since}])
    for packet in ("40/live,", f"42/live,1{asked}"):
        assert regions.server.get(path, "POST", packet.encode(), **headers).status == 200
    polls = (regions.server.get(path, **headers).body.decode() for _ in count())
    texts = (text for poll in polls for text in poll.split("\x1e") if text != "2")
    while not next(texts).startswith("43/live,1"):
        pass
    return texts, nullcontext()


@pytest.mark.parametrize("since", [None, "all"], ids=["live", "history"])
@pytest.mark.parametrize("transport", ["ndjson", "sse", "websocket", "socket.io", "polling"])
@pytest.mark.parametrize("topics", ["exports", "exports/*", "*", "exports,exports/*,demo/a"])
def test_events_of_exports_are_told_to_who_sees_them(regions, transport, topics, since):
    if since:
        theirs, own = export_own(regions, "EU"), export_own(regions, "US")
    texts, reader = follow_exports(regions, transport, topics, since)
    with closing(reader) if hasattr(reader, "close") else reader:
        if not since:
            theirs, own = export_own(regions, "EU"), export_own(regions, "US")
        for text in texts:
            assert theirs not in text
            if own in text and "complete" in text:
                break


def test_events_of_one_export_are_told_to_who_sees_it(regions):
    made = export_own(regions, "EU")
    told = {
        kind: ask(regions, kind, f"/events/exports/{made},exports?since=all&poll=1").body.decode()
        for kind in ("EU", "US", "admin", "blind")
    }
    assert [made in told[kind] for kind in told] == [True, False, True, False]
    listed = {kind: ask(regions, kind, "/events").body.decode() for kind in told}
    assert [f"exports/{made}" in listed[kind] for kind in told] == [True, False, True, False]


READERS_TOLD = {
    "exports/{}": [], "exports/*": [], "*": ["websocket"], "exports/{},demo/b": ["websocket"],
}  # fmt: skip


@pytest.mark.parametrize(("asked", "told"), READERS_TOLD.items(), ids=READERS_TOLD.keys())
def test_readers_of_an_export_are_told_to_who_sees_it(regions, asked, told):
    made = export_own(regions, "EU")
    asked, headers = asked.format(made), bearer(regions, "EU")
    one, other = (READERS[name](regions.server.base, topics, "all", headers) for name, topics in (
        ("ndjson", f"exports/{made}"), ("websocket", f"exports/{made},demo/b")
    ))  # fmt: skip
    with closing(one), closing(other):
        assert next(iter(one))
        assert next(iter(other))
        named = {one.connection: "ndjson", other.connection: "websocket"}
        for kind in ("EU", "US", "admin", "blind"):
            answers = [ask(regions, kind, f"/events/{asked}/readers").json()]
            with closing(Socket(regions, regions.tokens[kind])) as live:
                answers.append(live.ask("readers", {"topic": asked}))
            for answer in answers:
                ids = [each["connection"] for each in answer["readers"]]
                found = sorted(named[each] for each in ids if each in named)
                assert found == (told if kind in ("US", "blind") else sorted(named.values()))


# Feeds of links.


def told_by(site, url, last_event_id):
    """Return what a link tells who comes with this Last-Event-ID, up to the event `end`."""
    told = []
    if url.startswith("/ws/"):
        raw = RawWebSocket(site.server.port, url, Last_Event_ID=last_event_id)
        with closing(raw):
            if raw.status != 101:
                return raw.status
            while '"end"' not in (text := raw.text()):
                told.append(json.loads(text)["data"])
        return told
    answer = site.server.get(f"{url}", Last_Event_ID=last_event_id)
    if answer.status != 200:
        return answer.status
    return [json.loads(line)["data"] for line in answer.body.splitlines()]


EARLIER = {"all": "all", "an age": "1d", "a cursor": None}


@pytest.mark.parametrize("path", ["/events/{}?poll=1", "/ws/events/{}", "/logs/{}?lines=0"])
@pytest.mark.parametrize("told", EARLIER.values(), ids=EARLIER.keys())
def test_a_feed_of_a_link_has_no_history(site, path, told):
    kind = path.split("/")[1]
    name = "diary" if kind == "logs" else f"demo/link-{kind}-{told}"
    if kind != "logs":
        publish_with_key(site, "admin", name, "before")
    wait_until(lambda: ask(site, "admin", "/logs/diary?lines=all").body, "the log is followed")
    url = make_link(site, path.format(name)).json()["url"]
    if told is not None:
        assert told_by(site, url, told) == 403
        return
    first = format_cursor(Cursor(1, 0, 0, topic_mark(name if kind != "logs" else "logs/diary")))
    if kind == "logs":
        assert site.server.get(url, Last_Event_ID=first).body == b""
        return
    ask(site, "admin", f"/events/{name}", "POST", {"data": "after"})
    ask(site, "admin", f"/events/{name}", "POST", {"name": "end", "data": "end"})
    assert told_by(site, url, first) == ["after", "end"][: 1 if kind == "ws" else 2]


def test_a_feed_of_a_link_goes_on_where_it_was_cut(site):
    """Also if its cursor is from before the link was made: nothing has come meanwhile."""
    name = "demo/link-goes-on"
    publish_with_key(site, "admin", name, "before")
    url = make_link(site, f"/events/{name}?poll=1").json()["url"]
    cursor = site.server.get(url).headers["Headwater-Cursor"]
    ask(site, "admin", f"/events/{name}", "POST", {"data": "after"})
    assert told_by(site, url, cursor) == ["after"]
