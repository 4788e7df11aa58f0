from itertools import count

import pytest

from sockets.engineio.members import MAX_CALLBACKS, Members


@pytest.fixture
def members():
    """The members of a server that numbers its clients."""
    return Members(map(str, count(1)).__next__)


@pytest.fixture
def join(members):
    """A verb: join(session) connects one to /live and returns its sid."""

    def join(session, namespace="/live"):
        member = members.add(session, namespace)
        member.held = None
        return member.sid

    return join


def sids(members, *room_and_skip):
    return [member.sid for member in members.addressed("/live", *room_and_skip)]


def test_a_client_is_connecting_then_connected_then_leaving(members):
    member = members.add("a", "/live")
    assert not member.is_connected
    assert members.sid_of("a", "/live") == member.sid
    member.held = None
    assert member.is_connected
    member.is_leaving = True
    assert not member.is_connected
    assert members.find(member.sid, "/live").session == "a"
    members.remove(member.sid, "/live")
    assert members.find(member.sid, "/live") is None
    assert members.sid_of("a", "/live") is None


def test_a_session_joins_a_namespace_once(members, join):
    join("a")
    assert members.add("a", "/live") is None


def test_the_namespaces_of_a_session(members, join):
    first, second = join("a", "/"), join("a")
    join("b")
    assert members.sids_of("a") == [("/", first), ("/live", second)]
    assert members.sids_of("c") == []


def test_who_is_addressed(members, join):
    a, b, c = join("a"), join("b"), join("c")
    members.enter_room(a, "/live", "red")
    members.enter_room(b, "/live", "red")
    members.enter_room(b, "/live", "blue")
    assert sids(members, None, None) == [a, b, c]
    assert sids(members, None, [a, c]) == [b]
    assert sids(members, None, a) == [b, c]
    assert sids(members, c, None) == [c]
    assert sids(members, "red", b) == [a]
    assert sids(members, ["red", "blue", c], None) == [a, b, c]
    assert sids(members, "green", None) == []
    assert members.addressed("/none", None, None) == []


def test_rooms_end_with_their_last(members, join):
    a, b = join("a"), join("b")
    members.enter_room(a, "/live", "red")
    members.enter_room(b, "/live", "red")
    assert members.rooms_of(a, "/live") == [a, "red"]
    members.leave_room(a, "/live", "red")
    members.leave_room(a, "/live", "red")
    assert sids(members, "red", None) == [b]
    members.remove(b, "/live")
    assert sids(members, "red", None) == []
    assert not members._namespaces["/live"].rooms


def test_a_room_is_closed(members, join):
    a = join("a")
    members.enter_room(a, "/live", "red")
    members.close_room("red", "/live")
    assert members.rooms_of(a, "/live") == [a]


def test_nobody_enters_the_room_that_another_is(members, join):
    a, b = join("a"), join("b")
    members.enter_room(a, "/live", a)
    with pytest.raises(ValueError, match="sid room"):
        members.enter_room(a, "/live", b)
    with pytest.raises(ValueError, match="not connected"):
        members.enter_room("x", "/live", "red")


def test_an_acknowledgement_comes_once(members, join):
    member = members.find(join("a"), "/live")
    came = []
    ack_id = member.await_ack(lambda *data: came.append(data))
    member.acknowledge(ack_id, [1, 2])
    member.acknowledge(ack_id, [3])
    member.acknowledge(99, [4])
    assert came == [(1, 2)]


def test_what_never_acknowledges_takes_no_room(members, join):
    member = members.find(join("a"), "/live")
    for _ in range(2 * MAX_CALLBACKS):
        member.await_ack(print)
    assert len(member.callbacks) == MAX_CALLBACKS
    assert max(member.callbacks) == 2 * MAX_CALLBACKS
