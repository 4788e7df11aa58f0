"""Sessions that were logged out, remembered for as long as their cookies would be good."""

import time

from auth.ended_sessions import KEPT_S, EndedSessions
from state import State

SOON_S = int(time.time()) + 1000


def test_what_has_ended_is_known(state):
    ended = EndedSessions(state)
    assert "a1" not in ended
    ended.add("a1", SOON_S)
    assert "a1" in ended
    assert "a2" not in ended


def test_the_next_process_knows_it_too(state):
    EndedSessions(state).add("a1", SOON_S)
    assert "a1" in EndedSessions(State(state.path.parent))


def test_what_another_process_ends_is_known_after_a_refresh(state):
    ended, other = EndedSessions(state), EndedSessions(State(state.path.parent))
    for session in ("a1", "a2"):
        other.add(session, SOON_S)
        ended.refresh()
        assert session in ended
    # The number of its row is that of the row before.
    with state.writing() as execute:
        execute("delete from ended_sessions where id = 'a2'")
    other.add("a3", SOON_S)
    ended.refresh()
    assert "a3" in ended


def test_what_has_expired_by_itself_is_forgotten(state):
    ended = EndedSessions(state)
    late_s = int(time.time()) - 10
    ended.add("old", late_s - KEPT_S)
    ended.add("late", late_s)
    ended.add("a1", SOON_S)
    assert "old" not in ended
    kept = [("late", late_s), ("a1", SOON_S)]
    assert state.rows("select * from ended_sessions order by rowid") == kept


def test_again_is_harmless(state):
    ended = EndedSessions(state)
    ended.add("a1", SOON_S)
    ended.add("a1", SOON_S)
    assert "a1" in ended


def test_it_is_written_where_it_may_wait_and_known_at_once(state):
    waiting = []
    ended = EndedSessions(state, waiting.append)
    ended.add("a1", SOON_S)
    assert "a1" in ended
    assert "a1" not in EndedSessions(state)
    waiting.pop()()
    assert "a1" in EndedSessions(state)
