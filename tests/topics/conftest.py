"""What the tests of topics share: worlds that are closed again."""

import time

import pytest

from tests.topics.world import RULES, World
from topics.topics import DEFAULT_LIMITS


@pytest.fixture(autouse=True)
def still_house(monkeypatch):
    """Nothing happens by itself: a test expires and beats when it wants to."""
    monkeypatch.setattr("topics.topics.HOUSEKEEPING_S", 3600.0)


@pytest.fixture
def make_world(tmp_path):
    """make_world(rules, folder, limits): a world; it is closed afterwards."""
    made = []

    def make(rules=RULES, folder=tmp_path / "topics", limits=DEFAULT_LIMITS):
        made.append(World(folder, rules, limits))
        return made[-1]

    yield make
    for world in made:
        world.close()


@pytest.fixture
def world(make_world):
    return make_world()


class Clock:
    """The time, as the test wants it."""

    def __init__(self, now_s):
        self.now_s = now_s

    def time(self):
        return self.now_s

    def time_ns(self):
        return int(self.now_s * 1e9)


@pytest.fixture
def clock(monkeypatch):
    """The wall clock, which stands still: clock.now_s sets it."""
    made = Clock(1_764_000_000.0)
    monkeypatch.setattr(time, "time", made.time)
    monkeypatch.setattr(time, "time_ns", made.time_ns)
    return made
