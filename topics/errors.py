"""What can go wrong with topics. What their event log refuses is in journal.errors."""

from __future__ import annotations


class TopicError(Exception):
    """Any error of this package.

    TopicError
    +-- MalformedTopic   a name that no topic can have
    +-- UnknownTopic     a name that nothing in the catalogue allows
    +-- TooManyTopics    one more topic than is allowed, in all or on a connection
    +-- TopicQuota       one more topic than one principal may make of a pattern
    +-- FutureCursor     a cursor ahead of everything that there is
    +-- NotWritable      a topic that only the server writes
    """


class MalformedTopic(TopicError):
    """No topic can have this name."""


class UnknownTopic(TopicError):
    """Nothing in the catalogue allows a topic of this name."""


class TooManyTopics(TopicError):
    """There are as many topics as there may be."""


class TopicQuota(TopicError):
    """The principal has made as many topics of a pattern as it may."""


class FutureCursor(TopicError):
    """The cursor is ahead of everything that this server has given out."""


class NotWritable(TopicError):
    """Only the server itself publishes there."""
