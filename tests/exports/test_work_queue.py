"""What the disk does for the runner: in order, and nobody waits for it who does not ask to."""

from __future__ import annotations

import threading

import pytest

from exports.work_queue import WorkQueue
from journal import run_here


@pytest.fixture
def held():
    """WorkQueue whose first one waits until `held.go` is set, and what was done."""
    work = WorkQueue(run_here)
    work.start()
    work.go, work.seen = threading.Event(), []
    work.ask(lambda: work.seen.append(work.go.wait(20)))
    yield work
    work.go.set()
    work.stop(20)


def test_they_are_done_in_the_order_of_asking(held):
    for number in range(100):
        held.ask(lambda number=number: held.seen.append(number))
    assert held.seen == []
    held.go.set()
    held.wait()
    assert held.seen == [True, *range(100)]


def test_one_that_fails_holds_up_none_behind_it(held, caplog):
    held.ask(lambda: 1 / 0)
    held.ask(lambda: held.seen.append("behind"))
    held.go.set()
    held.wait()
    assert held.seen == [True, "behind"]
    assert "work failed" in caplog.text


def test_a_wait_has_an_end(held):
    held.wait(0.01)
    assert held.seen == []


def test_after_the_stop_work_is_done_at_once(held):
    held.go.set()
    held.stop(20)
    held.ask(lambda: held.seen.append("at once"))
    assert held.seen == [True, "at once"]
