"""What is answered by Accept says so, be it a page, JSON or an error."""

from __future__ import annotations

import pytest
from flask import Flask, request

from streaming.pages import best_kind

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


SSE, NDJSON = "text/event-stream", "application/x-ndjson"
JSON, HTML = "application/json", "text/html"
# An Accept, and which of NDJSON and SSE, or of JSON and HTML, is sent.
CHOICES = {
    "nothing": ("", None, None),
    "what is sent": ("text/event-stream; charset=utf-8", SSE, None),
    "without a blank": ("text/event-stream;charset=utf-8", SSE, None),
    "in capitals and quotes": ('TEXT/Event-Stream;CHARSET="UTF-8"', SSE, None),
    "without a hyphen": ("text/event-stream;charset=utf8", SSE, None),
    "a type that is sent without": ("application/x-ndjson;charset=utf-8", NDJSON, None),
    "JSON": ("application/json; charset=utf-8", None, JSON),
    "a page": ("text/html;charset=utf-8", None, HTML),
    "a page by a browser": ("text/html,application/xml;q=0.9,*/*;q=0.8", NDJSON, HTML),
    "a range": ("text/*;charset=utf-8", SSE, HTML),
    "anything": ("*/*;charset=utf-8", NDJSON, JSON),
    "another parameter": ("text/event-stream;version=1", SSE, None),
    "a comma in quotes": ('application/json;profile="a,b"', None, JSON),
    "a quality behind it": ("text/event-stream;charset=utf-8;q=0.5, */*;q=0.1", SSE, JSON),
    "12.4.2 the higher quality": (
        "text/event-stream;charset=utf-8;q=0.8, application/x-ndjson;charset=utf-8;q=0.9",
        NDJSON,
        None,
    ),
    "another charset": ("text/event-stream;charset=iso-8859-1", None, None),
    "another charset, and anything": ("text/html;charset=utf-16, */*;q=0.1", NDJSON, JSON),
    "12.4.2 none of it": ("text/event-stream;charset=utf-8;q=0", None, None),
    "12.5.1 the most exact says": ("text/event-stream;q=0, text/*;charset=utf-8", None, HTML),
    "12.5.1 a parameter is more exact": (
        "text/event-stream;q=0.9, text/event-stream;charset=utf-8;q=0, application/*;q=0.1",
        NDJSON,
        JSON,
    ),
    "one that is not sent says nothing": ("text/html;level=1;q=0, text/html", None, HTML),
    "not of a kind that is sent": ("image/png;charset=utf-8", None, None),
    "no media type": ("utf-8", None, None),
    "Java's": ("text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2", NDJSON, HTML),
}


@pytest.mark.parametrize(("accept", "event", "page"), CHOICES.values(), ids=CHOICES.keys())
def test_best_kind(accept, event, page):
    with Flask(__name__).test_request_context(headers={"Accept": accept}):
        assert best_kind(request, [NDJSON, SSE]) == event
        assert best_kind(request, [JSON, HTML]) == page


LISTS = ["/events", "/logs", "/sources", "/sources/numbers", "/exports", "/files", "/nothing"]


@pytest.mark.parametrize("path", LISTS)
@pytest.mark.parametrize("kind", [HTML, JSON])
@pytest.mark.parametrize("parameters", ["; charset=utf-8", ';CHARSET="UTF-8";q=0.5'])
def test_every_list_is_what_accept_names_with_parameters(client, path, kind, parameters):
    answer = client.get(path, headers={"Accept": f"{kind}{parameters}, image/png"})
    assert answer.mimetype == kind
