"""The catalogue's rules of topics: their names and their retention."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from journal import Policy, Retention


@dataclass(frozen=True)
class Rule:
    """The rule of the topics of one name or pattern.

    pattern: a name, or a prefix that ends with `/*`. durable: on disk before a publisher has its
    receipt. latest: a reader that is behind gets only the newest event of each key. writable: by
    clients. refetch: the address of a fresh start, `{topic}` in it is the topic. mount: the path
    below which the application is, in front of all addresses.
    """

    pattern: str
    durable: bool
    retention: Retention
    latest: bool = False
    writable: bool = True
    refetch: str = "/events/{topic}?since=all"
    mount: str = ""

    @property
    def is_exempt(self) -> bool:
        """Do limits of all topics together not apply? They do if clients may create any number."""
        return not self.writable or not self.pattern.endswith("/*")

    @property
    def policy(self) -> Policy:
        """The event log's policy of its topics."""
        return Policy(self.retention, self.durable, self.latest, self.is_exempt)

    def covers(self, name: str) -> bool:
        """Is name one of its topics?"""
        if self.pattern.endswith("/*"):
            return name.startswith(self.pattern[:-1])
        return name == self.pattern


# The topics of the server. An hour of status for charts; the latest state of each export.
BUILT_IN = (
    Rule("status", False, Retention(3600, 3600, 4 * 1024**2), latest=True, writable=False),
    Rule(
        "exports", False, Retention(10_000, 86_400, 16 * 1024**2), latest=True, writable=False,
        refetch="/exports",
    ),
    Rule(
        "exports/*", False, Retention(1000, 86_400, 1024**2), latest=True, writable=False,
        refetch="/{topic}",
    ),
)  # fmt: skip


def find_rule(rules: Sequence[Rule], name: str) -> Rule | None:
    """Return the rule of a topic: its own, or else the longest pattern that covers it."""
    covering = [rule for rule in rules if rule.covers(name)]
    return max(covering, key=lambda rule: (rule.pattern == name, len(rule.pattern)), default=None)
