"""What can go wrong with topics."""

from __future__ import annotations


class TopicError(Exception):
    """Any error of this package.

    TopicError
    +-- MalformedTopic   a name that no topic can have
    +-- UnknownTopic     a name that nothing in the catalogue allows
    +-- TooManyTopics    one more topic than is allowed, in all or on a connection
    +-- TopicQuota       one more topic than one principal may make of a pattern
    +-- TopicsFull       more bytes than all topics together may have
    +-- FutureCursor     a cursor ahead of everything that there is
    +-- KeyReused        an Idempotency-Key that came with another content before
    +-- NotWritable      a topic that only the server writes
    +-- NotReady         the server is starting or stopping
    """


class MalformedTopic(TopicError):
    """No topic can have this name."""


class UnknownTopic(TopicError):
    """Nothing in the catalogue allows a topic of this name."""


class TooManyTopics(TopicError):
    """There are as many topics as there may be."""


class TopicQuota(TopicError):
    """The principal has made as many topics of a pattern as it may."""


class TopicsFull(TopicError):
    """All topics together hold as many bytes as they may."""


class FutureCursor(TopicError):
    """The cursor is ahead of everything that this server has given out."""


class KeyReused(TopicError):
    """The Idempotency-Key was used before, for something else."""


class NotWritable(TopicError):
    """Only the server itself publishes there."""


class NotReady(TopicError):
    """The topics are not open yet, or not any more: another process of the server has them."""
