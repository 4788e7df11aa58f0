"""A request's body: must arrive within its time; its chunks are parsed in turn.

gunicorn's readers are the source (`gunicorn.http`, pinned exactly). Way in: RequestBody, as
`wsgi.input`; receive_in_turn, for gunicorn's unreader.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from time import monotonic
from typing import Any

from gunicorn.http.body import ChunkedReader
from gunicorn.http.errors import NoMoreData, ParseException

from server.green_sockets import FileSocket
from server.monkey_patching import eventlet

# One read of a body that is read as it arrives.
PIECE_BYTES = 64 * 1024
# The errors that gunicorn raises for a body that is framed wrong, or was cut.
_BROKEN = (ParseException, NoMoreData)


class LateBody(BaseException):
    """The body of a request did not arrive in time.

    Not an Exception, so that no handler turns it into a 500.
    """


class BrokenBody(BaseException):
    """The body of a request cannot be read: it is framed wrong, or was cut.

    Not an Exception, for the same reason.
    """


class RequestBody:
    """A request's body (`wsgi.input`), which has to arrive within a time from the first read on.

    stream: gunicorn's. within_s: the time. go_ahead: called before each read. on_wait: called with
    True before `read_some`, which has no time of its own, and with False after it. paused: returns
    a context in which the reader's turn is paused. A body in chunks is received in this context,
    and parsed in turn: chunks of one byte cost as much to read as thousands of bytes. Each read
    raises LateBody when the time is over, and BrokenBody for a body that cannot be read.
    """

    def __init__(
        self,
        stream: Any,
        within_s: float,
        go_ahead: Callable[[], None],
        on_wait: Callable[[bool], None],
        paused: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self._stream = stream
        self._within_s = within_s
        self._go_ahead = go_ahead
        self._on_wait = on_wait
        self._paused = paused
        if not hasattr(stream.reader, "length"):
            # gunicorn's parser receives by itself; see receive_in_turn.
            stream.reader.req.unreader.paused = paused
        self._ends_s: float | None = None

    @contextmanager
    def _in_time(self) -> Iterator[None]:
        if self._ends_s is None:
            self._ends_s = monotonic() + self._within_s
        try:
            with eventlet.Timeout(max(0.0, self._ends_s - monotonic()), LateBody()):
                self._go_ahead()
                yield
        except _BROKEN as error:
            raise BrokenBody(str(error)) from error

    def read(self, size: int | None = None) -> bytes:
        if self.is_there():
            return bytes(self._stream.read(size))
        due_bytes = self._due_bytes(size)
        with self._in_time():
            data = bytes(self._stream.read(size))
        if len(data) < due_bytes:
            # gunicorn's reader takes a cut for the end.
            raise BrokenBody("the connection was closed in the middle of it")
        return data

    def _due_bytes(self, size: int | None) -> int:
        """Return how much a read has to return of a body with a known length, else 0."""
        left: int | None = getattr(self._stream.reader, "length", None)
        if left is None:
            return 0
        left += self._stream.buf.tell()
        return left if size is None or size < 0 else min(size, left)

    def is_there(self) -> bool:
        """Tell whether the whole body arrived with the head, so that no read waits."""
        reader = self._stream.reader
        length = getattr(reader, "length", None)
        return length is not None and reader.unreader.buf.tell() >= length

    def waits_in_turn(self) -> bool:
        """Tell whether `read` waits in the reader's turn: the turn is paused for chunks only."""
        return hasattr(self._stream.reader, "length") and not self.is_there()

    def read_some(self) -> bytes:
        """Return bytes of the body that have arrived, b"" at its end; a wait pauses the turn.

        Raises ConnectionError if the body was cut, or cannot be read.
        """
        self._go_ahead()
        self._on_wait(True)
        try:
            return self._next_piece()
        except _BROKEN as error:
            self._stream.failed = True
            raise ConnectionAbortedError(str(error)) from error
        finally:
            self._on_wait(False)

    def _next_piece(self) -> bytes:
        """Return the next piece from gunicorn's reader, which holds none when this is called."""
        reader = self._stream.reader
        if hasattr(reader, "parser"):
            # Otherwise heads of chunks come with 8 KiB, and so do most pieces.
            reader.req.unreader.mxchunk = PIECE_BYTES
            for piece in reader.parser or ():
                # An empty piece is not the end: the head of a chunk arrived without its data.
                if piece:
                    return bytes(piece)
            reader.parser = None
            return b""
        if not reader.length:
            return b""
        with self._paused():
            data: bytes = reader.unreader.read(None, read_ahead=min(reader.length, PIECE_BYTES))
        piece, behind = data[: reader.length], data[reader.length :]
        if behind:
            reader.unreader.unread(behind)
        if not piece:
            raise ConnectionAbortedError("the connection was closed in the middle of the body")
        reader.length -= len(piece)
        return piece

    def readline(self, size: int | None = None) -> bytes:
        due_bytes = self._due_bytes(size)
        with self._in_time():
            line: bytes = self._stream.readline(size)
        if len(line) < due_bytes and not line.endswith(b"\n"):
            raise BrokenBody("the connection was closed in the middle of it")
        return line

    def readlines(self, hint: int | None = None) -> list[bytes]:
        return list(self)

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.readline, b"")


def receive_in_turn(reader: Any, receive: Callable[..., bytes], size: int | None = None) -> bytes:
    """Receive by TLS after the turn of the other greenlets.

    A receive does not wait while data is there, so gunicorn's loops over heads, chunks and bodies
    would hold the hub while a client sends faster than they parse. FileSocket.recv knows whether it
    has waited, and gives the others their turn by itself.
    """
    with getattr(reader, "paused", nullcontext)():
        if not isinstance(reader.sock, FileSocket):
            eventlet.sleep(0)
        return receive(reader, size)


def unread_bytes(request: Any) -> float:
    """Return how much of a request's body was not read; inf if a chunked one has not ended."""
    reader = request.body.reader
    if isinstance(reader, ChunkedReader):
        return 0 if reader.parser is None else math.inf
    length: int = reader.length
    return length
