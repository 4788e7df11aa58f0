"""What can go wrong with topics. journal.errors has the errors of their event log."""

from __future__ import annotations


class TopicError(Exception):
    """Any error of this package.

    TopicError
    +-- MalformedTopic   a name that no topic can have
    +-- UnknownTopic     a name that the catalogue does not allow
    +-- TooManyTopics    one more topic than is allowed, in all or on a connection
    +-- TopicQuota       one more topic of a pattern than a principal may create
    +-- FutureCursor     a cursor ahead of all events
    +-- NotWritable      a topic to which only the server publishes
    """


class MalformedTopic(TopicError):
    """No topic can have this name."""


class UnknownTopic(TopicError):
    """The catalogue does not allow a topic of this name."""


class TooManyTopics(TopicError):
    """There are as many topics as are allowed."""


class TopicQuota(TopicError):
    """The principal has created as many topics of a pattern as it may."""


class FutureCursor(TopicError):
    """The cursor is ahead of all ids of this server."""


class NotWritable(TopicError):
    """Only the server itself publishes to the topic."""
