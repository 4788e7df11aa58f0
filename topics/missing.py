"""Topics that do not exist any more, and of which a client may have events: each is a gap.

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
    """May a client with since have events of a topic that does not exist?"""
    if not isinstance(since, After):
        return False
    is_of_before = not rule.durable and since.cursor.epoch < epoch
    return is_of_before or since.cursor.mark == topic_mark(name)


def absent(name: str, rule: Rule, epoch: int) -> Topic:
    """Return a topic that does not exist, for its gap."""
    return Topic(name, rule, NothingKept(), epoch, is_there=False)


def lost(patterns: Patterns, since: Since, rules: Sequence[Rule], epoch: int) -> list[Topic]:
    """Return an absent topic for each pattern whose topics ended with the incarnation of since.

    The names of topics in memory are lost: their gap has the name of the pattern.
    """
    if not isinstance(since, After) or since.cursor.epoch >= epoch:
        return []
    found = []
    for name in {both for rule in rules for both in patterns.common(rule.pattern)}:
        rule = find_rule(rules, name)
        if rule is not None and not rule.durable:
            found.append(absent(name, replace(rule, refetch=Rule.refetch), epoch))
    return found
