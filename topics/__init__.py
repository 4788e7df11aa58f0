"""Live events: topics that are published to, and readers that miss nothing.

topics: all of them, over an event log; the way in. registry: which there are. topic: one of them.
names, rules, quota: which there may be, and how many. missing: what a client has had of topics that
are gone. subscriptions, reader, writer, dispatcher: how events reach a client; lifetime: for how
long. notices: what the server itself says. presence: who follows what. errors: what can go wrong.
Knows no Flask, no Socket.IO and no green library.
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
