"""How many topics clients may make. Way in: check_new.

A topic that the catalogue names, and one of the server, always has its place: its own retention
bounds it. The limits here refuse only topics of a pattern, of which clients make any number.
"""

from __future__ import annotations

from collections.abc import Collection

from topics.errors import TooManyTopics, TopicQuota
from topics.rules import Rule
from topics.topic import Topic

# A topic with nothing in it takes a few KB; a catalogue's pattern lets anybody make them. Those of
# the server and those that the catalogue names are not counted.
MAX_TOPICS = 1000
# Of one pattern, by one principal.
MAX_PER_OWNER = 250


def check_new(rule: Rule, owner: str, topics: Collection[Topic], per_owner: int) -> None:
    """Refuse owner one more topic of a rule when there are as many as there may be.

    topics: all that there are. Raises TopicQuota, TooManyTopics.
    """
    if rule.is_exempt:
        return
    of_patterns = [topic for topic in topics if not topic.rule.is_exempt]
    if len(of_patterns) >= MAX_TOPICS:
        raise TooManyTopics(f"there are {MAX_TOPICS} topics of patterns, and there may not be more")
    own = [t for t in of_patterns if t.maker == owner and t.rule.pattern == rule.pattern]
    if len(own) >= per_owner:
        message = f"one principal makes at most {per_owner} topics"
        raise TopicQuota(f"{message} of {rule.pattern}")
