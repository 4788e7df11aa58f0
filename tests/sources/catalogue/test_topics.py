"""[topics.*]: names, patterns and what is kept."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sources.catalogue.catalogue import parse_catalogue
from sources.catalogue.topics import BUILT_IN, TopicEntry
from sources.errors import CatalogueError
from topics import MalformedTopic, Patterns
from topics.rules import BUILT_IN as RULES

FOLDER = Path("/srv/headwater")
GIB, MIB = 1024**3, 1024**2

READ = {
    "in memory, by default": ("", TopicEntry("a", False, False, 10_000, 3_600, 16 * MIB)),
    "on disk": ("durable = true", TopicEntry("a", True, False, 100_000, 86_400, GIB)),
    "not on disk": ("durable = false", TopicEntry("a", False, False, 10_000, 3_600, 16 * MIB)),
    "the newest only": ("latest = true", TopicEntry("a", False, True, 10_000, 3_600, 16 * MIB)),
    "all of it": (
        "durable = true\nlatest = false\nretain_events = 1\nretain_s = 2\nretain_bytes = 3",
        TopicEntry("a", True, False, 1, 2, 3),
    ),
    "the most": (
        f"retain_events = {10**9}\nretain_s = {10**9}\nretain_bytes = {2**50}",
        TopicEntry("a", False, False, 10**9, 10**9, 2**50),
    ),
}

GOOD_NAMES = {
    "a letter": "a",
    "upper case and every sign": "A0_-.~",
    "segments": "a/b/c",
    "a pattern": "demo/*",
    "a pattern of a pattern's": "demo/a/*",
    "dots that are no way up": "..a/.b/c..",
    "100 characters in a segment": "x" * 100,
    "200 characters": "x" * 100 + "/" + "y" * 99,
    "like one of the server's": "status/mine",
    "readers in front": "readers/a",
}

BAD_NAMES = {
    "empty": "",
    "everything": "*",
    "a * in a segment": "demo/a*",
    "a * in between": "*/a",
    "a comma": "a,b",
    "no first segment": "/a",
    "no last segment": "a/",
    "no middle segment": "a//b",
    "a way up": "a/../b",
    "here": ".",
    "a pattern below a way up": "../*",
    "a blank": "a b",
    "not ASCII": "é",
    "a line break": "a\\n",
    "101 characters in a segment": "x" * 101,
    "201 characters": "x" * 100 + "/" + "y" * 100,
    "an address of ours": "a/readers",
    "an address of ours, alone": "readers",
    "an address of ours, as a pattern": "a/readers/*",
}

SERVERS_OWN = ["status", "exports", "exports/*", "exports/x", "logs/*", "logs/access", "logs/a/*"]

REFUSED = {
    "topics is no table": ("topics = 1", "topics: 1 is not a table; [topics.<name>] or"),
    "a topic is no table": ("topics.a = true", "topics.a: true is not a table; [topics.<name>] or"),
    "an unknown key": ("[topics.a]\nretain = 1", "topics.a.retain: unknown key; did you mean"),
    "durable is a text": ('[topics.a]\ndurable = "yes"', 'topics.a.durable: "yes" cannot be used'),
    "durable is a number": ("[topics.a]\ndurable = 1", "topics.a.durable: 1 cannot be used; true"),
    "durable and latest": (
        "[topics.a]\ndurable = true\nlatest = true",
        "topics.a.latest: a durable topic keeps every event; leave one of the two out",
    ),
    **{
        f"{key} = {value}": (
            f"[topics.a]\n{key} = {value}",
            f"topics.a.{key}: {value} cannot be used; a whole number from 1 to",
        )
        for key in ("retain_events", "retain_s", "retain_bytes")
        for value in ("0", "-1", "true", "1.0", "nan", '"1"')
    },
    "too many events": (
        f"[topics.a]\nretain_events = {10**9 + 1}",
        "topics.a.retain_events: 1000000001 cannot be used",
    ),
    "more than a petabyte": (
        f"[topics.a]\nretain_bytes = {2**50 + 1}",
        "topics.a.retain_bytes: 1125899906842625 cannot be used",
    ),
}


def only_problem_of(text: str) -> str:
    with pytest.raises(CatalogueError) as caught:
        parse_catalogue(text, FOLDER)
    [problem] = caught.value.problems
    assert "\n" not in problem
    return problem


@pytest.mark.parametrize(("keys", "want"), READ.values(), ids=READ.keys())
def test_a_topic_is_read(keys, want):
    assert parse_catalogue(f"[topics.a]\n{keys}", FOLDER).topics == {"a": want}


@pytest.mark.parametrize("name", GOOD_NAMES.values(), ids=GOOD_NAMES.keys())
def test_a_topic_may_have_this_name(name):
    topics = parse_catalogue(f'[topics."{name}"]', FOLDER).topics
    assert [topic.pattern for topic in topics.values()] == list(topics) == [name]


@pytest.mark.parametrize("name", BAD_NAMES.values(), ids=BAD_NAMES.keys())
def test_no_topic_may_have_this_name(name):
    problem = only_problem_of(f'[topics."{name}"]')
    assert problem.startswith("topics.")
    assert "is not a topic; letters, digits and _ - . ~ in segments joined by /" in problem


@pytest.mark.parametrize("name", SERVERS_OWN)
def test_what_the_server_publishes_cannot_be_declared(name):
    assert "is the server's own; another name would be right" in only_problem_of(
        f'[topics."{name}"]'
    )


@pytest.mark.parametrize(("text", "want"), REFUSED.values(), ids=REFUSED.keys())
def test_a_problem_is_named_with_its_key(text, want):
    assert only_problem_of(text).startswith(want)


def test_the_servers_own_are_those_that_topics_have():
    assert {rule.pattern for rule in RULES} <= set(BUILT_IN)


def is_refused(check, *arguments):
    try:
        check(*arguments)
    except (CatalogueError, MalformedTopic):
        return True
    return False


@given(st.from_regex(r"(\.{0,3}[Aa0_~*-]{0,3}/?){0,3}(readers)?", fullmatch=True))
def test_the_catalogue_and_topics_agree_on_names(name):
    is_declared = not is_refused(parse_catalogue, f'[topics."{name}"]', FOLDER)
    assert is_declared == (name != "*" and not is_refused(Patterns.parse, name))
