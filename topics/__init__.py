"""Live events: topics that are published to, and readers that miss nothing.

topics: all topics, over an event log; the way in. registry: the existing topics. topic: one of
them. names, rules, quota: the names, the retention and the number of topics. missing: gaps of
topics that do not exist any more. subscriptions, reader, connection_writer, dispatcher: how events
reach a client. lifetime: for how long. notices: messages of the server in feeds. presence: the
readers of topics. status, ticker: the server's own events each second. self_check: whether events
are delivered. errors: what can go wrong. Knows no Flask, no Socket.IO and no green library.
"""

from journal import KeyReused, NotReady, Publication, Receipt, TopicsFull
from topics.connection_writer import ConnectionWriter
from topics.errors import (
    FutureCursor,
    MalformedTopic,
    NotWritable,
    TooManyTopics,
    TopicError,
    TopicQuota,
    UnknownTopic,
)
from topics.names import Patterns
from topics.reader import TopicReader
from topics.rules import Rule
from topics.topics import Topics

__all__ = [
    "ConnectionWriter",
    "FutureCursor",
    "KeyReused",
    "MalformedTopic",
    "NotReady",
    "NotWritable",
    "Patterns",
    "Publication",
    "Receipt",
    "Rule",
    "TooManyTopics",
    "TopicError",
    "TopicQuota",
    "TopicReader",
    "Topics",
    "TopicsFull",
    "UnknownTopic",
]
