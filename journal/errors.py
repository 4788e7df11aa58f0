"""What can go wrong with a journal."""

from __future__ import annotations

import errno

# How a file system says that there is no room.
FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class JournalError(Exception):
    """Any error of this package.

    JournalError
    +-- JournalFull      append: no room; nothing of that append is kept
    +-- JournalEnded     append: the journal has already ended
    +-- JournalFailed    read: the journal failed, or bytes of it were lost
    +-- ReaderLeft       read: the client that was reading is gone
    +-- TopicsFull       all topics of a log together hold as many bytes as they may
    +-- KeyReused        an idempotency key that came with other content before
    +-- NotReady         the log is not open yet, or is closed
    +-- ConditionFailed  the condition of a publication does not hold
        +-- SequenceConflict   the topic is not where the publisher expected it
        +-- StaleProducer      a later incarnation of the producer has published
        +-- TopicClosed        an earlier publication has closed the topic
    """


class JournalFull(JournalError):
    """There is no room for these bytes: the disk is full, or the memory bound is reached."""


class JournalEnded(JournalError):
    """The journal has ended: nothing can be appended any more."""


class JournalFailed(JournalError):
    """The journal failed before its end, or bytes of it were lost.

    code: one word for programs. str(error): a sentence for people.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class ReaderLeft(JournalError):
    """The client that the reader read for is gone."""


class TopicsFull(JournalError):
    """All topics together hold as many bytes as they may."""


class KeyReused(JournalError):
    """The Idempotency-Key was used before, for something else."""


class NotReady(JournalError):
    """The topics are not open yet, or are closed: another process of the server has them."""


class ConditionFailed(JournalError):
    """The condition of a publication does not hold."""


class SequenceConflict(ConditionFailed):
    """The newest event of the topic is not the one that the publisher expected."""


class StaleProducer(ConditionFailed):
    """The topic has accepted a later incarnation of this producer."""


class TopicClosed(ConditionFailed):
    """The topic was closed: it accepts nothing any more."""


def cannot_open(error: OSError) -> JournalFull | JournalFailed:
    """Return the error to raise where a journal cannot be opened or created."""
    if error.errno in FULL:
        return JournalFull(error.strerror or str(error))
    return JournalFailed("unreadable", str(error))
