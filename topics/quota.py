"""The limits of topics that clients create. Way in: check_new.

Topics that the catalogue names and those of the server are exempt: their own retention bounds them.
The limits are for topics of a pattern, of which clients may create any number.
"""

from __future__ import annotations

from collections.abc import Collection

from topics.errors import TooManyTopics, TopicQuota
from topics.rules import Rule
from topics.topic import Topic

# An empty topic takes a few KB. Exempt topics are not counted.
MAX_TOPICS = 1000
# Of one pattern, by one principal.
MAX_PER_OWNER = 250


def check_new(rule: Rule, owner: str, topics: Collection[Topic], per_owner: int) -> None:
    """Check that owner may create one more topic of a rule.

    topics: all existing ones. Raises TopicQuota, TooManyTopics.
    """
    if rule.is_exempt:
        return
    of_patterns = [topic for topic in topics if not topic.rule.is_exempt]
    if len(of_patterns) >= MAX_TOPICS:
        raise TooManyTopics(f"there are {MAX_TOPICS} topics of patterns, the most that are allowed")
    own = [t for t in of_patterns if t.maker == owner and t.rule.pattern == rule.pattern]
    if len(own) >= per_owner:
        message = f"one principal creates at most {per_owner} topics"
        raise TopicQuota(f"{message} of {rule.pattern}")
