"""Pages of a user who has logged in: what they offer, and what they say after the session."""

import pytest

from auth import Tokens
from state import State
from tests.browser.test_pages import GONE, is_live
from tests.system.server import CATALOGUE, wait_until


class Site:
    """A server that needs tokens."""

    def __init__(self, file, server):
        self.file = file
        self.server = server

    def log_in(self, open_page, name, *scopes, path="/", **how):
        """Return the page at path, opened with a token of these scopes, and the token's id."""
        text = self.file.add(name, scopes, {})

        def is_known():
            headers = {"Authorization": f"Bearer {text}"}
            return self.server.get("/exports", **headers).status == 200

        wait_until(is_known, "the token is known")
        page = open_page(f"{self.server.base}/login?next={path}", **how)
        page.fill("[name=token]", text)
        page.click("form.fields button")
        page.wait_for_url(self.server.base + path)
        return page, text.split("_")[1]


@pytest.fixture(scope="module")
def site(serve_all, tmp_path_factory):
    folder = tmp_path_factory.mktemp("instance")
    log = tmp_path_factory.mktemp("logs") / "odd.log"
    log.write_text("a line\n")
    file = Tokens(State(folder))
    file.add("first", ["admin"], {})
    catalogue = f"{CATALOGUE}\n[logs.odd]\npath = '{log}'\n"
    return Site(file, serve_all(catalogue=catalogue, HEADWATER_INSTANCE=str(folder)))


@pytest.mark.parametrize("path", ["/exports", "/events", "/logs/odd"])
def test_a_page_whose_session_has_ended_says_so_and_tries_no_more(open_page, site, path):
    page, token = site.log_in(open_page, "ann", "admin", path=path, may_fail=GONE)
    is_live(page)
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    site.file.withdraw(token)
    page.locator("#badge[data-status=refused]").wait_for()
    assert page.inner_text("#badge") == "your session has ended: log in"
    asked.clear()
    page.wait_for_timeout(3500)  # the list of exports is asked for every three seconds
    assert asked == []
    page.click("#badge a")
    page.wait_for_url("**/login?next=*")
    assert page.input_value("[name=next]") == path
    assert page.locator(".log-out").count() == 0
    assert "Your session has ended" in page.inner_text("main")


def test_a_discard_is_offered_to_whose_export_it_is(open_page, site):
    owner, _ = site.log_in(open_page, "owner", "read:*", "subscribe:exports", path="/exports")
    other, _ = site.log_in(open_page, "other", "read:*", "subscribe:exports", path="/exports")
    is_live(other)
    owner.goto(f"{site.server.base}/sources/things")
    owner.click("text=Create in the background")
    row = "#exports tbody tr:has-text('things.csv')"
    for page in (owner, other):
        page.locator(f"{row} td:has-text('complete')").wait_for()
    owner.get_by_label("Discard things.csv").wait_for()
    other.wait_for_timeout(3500)  # the list was asked for in between
    assert other.locator("#exports button").count() == 0


def test_a_page_follows_nothing_that_its_reader_may_not(open_page, site):
    """An error in the console would fail it."""
    for path in ("/exports", "/events"):
        page, _ = site.log_in(open_page, "rea", "read:*", path=path)
        is_live(page)
    assert page.locator("#charts, #follow, #publish").count() == 0


def test_who_may_publish_to_one_topic_does(open_page, site):
    page, _ = site.log_in(open_page, "pub", "publish:demo/orders", path="/events")
    is_live(page)
    page.click("summary")
    page.click("#publish button")
    wait_until(lambda: page.inner_text("#publish output").startswith("published as"), "it is kept")
