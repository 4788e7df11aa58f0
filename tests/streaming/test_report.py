"""What a report asks for, when, and what it frees; the page itself is in tests/system."""

from __future__ import annotations

import threading

import pytest

from auth import NativeThreads
from journal import run_here
from sources.catalogue.catalogue import load_catalogue
from sources.errors import SourceFailed
from sources.profile import SampleInfo
from sources.sqlite.profiling import SqliteSample
from streaming.errors import Refusal
from streaming.report import MOST_OF_ONE, MOST_OPEN, SEND, ConcurrencyLimit, Page, Report, _read
from streaming.source_lookup import SourceLookup


@pytest.fixture
def lookup(tmp_path, lay_site):
    sources = load_catalogue(lay_site(tmp_path)).sources
    return SourceLookup(sources, {}, NativeThreads(run_here))


@pytest.fixture
def start(lookup):
    """start(source, limit, has_left, owner): a report of it, with its place, and its sample."""
    started = []

    def start(source="numbers", limit=None, has_left=lambda: False, owner="ann"):
        query, _ = _read(lookup, source, [], {})
        sample = SqliteSample(query)
        report = Report(
            sample, limit or ConcurrencyLimit(), owner, NativeThreads(run_here), has_left
        )
        report.enter()
        started.append(report)
        return report, sample

    yield start
    for report in started:
        report.leave()


def test_it_is_not_sorted_for_without_a_limit(lookup):
    def sql(*words):
        return _read(lookup, "numbers", list(words), {})[0].sql

    assert "ORDER BY" not in sql(("sort", "-name"))
    assert "ORDER BY" in sql(("sort", "-name"), ("limit", "5"))
    assert sql(("sort", "name"), ("id__lt", "5")) == sql(("id__lt", "5"))


def test_what_it_finds(start):
    report, _ = start()
    assert report.take() == SampleInfo("all", 1000, 1000)
    assert report.profile(0).numbers.most == 1000
    assert report.failure is None


def test_a_failure_is_a_text_until_the_next(start):
    report, sample = start("hopeless")
    assert report.take() is None
    assert report.failure == "the database stopped: malformed JSON"
    sample._query = sample._query._replace(sql="select 1")
    report.take()
    assert report.failure is None


def test_nothing_is_begun_for_a_client_that_has_left(start):
    report, sample = start(has_left=lambda: True)
    with pytest.raises(ConnectionResetError):
        report.take()
    assert sample._connections == []


def test_what_fails_once_the_client_has_left_is_no_failure(start):
    answers = iter([False, True])
    report, _ = start("hopeless", has_left=lambda: next(answers))
    with pytest.raises(ConnectionResetError):
        report.take()


def test_to_leave_frees_the_rows(lookup):
    sample = SqliteSample(_read(lookup, "numbers", [], {})[0])
    report = Report(sample, ConcurrencyLimit(), "ann", NativeThreads(run_here), bool)
    report.enter()
    report.take()
    assert sample._connections
    report.leave()
    assert sample._connections == []
    with pytest.raises(SourceFailed):
        sample.take()


def test_places_are_so_many_and_one_owner_has_only_a_part(start, monkeypatch):
    monkeypatch.setattr("streaming.report.PLACE_WAIT_S", 0.01)
    limit = ConcurrencyLimit()
    for owner in ("ann", "bob"):
        for _ in range(MOST_OF_ONE):
            start(limit=limit, owner=owner)
        with pytest.raises(Refusal) as refused:
            start(limit=limit, owner=owner)
        assert (refused.value.status, refused.value.code) == (503, "too_many_reports")
    assert MOST_OPEN == 2 * MOST_OF_ONE
    with pytest.raises(Refusal):
        start(limit=limit, owner="carl")


def test_a_place_that_is_freed_meanwhile_is_taken(start):
    limit = ConcurrencyLimit()
    first = [start(limit=limit)[0] for _ in range(MOST_OF_ONE)]
    leaving = threading.Timer(0.05, first[0].leave)
    leaving.start()
    start(limit=limit)
    leaving.join()
    limit.open.enter("ann", 0.0)


def texts(*written):
    yield from written


def test_a_page_is_sent_where_it_says():
    page = Page(texts("<p>", "ä", SEND, SEND, "b", SEND, "c"), lambda: None)
    assert list(page) == ["<p>ä".encode(), b"b", b"c"]


@pytest.mark.parametrize("taken", [0, 1, 9])
def test_a_page_leaves_once(taken):
    left, ended = [], []

    def render():
        try:
            yield from (SEND, "a", SEND, "b")
        finally:
            ended.append(True)

    page = Page(render(), lambda: left.append(True))
    for _, _ in zip(range(taken), page, strict=False):
        pass
    page.close()
    page.close()
    assert left == [True]
    assert ended == ([True] if taken else [])
