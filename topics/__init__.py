"""Live events: topics that are published to, and readers that miss nothing.

topics: all of them; the way in. topic, publisher, receipts, commit, sequence: one topic, and how
events come into it. reader, outlet, dispatcher: how they reach a client. names, rules, room: which
topics there may be, and how much of them. lifetime: how long they are followed. Knows no Flask, no
Socket.IO and no green library.
"""

from topics.errors import (
    FutureCursor,
    KeyReused,
    MalformedTopic,
    NotReady,
    NotWritable,
    TooManyTopics,
    TopicError,
    TopicQuota,
    TopicsFull,
    UnknownTopic,
)
from topics.names import Patterns
from topics.outlet import Client, Outlet
from topics.publisher import Publication
from topics.reader import Reader
from topics.receipts import Receipt
from topics.room import Limits
from topics.rules import Rule
from topics.topics import Topics

__all__ = [
    "Client",
    "FutureCursor",
    "KeyReused",
    "Limits",
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
