"""Monkey-patching: eventlet imported quietly, the call that patches a process, what eventlet lacks.

Way in: patch_everything, for wsgi.py first thing and for the worker after the fork; FileSocket,
Lookout, Input and Body are the worker's. Importing this patches nothing: gunicorn's arbiter imports
it through server.worker and has to stay an ordinary blocking process.
"""

from __future__ import annotations

import errno
import logging
import os
import select
import socket
import struct
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from time import monotonic
from typing import Any

# It takes select.poll as it is imported, which is gone once the process is patched.
import inotify_simple
from greenlet import greenlet  # type: ignore[import-untyped]

with warnings.catch_warnings():
    # eventlet warns at its import that it gets bug fixes only. That is known and decided: DESIGN.md
    # keeps it in few places, so that another library can take its place, and an operator can do
    # nothing about it. The filter is by text: the warning's class has no name before the import.
    warnings.filterwarnings("ignore", message=r"\s*Eventlet is deprecated")
    import eventlet
    import eventlet.wsgi

log = logging.getLogger(__name__)

__all__ = [
    "Body",
    "BrokenInput",
    "FileSocket",
    "Input",
    "LateInput",
    "Lookout",
    "eventlet",
    "go_on",
    "nothing",
    "patch_everything",
]

# How long a response may run before the others get a turn; DESIGN.md: the hub never waits 5 ms.
TURN_S = 0.005
# So many sockets are woken in one turn of the hub: others have theirs in between.
MAX_WOKEN = 100
# One turn of sendfile: 256 KiB take 0.1 ms from the page cache and 1 to 3 ms from a disk.
SENDFILE_BYTES = 256 * 1024
# Of a body that is read as it comes.
PIECE_BYTES = 64 * 1024


def patch_everything() -> None:
    """Patch the standard library so that what blocks lets other greenlets run; again is harmless.

    Must come before the modules of the application are imported: a name that was taken from a
    module before it was patched (`from time import sleep`) goes on blocking the hub.
    """
    # The first one asks a program for the C library, which would hold the hub.
    with suppress(OSError):
        inotify_simple.INotify().close()
    eventlet.monkey_patch()
    # eventlet's tells the hub of each file, and makes a hub for each native thread that opens one.
    os.open = eventlet.patcher.original("os").open
    _let_native_threads_log()


def _let_native_threads_log() -> None:
    """Give logging locks of the system. It never lets other greenlets run while it has one.

    A native thread that finds a lock of eventlet's taken waits for ever: it is not told by the hub.
    """
    native: Any = eventlet.patcher.original("threading")
    module: Any = logging
    module.threading = native
    module._lock = native.RLock()
    for reference in module._handlerList:
        if (handler := reference()) is not None:
            handler.createLock()


_RealSocket = eventlet.patcher.original("socket").socket


class FileSocket(eventlet.greenio.GreenSocket):  # type: ignore[misc]
    """A green socket with sendfile; a listening one accepts its like.

    takes_turns: see recv; False for one that is read once each time it is ready.
    """

    takes_turns = True
    # What is accepted is of the same; asked for once.
    _kind: tuple[int, int, int] | None = None

    def __init__(self, family: Any = socket.AF_INET, *args: Any, **kwargs: Any) -> None:
        # What a patched socket accepts is green already; all traffic would go through both.
        if isinstance(family, eventlet.greenio.GreenSocket):
            green, family = family, family.fd
            green.close = _leave_open  # it would close the socket when it is collected
        super().__init__(family, *args, **kwargs)

    def accept(self) -> tuple[FileSocket, Any]:
        """Accept a connection. eventlet would make a green socket, and of that another one."""
        if self._kind is None:
            self._kind = self.fd.family, self.fd.type, self.fd.proto
        while True:
            try:
                descriptor, address = self.fd._accept()
            except BlockingIOError:
                self._read_trampoline()
                continue
            client = _RealSocket(*self._kind, descriptor)
            client.setblocking(False)
            eventlet.hubs.notify_opened(descriptor)
            return FileSocket(client, set_nonblocking=False), address

    def recv(self, bufsize: int, flags: int = 0) -> bytes:
        """Receive; what is there already is had after the others' turn, if it takes_turns."""
        if self.act_non_blocking:
            return bytes(self.fd.recv(bufsize, flags))
        is_awaited = False
        try:
            data: bytes = self.fd.recv(bufsize, flags)
        except BlockingIOError:
            is_awaited = True
        except OSError as error:
            # A reset is an end. The kernel tells only once that a client took nothing for too long.
            if error.errno == errno.ETIMEDOUT:
                raise
        else:
            if self.takes_turns:
                eventlet.sleep(0)
            return data
        if is_awaited:
            # Not in the handler above, or an idle client would keep its error and the frames of it.
            try:
                self._read_trampoline()
            except eventlet.hubs.IOClosed as error:
                raise EOFError from error
        return bytes(super().recv(bufsize, flags))

    def sendall(self, data: bytes, flags: int = 0) -> None:
        # Most answers are taken at once.
        try:
            sent = self.fd.send(data, flags)
        except BlockingIOError:
            sent = 0
        if sent < len(data):
            super().sendall(memoryview(data)[sent:], flags)

    def sendfile(self, file: Any, offset: int = 0, count: int = 0) -> int:
        """Send count bytes of file from offset, a turn at a time; return count.

        eventlet forwards sendfile to the raw socket, which refuses since it is non-blocking.
        Raises OSError when the file ends early: what is sent is then short of its announced
        length, so the connection must end.
        """
        end = offset + count
        while offset < end:
            try:
                size = min(SENDFILE_BYTES, end - offset)
                sent = os.sendfile(self.fileno(), file.fileno(), offset, size)
            except BlockingIOError:
                eventlet.hubs.trampoline(self.fd, write=True)
                continue
            if not sent:
                raise OSError(errno.ENODATA, f"the file ended {end - offset} bytes early")
            offset += sent
            eventlet.sleep(0)
        return count


def go_on(green: Any, *of: Any) -> None:
    """Switch to a greenlet from a callback of the hub, and log the error that it may end with.

    The hub calls back no more where an error comes out.
    """
    try:
        green.switch(*of)
    except eventlet.hubs.get_hub().SYSTEM_EXCEPTIONS:
        raise
    except BaseException:
        log.exception("a greenlet has failed")


class Lookout:
    """Sockets that no greenlet waits for, which would cost each 7 KB: once there is something to
    read on one, or its end, wake is called with its client in a new greenlet.

    They are closed only after that. Made in the worker, for the hub of its thread.
    """

    def __init__(self, wake: Callable[[Any], None]) -> None:
        self._wake = wake
        self._hub = eventlet.hubs.get_hub()
        # A patched process has no epoll. The hub looks at this one.
        self._epoll = eventlet.patcher.original("select").epoll()
        self._clients: dict[int, Any] = {}
        self._hub.add(self._hub.READ, self._epoll.fileno(), self._look, nothing, nothing)

    def watch(self, descriptor: int, client: Any) -> None:
        """Wake the client of a socket, once, when there is something to read."""
        self._clients[descriptor] = client
        self._epoll.register(descriptor, select.EPOLLIN)

    def forget(self, descriptor: int) -> None:
        """Wake it no more, if it is watched."""
        if self._clients.pop(descriptor, None) is not None:
            self._epoll.unregister(descriptor)

    def _look(self, _: int) -> None:
        """Wake those that are ready; called by the hub."""
        for descriptor, _events in self._epoll.poll(0, MAX_WOKEN):
            self._epoll.unregister(descriptor)
            # It comes back here when it waits for something, and at its end.
            go_on(greenlet(self._wake, self._hub.greenlet), self._clients.pop(descriptor))


class LateInput(BaseException):
    """The body of a request has not come in its time.

    No Exception, so that nobody makes a 500 of it.
    """


class BrokenInput(BaseException):
    """The body of a request cannot be read: it is not framed as it has to be, or was cut.

    No Exception, for the same reason.
    """


class Input:
    """A request's body (`wsgi.input`), all of which has to come in a time from the first read on.

    broken: what stream raises for a body that cannot be read. go_ahead: called before each read.
    Each read raises LateInput when the time is over, and BrokenInput for one of those.
    on_wait: told True before `read_some`, which has no time of its own, and False after it.
    paused: returns a context in which the turn of who reads rests. A body in chunks is received in
    it, and understood in turn: chunks of one byte cost as much to read as thousands of bytes.
    """

    def __init__(
        self,
        stream: Any,
        within_s: float,
        broken: tuple[type[Exception], ...],
        go_ahead: Callable[[], None],
        on_wait: Callable[[bool], None],
        paused: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self._stream = stream
        self._within_s = within_s
        self._broken = broken
        self._go_ahead = go_ahead
        self._on_wait = on_wait
        self._paused = paused
        if not hasattr(stream.reader, "length"):
            # Its parser receives by itself; see the worker.
            stream.reader.req.unreader.paused = paused
        self._ends_s: float | None = None

    @contextmanager
    def _in_time(self) -> Iterator[None]:
        if self._ends_s is None:
            self._ends_s = monotonic() + self._within_s
        try:
            with eventlet.Timeout(max(0.0, self._ends_s - monotonic()), LateInput()):
                self._go_ahead()
                yield
        except self._broken as error:
            raise BrokenInput(str(error)) from error

    def read(self, size: int | None = None) -> bytes:
        if self.is_there():
            return bytes(self._stream.read(size))
        due_bytes = self._due_bytes(size)
        with self._in_time():
            data = bytes(self._stream.read(size))
        if len(data) < due_bytes:
            # gunicorn's reader takes it for the end.
            raise BrokenInput("the connection was closed in the middle of it")
        return data

    def _due_bytes(self, size: int | None) -> int:
        """Return how much a read has to give of a body that has said how long it is, else 0."""
        left: int | None = getattr(self._stream.reader, "length", None)
        if left is None:
            return 0
        left += self._stream.buf.tell()
        return left if size is None or size < 0 else min(size, left)

    def is_there(self) -> bool:
        """Tell whether all of the body came with the head, so that nothing is waited for."""
        reader = self._stream.reader
        length = getattr(reader, "length", None)
        return length is not None and reader.unreader.buf.tell() >= length

    def waits_in_turn(self) -> bool:
        """Tell whether `read` waits in the turn of who reads: that rests for chunks only."""
        return hasattr(self._stream.reader, "length") and not self.is_there()

    def read_some(self) -> bytes:
        """Return what has come of the body, b"" at its end; the turn rests while there is nothing.

        Raises ConnectionError where it was cut, or cannot be read.
        """
        self._go_ahead()
        self._on_wait(True)
        try:
            return self._next_piece()
        except self._broken as error:
            self._stream.failed = True
            raise ConnectionAbortedError(str(error)) from error
        finally:
            self._on_wait(False)

    def _next_piece(self) -> bytes:
        """Return the next piece from gunicorn's reader, which keeps none where this is called."""
        reader = self._stream.reader
        if hasattr(reader, "parser"):
            # Else heads of chunks come with 8 KiB, and so do most pieces.
            reader.req.unreader.mxchunk = PIECE_BYTES
            for piece in reader.parser or ():
                # An empty one is no end: the head of a chunk has come without its data.
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
            raise BrokenInput("the connection was closed in the middle of it")
        return line

    def readlines(self, hint: int | None = None) -> list[bytes]:
        return list(self)

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.readline, b"")


class Body:
    """A response body that gives others their turn, and that cannot be cut unseen.

    A generator that never waits, read by a fast client, would hold the hub to its end: a write
    only waits when the socket is full. HTTP/1.0 without a length ends by the close, so a cut
    looks complete unless it is a reset; `reset_if_cut` is the socket to reset, None for HTTP/1.1.
    close() closes the application's iterable.
    """

    def __init__(self, parts: Iterable[bytes], reset_if_cut: socket.socket | None) -> None:
        self._parts = parts
        self._items = iter(parts)
        self._reset_if_cut = reset_if_cut
        self._underway = False
        self._turn_ends = monotonic() + TURN_S

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        if monotonic() >= self._turn_ends:
            eventlet.sleep(0)
            self._turn_ends = monotonic() + TURN_S
        try:
            item = next(self._items)
        except StopIteration:
            self._underway = False
            raise
        self._underway = True
        return item

    def close(self) -> None:
        try:
            if close := getattr(self._parts, "close", None):
                close()
        finally:
            if self._underway and self._reset_if_cut is not None:
                with suppress(OSError):
                    on, at_once = 1, 0
                    self._reset_if_cut.setsockopt(
                        socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", on, at_once)
                    )
                    self._reset_if_cut.close()


def _leave_open() -> None:
    pass


def nothing(*of: Any) -> None:
    """Do nothing: for the hub, which asks what to do where a descriptor is closed."""
