"""Nothing that rotation keeps is lost or doubled, whatever step it takes between two of ours."""

import random
from itertools import pairwise

import pytest

from sources.logs import file as log_file
from tests.sources.logs.interleaved import HeldUp, Rotations
from tests.sources.logs.log import Follower

KINDS = {
    "copies": {},
    "copies are compressed": {"packs": True},
    "lines come before it is cut": {"late": True},
    "lines are cut in two": {"halves": True},
    # Then only what a file begins with tells it from others: the same stands before each offset.
    "lines end alike": {"pad": 300},
    "names are learned": {"extends": True, "pad": 300},
    "names are learned, and compressed": {"extends": True, "packs": True, "pad": 300},
    "one copy is kept": {"kept": 1},
    "one copy is kept, compressed": {"kept": 1, "packs": True},
}
each_kind = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS.keys())


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    """Nobody writes to a renamed log any more."""
    monkeypatch.setattr(log_file, "QUIET_S", 0.0)


@pytest.fixture
def follow(tmp_path):
    """follow(count, kind, before, steps_at): follow a log of its own to the end.

    Some steps are taken before the look that is held up; the calls in it are returned.
    """
    made = []

    def follow(count, kind, before, steps_at, *, restarts=False):
        folder = tmp_path / str(len(made))
        folder.mkdir()
        rotations = Rotations(folder / "app.log", count, **kind)
        made.append((rotations, Follower(rotations.path)))
        calls = follow_held_up(*made[-1], before, steps_at, restarts)
        check(*made[-1])
        rotations.close()
        made[-1][1].close()
        return calls

    return follow


def follow_held_up(rotations, follower, before, steps_at, restarts):
    follower.read()
    HeldUp(rotations, {}).step(before)
    follower.read()
    if restarts:
        follower.restart()
    with HeldUp(rotations, steps_at) as held_up:
        follower.read()
    held_up.step(len(rotations.steps))
    rotations.write(1)
    follower.read()
    return held_up.calls


def check(rotations, follower):
    """Has it told every line that was kept, once, in order, or a gap in its place?"""
    places = [rotations.lines.index(line) for line in follower.lines]
    assert all(one < other for one, other in pairwise(places))
    # Nothing is said of what was before it began.
    missing = set(range(places[0], len(rotations.lines))) - set(places)
    missing = {place for place in missing if rotations.lines[place] not in rotations.unkept}
    if rotations.kept > 1:
        assert not follower.gaps
        assert not missing
    assert {sum(told < place for told in places) for place in missing} <= set(follower.gaps)


@each_kind
def test_held_up_once_for_any_number_of_steps_anywhere(follow, tmp_path, kind):
    count = len(Rotations(tmp_path / "app.log", 2, **kind).steps)
    for before in range(1, count):
        calls, at = 1, 0
        while at < calls:
            told = [follow(2, kind, before, {at: n}) for n in range(1, count - before + 1)]
            calls, at = max(told), at + 1


@each_kind
def test_held_up_again_and_again(follow, kind):
    for seed in range(100):
        draw = random.Random(seed)
        often = draw.choice([0.02, 0.1, 0.3])
        steps_at = {at: draw.randint(1, 8) for at in range(400) if draw.random() < often}
        # Where a line was read after the copy was made, a short file is not known after a restart.
        restarts = "late" not in kind and draw.random() < 0.3
        follow(3, kind, draw.randint(1, 12), steps_at, restarts=restarts)
