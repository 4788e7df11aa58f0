"""The existing topics, the rules of others, and the creation of topics.

Way in: TopicRegistry.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence

from journal import EventLog, JournalFailed, JournalFull, Retained
from topics.errors import UnknownTopic
from topics.names import check_name
from topics.quota import check_new
from topics.rules import Rule, find_rule
from topics.subscriptions import Subscriptions
from topics.topic import Topic

log = logging.getLogger(__name__)


class TopicRegistry:
    """See Topics for the arguments. subscriptions: called for each new topic."""

    def __init__(
        self,
        event_log: EventLog,
        rules: Sequence[Rule],
        per_owner: int,
        subscriptions: Subscriptions,
    ) -> None:
        self.rules = rules
        # Topics of the log that could not be opened.
        self.unopened: set[str] = set()
        self._log = event_log
        self._per_owner = per_owner
        self._subscriptions = subscriptions
        self._topics: dict[str, Topic] = {}
        self._making = threading.Lock()

    def all(self) -> list[Topic]:
        """Return the topics that were published to, by name."""
        return [self._topics[name] for name in sorted(self._topics)]

    def get(self, name: str) -> Topic | None:
        """Return the topic of that name, None when there is none."""
        return self._topics.get(name)

    def rule_of(self, name: str) -> Rule:
        """Return the rule of a possible topic. Raises MalformedTopic, UnknownTopic."""
        rule = find_rule(self.rules, check_name(name))
        if rule is None:
            raise UnknownTopic(f"there is no topic {name}; GET /events lists the possible ones")
        return rule

    def load(self) -> None:
        """Open every durable topic of the log."""
        for name in self._log.topics():
            rule = find_rule(self.rules, name)
            if rule is None or not rule.durable:
                continue
            try:
                topic = self.make(name, rule)
            except (JournalFailed, JournalFull) as error:
                self.unopened.add(name)
                log.error("cannot open topic=%s error=%s", name, error)
                continue
            if not topic.last:
                # Nothing was ever published to it.
                self.forget(name)

    def make(self, name: str, rule: Rule, owner: str | None = None) -> Topic:
        """Return a topic, which is created if needed.

        owner: the principal that creates it; None for topics of the server and those on the disk.
        Raises NotReady, TooManyTopics, TopicQuota, JournalFailed, JournalFull.
        """
        with self._making:
            # Another caller may have created it while this one waited.
            if found := self._topics.get(name):
                return found
            if owner is not None and name not in self.unopened:
                check_new(rule, owner, self._topics.values(), self._per_owner)
            self._log.declare(name, rule.policy, owner or "")
            return self._topics[name]

    def add(self, name: str, maker: str, records: Retained) -> None:
        """Add a new topic, created by this process or by another."""
        rule = find_rule(self.rules, name)
        if rule is None:
            return
        topic = Topic(name, rule, records, self._log.epoch, maker)
        self._topics[name] = topic
        self.unopened.discard(name)
        self._subscriptions.begin(topic)

    def forget(self, name: str) -> None:
        """Remove a topic, also from the log."""
        del self._topics[name]
        self._log.forget(name)
