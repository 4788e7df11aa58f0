"""Whose request begins next, with threads that wait for their turn as requests do."""

import threading
from types import SimpleNamespace

import pytest

from auth import request_scheduler as module
from auth.request_scheduler import RequestScheduler, end_turn, turn_paused


@pytest.fixture(autouse=True)
def long_leases(monkeypatch):
    monkeypatch.setattr(module, "LEASE_S", 60.0)


class Killed:
    """The lock at which a thread waits that is told to end."""

    def __init__(self):
        self._is_taken = False

    def acquire(self):
        if self._is_taken:
            raise SystemExit
        self._is_taken = True


class Asker:
    """A request of owner's, that has its turn or waits for it."""

    def __init__(self, scheduler, owner, begun):
        self.owner = owner
        self._scheduler, self._begun = scheduler, begun
        self._is_answered = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        self._scheduler.take(self.owner)
        self._begun.append(self)
        self._is_answered.wait(20)
        end_turn()
        end_turn()

    def answer(self):
        self._is_answered.set()
        self._thread.join(20)


@pytest.fixture
def begun():
    """Who has begun, in order."""
    return []


@pytest.fixture
def ask(begun, until):
    """A verb: ask("ann") returns once her request has begun, or waits."""
    scheduler = RequestScheduler()
    asked = []

    def waiting():
        return sum(map(len, scheduler._waiting.values()))

    def ask(owner):
        asked.append(Asker(scheduler, owner, begun))
        # The first of them waits, too, for a moment.
        until(lambda: scheduler._now and len(begun) + waiting() == len(asked))
        return asked[-1]

    yield ask
    for each in asked:
        each.answer()


def test_who_comes_alone_begins_at_once(ask, begun):
    for _ in range(3):
        ask("ann").answer()
    assert len(begun) == 3


def test_one_begins_when_the_one_before_it_is_answered(ask, begun, until):
    first, second = ask("ann"), ask("ann")
    assert begun == [first]
    first.answer()
    until(lambda: begun == [first, second])


def test_owners_begin_in_turn(ask, begun, until):
    asked = [ask(owner) for owner in ("flood", "flood", "flood", "flood", "ann", "bob", "ann")]
    for number in range(len(asked)):
        until(lambda number=number: len(begun) > number)
        begun[number].answer()
    owners = [each.owner for each in begun]
    assert owners == ["flood", "flood", "ann", "bob", "flood", "ann", "flood"]
    assert [each for each in begun if each.owner == "flood"] == asked[:4]


def test_who_waits_for_something_else_keeps_nobody(ask, begun, until, monkeypatch):
    monkeypatch.setattr(module, "LEASE_S", 0.01)
    asked = [ask("ann") for _ in range(4)]
    until(lambda: len(begun) == len(asked))
    monkeypatch.setattr(module, "LEASE_S", 60.0)
    last = [ask("ann"), ask("ann")]
    until(lambda: last[0] in begun)
    # Those whose lease was over give nobody's turn away.
    for each in asked:
        each.answer()
    assert last[1] not in begun


def test_who_is_ended_while_it_waits_leaves_no_turn_behind(ask, begun, until, monkeypatch):
    first = ask("ann")
    killed = SimpleNamespace(Lock=Killed, Thread=threading.Thread)
    with monkeypatch.context() as patch:
        patch.setattr(module, "threading", killed)
        with pytest.raises(SystemExit):
            first._scheduler.take("bob")
    second = ask("bob")
    first.answer()
    until(lambda: begun == [first, second])


def test_who_takes_another_turn_has_ended_the_one_before():
    scheduler = RequestScheduler()
    scheduler.take("ann")
    scheduler.take("ann")
    end_turn()


def test_who_keeps_a_turn_takes_none_beside_it():
    scheduler = RequestScheduler()
    scheduler.keep("ann")
    first = scheduler._now
    scheduler.keep("ann")
    assert scheduler._now is first
    scheduler.keep("bob")
    assert (scheduler._now.quota_key, scheduler._waiting) == ("bob", {})
    end_turn()
    assert scheduler._now is None


def test_who_waits_turn_paused_has_another_turn_afterwards():
    scheduler = RequestScheduler()
    with scheduler.turn_of("ann"):
        first = scheduler._now
        with turn_paused():
            assert scheduler._now is None
        assert scheduler._now.quota_key == "ann"
        assert scheduler._now is not first
    assert scheduler._now is None


@pytest.mark.parametrize(("error", "has_turn"), [(ValueError, True), (SystemExit, False)])
def test_what_is_refused_turn_paused_is_refused_in_turn(error, has_turn):
    scheduler = RequestScheduler()
    with scheduler.turn_of("ann"):
        with pytest.raises(error), turn_paused():
            raise error
        assert (scheduler._now is not None) == has_turn


def test_who_had_no_turn_has_none_after_waiting():
    with turn_paused():
        pass
    assert module._mine.get() is None


# What comes piece by piece.


def test_a_stream_goes_on_in_its_turn_until_it_is_over():
    scheduler = RequestScheduler()
    until_s = scheduler.go_on("ann", 0.0)
    now = scheduler._now
    assert now.quota_key == "ann"
    assert scheduler.go_on("ann", until_s) == until_s
    assert scheduler._now is now
    assert scheduler.go_on("ann", 0.0) > until_s
    assert scheduler._now is not now
    end_turn()
