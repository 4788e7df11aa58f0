"""The report in a browser: readable while it comes, without JavaScript, in the dark, on a phone."""

import sqlite3
from contextlib import closing

import pytest

from tests.system.server import CATALOGUE, ROOT

AXE = ROOT / "node_modules" / "axe-core" / "axe.min.js"
WIDE = "x" * 10_000
OVERFLOW = "document.documentElement.scrollWidth - innerWidth"
FILL = "getComputedStyle(document.querySelector('.fore')).fill"


@pytest.fixture(scope="module")
def server(serve_all, tmp_path_factory):
    """A server that has a table with everything wide, turned and missing."""
    path = tmp_path_factory.mktemp("odd") / "odd.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(f'create table odd (big integer, "{WIDE}" text, turned text, gone text)')
        connection.executemany(
            "insert into odd values (?, ?, ?, null)",
            [(2**62 + i, WIDE, "\u202e<b>gnp.exe" * 500) for i in range(100)],
        )
    more = f"sources.odd = {{ database = 'sqlite:///{path}', table = 'odd' }}"
    return serve_all(catalogue=f"{more}\n{CATALOGUE}")


def test_it_is_readable_while_it_comes(open_page, server):
    page = open_page(server.url("/report/users"))
    assert page.locator(".waiting:visible").count() == 0
    page.goto(server.url("/report/sorts"), wait_until="commit")
    page.get_by_text("They are being read …").wait_for()
    assert page.locator("h1").inner_text() == "Report: sorts"
    assert page.get_by_role("navigation", name="Columns").get_by_role("link").count() == 1
    assert page.evaluate("document.readyState") == "loading"


def test_it_is_complete_without_javascript(open_page, server):
    page = open_page(server.url("/report/numbers"), java_script_enabled=False)
    assert page.locator("section").count() == 4
    assert page.get_by_role("img", name="Histogram of i, 20 bars").is_visible()
    assert page.locator("#end").is_visible()
    assert page.locator(".waiting:visible").count() == 0


@pytest.mark.parametrize("width", [360, 1100])
def test_what_is_wide_does_not_widen_the_page(open_page, server, width):
    page = open_page(server.url("/report/odd"), viewport={"width": width, "height": 800})
    for summary in page.locator("summary").all():
        summary.click()
    assert page.evaluate(OVERFLOW) == 0
    assert page.get_by_role("heading", name="x" * 100).is_visible()
    assert page.locator("b").count() == 0


def test_it_is_dark_in_the_dark(open_page, server):
    light, dark = (
        open_page(server.url("/report/users?limit=9"), color_scheme=scheme).evaluate(FILL)
        for scheme in ("light", "dark")
    )
    assert light != dark


def test_with_the_keyboard(open_page, server):
    page = open_page(server.url("/report/users"))
    link = page.get_by_role("navigation", name="Columns").get_by_role("link", name="id")
    for _ in range(20):
        page.keyboard.press("Tab")
        if link.evaluate("element => element === document.activeElement"):
            break
    page.keyboard.press("Enter")
    assert page.url.endswith("#c1")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.locator("details[open] table").is_visible()


@pytest.mark.parametrize("source", ["odd", "things", "stops?at=5", "users?limit=0"])
def test_axe_finds_nothing(open_page, server, source):
    page = open_page(server.url(f"/report/{source}"))
    # Not as a script element, which the policy of the page refuses.
    page.evaluate(AXE.read_text())
    found = page.evaluate("axe.run()")["violations"]
    assert [(each["id"], [node["html"] for node in each["nodes"]]) for each in found] == []
