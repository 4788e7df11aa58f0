import pytest
from hypothesis import given
from hypothesis import strategies as st

from topics import MalformedTopic, Patterns, TooManyTopics
from topics.names import MAX_NAME_CHARS, MAX_PATTERNS, check_name

NAMES = {
    "one segment": "status",
    "every sign": "A-z_0.9~",
    "several segments": "demo/a/b",
    "dots": "...",
    "readers in front": "readers/a",
    "100 characters in a segment": "a" * 100,
    "200 characters": "a" * 100 + "/" + "b" * 99,
}

NO_NAMES = {
    "empty": "",
    "no text": 1,
    "null": None,
    "a list": ["a"],
    "bytes": b"a",
    "a pattern": "demo/*",
    "several": "a,b",
    "a / in front": "/a",
    "a / behind": "a/",
    "two //": "a//b",
    "here": "a/.",
    "a way up": "../a",
    "a blank": "a b",
    "a percent": "a%2Fb",
    "a quote": 'a"',
    "a line break": "a\n",
    "not ASCII": "é",
    "a digit that is not ASCII": "٥",
    "an address of ours": "a/readers",
    "an address of ours, alone": "readers",
    "101 characters in a segment": "a" * 101,
    "201 characters": "a" * 100 + "/" + "b" * 100,
    "100 kB": "a" * 100_000,
}

PARSED = {
    "a name": ("a/b", {"a/b"}, ()),
    "names": ("a,b/c", {"a", "b/c"}, ()),
    "twice the same": ("a,a", {"a"}, ()),
    "everything": ("*", set(), ("",)),
    "below a name": ("demo/*", set(), ("demo/",)),
    "names and patterns": ("status,demo/*,exports/*", {"status"}, ("demo/", "exports/")),
    "as many as may be": (",".join("a" * MAX_PATTERNS), {"a"}, ()),
}

NO_PATTERNS = {
    "empty": "",
    "no text": 5,
    "null": None,
    "a comma": ",",
    "a comma behind": "a,",
    "a blank behind the comma": "a, b",
    "a * without /": "demo*",
    "a * in between": "a/*/b",
    "two **": "**",
    "/*": "/*",
    "below what cannot be": "../*",
}

MATCHES = {
    "the name": ("a", "a", True),
    "no other name": ("a", "ab", False),
    "nothing below a name": ("a", "a/b", False),
    "below a pattern": ("a/*", "a/b", True),
    "far below": ("a/*", "a/b/c", True),
    "not the name itself": ("a/*", "a", False),
    "not what only begins like it": ("a/*", "ab/c", False),
    "everything": ("*", "a/b/c", True),
    "one of several": ("a,b/*", "b/c", True),
    "none of several": ("a,b/*", "c", False),
}

MEET = {
    "the same name": ("a", "a", True),
    "other names": ("a", "b", False),
    "a name and its pattern": ("a/b", "a/*", True),
    "a name and another pattern": ("b/a", "a/*", False),
    "a pattern in a pattern": ("a/b/*", "a/*", True),
    "patterns beside each other": ("a/*", "b/*", False),
    "everything and anything": ("*", "a", True),
    "everything and everything": ("*", "*", True),
    "one of several": ("a,b", "b,c", True),
}


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES.keys())
def test_a_topic_can_have_this_name(name):
    assert check_name(name) == name
    assert Patterns.parse(name).names == {name}


@pytest.mark.parametrize("name", NO_NAMES.values(), ids=NO_NAMES.keys())
def test_no_topic_can_have_this_name(name):
    with pytest.raises(MalformedTopic) as caught:
        check_name(name)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(("text", "names", "prefixes"), PARSED.values(), ids=PARSED.keys())
def test_what_is_followed(text, names, prefixes):
    assert Patterns.parse(text) == (text, names, prefixes)


@pytest.mark.parametrize("text", NO_PATTERNS.values(), ids=NO_PATTERNS.keys())
def test_what_cannot_be_followed(text):
    with pytest.raises(MalformedTopic):
        Patterns.parse(text)


def test_a_connection_follows_so_many_at_most():
    with pytest.raises(TooManyTopics, match=str(MAX_PATTERNS)):
        Patterns.parse(",".join("a" * (MAX_PATTERNS + 1)))


@pytest.mark.parametrize(("text", "name", "want"), MATCHES.values(), ids=MATCHES.keys())
def test_match(text, name, want):
    assert Patterns.parse(text).match(name) == want


@pytest.mark.parametrize(("one", "other", "want"), MEET.values(), ids=MEET.keys())
def test_meets(one, other, want):
    assert Patterns.parse(one).meets(Patterns.parse(other)) == want
    assert Patterns.parse(other).meets(Patterns.parse(one)) == want


words = st.lists(st.sampled_from(["a", "b", "*"]), min_size=1, max_size=3).map("/".join)


@given(words, words, st.lists(st.sampled_from("ab"), min_size=1, max_size=4).map("/".join))
def test_what_two_match_they_meet_in(one, other, name):
    try:
        patterns = [Patterns.parse(one), Patterns.parse(other)]
    except MalformedTopic:
        return
    if all(each.match(name) for each in patterns):
        assert patterns[0].meets(patterns[1])


@given(st.text(max_size=MAX_NAME_CHARS + 1))
def test_a_name_is_safe_wherever_names_stand(name):
    """In JSON and SSE without quoting, in a path of files, in a list with commas."""
    try:
        check_name(name)
    except MalformedTopic:
        return
    assert name.isascii()
    assert not set(name) & set(' \t\r\n"\\,*%?#@:')
    assert name.replace("/", ",").replace(",", "/") == name
