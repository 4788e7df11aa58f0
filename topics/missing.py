"""Topics that a client may have events of, and that there are not: each is a gap for it.

Way in: may_have_had, absent, lost.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from topics.names import Patterns
from topics.rules import Rule, find_rule
from topics.topic import NothingKept, Topic
from wire.cursors import topic_mark
from wire.since import After, Since


def may_have_had(name: str, rule: Rule, since: Since, epoch: int) -> bool:
    """Can a client that comes with since have been told of a topic that there is not?"""
    if not isinstance(since, After):
        return False
    is_of_before = not rule.durable and since.cursor.epoch < epoch
    return is_of_before or since.cursor.mark == topic_mark(name)


def absent(name: str, rule: Rule, epoch: int) -> Topic:
    """Return a topic that is not there, for the gap in front of it."""
    return Topic(name, rule, NothingKept(), epoch, is_there=False)


def lost(patterns: Patterns, since: Since, rules: Sequence[Rule], epoch: int) -> list[Topic]:
    """Return an absent topic for each pattern whose topics ended with the incarnation of since.

    Nobody knows any more which there were in memory: their gap has the name of the pattern.
    """
    if not isinstance(since, After) or since.cursor.epoch >= epoch:
        return []
    found = []
    for name in {both for rule in rules for both in patterns.common(rule.pattern)}:
        rule = find_rule(rules, name)
        if rule is not None and not rule.durable:
            found.append(absent(name, replace(rule, refetch=Rule.refetch), epoch))
    return found
