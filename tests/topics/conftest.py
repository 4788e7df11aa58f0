"""What the tests of topics share: worlds that are closed again."""

import pytest

from tests.topics.world import DEFAULT_LIMITS, RULES, World


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
