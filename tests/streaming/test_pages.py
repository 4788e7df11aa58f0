"""What is answered by Accept says so, be it a page, JSON or an error."""

from __future__ import annotations

import pytest

BY_ACCEPT = [
    "/exports", "/events", "/logs", "/sources/numbers", "/events/demo/a?poll=1", "/nothing",
    "/download/numbers.exe", "/events/%00",
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
