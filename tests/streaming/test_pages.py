"""What is answered by Accept says so, be it a page, JSON or an error."""

from __future__ import annotations

import pytest

BY_ACCEPT = [
    "/exports", "/events", "/logs", "/sources", "/sources/numbers", "/files",
    "/events/demo/a?poll=1", "/nothing", "/download/numbers.exe", "/events/%00",
]  # fmt: skip


@pytest.mark.parametrize("path", BY_ACCEPT)
@pytest.mark.parametrize("accept", [None, "application/json", "text/html", "text/event-stream"])
def test_what_is_chosen_by_accept_varies_by_it(client, path, accept):
    answer = client.get(path, headers={"Accept": accept} if accept else {})
    assert "Accept" in answer.vary


@pytest.mark.parametrize("path", ["/healthz", "/download/numbers.csv?limit=1"])
def test_what_is_the_same_for_all_does_not(client, path):
    assert "Accept" not in client.get(path).vary


def test_what_else_it_varies_by_stays(client):
    # A page says who has logged in.
    assert set(client.get("/exports", headers={"Accept": "text/html"}).vary) == {"Accept", "Cookie"}


@pytest.mark.parametrize("path", ["/sources", "/files", "/files/"])
def test_a_list_is_a_page_for_a_browser_and_json_for_a_program(client, path):
    page, told = client.get(path, headers={"Accept": "text/html"}), client.get(path)
    assert (page.status_code, page.mimetype) == (200, "text/html")
    assert (told.status_code, told.mimetype) == (200, "application/json")
    (listed,) = told.json.values()
    assert all(f">{each['name']}</a>" in page.text for each in listed)
