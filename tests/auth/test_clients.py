"""Who is connected: so many of each, who leaves makes room, and who is cut is told once."""

import pytest

from auth import Clients, RequestIdentity
from auth.access import Principal, TooMany

ANN, BOB = Principal("ann", (), token="a"), Principal("bob", (), token="b")


def identity(principal):
    return RequestIdentity(principal.name, principal)


@pytest.fixture
def cut():
    """The names of what was cut, in its order."""
    return []


@pytest.fixture
def enter(cut):
    """enter(clients, name, principal): the client of this name comes in."""

    def enter(clients, name, principal):
        clients.enter(name, identity(principal), cut.append)

    return enter


def test_each_may_have_so_many(enter):
    clients = Clients(2)
    for name in ("a1", "a2"):
        enter(clients, name, ANN)
    with pytest.raises(TooMany, match="2 connections are the most") as caught:
        enter(clients, "a3", ANN)
    assert (caught.value.code, caught.value.retry_after_s) == ("too_many_connections", 5)
    enter(clients, "b1", BOB)
    assert clients.counts() == {"ann": 2, "bob": 1}


def test_an_address_has_fewer_that_show_no_credential(cut):
    clients = Clients(3, most_unknown=1)
    unknown = RequestIdentity("address 10.0.0.1", None)
    clients.enter("u1", unknown, cut.append)
    with pytest.raises(TooMany, match="1 connections are the most"):
        clients.enter("u2", unknown, cut.append)
    clients.count_to("ann", "u1")
    clients.count_to("ann", "nobody")
    assert clients.counts() == {"ann": 1}
    # Whose it is has not changed.
    assert clients.identity("u1").principal is None
    clients.enter("u2", unknown, cut.append)


def test_who_shows_a_credential_later_is_counted_too(enter, cut):
    clients = Clients(1)
    enter(clients, "a1", ANN)
    clients.enter("u1", RequestIdentity("address 10.0.0.1", None), cut.append)
    with pytest.raises(TooMany, match="1 connections are the most"):
        clients.count_to("ann", "u1")
    assert clients.counts() == {"ann": 1, "address 10.0.0.1": 1}


def test_leaving_makes_room(enter):
    clients = Clients(1)
    enter(clients, "a1", ANN)
    clients.leave("a1")
    clients.leave("a1")
    clients.leave("never came")
    assert clients.counts() == {}
    enter(clients, "a2", ANN)
    assert clients.counts() == {"ann": 1}


def test_the_next_request_of_a_connection_counts_no_second_time(enter):
    clients = Clients(1)
    for _ in range(3):
        enter(clients, "a1", ANN)
    assert clients.counts() == {"ann": 1}
    clients.leave("a1")
    assert clients.counts() == {}


def test_a_connection_that_becomes_anothers_is_no_more_the_firsts(enter):
    clients = Clients(1)
    enter(clients, "proxy", ANN)
    enter(clients, "proxy", BOB)
    assert clients.counts() == {"bob": 1}
    clients.leave("proxy")
    assert clients.counts() == {}


def test_one_that_may_not_become_anothers_stays_the_firsts(enter):
    clients = Clients(1)
    enter(clients, "b1", BOB)
    enter(clients, "a1", ANN)
    with pytest.raises(TooMany):
        enter(clients, "a1", BOB)
    assert clients.counts() == {"ann": 1, "bob": 1}


def test_an_owner_is_a_name_and_not_a_token(enter):
    clients = Clients(1)
    enter(clients, "a1", ANN)
    with pytest.raises(TooMany):
        enter(clients, "a2", Principal("ann", (), token="another"))


def test_who_is_over_is_cut(enter, cut):
    clients = Clients(5)
    for name, principal in (("a1", ANN), ("b1", BOB), ("a2", ANN)):
        enter(clients, name, principal)
    clients.cut(lambda identity: identity.principal.token == "a")
    assert cut == ["a1", "a2"]
    assert clients.counts() == {"bob": 1}
    clients.cut(lambda identity: identity.principal.token == "a")
    assert cut == ["a1", "a2"]


def test_a_connection_is_its_latest_askers(enter, cut):
    clients = Clients(5)
    enter(clients, "a1", ANN)
    enter(clients, "a1", Principal("ann", (), token="newer"))
    clients.cut(lambda identity: identity.principal.token == "a")
    assert cut == []


def test_cutting_may_make_others_leave(enter, cut):
    clients = Clients(5)
    clients.enter("socket", identity(ANN), lambda _: clients.leave("session"))
    enter(clients, "session", ANN)
    clients.cut(lambda identity: True)
    assert clients.counts() == {}


def test_nobody_is_cut_without_reason(enter, cut, caplog):
    clients = Clients(5)
    enter(clients, "a1", ANN)
    with caplog.at_level("INFO"):
        clients.cut(lambda identity: False)
    assert (cut, caplog.messages) == ([], [])


def test_the_log_says_how_many(enter, caplog):
    clients = Clients(5)
    for name in ("a1", "a2"):
        enter(clients, name, ANN)
    with caplog.at_level("INFO"):
        clients.cut(lambda identity: True)
    assert caplog.messages == ["cut connections=2: their credentials are no longer valid"]
