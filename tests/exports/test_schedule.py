from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from exports import schedule as module
from exports.schedule import (
    CHANCE_S,
    LARGE_ROWS,
    LOOK_S,
    PATIENCE_S,
    SLICE_S,
    STUCK_S,
    TRIES_OF_WAITING,
    TRIES_PER_DATABASE,
    Do,
    Phase,
    Schedule,
)


class Run:
    """A schedule in use: what each move does to an export is done at once.

    wal: databases whose exports can be paused; each other one is in rollback mode. works: what has
    still to be done of each, in processor time.
    """

    def __init__(self, places=2, most_open=12, wal=("w",)):
        self.now_s = 0.0
        self.used = Counter()
        self.works = {}
        self.wal, self.locked = set(wal), set()
        self.done, self.said = [], []
        self.running, self.opened, self.tried = set(), set(), {}
        self.schedule = Schedule(places, most_open, self.used.__getitem__)
        self._databases = {}

    def ask(self, *exports, rows=None):
        """Each is `owner`, a number, and its database: `a1w`."""
        for name in exports:
            self._databases[name] = name[-1]
            self.works.setdefault(name, 10.0)
            self.schedule.add(name, name[0], name[-1], rows)
            self.turn()

    def short(self, *exports):
        self.works.update(dict.fromkeys(exports, CHANCE_S / 2))
        self.ask(*exports)

    def turn(self):
        self._open()
        while moves := self.schedule.moves(self.now_s):
            for do, name in moves:
                self.said.append(f"{do.name.lower()} {name}")
                (self.running.discard if do is Do.PAUSE else self.running.add)(name)
                if do in (Do.TRY, Do.STAY):
                    self.tried[name] = do
            self._open()

    def _open(self):
        for name in sorted(self.running - self.opened):
            database = self._databases[name]
            if database in self.locked:
                continue
            if name not in self.tried or (self.tried[name] is Do.STAY and database in self.wal):
                self.tried.pop(name, None)
                self.opened.add(name)
                self.schedule.opened(name, self.now_s, is_pausable=database in self.wal)

    def pass_(self, seconds, step_s=LOOK_S):
        """Let time pass; what runs uses it, all at once, and ends when it is done."""
        ends_s = self.now_s + seconds
        while self.now_s < ends_s - 1e-9:
            self.now_s += step_s
            for name in sorted(self.running):
                is_locked = self._databases[name] in self.locked
                self.used[name] += 0.0 if is_locked else step_s
                if self.used[name] >= self.works[name]:
                    self.end(name)
                elif name in self.tried and (self.used[name] >= CHANCE_S or is_locked):
                    self.running.discard(name)
                    del self.tried[name]
                    self.used[name] = 0.0
                    self.schedule.undone(name, has_waited=is_locked)
            self.turn()

    def end(self, name):
        self.done.append(name)
        self.running.discard(name)
        self.tried.pop(name, None)
        self.schedule.ending(name)
        self.schedule.remove(name)

    def in_phase(self, *phases):
        return {name for name in self._databases if self.schedule.phase(name) in phases}


def test_what_has_a_place_begins_at_once():
    run = Run()
    run.ask("a1w", "a2r")
    assert run.said == ["begin a1w", "begin a2r"]


@pytest.mark.parametrize("database", ["w", "r"])
@pytest.mark.parametrize("owner", ["a", "b"])
def test_what_is_short_overtakes_what_is_long(owner, database):
    run = Run()
    run.ask(*(f"a{n}{database}" for n in range(8)))
    run.pass_(1)
    run.short(f"{owner}9{database}")
    run.pass_(CHANCE_S)
    assert run.done == [f"{owner}9{database}"]


def test_what_is_long_is_undone_and_waits():
    run = Run()
    run.ask("a1r", "a2r", "b3r")
    assert run.said[-1] == "stay b3r", "its recorder finds out that it would block a writer"
    run.pass_(1)
    assert run.said[2:] == ["stay b3r"], "once"
    assert run.in_phase(Phase.WAITING) == {"b3r"}


def test_the_first_of_an_owner_stays_where_nobody_waits_for_it():
    run = Run()
    run.ask("a1w", "a2w", "b3w", "b4w", "c5w")
    run.pass_(0.5)
    assert run.said[2:] == ["stay b3w", "try b4w", "stay c5w", "pause b3w", "pause c5w"]
    assert run.in_phase(Phase.WAITING) == {"b4w"}


def test_what_is_next_is_next_also_while_it_is_tried():
    run = Run(places=1)
    run.ask("a1r", "a2r", "a3r", "a4r")
    run.end("a1r")
    run.turn()
    assert run.in_phase(Phase.TRYING) == {"a2r", "a3r"}
    run.pass_(1)
    assert run.in_phase(Phase.RUNNING) == {"a2r"}


def test_what_is_paused_goes_on_by_slices():
    run = Run(places=1)
    run.ask("a1w", "b2w")
    run.pass_(2 * SLICE_S + 0.5)
    assert run.said == [
        "begin a1w", "stay b2w", "pause b2w",
        "resume b2w", "pause a1w", "resume a1w", "pause b2w",
    ]  # fmt: skip


def test_alone_it_is_never_paused():
    run = Run()
    run.ask("a1w", "a2w")
    run.pass_(3 * SLICE_S)
    assert run.said == ["begin a1w", "begin a2w"]


def test_what_blocks_writers_is_never_paused():
    run = Run(places=1)
    run.ask("a1r", "b2w", "c3r")
    run.pass_(9)
    assert "pause a1r" not in run.said
    assert run.used["a1r"] >= 9


def test_of_one_owner_what_has_cost_least_goes_first():
    run = Run(places=1)
    run.works.update(a1w=5.0, a2w=1.0)
    run.ask("a1w", "a2w")
    run.pass_(7)
    assert run.done == ["a2w", "a1w"]


def test_patience_has_an_end():
    run = Run(places=1)
    run.works.update({f"a{n}w": 1.9 for n in range(1, 30)})
    run.ask("a0w", *(f"a{n}w" for n in range(1, 30)))
    run.pass_(SLICE_S + PATIENCE_S + 2 * SLICE_S)
    assert "resume a0w" in run.said, "though there is always one that has cost less"


def test_most_open_as_many_as_places_is_a_queue():
    run = Run(most_open=2)
    run.ask("a1w", "a2w", "b3w")
    run.short("c4w")
    run.pass_(9)
    assert run.said == ["begin a1w", "begin a2w"]


def test_a_locked_database_keeps_no_place_from_others():
    run = Run(places=2, wal="")
    run.locked = {"l"}
    run.ask("a1l", "a2l", "a3l", "a4r", "a5r", "a6r")
    run.pass_(STUCK_S + LOOK_S)
    assert {"begin a4r", "begin a5r"} <= set(run.said)
    assert "begin a3l" not in run.said, "it would wait for the same lock"
    run.short("a7r")
    run.pass_(CHANCE_S)
    assert run.done == ["a7r"]


def test_what_was_stuck_goes_on_and_others_make_way():
    run = Run(places=1)
    run.locked = {"l"}
    run.ask("a1l", "b2w")
    run.pass_(1)
    assert run.in_phase(Phase.RUNNING) == {"b2w"}
    run.locked = set()
    run.pass_(LOOK_S)
    assert (run.in_phase(Phase.RUNNING), run.in_phase(Phase.PAUSED)) == ({"a1l"}, {"b2w"})


def test_a_locked_database_leaves_tries_to_others():
    run = Run(places=1)
    run.ask("a0r")
    run.locked = {"l"}
    run.ask(*(f"a{n}l" for n in range(1, 9)))
    tried = [name for name in run.tried if name.endswith("l")]
    assert len(tried) == TRIES_PER_DATABASE
    run.short("a9r")
    assert run.said[-1] == "try a9r"


def test_what_has_waited_is_tried_again_so_often():
    run = Run(places=1)
    run.ask("a0r")
    run.locked = {"l"}
    run.ask("a1l", "a2l", "a3l")
    run.pass_(STUCK_S)
    tried = [said for said in run.said if said.startswith("try")]
    assert tried[:3] == ["try a1l", "try a2l", "try a3l"], "first what was not tried at all"
    assert Counter(tried) == dict.fromkeys(tried, TRIES_OF_WAITING)


def test_the_newest_is_tried_first():
    run = Run(places=1)
    run.ask(*(f"a{n}r" for n in range(6)))
    run.pass_(CHANCE_S + LOOK_S)
    assert [said for said in run.said if said.startswith("try")][:3] == [
        "try a1r", "try a2r", "try a5r",
    ]  # fmt: skip


def test_what_is_known_to_be_large_is_tried_last_and_one_at_a_time():
    run = Run(places=1)
    run.ask(*(f"a{n}r" for n in range(5)), rows=LARGE_ROWS)
    assert run.in_phase(Phase.TRYING) == {"a1r"}
    run.short("a8r", "a9r")
    assert run.in_phase(Phase.TRYING) == {"a1r", "a8r"}
    run.works["a3r"] = CHANCE_S / 2  # the estimate is wrong
    run.pass_(1)
    assert set(run.done) == {"a3r", "a8r", "a9r"}


def test_what_is_known_to_be_large_stays_where_it_may():
    run = Run()
    run.ask("a1w", "a2w", "b3w", "c4w", rows=LARGE_ROWS)
    assert run.said[2:] == ["stay b3w", "stay c4w"]
    run = Run()
    run.ask("a1r", "a2r", "b3r", "c4r", rows=LARGE_ROWS)
    assert run.said[2:] == ["stay b3r"], "of a1r it is known that it blocks writers"


def test_a_flood_of_one_owner_leaves_the_first_of_others_their_process():
    run = Run()
    run.ask(*(f"a{n}w" for n in range(40)))
    run.pass_(1)
    assert len(run.in_phase(Phase.RUNNING, Phase.PAUSED)) <= 4
    for owner in "bcdefg":
        run.ask(f"{owner}1w")
    run.pass_(0.5)
    assert {f"{owner}1w" for owner in "bcdefg"} <= run.opened


def test_of_who_had_a_turn_so_many_are_known(monkeypatch):
    monkeypatch.setattr(module, "MAX_TURNS", 2)
    run = Run()
    for name in ("a1w", "b2w", "c3w", "a4w"):
        run.short(name)
        run.pass_(CHANCE_S)
    assert list(run.schedule._turns) == ["c", "a"]


def test_the_order_is_of_what_waits():
    run = Run(places=1)
    run.ask("a1r", "a2r", "a3r", "b4r")
    run.pass_(1)
    assert run.schedule.order() == [("b4r", "b"), ("a2r", "a"), ("a3r", "a")]
    run.schedule.join("a3r", "c")
    assert run.schedule.order() == [("a3r", "c"), ("b4r", "b"), ("a2r", "a")]


def test_an_owner_who_joins_what_is_paused_gives_it_its_own_turns():
    def ended_after(name, *joins):
        run = Run()
        run.ask(*(f"a{n}w" for n in range(20)))
        run.pass_(9)
        for each in joins:
            run.schedule.join(each, "b")
        if not joins:
            run.ask(name)
        began_s = run.now_s
        while name not in run.done:
            run.pass_(SLICE_S / 10)
        return run.now_s - began_s

    run = Run()
    run.ask(*(f"a{n}w" for n in range(20)))
    run.pass_(9)
    paused = max(run.in_phase(Phase.PAUSED))
    assert ended_after(paused, paused) <= ended_after("b1w")


@pytest.mark.parametrize("more", [1, 2, 3, 10])
def test_what_waits_for_a_lock_lends_its_place_with_any_room(more):
    run = Run(places=1, most_open=1 + more)
    run.locked.add("r")
    run.ask("a1r")
    run.pass_(2 * STUCK_S)
    run.ask("a2w", rows=LARGE_ROWS)
    run.pass_(2 * STUCK_S)
    assert "a2w" in run.opened


class AnyUse(RuleBasedStateMachine):
    """Whatever is asked for, the bounds hold, nothing is forgotten, and all ends."""

    def __init__(self):
        super().__init__()
        self.run = Run(wal=("w", "x"))
        self.asked = 0

    @rule(
        owner=st.sampled_from("abc"),
        database=st.sampled_from("wxrs"),
        work_s=st.sampled_from([0.02, 0.3, 3.0, 9.0]),
    )
    def ask(self, owner, database, work_s):
        name = f"{owner}{self.asked}{database}"
        self.asked += 1
        self.run.works[name] = work_s
        self.run.ask(name)

    @rule(seconds=st.sampled_from([0.05, 0.4, 2.5]))
    def wait(self, seconds):
        self.run.pass_(seconds, 0.05)

    @rule(database=st.sampled_from("wr"))
    def lock(self, database):
        # What has its snapshot keeps it.
        if not any(name.endswith(database) for name in self.run.running):
            self.run.locked.add(database)

    @rule()
    def unlock(self):
        self.run.locked.clear()
        self.run.pass_(0.05)

    @precondition(lambda self: self.run.in_phase(*Phase))
    @rule(data=st.data())
    def cancel(self, data):
        name = data.draw(st.sampled_from(sorted(self.run.in_phase(*Phase))))
        self.run.end(name)
        self.run.turn()

    @invariant()
    def nothing_is_left_to_be_done(self):
        assert self.run.schedule.moves(self.run.now_s) == []

    @invariant()
    def what_is_open_is_bounded(self):
        schedule, phases = self.run.schedule, self.run.in_phase
        assert len(phases(Phase.TRYING, Phase.OPENING, Phase.RUNNING, Phase.PAUSED)) <= 12
        blocking = [n for n in phases(Phase.RUNNING) if n[-1] not in self.run.wal]
        stuck = len(self.run.locked) + 2
        assert len(blocking) <= schedule.places + stuck
        assert not any(name[-1] in "rs" for name in phases(Phase.PAUSED))

    @invariant()
    def what_runs_is_what_has_no_reason_to_wait(self):
        assert self.run.running == self.run.in_phase(Phase.TRYING, Phase.OPENING, Phase.RUNNING)

    def teardown(self):
        self.run.locked.clear()
        left_s = sum(self.run.works.values())
        self.run.pass_(left_s + 5, 0.1)
        assert len(self.run.done) == self.asked


AnyUse.TestCase.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
TestAnyUse = AnyUse.TestCase
