"""Who may do what: what a scope is, what it covers, and what is said to who may not."""

import pytest

from auth.access import (
    ADMIN,
    ANYONE,
    Forbidden,
    Principal,
    Scope,
    Unauthorized,
    check_scope,
    may,
    require,
)

SCOPES = {
    "everything": "admin",
    "numbers": "metrics",
    "one source": "read:flights",
    "an underscore": "read:_flights",
    "all of an action": "publish:*",
    "all that begin so": "read:fl*",
    "a topic of several words": "subscribe:demo/a-b/c.d~e",
    "all below a topic": "subscribe:demo/*",
    "as long as may be": "read:" + "a" * 200,
    "as long as may be, and a *": "read:" + "a" * 200 + "*",
}


@pytest.mark.parametrize("text", SCOPES.values(), ids=SCOPES.keys())
def test_scopes(text):
    assert check_scope(text) == text


NO_SCOPES = {
    "nothing": "",
    "an action alone": "read",
    "an action of nothing": "read:",
    "no such action": "write:flights",
    "an action in capitals": "READ:flights",
    "admin in capitals": "Admin",
    "admin of something": "admin:flights",
    "admin of all": "admin:*",
    "metrics of something": "metrics:flights",
    "metrics of all": "metrics:*",
    "a * for the action": "*:flights",
    "a * alone": "*",
    "a * in the middle": "read:fl*ghts",
    "a * at the beginning": "read:*ghts",
    "two *": "read:**",
    "a space before": " read:flights",
    "a space behind": "read:flights ",
    "a line feed behind": "read:flights\n",
    "a line feed behind admin": "admin\n",
    "two in one": "read:a,read:b",
    "no ASCII": "read:flüge",
    "a colon": "read:a:b",
    "too long": "read:" + "a" * 201,
    "too long, and a *": "read:" + "a" * 201 + "*",
}


@pytest.mark.parametrize("text", NO_SCOPES.values(), ids=NO_SCOPES.keys())
def test_what_is_no_scope(text):
    with pytest.raises(ValueError, match="is no scope; there are read:<source>"):
        check_scope(text)


def test_a_long_scope_is_quoted_in_part():
    with pytest.raises(ValueError) as caught:
        check_scope("x" * 100_000)
    assert len(str(caught.value)) < 300


# held, required, whether the one covers the other.
COVERED = {
    "the same": ("read:flights", "read:flights", True),
    "another": ("read:flights", "read:trains", False),
    "another action": ("read:flights", "subscribe:flights", False),
    "publishing is not following": ("publish:demo/a", "subscribe:demo/a", False),
    "a longer name": ("read:flights", "read:flights2", False),
    "a shorter name": ("read:flights", "read:flight", False),
    "below it": ("subscribe:demo", "subscribe:demo/a", False),
    "above it": ("subscribe:demo/a", "subscribe:demo", False),
    "in capitals": ("read:flights", "read:Flights", False),
    "all": ("read:*", "read:flights", True),
    "all of another action": ("read:*", "publish:flights", False),
    "all, of an odd name": ("read:*", "read:a\nb", True),
    "a prefix": ("read:fl*", "read:flights", True),
    "a prefix that is the name": ("read:flights*", "read:flights", True),
    "a prefix that is longer": ("read:flights2*", "read:flights", False),
    "not at the beginning": ("read:ights*", "read:flights", False),
    "below": ("subscribe:demo/*", "subscribe:demo/a/b", True),
    "below, not the same": ("subscribe:demo/*", "subscribe:demo", False),
    "below, not beside": ("subscribe:demo/*", "subscribe:demo2/a", False),
    "a dot is a dot": ("read:a.c", "read:abc", False),
    "many, by one as wide": ("subscribe:demo/*", "subscribe:demo/*", True),
    "many, by a wider one": ("subscribe:*", "subscribe:demo/*", True),
    "many, by a narrower one": ("subscribe:demo/a/*", "subscribe:demo/*", False),
    "many, by a narrower prefix": ("subscribe:demo/a*", "subscribe:demo/*", False),
    "many, by one name": ("subscribe:demo/a", "subscribe:demo/*", False),
    "many, by the bare name": ("subscribe:demo/", "subscribe:demo/*", False),
    "all, by a prefix": ("subscribe:demo/*", "subscribe:*", False),
    "all, by all": ("subscribe:*", "subscribe:*", True),
    "admin, of a source": ("admin", "read:flights", True),
    "admin, of many": ("admin", "subscribe:*", True),
    "admin": ("admin", "admin", True),
    "metrics": ("metrics", "metrics", True),
    "metrics, of an admin": ("admin", "metrics", True),
    "metrics, by all of an action": ("read:*", "metrics", False),
    "what metrics do not open": ("metrics", "read:metrics", False),
    "admin, by metrics": ("metrics", "admin", False),
    "admin, by all of an action": ("read:*", "admin", False),
    "admin, by a name": ("read:admin", "admin", False),
    "nothing in particular": ("read:", "read", True),
    "nothing": ("", "read:flights", False),
}


def scope_of(text):
    action, _, name = text.partition(":")
    return Scope(action, name)


@pytest.mark.parametrize(("held", "scope", "is_covered"), COVERED.values(), ids=COVERED.keys())
def test_what_a_scope_covers(held, scope, is_covered):
    assert may(Principal("p", (held,)), scope_of(scope)) is is_covered


def test_one_scope_of_many_is_enough():
    principal = Principal("p", ("read:a", "subscribe:demo/*", "read:b"))
    assert may(principal, Scope("read", "b"))
    assert not may(principal, Scope("publish", "demo/a"))


def test_two_scopes_together_cover_nothing_more():
    halves = Principal("p", ("subscribe:demo/a*", "subscribe:demo/b*"))
    assert not may(halves, Scope("subscribe", "demo/*"))


def test_without_a_scope_one_may_nothing():
    assert not may(Principal("p", ()), Scope("read", "a"))


def test_anyone_may_everything():
    assert may(ANYONE, Scope(ADMIN))


def test_a_scope_reads_as_it_is_given():
    assert [str(Scope("read", "a")), str(Scope(ADMIN))] == ["read:a", "admin"]


READER = Principal("reader", ("read:a",))


def test_who_may_is_returned():
    assert require(READER) is READER
    assert require(READER, [Scope("read", "a")]) is READER


def test_nobody_is_unauthorized_even_for_nothing():
    with pytest.raises(Unauthorized, match="say who you are"):
        require(None)


def test_one_scope_that_is_missing_is_enough():
    with pytest.raises(Forbidden, match="the token of reader does not have the scope read:b"):
        require(READER, [Scope("read", "a"), Scope("read", "b")])


def test_what_comes_with_something_needs_no_scope():
    asked = []

    def grants(principal, scope):
        asked.append((principal.name, scope.name))
        return scope.name == "b"

    assert require(READER, [Scope("read", "a"), Scope("read", "b")], grants) is READER
    with pytest.raises(Forbidden):
        require(READER, [Scope("read", "c")], grants)
    # Only of what no scope covers.
    assert asked == [("reader", "b"), ("reader", "c")]


def test_nothing_is_granted_to_nobody():
    with pytest.raises(Unauthorized):
        require(None, [Scope("read", "a")], lambda principal, scope: True)
