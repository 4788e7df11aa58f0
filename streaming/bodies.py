"""The body of a response that streams: pieces in order, counted, and closed.

Its first chunk is read before the status is sent, so that an early failure becomes a status. After
that, the server cuts the connection on any exception, without the end of the body, and logs those
that are not expected.
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
    """An iterable of the bytes of a span, until it raises or is closed."""

    def __iter__(self) -> Iterator[bytes]: ...

    def close(self) -> None: ...


def sent_bytes_of(app: Flask) -> Counter[str]:
    """Return the live counter of bytes that the transfers of app have sent, by kind."""
    sent: Counter[str] = app.extensions.setdefault("sent_bytes", Counter(files=0, reports=0))
    return sent


class StreamedBody:
    """Bytes and the pieces of spans, one after the other.

    name: of the transfer in the log. sent, kind: the counter of its bytes, and their kind; None
    where they are counted elsewhere. Closing the body closes all pieces, so that a recording is
    kept from the first piece to the last, and logs one line about the transfer. Raises what the
    first chunk raises.
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
                # Logged at the end; the server does not log this error again.
                raise ConnectionResetError(errno.ECONNRESET, str(error)) from error
            except Exception as error:
                self._ending = f"failed ({error})"
                raise
        self._sent_bytes += len(chunk)
        if self._sent is not None:
            self._sent[self._kind] += len(chunk)
        return chunk

    def close(self) -> None:
        """Close the pieces. Called by the server, however the response ended."""
        for piece in self._pieces:
            if not isinstance(piece, bytes):
                piece.close()
        if self._ending:
            killed_by = sys.exception()
            if self._ending == CUT and not isinstance(killed_by, Exception | None):
                # The greenlet was killed: the process stops.
                self._ending = "cut by the server"
            seconds = time.monotonic() - self._started_s
            log.info(
                "transfer %s bytes=%d seconds=%.3f ending=%s",
                self._name, self._sent_bytes, seconds, self._ending,
            )  # fmt: skip
            self._ending = ""
