"""Sessions that were logged out, remembered for as long as their cookies would be good."""

import time

import pytest

from auth.ended_sessions import EndedSessions

SOON_S = int(time.time()) + 1000


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "sessions-ended"


def test_what_has_ended_is_known(folder):
    ended = EndedSessions(folder)
    assert "a1" not in ended
    ended.add("a1", SOON_S)
    assert "a1" in ended
    assert "a2" not in ended


def test_the_next_process_knows_it_too(folder):
    EndedSessions(folder).add("a1", SOON_S)
    assert "a1" in EndedSessions(folder)


def test_what_has_expired_by_itself_is_forgotten(folder):
    ended = EndedSessions(folder)
    ended.add("old", int(time.time()) - 10)
    ended.add("a1", SOON_S)
    assert "old" not in ended
    assert [path.name for path in folder.iterdir()] == [f"a1.{SOON_S}"]


def test_again_is_harmless(folder):
    ended = EndedSessions(folder)
    ended.add("a1", SOON_S)
    ended.add("a1", SOON_S)
    assert "a1" in ended


def test_it_is_written_where_it_may_wait_and_known_at_once(folder):
    waiting = []
    ended = EndedSessions(folder, waiting.append)
    ended.add("a1", SOON_S)
    assert "a1" in ended
    assert not folder.exists()
    waiting.pop()()
    assert "a1" in EndedSessions(folder)
