"""What is slow of one kind, or of one owner, takes no thread of another."""

from __future__ import annotations

import contextvars
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from auth import NativeThreads
from auth.native_threads import IN_ALL
from auth.request_scheduler import RequestScheduler, act_for, end_turn

KINDS = ("commits", "descriptions", "statements", "reports", "authenticator", "files")


class Blocked:
    """A run_native whose work of `ann` stays at work until it may go on."""

    def __init__(self):
        self.at_work = 0
        self.goes_on = threading.Event()

    def __call__(self, work):
        self.at_work += 1
        try:
            return work()
        finally:
            self.at_work -= 1


@pytest.fixture
def blocked():
    blocked = Blocked()
    yield blocked
    blocked.goes_on.set()


@pytest.fixture
def start(blocked):
    """start(owner, run, work): have owner's work run beside others."""
    with ThreadPoolExecutor(2 * len(KINDS) * IN_ALL) as clients:

        def run_as(owner, run, work):
            act_for(owner)
            return run(work)

        yield lambda *of: clients.submit(contextvars.Context().run, run_as, *of)
        blocked.goes_on.set()


@pytest.mark.parametrize("kind", KINDS)
def test_another_owner_always_has_a_thread(kind, blocked, start, until):
    run = getattr(NativeThreads(blocked), kind)
    slow = [start("ann", run, blocked.goes_on.wait) for _ in range(IN_ALL)]
    until(lambda: blocked.at_work == run._places.most_of_one)
    assert start("bob", run, lambda: "done").result(5) == "done"
    assert not any(each.done() for each in slow)


def test_kinds_take_no_threads_of_each_other(blocked, start, until):
    """All that may be slow is, of many owners, and a commit begins at once; there are threads."""
    threads = NativeThreads(blocked)
    for kind in KINDS[1:]:
        for number in range(IN_ALL):
            start(f"{number}", getattr(threads, kind), blocked.goes_on.wait)
    kinds = [getattr(threads, kind) for kind in KINDS]
    until(lambda: blocked.at_work == IN_ALL - kinds[0]._places.count)
    assert start("bob", threads.commits, lambda: "done").result(5) == "done"
    assert sum(kind._places.count for kind in kinds) == IN_ALL


def test_work_that_comes_again_is_run_where_it_is(blocked):
    run = NativeThreads(blocked).commits
    count = run._places.count
    deep = lambda: None  # noqa: E731
    for _ in range(count + 1):
        deep = lambda inner=deep: run(inner)  # noqa: E731
    run(deep)
    assert run._places._held.total() == 0


def test_a_turn_is_not_held_while_a_thread_is_waited_for(blocked, start, until):
    """Else each request that waits would cost the others 50 ms."""
    scheduler, run = RequestScheduler(), NativeThreads(blocked).files
    begun = []
    most = run._places.most_of_one
    for _ in range(most):
        start("ann", run, blocked.goes_on.wait)
    until(lambda: blocked.at_work == most)

    def ask():
        scheduler.take("ann")
        run(lambda: None)
        # It computes on in a turn of its own.
        begun.append(scheduler._now.quota_key)
        end_turn()

    asked = start("ann", lambda work: work(), ask)
    until(lambda: run._places._waiting)
    until(lambda: scheduler._now is None)
    blocked.goes_on.set()
    asked.result(5)
    assert begun == ["ann"]
