"""An instance folder, and the state in it."""

import pytest

from state import State


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "instance"


@pytest.fixture
def state(folder):
    return State(folder)
