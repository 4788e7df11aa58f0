"""Pages of exports: by view, newest first, each export once."""

from __future__ import annotations

import pytest

from exports.export import Export
from exports.index import Index
from exports.service import Point, View
from journal import MemoryJournal


def an_export(number, definition="d", visibility_key=""):
    return Export(
        f"{number:024x}", f"{number % 3:064}", f"{number}", "numbers", "csv", "", MemoryJournal(1),
        False, "print", requested_s=1e9 + number // 2 / 10, definition=definition,
        visibility_key=visibility_key,
    )  # fmt: skip


@pytest.fixture
def index():
    """20 exports, of two definitions and two audiences, two asked for at each moment."""
    index = Index()
    for number in range(20):
        index.add(an_export(number, "de"[number % 2], "ab"[number // 4 % 2]))
    return index


def numbers(exports):
    return [int(export.id, 16) for export in exports]


VIEWS = {
    "all audiences": ([View("d", None)], [n for n in range(20) if n % 2 == 0]),
    "one audience": ([View("d", "a")], [n for n in range(20) if n % 2 == 0 and n // 4 % 2 == 0]),
    "two views": ([View("d", None), View("e", None)], list(range(20))),
    "nothing": ([View("f", None), View("d", "c")], []),
    "no view": ([], []),
}


@pytest.mark.parametrize(("views", "want"), VIEWS.values(), ids=VIEWS.keys())
def test_pages_of_a_view(index, views, want):
    assert index.count(views) == len(want)
    found, before = [], None
    while page := index.page(views, before, 3):
        found += numbers(page)
        before = Point.read(str(Point.of(page[-1])))
    assert found == want[::-1]


def test_a_page_begins_where_one_was_that_is_forgotten(index):
    views = [View("d", None), View("e", None)]
    last = index.page(views, None, 5)[-1]
    index.remove(last)
    assert numbers(index.page(views, Point.of(last), 2)) == [14, 13]


def test_what_was_removed_is_found_no_more(index):
    for export in list(index.by_id.values()):
        index.remove(export)
    assert index.page([View("d", None)], None, 5) == []
    assert not any([index._by_address, index._by_stem, index._by_data, index._points])


NO_POINTS = ["", "1", "1.5_", "1.5_00", "-1.5_" + "0" * 24, "1e9_" + "0" * 24, "١.5_" + "0" * 24]


@pytest.mark.parametrize("text", NO_POINTS)
def test_what_is_no_point(text):
    assert Point.read(text) is None
