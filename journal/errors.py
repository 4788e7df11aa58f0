"""What can go wrong with a journal."""

from __future__ import annotations


class JournalError(Exception):
    """Any error of this package.

    JournalError
    +-- JournalFull      append: no room; nothing of that append is kept
    +-- JournalEnded     append: the journal has already ended
    +-- JournalFailed    read: the journal ended without its end
    +-- ReaderLeft       read: the client that was reading is gone
    """


class JournalFull(JournalError):
    """There is no room for these bytes: the disk is full, or the memory bound is reached."""


class JournalEnded(JournalError):
    """The journal has ended: nothing can be appended any more."""


class JournalFailed(JournalError):
    """The reader came to where the journal failed.

    code: one word for programs. str(error): a sentence for people.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class ReaderLeft(JournalError):
    """Nobody is there any more to read for."""
