from itertools import count
from types import SimpleNamespace

import pytest

from sockets.engineio.members import MAX_CALLBACKS, Members


@pytest.fixture
def members():
    """The members of a server that numbers its clients."""
    members = Members()
    ids = map(str, count(1))
    members.server = SimpleNamespace(eio=SimpleNamespace(generate_id=lambda: next(ids)))
    return members


@pytest.fixture
def join(members):
    """A verb: join(session) connects one to /live and returns its sid."""

    def join(session, namespace="/live"):
        return members.connect(members.pre_connect(session, namespace), namespace)

    return join


def sids(members, *room_and_skip):
    return [member.sid for member in members.addressed("/live", *room_and_skip)]


def test_a_client_is_connecting_then_connected_then_leaving(members):
    sid = members.pre_connect("a", "/live")
    assert not members.is_connected(sid, "/live")
    assert members.sid_from_eio_sid("a", "/live") == sid
    members.connect(sid, "/live")
    assert members.is_connected(sid, "/live")
    assert members.pre_disconnect(sid, "/live") == "a"
    assert not members.is_connected(sid, "/live")
    assert members.eio_sid_from_sid(sid, "/live") == "a"
    members.disconnect(sid, "/live")
    assert members.eio_sid_from_sid(sid, "/live") is None
    assert list(members.get_namespaces()) == []


def test_a_session_joins_a_namespace_once(members, join):
    join("a")
    assert members.pre_connect("a", "/live") is None


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
    assert members.get_rooms(a, "/live") == [a, "red"]
    members.leave_room(a, "/live", "red")
    members.leave_room(a, "/live", "red")
    assert sids(members, "red", None) == [b]
    members.disconnect(b, "/live")
    assert sids(members, "red", None) == []
    assert not members._namespaces["/live"].rooms


def test_a_room_is_closed(members, join):
    a = join("a")
    members.enter_room(a, "/live", "red")
    members.close_room("red", "/live")
    assert members.get_rooms(a, "/live") == [a]


def test_nobody_enters_the_room_that_another_is(members, join):
    a, b = join("a"), join("b")
    members.enter_room(a, "/live", a)
    with pytest.raises(ValueError, match="sid room"):
        members.enter_room(a, "/live", b)
    with pytest.raises(ValueError, match="not connected"):
        members.enter_room("x", "/live", "red")


def test_an_acknowledgement_comes_once(members, join):
    member = members.member(join("a"), "/live")
    came = []
    ack_id = members.await_ack(member, lambda *data: came.append(data))
    members.acknowledge(member, ack_id, [1, 2])
    members.acknowledge(member, ack_id, [3])
    members.acknowledge(member, 99, [4])
    assert came == [(1, 2)]


def test_what_never_acknowledges_takes_no_room(members, join):
    member = members.member(join("a"), "/live")
    for _ in range(2 * MAX_CALLBACKS):
        members.await_ack(member, print)
    assert len(member.callbacks) == MAX_CALLBACKS
    assert max(member.callbacks) == 2 * MAX_CALLBACKS
