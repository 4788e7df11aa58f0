"""Sockets that eventlet lacks: with sendfile, and without a greenlet that waits.

Way in: FileSocket, for listeners and clients; Lookout, for clients that only wait.
"""

from __future__ import annotations

import errno
import os
import select
import socket
from collections.abc import Callable
from typing import Any

from greenlet import greenlet  # type: ignore[import-untyped]

from server.monkey_patching import eventlet, go_on, nothing

# So many sockets are woken in one turn of the hub: others have their turn in between.
MAX_WOKEN = 100
# One turn of sendfile: 256 KiB take 0.1 ms from the page cache and 1 to 3 ms from a disk.
SENDFILE_BYTES = 256 * 1024

_RealSocket = eventlet.patcher.original("socket").socket


class FileSocket(eventlet.greenio.GreenSocket):  # type: ignore[misc]
    """A green socket with sendfile; a listening one accepts sockets of this class.

    takes_turns: see recv; False for a socket that is read once each time it is ready.
    """

    takes_turns = True
    # Accepted sockets have the same; read once.
    _kind: tuple[int, int, int] | None = None

    def __init__(self, family: Any = socket.AF_INET, *args: Any, **kwargs: Any) -> None:
        # A patched socket accepts sockets that are green already; all traffic would go through
        # both.
        if isinstance(family, eventlet.greenio.GreenSocket):
            green, family = family, family.fd
            green.close = nothing  # it would close the socket when it is collected
        super().__init__(family, *args, **kwargs)

    def accept(self) -> tuple[FileSocket, Any]:
        """Accept a connection. eventlet would wrap the accepted socket twice."""
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
        """Receive; with takes_turns, others have their turn first if data is already there."""
        if self.act_non_blocking:
            return bytes(self.fd.recv(bufsize, flags))
        is_awaited = False
        try:
            data: bytes = self.fd.recv(bufsize, flags)
        except BlockingIOError:
            is_awaited = True
        except OSError as error:
            # A reset is an end. The kernel reports only once that the client took nothing for too
            # long.
            if error.errno == errno.ETIMEDOUT:
                raise
        else:
            if self.takes_turns:
                eventlet.sleep(0)
            return data
        if is_awaited:
            # Not in the handler above, or an idle client would keep the error and its frames.
            try:
                self._read_trampoline()
            except eventlet.hubs.IOClosed as error:
                raise EOFError from error
        return bytes(super().recv(bufsize, flags))

    def sendall(self, data: bytes, flags: int = 0) -> None:
        # The socket takes most answers at once.
        try:
            sent = self.fd.send(data, flags)
        except BlockingIOError:
            sent = 0
        if sent < len(data):
            super().sendall(memoryview(data)[sent:], flags)

    def sendfile(self, file: Any, offset: int = 0, count: int = 0) -> int:
        """Send count bytes of file from offset, a turn at a time; return count.

        eventlet forwards sendfile to the raw socket, which refuses since it is non-blocking. Raises
        OSError when the file ends early: the answer is then shorter than announced, so the
        connection must end.
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


class Lookout:
    """Sockets for which no greenlet waits, since one costs 7 KB: once a socket has something to
    read, or its end, wake is called with its client in a new greenlet.

    The sockets are closed only after that. Made in the worker, for the hub of its thread.
    """

    def __init__(self, wake: Callable[[Any], None]) -> None:
        self._wake = wake
        self._hub = eventlet.hubs.get_hub()
        # A patched process has no epoll. The hub watches this one.
        self._epoll = eventlet.patcher.original("select").epoll()
        self._clients: dict[int, Any] = {}
        self._hub.add(self._hub.READ, self._epoll.fileno(), self._look, nothing, nothing)

    def watch(self, descriptor: int, client: Any) -> None:
        """Wake the client of a socket, once, when there is something to read."""
        self._clients[descriptor] = client
        self._epoll.register(descriptor, select.EPOLLIN)

    def forget(self, descriptor: int) -> None:
        """Stop watching the socket, if it is watched."""
        if self._clients.pop(descriptor, None) is not None:
            self._epoll.unregister(descriptor)

    def _look(self, _: int) -> None:
        """Wake the clients of ready sockets; called by the hub."""
        for descriptor, _events in self._epoll.poll(0, MAX_WOKEN):
            self._epoll.unregister(descriptor)
            # The greenlet switches back here when it waits for something, and at its end.
            go_on(greenlet(self._wake, self._hub.greenlet), self._clients.pop(descriptor))
