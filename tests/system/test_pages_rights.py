"""Pages offer what the user may do, and say when a session has ended."""

import re
import sqlite3
from contextlib import closing, suppress
from http.client import HTTPException
from http.cookies import SimpleCookie
from typing import NamedTuple
from urllib.parse import urlencode

import pytest

from auth import Tokens
from state import State
from tests.system.server import CATALOGUE, wait_until

PAGE = {"Accept": "text/html"}
TOKENS = {
    "admin": ["admin"],
    "reader": ["read:*"],
    "follower": ["subscribe:demo/*", "subscribe:logs/one"],
    "publisher": ["publish:demo/orders"],
    "caller": ["publish:broadcast"],
    "everything": ["read:*", "subscribe:*", "publish:*"],
    "one topic": ["subscribe:short/a"],
    "nothing": ["subscribe:none"],
}


class Site(NamedTuple):
    """A server, its file of tokens, and their texts by name."""

    server: object
    file: Tokens
    texts: dict

    def page(self, path, name):
        """Return a page as somebody gets it, and its status."""
        answer = self.server.get(path, **PAGE, Authorization=f"Bearer {self.texts[name]}")
        return answer.status, answer.body.decode()

    def json(self, path, name, method="GET", body=None):
        headers = {"Authorization": f"Bearer {self.texts[name]}"}
        if body is not None:
            headers["Content_Type"] = "application/json"
        return self.server.get(path, method, body, **headers).json()


@pytest.fixture(scope="module")
def site(serve_all, tmp_path_factory):
    folder = tmp_path_factory.mktemp("catalogue")
    folder.joinpath("one.log").write_text("a line\n")
    with closing(sqlite3.connect(folder / "own.db")) as connection, connection:
        connection.execute("create table own (n integer, region text)")
        connection.execute("insert into own values (1, 'EU')")
    more = f"[sources.own]\ndatabase = 'sqlite:///{folder}/own.db'\ntable = 'own'\n"
    more += f"where = 'region = :principal.region'\n[logs.one]\npath = '{folder}/one.log'\n"
    more += f"[folders.papers]\npath = '{folder}'\n"
    instance = tmp_path_factory.mktemp("instance")
    file = Tokens(State(instance))
    texts = {name: file.add(name.replace(" ", "-"), scopes, {}) for name, scopes in TOKENS.items()}
    texts["european"] = file.add("european", ["read:*"], {"region": "EU"})
    server = serve_all(catalogue=f"{CATALOGUE}\n{more}", HEADWATER_INSTANCE=str(instance))
    return Site(server, file, texts)


# Exports


def test_an_export_says_whether_one_may_cancel_it(site):
    made = site.json("/exports", "everything", "POST", '{"source": "things", "format": "csv"}')
    assert made["may_cancel"] is True
    path = f"/exports/{made['id']}"
    told = {name: site.json(path, name) for name in ("admin", "everything", "reader")}
    assert {name: each["may_cancel"] for name, each in told.items()} == {
        "admin": True,
        "everything": True,
        "reader": False,
    }
    [listed] = [e for e in site.json("/exports", "reader")["exports"] if e["id"] == made["id"]]
    assert listed["may_cancel"] is False
    assert site.json(path, "reader", "DELETE")["error"] == "forbidden"


def test_only_who_may_follow_all_exports_has_a_page_that_does(site):
    assert " data-live" in site.page("/exports", "everything")[1]
    assert " data-live" not in site.page("/exports", "reader")[1]


def test_a_selection_is_shown_as_people_read_it(site):
    order = '{"source": "things", "format": "csv", "columns": ["id", "t"], "t__eq": "a b"}'
    site.json("/exports", "admin", "POST", order)
    page = site.page("/exports", "admin")[1]
    [shown] = re.findall('class="selection">([^<]*)<', page)
    assert sorted(shown.split("&amp;")) == ["columns=id,t", "t__eq=a b"]


# Logs


def test_who_may_follow_no_log_is_not_told_that_there_is_none(site):
    page = site.page("/logs", "reader")[1]
    assert "This token may not follow any log." in page
    assert "The catalogue names no log" not in page
    assert ">one</a>" in site.page("/logs", "follower")[1]


# Events


def offered(page):
    """Return what the page of events has: the topic to follow, that to publish to, charts."""
    shown = {}
    for form in ("follow", "publish"):
        found = re.search(
            f'<form id="{form}".*?<input name="topic"[^>]* value="([^"]*)"', page, re.S
        )
        shown[form] = found and found[1]
    return shown["follow"], shown["publish"], 'id="charts"' in page


OFFERED = {
    "admin": ("demo/*", "demo/test", True),
    "everything": ("demo/*", "demo/test", True),
    "follower": ("demo/*", None, False),
    "publisher": (None, "demo/orders", False),
    "caller": (None, None, False),
    "one topic": ("short/a", None, False),
    "reader": (None, None, False),
}


@pytest.mark.parametrize(("name", "what"), OFFERED.items(), ids=OFFERED.keys())
def test_the_page_of_events_offers_what_one_may(site, name, what):
    page = site.page("/events", name)[1]
    assert offered(page) == what
    assert ("js/charts.js" in page) == what[2]
    assert ("This token may not follow any topic." in page) == (what[0] is None)


def test_what_needs_scripts_is_hidden_until_they_run(site):
    page = site.page("/events", "admin")[1]
    assert page.count("data-script hidden") == 3
    for part in ('<form id="follow"', '<form id="publish"', '<h2 id="pulse"'):
        before = page.partition(part)[0]
        assert before.rfind("data-script hidden") > len(before) - 120
    assert "data-script hidden" in site.page("/logs/one", "admin")[1]


def test_topics_of_single_exports_are_one_row(site):
    for _ in range(2):
        site.json("/exports", "admin", "POST", '{"source": "things", "format": "json"}')
    wait_until(lambda: "exports/*" in site.page("/events", "admin")[1], "they are announced")
    page = site.page("/events", "admin")[1]
    assert not re.search("exports/[0-9a-f]{24}", page)
    assert page.count(">exports/*</a>") == 1
    assert re.search(r"exports/\*</a> <small>\d+ exports?</small>", page)


# What can be had


def test_who_may_download_nothing_is_shown_what_else_there_is(site):
    page = site.page("/", "follower")[1]
    assert "This token may not download anything." in page
    assert '<a href="/events?topic=demo/*">demo/*</a>' in page
    assert '<a href="/logs/one">logs/one</a>' in page
    page = site.page("/", "publisher")[1]
    assert "This token may not download anything." in page
    assert "To follow" not in page
    assert "may not download" not in site.page("/", "reader")[1]


@pytest.mark.parametrize(("path", "name"), [("/sources", "things"), ("/files", "papers")])
def test_a_list_has_what_one_may_read(site, path, name):
    assert f">{name}</a>" in site.page(path, "reader")[1]
    page = site.page(path, "follower")[1]
    assert name not in page
    assert "This token may not read any" in page


def test_the_first_page_links_all_addresses(site):
    page = site.page("/", "reader")[1]
    for path in ("/sources", "/files", "/exports", "/events", "/logs", "/api"):
        assert f'<a href="{path}">{path}</a>' in page


def test_a_source_of_which_one_gets_no_rows_is_listed_without_links(site):
    page = site.page("/", "reader")[1]
    assert "/sources/own" in page
    assert "own shows each principal rows of its own, by region" in page
    assert "/download/own." not in page
    assert "/download/own.csv" in site.page("/", "european")[1]


def test_the_page_of_such_a_source_shows_its_columns_and_why(site):
    status, page = site.page("/sources/own", "reader")
    assert status == 200
    assert "own shows each principal rows of its own, by region" in page
    assert "<li>region <small>text</small></li>" in page
    assert "/download/own" not in page
    assert "denied" in site.json("/sources/own", "reader")
    assert "/download/own.csv" in site.page("/sources/own", "european")[1]
    assert "denied" not in site.json("/sources/own", "european")


# Sessions that have ended


class Browser:
    """Keeps one cookie."""

    def __init__(self, server):
        self._server = server
        self.cookie = ""

    def ask(self, path, method="GET", fields=None, **headers):
        if fields is not None:
            headers["Content_Type"] = "application/x-www-form-urlencoded"
        if self.cookie:
            headers["Cookie"] = self.cookie
        answer = self._server.get(path, method, fields and urlencode(fields), **PAGE, **headers)
        for header in answer.headers.get_all("Set-Cookie", []):
            [(name, morsel)] = SimpleCookie(header).items()
            self.cookie = f"{name}={morsel.value}"
        return answer

    def mark(self, page):
        return re.search(r'name="csrf_token" value="([^"]+)"', page.body.decode())[1]


@pytest.fixture
def ended(site):
    """A browser whose token was withdrawn after it had logged in, and the mark of its pages."""
    text = site.file.add("gone", ["admin"], {})
    browser = Browser(site.server)

    def log_in():
        fields = {"csrf_token": browser.mark(browser.ask("/login")), "token": text}
        return browser.ask("/login", "POST", fields).status == 303

    wait_until(log_in, "it is known")
    mark = browser.mark(browser.ask("/exports"))
    site.file.withdraw(text.split("_")[1])

    def is_sent_away():
        # What is asked while it is withdrawn is cut.
        with suppress(HTTPException, OSError):
            return browser.ask("/exports").status == 303

    wait_until(is_sent_away, "it is known no more")
    return browser, mark


def test_a_form_of_a_session_that_has_ended_leads_to_the_login(site, ended):
    browser, mark = ended
    fields = {"source": "things", "format": "csv", "csrf_token": mark}
    answer = browser.ask(
        "/exports", "POST", fields, Referer=f"{site.server.base}/sources/things?limit=3"
    )
    page = answer.body.decode()
    assert answer.status == 401
    assert "Your session has ended." in page
    assert '<a href="/login?next=/sources/things?limit%3D3">Log in</a>' in page
    assert "`" not in page
    assert "Log out" not in page


def test_the_form_of_another_site_is_no_page_to_come_back_to(site):
    answer = Browser(site.server).ask("/exports", "POST", {}, Referer="http://evil.example/a")
    assert answer.status == 401
    assert '<a href="/login">Log in</a>' in answer.body.decode()


def test_the_login_says_why_one_is_there_and_forgets_the_session(site, ended):
    browser, _ = ended
    page = browser.ask("/login?next=/exports").body.decode()
    assert "Your session has ended: its token has expired or was withdrawn." in page
    assert "Log out" not in page
    again = browser.ask("/login?next=/exports").body.decode()
    assert "The page you requested needs a login." in again
    assert "Your session has ended" not in again
    assert 'role="status"' not in Browser(site.server).ask("/login").body.decode().split("<main")[1]
