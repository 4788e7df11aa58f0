"""The pages in a browser: a selection and its download, exports in two tabs, feeds under cuts."""

import hashlib
import json
import re
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from sources.sqlite.connections import quoted
from tests.system.server import CATALOGUE, ROOT, wait_until

AXE = ROOT / "node_modules" / "axe-core" / "axe.min.js"
PAGES = [
    "/", "/sources", "/sources/numbers", "/sources/hostile", "/exports", "/events", "/files",
    "/files/odd/", "/logs", "/logs/odd", "/report/things", "/no/such/page",
]  # fmt: skip
# What the browser itself says of a server that is not there.
GONE = ("WebSocket connection", "Failed to load resource")


HOSTILE = {
    "markup": "<img src=x onerror=alert(1)><script>alert(1)</script>",
    "quotes": "\"'`&lt;",
    "right to left": "\u202egnp.exe \u2067שלום",
    "long": "x" * 10_000,
}


@pytest.fixture(scope="module")
def server(serve_all, tmp_path_factory):
    """A server whose rows, columns, files and lines are called what an enemy would call them."""
    folder = tmp_path_factory.mktemp("odd")
    for name in (*[text[:60].replace("/", "_") for text in HOSTILE.values()], "a.png", "b.mp4"):
        (folder / name).write_bytes(b"x")
    log = tmp_path_factory.mktemp("logs") / "odd.log"
    log.write_text("".join(f"{text}\n" for text in HOSTILE.values()))
    database = log.with_name("hostile.db")
    with closing(sqlite3.connect(database)) as connection, connection:
        columns = ", ".join(quoted(text[:200]) for text in HOSTILE.values())
        connection.execute(f"create table t ({columns})")
        connection.execute("insert into t values (?, ?, ?, ?)", list(HOSTILE.values()))
    more = f"[sources.hostile]\ndatabase = 'sqlite:///{database}'\ntable = 't'\n"
    more += f"[folders.odd]\npath = '{folder}'\n[logs.odd]\npath = '{log}'\n"
    return serve_all(catalogue=f"{CATALOGUE}\n{more}")


def is_live(page):
    page.locator("#badge[data-status=live]").wait_for()
    return page


def data_shown(page):
    return page.locator("#stream li .data").all_inner_texts()


def numbers_shown(page):
    return [json.loads(text)["n"] for text in data_shown(page)]


def follow(page, topic, since="all"):
    page.fill("#follow [name=topic]", topic)
    page.select_option("#follow [name=since]", since)
    page.click("#follow button.main")


# What can be had


def test_a_click_downloads_what_the_export_says(open_page, server):
    page = open_page(server.base)
    with page.expect_download() as downloading:
        page.get_by_label("numbers as csv", exact=True).click()
    file = Path(downloading.value.path())
    assert downloading.value.suggested_filename == "numbers.csv"
    [told] = [e for e in server.get("/exports").json()["exports"] if e["source"] == "numbers"]
    assert hashlib.sha256(file.read_bytes()).hexdigest() == told["sha256"]


@pytest.mark.parametrize("scripts", [True, False], ids=["with scripts", "without"])
def test_a_selection_is_made_and_seen(open_page, server, scripts):
    page = open_page(f"{server.base}/sources/numbers", java_script_enabled=scripts)
    assert page.locator("#result tbody tr").count() == 20
    page.check("[name=columns][value=i]")
    page.check("[name=columns][value=name]")
    page.locator("[name=where]").first.select_option("i")
    page.locator("[name=operator]").first.select_option("lte")
    page.locator("[name=value]").first.fill("3")
    page.select_option("[name=sort]", "-i")
    page.click("#selection button")
    wait_until(lambda: page.locator("#result tbody tr").count() == 3, "three rows")
    cells = page.locator("#result tbody td").all_inner_texts()
    assert cells[::2] == ["3", "2", "1"]
    href = page.get_attribute("#result a.button", "href")
    assert href == "/download/numbers.csv?columns=i%2Cname&i__lte=3&sort=-i"
    assert server.get(href).body.count(b"\n") == 4
    assert href in page.inner_text("#result pre")


def test_a_wrong_value_is_said_in_the_page(open_page, server):
    page = open_page(f"{server.base}/sources/numbers?limit=ten", may_fail=GONE)
    assert "limit" in page.inner_text("#result .error")


def test_all_that_there_is_is_reached_from_any_page(open_page, server):
    page = open_page(server.url("/logs"), java_script_enabled=False)
    for title, name in (("Sources", "numbers"), ("Files", "odd")):
        page.get_by_role("navigation").get_by_role("link", name=title).click()
        assert page.locator("nav [aria-current=page]").all_inner_texts() == [title]
        page.locator("main").get_by_role("link", name=name, exact=True).click()
        assert name in page.inner_text("h1")
        # In that part, and not its page.
        assert page.locator("nav [aria-current=true]").all_inner_texts() == [title]
        assert page.locator("nav [aria-current=page]").count() == 0


# Exports


def test_progress_moves_in_another_tab(open_page, server):
    watching = is_live(open_page(f"{server.base}/exports"))
    asking = open_page(f"{server.base}/sources/long")
    asking.click("text=Create in the background")
    asking.wait_for_url(re.compile("/exports#"))
    export_id = asking.url.partition("#")[2]
    rows = watching.locator(f"tr[id='{export_id}'] td").nth(1)
    rows.wait_for()
    seen = rows.inner_text()
    wait_until(lambda: rows.inner_text() != seen, "the rows move")
    watching.get_by_label("Cancel long.csv").first.click()
    state = asking.locator(f"tr[id='{export_id}'] td").first
    wait_until(lambda: state.inner_text().startswith("cancelled"), "the other tab knows")
    server.wait_for(export_id, "cancelled")


def test_a_slow_reader_is_seen(open_page, server):
    page = is_live(open_page(f"{server.base}/exports"))
    told = server.finished("numbers", "json")
    slow = server.open(told["url"])
    slow.read(1000)
    cell = page.locator(f"tr[id='{told['id']}'] td").nth(4)
    wait_until(lambda: "1, the slowest at" in cell.inner_text(), "it says how far the reader is")
    slow.close()
    wait_until(lambda: cell.inner_text() == "0", "and that the reader is gone")


def test_a_restart_under_the_list_of_exports(open_page, launch, free_port):
    server = launch(HEADWATER_PORT=free_port).wait_until_it_answers()
    kept = server.finished("numbers")["id"]
    server.wait_until_kept(kept)
    page = is_live(open_page(f"{server.base}/exports", may_fail=GONE))
    torn = server.running()
    page.locator(f"tr[id='{torn}']").wait_for()
    server.kill()
    wait_until(lambda: page.inner_text("#badge").startswith("reconnecting in"), "the badge says it")
    server.start()
    state = page.locator(f"tr[id='{torn}'] td").first
    wait_until(lambda: state.inner_text().startswith("failed"), "it says what became of it", 40)
    wait_until(lambda: "restarted" in page.inner_text("#notice"), "it says why")
    assert page.locator(f"tr[id='{kept}'] td").first.inner_text() == "complete"
    is_live(page)


def test_who_comes_back_to_the_exports_sees_the_page(open_page, server):
    page = is_live(open_page(f"{server.base}/exports", may_fail=GONE))
    # It has asked its own address for JSON by now.
    with page.expect_response(lambda it: it.request.headers["accept"] == "application/json"):
        pass
    page.goto(server.base)
    page.go_back()
    assert page.locator("h1").inner_text() == "Exports"


def test_what_was_cancelled_says_so_once(open_page, server):
    cancelled = server.running()
    server.get(f"/exports/{cancelled}", "DELETE")
    server.wait_for(cancelled, "cancelled")
    for scripts in (True, False):
        page = open_page(f"{server.base}/exports", java_script_enabled=scripts)
        if scripts:
            is_live(page)
        assert page.locator(f"tr[id='{cancelled}'] td").first.inner_text().strip() == "cancelled"
        assert page.locator(f"tr[id='{cancelled}'] .error").count() == 0


def test_what_is_not_kept_says_so(open_page, server):
    export_id = server.finished("numbers", limit=17)["id"]
    watching = is_live(open_page(f"{server.base}/exports"))
    state = watching.locator(f"tr[id='{export_id}'] td").first
    assert state.inner_text() == "complete"
    watching.locator(f"tr[id='{export_id}']").get_by_label("Discard numbers.csv").click()
    said = "complete Expired, create it again"
    wait_until(lambda: state.inner_text() == said, "it says that its bytes are gone")
    assert watching.locator(f"tr[id='{export_id}'] :is(a, button)").count() == 0
    plain = open_page(f"{server.base}/exports", java_script_enabled=False)
    assert plain.locator(f"tr[id='{export_id}'] td").first.inner_text().strip() == said


def test_a_selection_is_shown_as_people_read_it(open_page, server):
    export_id = server.finished("numbers", columns="i,name", name="a b")["id"]
    for scripts in (True, False):
        page = open_page(f"{server.base}/exports", java_script_enabled=scripts)
        shown = page.inner_text(f"tr[id='{export_id}'] .selection")
        assert sorted(shown.split("&")) == ["columns=i,name", "name__eq=a b"]


@pytest.mark.parametrize("width", [360, 1200])
def test_all_of_an_export_is_in_sight(open_page, server, width):
    done = server.finished("numbers", columns="i,name,x")["id"]
    going = server.running()
    page = is_live(open_page(f"{server.base}/exports", viewport={"width": width, "height": 800}))
    page.get_by_label("Discard numbers.csv").first.wait_for()
    for export_id in (done, going):
        inside = page.evaluate(
            """id => [...document.getElementById(id).querySelectorAll("th, td, button")]
              .map((each) => each.getBoundingClientRect())
              .every((at) => at.left >= 0 && at.right <= innerWidth)""",
            export_id,
        )
        assert inside
    assert page.evaluate(
        "(box => box.scrollWidth <= box.clientWidth)(document.querySelector('.scroll'))"
    )
    overlapping = page.evaluate(
        """id => {
          const row = document.getElementById(id);
          const button = row.querySelector("button").getBoundingClientRect();
          return [...row.querySelectorAll("a, td:not(:last-child)")]
            .map((each) => each.getBoundingClientRect())
            .some((at) => at.width && at.right > button.left && at.bottom > button.top
                  && at.left < button.right && at.top < button.bottom);
        }""",
        done,
    )
    assert not overlapping
    server.cancel_all()


def test_a_digest_is_on_one_line(open_page, server):
    # A long selection leaves little room for it.
    export_id = server.finished("numbers", name="no such name " * 30)["id"]
    page = is_live(open_page(f"{server.base}/exports", viewport={"width": 1200, "height": 800}))
    digest = page.locator(f"tr[id='{export_id}'] code")
    assert len(digest.get_attribute("title")) == 64
    assert digest.evaluate("code => code.getClientRects().length") == 1


# Feeds


def test_a_page_that_has_caught_up_is_not_behind(open_page, server):
    topic = "demo/behind"
    server.publish(topic, {"n": 1})
    # Old enough to be behind while the page catches up.
    wait_until(lambda: time.time() - server.events(topic)[0]["time"] > 3, "it is old")
    page = open_page("about:blank", may_fail=GONE)
    # Over SSE it is known only by a pause in what comes that all has come.
    page.route("**/socket.io.esm.min.js", lambda route: route.abort())
    page.add_init_script(
        """addEventListener("DOMContentLoaded", () => {
          window.said = [];
          const behind = document.querySelector("#behind");
          const note = () => window.said.push(behind.textContent);
          new MutationObserver(note).observe(behind, { childList: true });
        });"""
    )
    page.goto(f"{server.base}/events?topic={topic}")
    page.locator("#badge[data-status=fallback]").wait_for()
    assert any(
        re.fullmatch(r"1 event, the last of [\d:]+: \d+ s behind", said)
        for said in page.evaluate("window.said")
    )
    assert re.fullmatch(r"1 event, the last of [\d:]+", page.inner_text("#behind"))


def test_events_are_seen_filtered_paused_and_caught_up_with(open_page, server):
    page = is_live(open_page(f"{server.base}/events"))
    server.publish("demo/page", *({"n": n} for n in range(5)))
    follow(page, "demo/page")
    wait_until(lambda: numbers_shown(page) == [0, 1, 2, 3, 4], "history is there")
    page.fill("[name=filter]", '"n":3')
    assert numbers_shown(page) == [3]
    page.fill("[name=filter]", "")
    page.click("#pause")
    server.publish("demo/page", *({"n": n} for n in range(5, 9)))
    assert numbers_shown(page) == [0, 1, 2, 3, 4]
    page.click("#pause")
    wait_until(lambda: numbers_shown(page) == list(range(9)), "it has caught up, nothing twice")


def test_a_test_event_is_published(open_page, server):
    page = is_live(open_page(f"{server.base}/events?topic=demo/tried"))
    page.click("summary")
    page.fill("#publish [name=topic]", "demo/tried")
    page.fill("#publish [name=data]", '{"n": 42}')
    page.click("#publish button")
    wait_until(lambda: numbers_shown(page) == [42], "it comes back")
    page.fill("#publish [name=data]", "{")
    page.click("#publish button")
    wait_until(lambda: "JSON" in page.inner_text("#publish output"), "it says what is wrong")


def test_what_cannot_be_followed_is_said_as_an_error(open_page, server):
    page = is_live(open_page(f"{server.base}/events"))
    follow(page, "no topic")
    said = page.locator("#behind.error")
    said.wait_for()
    assert said.inner_text().startswith("a topic is segments of letters")
    follow(page, "demo/again")
    page.locator("#behind.quiet", has_text="Nothing yet.").wait_for()


def test_a_gap_is_shown_where_it_is(open_page, server):
    page = is_live(open_page(f"{server.base}/events"))
    server.publish("few/page", {"n": 0})
    follow(page, "few/page")
    wait_until(lambda: numbers_shown(page) == [0], "the first one")
    page.click("#pause")
    for n in range(1, 400):
        server.publish("few/page", {"n": n})
    page.click("#pause")
    wait_until(lambda: numbers_shown(page)[-1:] == [399], "the last one")
    shown = page.locator("#stream li").all_inner_texts()
    [gap] = [n for n, text in enumerate(shown) if "are no longer available" in text]
    assert gap == 1
    lost = int(re.match(r"[\d,]+", shown[gap])[0].replace(",", ""))
    assert lost + len(numbers_shown(page)) == 400


def test_the_network_is_cut_and_nothing_is_missed(open_page, server, put_cutter):
    cutter = put_cutter(server)
    page = is_live(open_page(f"http://127.0.0.1:{cutter.port}/events", may_fail=GONE))
    follow(page, "demo/cut")
    for n in range(60):
        server.publish("demo/cut", {"n": n})
        if n % 20 == 10:
            wait_until(lambda: numbers_shown(page), "something has come")
            cutter.cut()
    wait_until(lambda: numbers_shown(page) == list(range(60)), "every number once", 30)


def test_a_restart_under_an_open_page(open_page, launch, free_port):
    server = launch(HEADWATER_PORT=free_port).wait_until_it_answers()
    page = is_live(open_page(f"{server.base}/events", may_fail=GONE))
    follow(page, "demo/restart")
    server.publish("demo/restart", {"n": 1})
    wait_until(lambda: numbers_shown(page) == [1], "the first one")
    server.kill()
    wait_until(lambda: page.inner_text("#badge").startswith("reconnecting"), "the badge says it")
    server.start()
    server.publish("demo/restart", {"n": 2})
    wait_until(lambda: numbers_shown(page) == [1, 2], "it goes on", 40)
    is_live(page)


def test_ten_thousand_events_in_ten_seconds_and_a_click(open_page, server):
    page = is_live(open_page(f"{server.base}/events"))
    follow(page, "load/page", "now")
    page.evaluate(
        """() => {
          window.slowest = {}; // by second
          const click = () => {
            const began = performance.now();
            setTimeout(() => {
              const second = Math.floor(began / 1000);
              const took = performance.now() - began;
              window.slowest[second] = Math.max(window.slowest[second] ?? 0, took);
            });
          };
          setInterval(click, 50);
        }"""
    )
    for start in range(0, 10_000, 100):
        server.publish(
            "load/page", *({"n": n, "text": "x" * 100} for n in range(start, start + 100))
        )
        page.wait_for_timeout(60)  # the pace is what is asked for
    wait_until(lambda: numbers_shown(page)[-1:] == [9999], "the last one")
    slowest = sorted(page.evaluate("Object.values(window.slowest)"))
    # Other tests run beside this one, and have a second of the processor now and then.
    assert slowest[len(slowest) // 2] < 100, slowest
    assert slowest[-1] < 1000
    assert page.locator("#stream li").count() <= 500


def test_the_charts_have_numbers_at_once(open_page, server):
    wait_until(lambda: len(server.events("status")) > 3, "there is some history")
    page = is_live(open_page(f"{server.base}/events"))
    wait_until(lambda: page.locator("#charts figcaption").count() == 5, "five charts")
    captions = page.locator("#charts figcaption")
    wait_until(lambda: re.search(r"Memory: [\d.]+ MB", " ".join(captions.all_inner_texts())), "MB")


def test_the_charts_show_times_as_the_page_does(open_page, server):
    wait_until(lambda: len(server.events("status")) > 3, "there is some history")
    page = open_page("about:blank")
    page.add_init_script(
        """window.drawn = [];
        const { fillText } = CanvasRenderingContext2D.prototype;
        CanvasRenderingContext2D.prototype.fillText = function (text, ...where) {
          window.drawn.push(text);
          return fillText.call(this, text, ...where);
        };"""
    )
    page.goto(f"{server.base}/events")
    time_of_day = re.compile(r"\d\d:\d\d:\d\d")
    wait_until(
        lambda: any(time_of_day.fullmatch(text) for text in page.evaluate("window.drawn")), "times"
    )
    # Whatever else has a colon or a day is not the page's form.
    drawn = page.evaluate("window.drawn")
    assert [text for text in drawn if re.search("[:]|[ap]m|/[0-9]", text)] == [
        text for text in drawn if time_of_day.fullmatch(text)
    ]


@pytest.mark.parametrize("path", ["/events", "/logs/odd"])
def test_without_javascript_nothing_is_shown_that_needs_it(open_page, server, path):
    page = open_page(server.base + path, java_script_enabled=False)
    shown = page.locator("main").locator("form, button, input, #charts, #stream, #log, #told")
    assert [each for each in shown.all() if each.is_visible()] == []
    assert "Server status" not in page.inner_text("main")
    assert "curl -N" in page.inner_text("noscript")


# Hostile and unusual


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_what_others_say_is_text(open_page, server, text):
    page = is_live(open_page(f"{server.base}/events"))
    topic = f"demo/hostile-{len(text)}-{ord(text[0])}"
    server.publish(topic, {"said": text})
    follow(page, topic)
    wait_until(lambda: data_shown(page), "it is shown")
    [shown] = data_shown(page)
    assert shown.startswith(
        json.dumps({"said": text}, ensure_ascii=False, separators=(",", ":"))[:900]
    )
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize("path", ["/sources/hostile", "/files/odd/", "/report/hostile"])
def test_what_the_data_is_called_is_text(open_page, server, path):
    page = open_page(server.base + path)
    assert page.locator("main script").count() == 0
    assert page.get_by_text("<img src=x onerror=alert(1)>").first.is_visible()


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize(("width", "scheme"), [(1200, "light"), (360, "dark")])
def test_nothing_sticks_out_and_axe_finds_nothing_serious(open_page, server, path, width, scheme):
    page = open_page(
        server.base + path,
        may_fail=GONE,
        viewport={"width": width, "height": 800},
        color_scheme=scheme,
    )
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    # Not as a script of the page: its policy would refuse it, as it should.
    page.evaluate(AXE.read_text())
    found = page.evaluate("axe.run()")["violations"]
    assert [v["id"] for v in found if v["impact"] in ("serious", "critical")] == []


@pytest.mark.parametrize("path", ["/sources/numbers", "/events"])
def test_fields_of_a_row_are_of_one_height(open_page, server, path):
    page = open_page(server.base + path, viewport={"width": 1200, "height": 800})
    page.locator("#badge").wait_for(state="attached")
    rows = page.evaluate(
        """() => [...document.querySelectorAll(".fields")].map((row) =>
          [...row.querySelectorAll("select, input:not([type=checkbox]), button")]
            .map((each) => each.getBoundingClientRect()).filter((at) => at.width)
            .map((at) => [at.top, at.height].join()))"""
    )
    assert {len(set(row)) for row in rows if row} == {1}
    legends = "[...document.querySelectorAll('legend')]"
    assert page.evaluate(f"{legends}.every((it) => getComputedStyle(it).paddingLeft === '0px')")


def test_by_keyboard_alone(open_page, server):
    page = open_page(server.base)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.ariaLabel") == "numbers as csv":
            break
    with page.expect_download() as downloading:
        page.keyboard.press("Enter")
    assert downloading.value.suggested_filename == "numbers.csv"


def test_scripts_written_into_a_page_do_not_run(open_page, server):
    page = open_page(server.base, may_fail=("Content Security Policy", *GONE))
    page.evaluate(
        "document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"window.ran=1\">')"
    )
    page.evaluate(
        "const s = document.createElement('script'); s.textContent = 'window.ran = 1';"
        " document.body.append(s)"
    )
    assert page.evaluate("window.ran === undefined")


def test_the_browser_is_offline_for_a_while(open_page, server):
    page = is_live(open_page(f"{server.base}/events", may_fail=GONE))
    follow(page, "demo/offline")
    server.publish("demo/offline", {"n": 0})
    wait_until(lambda: numbers_shown(page) == [0], "the first one")
    page.context.set_offline(True)
    for n in range(1, 30):
        server.publish("demo/offline", {"n": n})
    page.context.set_offline(False)
    wait_until(lambda: numbers_shown(page) == list(range(30)), "nothing is missed", 60)
