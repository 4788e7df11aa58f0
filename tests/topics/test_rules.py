import pytest

from tests.topics.world import AMPLE
from topics import Rule
from topics.rules import BUILT_IN, find_rule

RULES = [Rule(pattern, False, AMPLE) for pattern in ("a", "a/*", "a/b/*", "a/b/c", "long-name/*")]

FOUND = {
    "its own": ("a", "a"),
    "the pattern above it": ("a/x", "a/*"),
    "the longest pattern": ("a/b/x", "a/b/*"),
    "its own before the pattern": ("a/b/c", "a/b/c"),
    "below its own is the pattern's": ("a/b/c/d", "a/b/*"),
    "none": ("b", None),
    "what only begins like it": ("ab", None),
    "a pattern does not cover its name": ("long-name", None),
}


@pytest.mark.parametrize(("name", "want"), FOUND.values(), ids=FOUND.keys())
@pytest.mark.parametrize("order", [1, -1])
def test_the_rule_of_a_topic(name, want, order):
    rule = find_rule(RULES[::order], name)
    assert (rule and rule.pattern) == want


def test_nobody_but_the_server_writes_what_is_built_in():
    assert not any(rule.writable or rule.durable for rule in BUILT_IN)
    assert find_rule(BUILT_IN, "exports/x").refetch == "/{topic}"
