"""The body of a response that streams: pieces in order, counted, and closed.

Its first chunk is pulled before the status is sent, so that what fails early is a status. A
failure after that cuts the connection without the end of the body: the server does so with whatever
is raised, and logs what nobody has foreseen.
"""

from __future__ import annotations

import errno
import logging
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Protocol

from flask import Flask

from journal import JournalError
from sources.errors import FolderError

log = logging.getLogger(__name__)

CUT = "cut by the client"


class Piece(Protocol):
    """What yields the bytes of a span, until it raises or is closed."""

    def __iter__(self) -> Iterator[bytes]: ...

    def close(self) -> None: ...


def sent_bytes_of(app: Flask) -> Counter[str]:
    """Return how much app's transfers have sent so far, by their kind; it counts on."""
    sent: Counter[str] = app.extensions.setdefault("sent_bytes", Counter(files=0, reports=0))
    return sent


class Body:
    """Bytes as they stand and the pieces of spans, one after the other.

    name: what the log line calls this transfer. sent, kind: where its bytes are counted, as they
    go, and as what; None where that is done elsewhere. The pieces are this body's to close, all of
    them at its end, so that what is read stays kept from the first piece to the last; one log line
    then says how it went. Raises what the first chunk raises.
    """

    def __init__(
        self,
        name: str,
        pieces: Sequence[bytes | Piece],
        sent: Counter[str] | None = None,
        kind: str = "",
    ) -> None:
        self._name = name
        self._sent = sent
        self._kind = kind
        self._pieces = pieces
        self._sent_bytes = 0
        self._started_s = time.monotonic()
        self._ending = CUT
        self._chunks = self._run()
        try:
            self._first: bytes | None = next(self._chunks, b"")
        except BaseException as error:
            self._ending = f"failed ({error})"
            self.close()
            raise

    def _run(self) -> Iterator[bytes]:
        for piece in self._pieces:
            if isinstance(piece, bytes):
                yield piece
            else:
                yield from piece

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        if self._first is not None:
            chunk, self._first = self._first, None
        else:
            try:
                chunk = next(self._chunks)
            except StopIteration:
                self._ending = "finished"
                raise
            except (JournalError, FolderError) as error:
                self._ending = f"failed ({error})"
                # Said in the log line of the end: the server need not say it again, as an error.
                raise ConnectionResetError(errno.ECONNRESET, str(error)) from error
            except Exception as error:
                self._ending = f"failed ({error})"
                raise
        self._sent_bytes += len(chunk)
        if self._sent is not None:
            self._sent[self._kind] += len(chunk)
        return chunk

    def close(self) -> None:
        """Free what is read from. Called by the server, however the response ended."""
        for piece in self._pieces:
            if not isinstance(piece, bytes):
                piece.close()
        if self._ending:
            killed_by = sys.exception()
            if self._ending == CUT and not isinstance(killed_by, Exception | None):
                # What is no Exception ends the greenlet: the process stops.
                self._ending = "cut by the server"
            seconds = time.monotonic() - self._started_s
            log.info(
                "transfer %s bytes=%d seconds=%.3f ending=%s",
                self._name, self._sent_bytes, seconds, self._ending,
            )  # fmt: skip
            self._ending = ""
