"""The list of exports: in pages, which cost the same however many exports there are."""

from __future__ import annotations

import pytest

from exports.export import Outcome
from tests.exports.specs import a_spec


@pytest.fixture
def filled(own_site):
    """A client of a site with 450 exports that have failed, and 50 that nobody sees."""
    client = own_site.test_client()
    exports = own_site.extensions["headwater"].exports
    answer = client.get("/download/numbers.csv", buffered=True)
    definition = exports.get(answer.headers["Headwater-Export"]).definition
    for number in range(499):
        whose = definition if number < 449 else "of another source"
        spec = a_spec(number, definition=whose)
        export = exports._registry.add(spec, None, background=False)
        export.end("failed", Outcome("test", "it is over"))
        exports._registry.place(export)
    return client


def test_pages(filled):
    pages, url = [], "/exports"
    while url:
        page = filled.get(url).json
        assert page["total"] == 450
        pages.append([each["id"] for each in page["exports"]])
        url = page["next"]
    assert [len(page) for page in pages] == [200, 200, 50]
    assert len({each for page in pages for each in page}) == 450
    assert filled.get("/exports?limit=7").json["exports"][6]["id"] == pages[0][6]


def test_what_is_added_meanwhile_moves_no_page(filled):
    first = filled.get("/exports?limit=10").json
    wanted = filled.get("/exports?limit=20").json["exports"][10:]
    filled.get("/download/numbers.csv?limit=3", buffered=True)
    second = filled.get(first["next"]).json["exports"]
    assert [each["id"] for each in second] == [each["id"] for each in wanted]


@pytest.mark.parametrize("words", ["limit=0", "limit=201", "limit=x", "before=x", "before="])
def test_what_no_page_is(filled, words):
    assert filled.get(f"/exports?{words}").status_code == 400


def test_a_page_for_people_has_links_to_the_others(filled):
    html = {"Accept": "text/html"}
    page = filled.get("/exports", headers=html).text
    assert page.count("<tr id=") == 200
    assert "200 of 450, newest first" in page
    url = filled.get("/exports").json["next"]
    assert f'rel="next" href="{url.replace("&", "&amp;")}"' in page
    second = filled.get(url, headers=html).text
    assert ">Newest</a>" in second
    assert "data-first" in page
    assert "data-first" not in second


def test_exports_are_counted_by_state(filled):
    states = filled.application.extensions["headwater"].exports.states()
    assert (states["failed"], states["complete"]) == (498 + 1, 1)
