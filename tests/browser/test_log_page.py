"""A log of 100,000 lines in a browser: looked through, paused, followed, quick all the while."""

import pytest

from tests.system.server import CATALOGUE, wait_until

LINES = 100_000


def line(n):
    return f"line {n:06} {'abc' if n % 1000 == 0 else 'xyz'} {'.' * (n % 90)}"


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    path = tmp_path_factory.mktemp("logs") / "big.log"
    path.write_text("".join(f"{line(n)}\n" for n in range(LINES)))
    return path


@pytest.fixture(scope="module")
def server(serve_all, log):
    server = serve_all(catalogue=f"{CATALOGUE}\n[logs.big]\npath = '{log}'\n")

    def lines():
        [told] = server.get("/logs").json()["logs"]
        return told["lines"]

    wait_until(lambda: lines() >= LINES, "all lines are read", 30)
    return server


def append(log, *lines):
    with log.open("a") as file:
        file.write("".join(f"{each}\n" for each in lines))


@pytest.fixture
def page(open_page, server):
    page = open_page(f"{server.base}/logs/big")
    page.select_option("[name=lines]", str(LINES))
    wait_until(lambda: page.inner_text("#told").startswith("100,"), "all are there", 30)
    return page


def seen(page):
    """The lines that are in sight."""
    return page.evaluate(
        """() => {
          const box = document.querySelector("#log").getBoundingClientRect();
          return [...document.querySelectorAll("#log li")]
            .filter((li) => {
              const at = li.getBoundingClientRect();
              return at.top >= box.top - 1 && at.bottom <= box.bottom + 1;
            })
            .map((li) => li.textContent);
        }"""
    )


def test_only_what_is_in_sight_is_an_element(page):
    wait_until(lambda: seen(page)[-1:] and seen(page)[-1].startswith("line 0999"), "the end")
    assert page.locator("#log li").count() < 150
    page.evaluate("document.querySelector('#log').scrollTop = 0")
    wait_until(lambda: seen(page)[:1] == [line(0)], "the beginning")
    page.evaluate("(log => (log.scrollTop = log.scrollHeight / 2))(document.querySelector('#log'))")
    wait_until(lambda: seen(page)[:1] and "line 05" in seen(page)[0], "the middle")
    page.click("#end")
    wait_until(lambda: seen(page)[-1:] and seen(page)[-1].startswith("line 0999"), "the end again")


def test_a_search_is_quick_and_shows_what_matches(page):
    page.fill("[name=filter]", "ABC")
    wait_until(lambda: page.inner_text("#told").startswith("100 of"), "a hundred match")
    assert all(" abc " in text for text in seen(page))
    took_ms = page.evaluate(
        """async () => {
          const field = document.querySelector("[name=filter]");
          const began = performance.now();
          field.value = "line 0123";
          field.dispatchEvent(new Event("input", { bubbles: true }));
          await new Promise(requestAnimationFrame);
          return performance.now() - began;
        }"""
    )
    assert took_ms < 250


def test_it_follows_and_a_pause_misses_nothing(page, log):
    append(log, "one", "two")
    wait_until(lambda: seen(page)[-2:] == ["one", "two"], "they come")
    page.click("#pause")
    append(log, "three")
    page.wait_for_timeout(300)  # it would have come
    assert seen(page)[-1] == "two"
    page.click("#pause")
    wait_until(lambda: seen(page)[-3:] == ["one", "two", "three"], "nothing is missed or doubled")


@pytest.mark.parametrize("width", [360, 1200])
def test_all_of_a_long_line_is_in_sight(open_page, server, log, width):
    long = f"{'<' * 150} 日本 {'word ' * 60} the end"
    append(log, long, "after it")
    page = open_page(f"{server.base}/logs/big", viewport={"width": width, "height": 800})
    wait_until(lambda: seen(page)[-2:] == [long, "after it"], "both lines, in full")
    box = "document.querySelector('#log')"
    assert page.evaluate(f"{box}.scrollWidth <= {box}.clientWidth")
    sizes = page.evaluate(
        "[...document.querySelectorAll('#log li')].map(li => [li.scrollHeight, li.clientHeight])"
    )
    assert [size for size in sizes if size[0] > size[1]] == []
    page.uncheck("[name=wrap]")
    wait_until(lambda: page.evaluate(f"{box}.scrollWidth > {box}.clientWidth"), "one row each")
    heights = "[...document.querySelectorAll('#log li')].map(li => li.clientHeight)"
    wait_until(lambda: set(page.evaluate(heights)) == {20}, "each is as high as a row")
    wait_until(lambda: seen(page)[-1:] == ["after it"], "it is still at the end")


def test_another_width_keeps_the_line_that_one_looks_at(open_page, server, log):
    append(log, *(f"number {n} {'x' * 200}" for n in range(200)))
    page = open_page(f"{server.base}/logs/big", viewport={"width": 1200, "height": 800})
    wait_until(lambda: seen(page)[-1:] and seen(page)[-1].startswith("number 199"), "the end")
    page.evaluate("document.querySelector('#log').scrollTop -= 2000")
    wait_until(lambda: seen(page)[:1] and not seen(page)[-1].startswith("number 199"), "before it")
    page.wait_for_timeout(100)  # it is drawn
    first = seen(page)[0]
    page.set_viewport_size({"width": 360, "height": 800})
    wait_until(lambda: first in seen(page)[:2], "it is there")


def test_a_line_is_text(page, log):
    append(log, "<script>alert(1)</script> \u202e")
    wait_until(lambda: seen(page)[-1:] == ["<script>alert(1)</script> \u202e"], "as it is")


def test_without_javascript_there_is_the_text(open_page, server):
    page = open_page(f"{server.base}/logs/big", java_script_enabled=False)
    page.click("text=as text")
    ends = ("line 0999", "<script>", "three", "number 199")
    assert page.inner_text("body").splitlines()[-1].startswith(ends)
