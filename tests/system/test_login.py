"""Browsers: a session of theirs, what pages of other sites may do with it, and what they are told.

Cookies and heads are looked at as they come over the wire.
"""

import json
import re
from contextlib import closing
from http.client import IncompleteRead
from http.cookies import SimpleCookie
from typing import NamedTuple
from urllib.parse import urlencode

import pytest

from auth import Tokens
from state import State
from tests.sockets.clients import RawWebSocket
from tests.system.server import status_unless_cut, wait_until

FORM = "application/x-www-form-urlencoded"
COOKIE = "headwater_session"
FRIEND, EVIL = "https://friend.example", "http://evil.example"


class Site(NamedTuple):
    """A server, its file of tokens, and the text of one that may do everything."""

    server: object
    file: Tokens
    text: str

    @property
    def bearer(self):
        return {"Authorization": f"Bearer {self.text}"}


@pytest.fixture(scope="module")
def make_site(serve_all, tmp_path_factory):
    """make_site(HEADWATER_X=...): a server that needs tokens."""

    def make_site(**environ):
        instance = tmp_path_factory.mktemp("instance")
        file = Tokens(State(instance))
        text = file.add("ann", ["admin"], {})
        return Site(serve_all(HEADWATER_INSTANCE=str(instance), **environ), file, text)

    return make_site


@pytest.fixture(scope="module")
def site(make_site):
    return make_site()


@pytest.fixture(scope="module")
def proxied(make_site):
    """A server behind a proxy, with a friend whose pages may ask it."""
    return make_site(HEADWATER_PROXIES="1", HEADWATER_ORIGINS=FRIEND)


@pytest.fixture(scope="module")
def open_server(serve_all):
    """A server without tokens."""
    return serve_all()


class Browser:
    """Keeps cookies and sends them, and asks for pages; headers: with every request."""

    def __init__(self, server, **headers):
        self._server = server
        self._headers = {"Accept": "text/html"} | headers
        self.cookies = {}

    def ask(self, path, method="GET", fields=None, **headers):
        headers = self._headers | headers
        if self.cookies:
            headers["Cookie"] = "; ".join(f"{k}={v}" for k, v in self.cookies.items())
        if fields is not None:
            headers["Content_Type"] = FORM
        answer = self._server.get(path, method, fields and urlencode(fields), **headers)
        for header in answer.headers.get_all("Set-Cookie", []):
            self.cookies |= {name: each.value for name, each in SimpleCookie(header).items()}
        return answer

    def mark(self, path="/login"):
        """Return what a page puts into its forms."""
        page = self.ask(path).body.decode()
        return re.search(r'name="csrf_token" value="([^"]+)"', page)[1]

    def log_in(self, text, following=""):
        fields = {"csrf_token": self.mark(), "token": text, "next": following}
        return self.ask("/login", "POST", fields)


@pytest.fixture
def browser(site):
    return Browser(site.server)


@pytest.fixture
def ann(site):
    """A browser that is logged in."""
    browser = Browser(site.server)
    assert browser.log_in(site.text).status == 303
    return browser


def cookie_of(answer):
    (header,) = answer.headers.get_all("Set-Cookie")
    return SimpleCookie(header)[COOKIE]


# In and out.


def test_a_page_leads_to_the_form_and_back(site, browser):
    asked = browser.ask("/exports?a=1")
    assert (asked.status, asked.headers["Location"]) == (303, "/login?next=/exports?a%3D1")
    form = browser.ask(asked.headers["Location"])
    assert form.status == 200
    assert 'name="next" value="/exports?a=1"' in form.body.decode()
    logged_in = browser.log_in(site.text, "/exports?a=1")
    assert (logged_in.status, logged_in.headers["Location"]) == (303, "/exports?a=1")
    assert browser.ask("/exports?a=1").status == 200


def test_the_cookie_is_not_for_scripts_nor_for_other_sites(site, browser):
    cookie = cookie_of(browser.log_in(site.text))
    assert (cookie["httponly"], cookie["samesite"], cookie["path"]) == (True, "Lax", "/")
    assert not cookie["domain"]
    assert not cookie["secure"]
    assert cookie["expires"]
    assert site.text.split("_", 2)[2] not in cookie.value


def test_more_cookies_than_a_field_may_have_count_as_none(ann):
    """They are split before it is known who asks, which took 50 ms for 500 KB."""
    session = f"{COOKIE}={ann.cookies.pop(COOKIE)}; one=1"
    assert ann.ask("/exports", Cookie=session, cookie="more=1").status == 200
    assert ann.ask("/exports", Cookie=session, cookie=f"more={'1' * 8150}").status == 303


def test_the_cookie_is_for_tls_where_tls_is_spoken(proxied):
    over_tls = Browser(proxied.server, X_Forwarded_Proto="https")
    assert cookie_of(over_tls.log_in(proxied.text))["secure"]
    plain = Browser(proxied.server, X_Forwarded_Proto="http")
    assert not cookie_of(plain.log_in(proxied.text))["secure"]


def test_without_a_proxy_nobody_is_believed_that_it_is_tls(site):
    browser = Browser(site.server, X_Forwarded_Proto="https")
    assert not cookie_of(browser.log_in(site.text))["secure"]


def test_log_out(ann):
    mark = ann.mark("/exports")
    out = ann.ask("/logout", "POST", {"csrf_token": mark})
    assert (out.status, out.headers["Location"]) == (303, "/login")
    assert cookie_of(out).value == ""
    assert out.headers["Clear-Site-Data"] == '"cache"'
    assert ann.ask("/exports").status == 303
    assert ann.ask("/exports", Accept="application/json").status == 401


def test_a_copy_of_the_cookie_is_good_until_the_log_out(site, ann):
    copy = Browser(site.server)
    copy.cookies = dict(ann.cookies)
    other = Browser(site.server)
    other.log_in(site.text)
    assert copy.ask("/exports").status == 200
    ann.ask("/logout", "POST", {"csrf_token": ann.mark("/exports")})
    assert copy.ask("/exports", Accept="application/json").status == 401
    assert "Log out" not in copy.ask("/login").body.decode()
    assert other.ask("/exports").status == 200


def test_a_log_out_ends_what_the_session_has_open(site, ann):
    cookie = {"Cookie": "; ".join(f"{k}={v}" for k, v in ann.cookies.items())}
    path = "/socket.io/?EIO=4&transport=websocket"
    feed = site.server.open("/events/demo/a", **cookie)
    of_topic = RawWebSocket(site.server.port, "/ws/events/demo/a", **cookie)
    live = RawWebSocket(site.server.port, path, **cookie)
    by_token = site.server.open("/events/demo/a", **site.bearer)
    with closing(of_topic), closing(live):
        live.send("40/live,")
        ann.ask("/logout", "POST", {"csrf_token": ann.mark("/exports")})
        with pytest.raises((OSError, IncompleteRead)):
            feed.read()
        assert of_topic.is_ended()
        assert live.is_ended()
    site.server.publish("demo/a", 1, **site.bearer)
    assert by_token.read(20)


def test_a_friends_page_is_not_in_the_session(proxied):
    browser = Browser(proxied.server, X_Forwarded_Proto="https")
    browser.log_in(proxied.text)
    cookie = {"Cookie": "; ".join(f"{k}={v}" for k, v in browser.cookies.items())}
    for path in ("/ws/events/demo/a", "/ws/live/"):
        with closing(RawWebSocket(proxied.server.port, path, Origin=FRIEND, **cookie)) as client:
            assert client.status == 401
        with closing(RawWebSocket(proxied.server.port, path, **cookie)) as client:
            assert client.status == 101


def test_a_cookie_that_is_no_text_is_none(site):
    for path in ("/sources", "/socket.io/?EIO=4&transport=polling", "/healthz"):
        answer = site.server.get(path, Cookie=b"other=\xff; headwater_session=\xfe")
        assert answer.status == (401 if path == "/sources" else 200)


def test_after_a_restart_it_is_still_logged_out(make_site):
    site = make_site()
    ann, copy = Browser(site.server), Browser(site.server)
    ann.log_in(site.text)
    copy.cookies = dict(ann.cookies)
    ann.ask("/logout", "POST", {"csrf_token": ann.mark("/exports")})
    assert site.server.stop() == 0
    site.server.start()
    assert copy.ask("/exports", Accept="application/json").status == 401


def test_a_page_says_who_is_logged_in(ann):
    page = ann.ask("/exports").body.decode()
    assert "Log out ann" in page
    assert re.search(r'<meta name="csrf-token" content="[^"]+">', page)


def wrong_tokens(site):
    return ["", "secret", "hw_0123456789ab_" + "A" * 43, site.text[:-1], "ü", "a" * 10_000]


def test_a_wrong_token_is_told_on_the_form(site, browser):
    for text in wrong_tokens(site):
        answer = browser.log_in(text, "/exports")
        assert (answer.status, answer.headers.get_content_type()) == (401, "text/html")
        page = answer.body.decode()
        assert 'role="alert">that is no token of this server' in page
        assert 'name="next" value="/exports"' in page
        assert text == "" or text not in page
    assert browser.ask("/exports").status == 303


def test_spaces_around_a_token_do_not_matter(site, browser):
    assert browser.log_in(f" {site.text}\n").status == 303


def test_without_tokens_there_is_nothing_to_log_in_to(open_server):
    answer = Browser(open_server).ask("/login")
    assert (answer.status, answer.headers["Location"]) == (303, "/")


# Where one is led to, and what comes of it.
NEXT = {
    "a page": ("/exports", "/exports"),
    "a page with a query": ("/sources/a?b=1&c=//d", "/sources/a?b=1&c=//d"),
    "nothing": ("", "/"),
    "a host": ("//evil.example", "/"),
    "a host with three": ("///evil.example", "/"),
    "a host, written backwards": ("/\\evil.example", "/"),
    "all backwards": ("\\\\evil.example", "/"),
    "another site": ("https://evil.example", "/"),
    "another site without its host": ("https:evil.example", "/"),
    "a script": ("javascript:alert(1)", "/"),
    "data": ("data:text/html,a", "/"),
    "no slash": ("evil.example", "/"),
    "a space": (" //evil.example", "/"),
    "a tab that browsers leave out": ("/\t/evil.example", "/"),
    "a line feed that browsers leave out": ("/\n/evil.example", "/"),
    "a header": ("/a\r\nSet-Cookie: a=b", "/"),
    "a NUL": ("/\0/evil.example", "/"),
}


@pytest.mark.parametrize(("following", "where"), NEXT.values(), ids=NEXT.keys())
def test_nobody_is_led_elsewhere(site, browser, following, where):
    form = browser.ask("/login?" + urlencode({"next": following})).body.decode()
    shown = re.search(r'name="next" value="([^"]*)"', form)[1].replace("&amp;", "&")
    assert shown == where
    answer = browser.log_in(site.text, following)
    assert (answer.status, answer.headers["Location"]) == (303, where)


# What a session is not enough for.


def say(browser, **more):
    """Return the answer to a form without anything else."""
    return browser.ask("/broadcast/hi", "POST", **{"Accept": "application/json", **more})


def test_a_form_needs_the_mark_of_a_page(ann):
    for fields in (None, {"a": "b"}, {"csrf_token": ""}, {"csrf_token": "wrong"}):
        answer = say(ann, fields=fields)
        assert (answer.status, answer.json()["error"]) == (403, "bad_form")


def test_with_the_mark_it_is_taken(ann):
    mark = ann.mark("/exports")
    assert say(ann, fields={"csrf_token": mark}).status == 200
    assert say(ann, X_CSRFToken=mark).status == 200


def test_the_mark_of_another_session_is_none(ann, browser):
    answer = say(ann, X_CSRFToken=browser.mark())
    assert (answer.status, answer.json()["error"]) == (403, "bad_form")


@pytest.mark.parametrize("path", ["/login", "/logout"])
def test_nobody_is_logged_in_or_out_by_another_page(site, ann, path):
    before = dict(ann.cookies)
    answer = ann.ask(path, "POST", {"token": site.text}, Accept="application/json")
    assert (answer.status, answer.json()["error"]) == (403, "bad_form")
    assert ann.cookies == before


def test_a_token_needs_no_mark(site):
    answer = site.server.get("/broadcast/hi", "POST", **site.bearer)
    assert answer.status == 200


def test_a_changed_cookie_is_none(site, ann):
    value = ann.cookies[COOKIE]
    for index in range(0, len(value) - 1, 9):
        other = value[:index] + ("A" if value[index] != "A" else "Q") + value[index + 1 :]
        assert site.server.get("/exports", Cookie=f"{COOKIE}={other}").status == 401


def test_the_cookie_of_another_server_is_none(site, proxied):
    browser = Browser(proxied.server)
    browser.log_in(proxied.text)
    assert site.server.get("/exports", Cookie=f"{COOKIE}={browser.cookies[COOKIE]}").status == 401


def test_a_session_and_a_token_of_another_do_not_go_together(site, ann):
    other = site.file.add("bob", ["admin"], {})
    headers = {"Authorization": f"Bearer {other}"}
    wait_until(lambda: site.server.get("/exports", **headers).status == 200, "it is known")
    answer = ann.ask("/exports", Accept="application/json", **headers)
    assert (answer.status, answer.json()["error"]) == (401, "bad_credential")


def test_a_session_goes_with_its_token(site, browser):
    text = site.file.add("gone", ["admin"], {})
    wait_until(lambda: browser.log_in(text).status == 303, "it is known")
    assert browser.ask("/exports").status == 200
    site.file.withdraw(text.split("_")[1])
    wait_until(lambda: status_unless_cut(lambda: browser.ask("/exports")) == 303, "it is no more")
    assert browser.ask("/exports").headers["Location"] == "/login?next=/exports"
    asked = browser.ask("/exports", Accept="application/json")
    assert (asked.status, asked.json()["error"]) == (401, "unauthorized")
    assert asked.headers["WWW-Authenticate"].startswith("Bearer ")
    assert "was withdrawn" in browser.log_in(text).body.decode()


# Pages of other sites.


@pytest.mark.parametrize("origin", [EVIL, "null", "", "https://127.0.0.1", "http://127.0.0.1:1"])
@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/broadcast/hi"), ("POST", "/login"), ("DELETE", "/exports/a"), ("POST", "/nothing")],
)
def test_another_site_may_not_tell(site, method, path, origin):
    answer = site.server.get(path, method, Origin=origin, **site.bearer)
    assert (answer.status, answer.json()["error"]) == (403, "cross_origin")
    assert "Access-Control-Allow-Origin" not in answer.headers


def test_our_own_pages_may_tell(site, ann):
    assert say(ann, X_CSRFToken=ann.mark("/exports"), Origin=site.server.base).status == 200


SOCKETS = ["/ws/events/demo/a", "/ws/live/", "/socket.io/?EIO=4&transport=websocket"]


def upgrade(site, path, **headers):
    """Return the status of a WebSocket's handshake."""
    with closing(RawWebSocket(site.server.port, path, **site.bearer, **headers)) as client:
        return client.status


@pytest.mark.parametrize("path", SOCKETS)
def test_another_site_opens_no_websocket(site, path):
    host = f"127.0.0.1:{site.server.port}"
    for origin in (EVIL, "null", FRIEND):
        assert upgrade(site, path, Origin=origin) == 403
    assert upgrade(site, path, Host=host, Origin=f"http://{host}") == 101


@pytest.mark.parametrize("path", ["/exports", "/healthz", "/download/things.csv", "/nothing"])
def test_another_site_may_not_see_an_answer(site, path):
    answer = site.server.get(path, Origin=EVIL, **site.bearer)
    assert answer.status in (200, 404)
    assert not [name for name in answer.headers if name.startswith("Access-Control-")]
    assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"


def test_another_site_opens_no_session(site, proxied):
    path = "/socket.io/?EIO=4&transport=polling"
    for each in (site, proxied):
        answer = each.server.get(path, Origin=EVIL, **each.bearer)
        assert answer.status == 403
        assert "Access-Control-Allow-Origin" not in answer.headers


EMBEDDED = {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "no-cors", "Sec_Fetch_Dest": "image"}
OPENED = EMBEDDED | {"Sec_Fetch_Mode": "navigate", "Sec_Fetch_Dest": "document"}


@pytest.mark.parametrize(
    "path", ["/exports", "/download/things.csv", "/events/demo/a?poll=1", SOCKETS[2]]
)
def test_without_tokens_nothing_runs_for_another_sites_page(open_server, path):
    path = path.replace("websocket", "polling")
    for headers in (EMBEDDED, {**EMBEDDED, "Sec_Fetch_Site": "same-site"}, {"Origin": EVIL}):
        answer = open_server.get(path, **headers)
        assert (answer.status, answer.json()["error"]) == (403, "cross_origin")
    for headers in (OPENED, {**EMBEDDED, "Sec_Fetch_Site": "same-origin"}, {}):
        assert open_server.get(path, **headers).status == 200


def test_what_a_sibling_embeds_is_not_in_the_session(ann):
    sibling = {**EMBEDDED, "Sec_Fetch_Site": "same-site"}
    assert ann.ask("/exports", Accept="application/json", **sibling).status == 401
    assert ann.ask("/exports", **OPENED).status == 200


# A friend's pages.

FOR_FRIENDS = {
    "JSON": "/exports", "a download": "/download/things.csv", "an error": "/nothing",
    "events": "/events/demo/a?poll=1", "a session": "/socket.io/?EIO=4&transport=polling",
}  # fmt: skip


@pytest.mark.parametrize("path", FOR_FRIENDS.values(), ids=FOR_FRIENDS.keys())
def test_a_friend_may_see_an_answer(proxied, path):
    answer = proxied.server.get(path, Origin=FRIEND, **proxied.bearer)
    assert answer.status in (200, 404)
    assert answer.headers.get_all("Access-Control-Allow-Origin") == [FRIEND]
    # A cookie is no friend's: a friend shows a token.
    assert "Access-Control-Allow-Credentials" not in answer.headers


def test_a_cache_keeps_what_it_has_for_a_friend_apart(proxied):
    for headers in ({"Origin": FRIEND}, {"Origin": EVIL}, {}):
        answer = proxied.server.get("/download/things.csv", **headers, **proxied.bearer)
        assert "Origin" in answer.headers.get("Vary", "")


@pytest.mark.parametrize("path", [path for path in FOR_FRIENDS.values() if "socket" not in path])
def test_who_is_no_friend_may_not(proxied, path):
    for origin in (EVIL, FRIEND + ".evil.example", "http://friend.example", "null"):
        answer = proxied.server.get(path, Origin=origin, **proxied.bearer)
        assert "Access-Control-Allow-Origin" not in answer.headers


def test_a_friend_may_tell_with_a_token(proxied):
    answer = proxied.server.get("/broadcast/hi", "POST", Origin=FRIEND, **proxied.bearer)
    assert answer.status == 200
    assert answer.headers["Access-Control-Allow-Origin"] == FRIEND
    refused = proxied.server.get("/broadcast/hi", "POST", Origin=EVIL, **proxied.bearer)
    assert (refused.status, refused.json()["error"]) == (403, "cross_origin")


def preflight(site, origin, path="/exports"):
    return site.server.get(
        path, "OPTIONS", Origin=origin, Access_Control_Request_Method="POST",
        Access_Control_Request_Headers="authorization, content-type",
    )  # fmt: skip


@pytest.mark.parametrize("path", ["/exports", "/events/demo/a", "/links"])
def test_a_friends_preflight(proxied, path):
    answer = preflight(proxied, FRIEND, path)
    assert answer.status in (200, 204)
    assert answer.headers["Access-Control-Allow-Origin"] == FRIEND
    assert "POST" in answer.headers["Access-Control-Allow-Methods"]
    assert "authorization" in answer.headers["Access-Control-Allow-Headers"].lower()


def test_a_preflight_of_others(site, proxied):
    for each, origin in ((proxied, EVIL), (proxied, "null"), (site, FRIEND)):
        answer = preflight(each, origin)
        assert not [name for name in answer.headers if name.startswith("Access-Control-")]


@pytest.mark.parametrize("path", SOCKETS)
def test_a_friend_opens_a_websocket(proxied, path):
    assert upgrade(proxied, path, Origin=FRIEND) == 101
    assert upgrade(proxied, path, Origin=EVIL) == 403


# What every answer says to browsers.

ANSWERS = {
    "page": ("/login", 200, {"Accept": "text/html"}),
    "JSON": ("/exports", 200, {}),
    "CSV": ("/download/things.csv", 200, {}),
    "part of a CSV": ("/download/things.csv", 206, {"Range": "bytes=0-3"}),
    "events": ("/events/demo/a?poll=1", 200, {}),
    "health": ("/healthz", 200, {}),
    "metrics": ("/metrics", 200, {}),
    "the textbook's CSV": ("/download", 200, {}),
    "the textbook's CSV, waiting": ("/download-async", 200, {}),
    "a log in": ("/login", 200, {}),
    "the description": ("/openapi.json", 200, {}),
    "not found": ("/nothing", 404, {}),
    "not found, a page": ("/nothing", 404, {"Accept": "text/html"}),
    "not allowed": ("/broadcast/hi", 405, {}),
    "not logged in": ("/exports", 401, {"Authorization": "Bearer secret"}),
    "not our form": ("/exports", 401, {"Authorization": "Basic YTpi"}),
    "a selection": ("/download/things.csv?no=1", 400, {}),
    "static": ("/static/page.css", 200, {}),
    "icon": ("/favicon.ico", 200, {}),
    "session": ("/socket.io/?EIO=4&transport=polling", 200, {}),
    "no session": ("/socket.io/?EIO=4&transport=polling&sid=a", 400, {}),
    "no upgrade": ("/ws/live/", 426, {}),
}


@pytest.mark.parametrize(("path", "status", "headers"), ANSWERS.values(), ids=ANSWERS.keys())
def test_every_answer_is_hardened(site, path, status, headers):
    answer = site.server.get(path, **(site.bearer | headers))
    assert answer.status == status
    assert answer.headers.get_all("X-Content-Type-Options") == ["nosniff"]
    assert answer.headers.get_all("X-Frame-Options") == ["DENY"]
    assert answer.headers.get_all("Referrer-Policy") == ["same-origin"]
    assert re.search("no-cache|no-store", answer.headers["Cache-Control"])
    if answer.headers.get_content_type() == "text/html":
        policy = answer.headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'; script-src 'self';")
        assert answer.headers["Cross-Origin-Opener-Policy"] == "same-origin"
        assert "private" in answer.headers["Cache-Control"]


def test_a_session_is_no_resource_of_other_sites(site):
    answer = site.server.get("/socket.io/?EIO=4&transport=polling", **site.bearer)
    assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"


def test_what_is_no_request_is_answered_hardened(site):
    head = site.server.send(b"BAD\r\n\r\n").recv(4096)
    assert head.startswith(b"HTTP/1.1 400 ")
    assert b"X-Content-Type-Options: nosniff" in head


def test_leading_elsewhere_is_hardened_too(site):
    answer = Browser(site.server).ask("/exports")
    assert answer.status == 303
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Content-Security-Policy"]


# By which name it is called.

NAMES = ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "192.0.2.1", "localhost.evil"]
PATHS = ["/exports", "/healthz", "/", "/nothing", "/socket.io/?EIO=4&transport=polling"]


@pytest.mark.parametrize("host", NAMES)
@pytest.mark.parametrize("path", PATHS)
def test_without_tokens_only_names_of_this_machine_are_answered(open_server, path, host):
    answer = open_server.get(path, Host=host)
    assert answer.status == 403
    assert json.loads(answer.body)["error"] == "forbidden"


def test_without_tokens_no_websocket_by_another_name(open_server):
    for path in SOCKETS:
        with closing(RawWebSocket(open_server.port, path, Host="evil.example")) as client:
            assert client.status == 403


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8000", "127.0.0.1", "[::1]:80"])
def test_without_tokens_this_machine_is_answered(open_server, host):
    assert open_server.get("/exports", Host=host).status == 200


def test_with_tokens_any_name_is_right(site):
    assert site.server.get("/exports", Host="data.example", **site.bearer).status == 200
