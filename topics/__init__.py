"""Live events: topics that are published to, and readers that miss nothing.

topics: all of them, over an event log; the way in. topic: one of them. reader, outlet, dispatcher:
how events reach a client. names, rules, quota: which topics there may be, and how many. lifetime:
how long they are followed. Knows no Flask, no Socket.IO and no green library.
"""

from journal import KeyReused, NotReady, Publication, Receipt, TopicsFull
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
from topics.outlet import Client, Outlet
from topics.reader import Reader
from topics.rules import Rule
from topics.topics import Topics

__all__ = [
    "Client",
    "FutureCursor",
    "KeyReused",
    "MalformedTopic",
    "NotReady",
    "NotWritable",
    "Outlet",
    "Patterns",
    "Publication",
    "Reader",
    "Receipt",
    "Rule",
    "TooManyTopics",
    "TopicError",
    "TopicQuota",
    "Topics",
    "TopicsFull",
    "UnknownTopic",
]
