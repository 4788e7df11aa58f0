"""What the disk does for the runner: in order, and nobody waits for it who does not ask to."""

from __future__ import annotations

import threading

import pytest

from exports.errands import Errands
from journal import run_here


@pytest.fixture
def held():
    """Errands whose first one waits until `held.go` is set, and what was done."""
    errands = Errands(run_here)
    errands.start()
    errands.go, errands.seen = threading.Event(), []
    errands.ask(lambda: errands.seen.append(errands.go.wait(20)))
    yield errands
    errands.go.set()
    errands.stop(20)


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
    assert "errand failed" in caplog.text


def test_a_wait_has_an_end(held):
    held.wait(0.01)
    assert held.seen == []


def test_after_the_stop_work_is_done_at_once(held):
    held.go.set()
    held.stop(20)
    held.ask(lambda: held.seen.append("at once"))
    assert held.seen == [True, "at once"]
