"""The payloads of topics and their readers, for clients."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from topics.names import Patterns
from topics.reader import TopicReader
from topics.topic import Topic
from topics.topics import Topics
from wire.events import id_of, time_s_of


def show_topics(topics: Topics) -> list[dict[str, Any]]:
    """Return every topic that was published to, and the patterns of possible others."""
    shown = {topic.name: _show_topic(topics, topic) for topic in topics.all()}
    for rule in topics.rules:
        if rule.pattern not in shown:
            shown[rule.pattern] = {
                "topic": rule.pattern,
                "durable": rule.durable,
                "latest": rule.latest,
                "writable": rule.writable,
            }
    return list(shown.values())


def _show_topic(topics: Topics, topic: Topic) -> dict[str, Any]:
    bounds, rule = topic.records.bounds(), topic.rule
    oldest = topic.records.read(bounds.first, 1)
    return {
        "topic": topic.name,
        "durable": rule.durable,
        "latest": rule.latest,
        "writable": rule.writable,
        "events": bounds.last - bounds.first + 1,
        "bytes": bounds.size_bytes,
        "first": id_of(oldest[0]).decode() if oldest else None,
        "newest": topic.newest,
        "readers": len(topic.readers.keys() & topics.readers.keys()),
    }


def show_readers(
    topics: Topics, name: str, is_hidden: Callable[[str], bool] = lambda topic: False
) -> dict[str, Any]:
    """Return the readers of a topic, or of all topics of a pattern.

    is_hidden: whether the client may not know of a topic, which then has no readers and no lag.
    Raises MalformedTopic, UnknownTopic.
    """
    patterns = Patterns.parse(name)
    for each in patterns.names:
        topics.rule_of(each)
    patterns = patterns.without(is_hidden)
    now_s = time.time()
    shown = [
        _show_reader(reader, patterns, is_hidden, now_s)
        for reader in list(topics.readers)
        if reader.patterns.without(is_hidden).meets(patterns)
    ]
    return {"topic": name, "count": len(shown), "readers": shown}


def _show_reader(
    reader: TopicReader, patterns: Patterns, is_hidden: Callable[[str], bool], now_s: float
) -> dict[str, Any]:
    """Return the payload of a reader.

    lag_s: the age of the oldest event that it has not had. behind: why it fell behind last.
    """
    behind = {
        topic: place
        for topic, place in reader.places.items()
        if place <= topic.records.bounds().last
        and patterns.match(topic.name)
        and not is_hidden(topic.name)
    }
    ages = [now_s - _time_s_at(topic, place) for topic, place in behind.items()]
    return {
        "connection": reader.connection,
        "transport": reader.framing.transport,
        "lag_events": sum(
            topic.records.bounds().last + 1 - place for topic, place in behind.items()
        ),
        "lag_s": round(max(ages, default=0.0), 3),
        "behind": reader.behind,
    }


def _time_s_at(topic: Topic, place: int) -> float:
    lines = topic.records.read(max(place, topic.records.bounds().first), 1)
    return time_s_of(lines[0]) if lines else time.time()
