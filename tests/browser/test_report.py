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
        connection.execute("create table shares (at text)")
        times = ["2013-09-13T12:00:00Z"] * 5 + ["2013-09-14T12:00:00Z"] * 2 + [None] * 3
        connection.executemany("insert into shares values (?)", [(each,) for each in times])
    more = "\n".join(
        f"sources.{name} = {{ database = 'sqlite:///{path}', table = '{name}' }}"
        for name in ("odd", "shares")
    )
    return serve_all(catalogue=f"{more}\n{CATALOGUE}")


def test_it_is_readable_while_it_comes(open_page, server):
    page = open_page(server.url("/report/users"))
    assert page.locator(".waiting:visible").count() == 0
    page.goto(server.url("/report/sorts"), wait_until="commit")
    page.get_by_text("Rows are being read …").wait_for()
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


def test_a_bar_is_as_long_as_the_share_beside_it(open_page, server):
    page = open_page(server.url("/report/shares"))
    shown = page.locator("table.frequent tbody tr")
    shares = [
        text.removesuffix(" %") for text in shown.locator(".number:nth-child(3)").all_inner_texts()
    ]
    assert shares == ["50.0", "20.0"]
    assert filled_of(shown) == [50, 20]
    # Of the missing ones, which the sentence above it tells.
    assert "3 missing (NULL), 30.0 %" in page.inner_text("section:has(.missing)")
    assert filled_of(page.locator(".missing")) == [30]


@pytest.mark.parametrize("width", [360, 800, 1200])
def test_a_timestamp_is_on_one_line_where_there_is_room(open_page, server, width):
    page = open_page(server.url("/report/shares"), viewport={"width": width, "height": 800})
    values = page.locator("table.frequent th.value bdi")
    assert values.count() == 2
    assert [value.evaluate("it => it.getClientRects().length") for value in values.all()] == [1, 1]


def filled_of(place):
    """Return how much of the track each bar there has filled, in per cent."""
    part = "bar => 100 * bar.querySelector('.fore').getBoundingClientRect().width"
    whole = "bar.querySelector('.back').getBoundingClientRect().width"
    bars = place.locator("svg.bar").all()
    return [round(bar.evaluate(f"{part} / {whole}")) for bar in bars]


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
