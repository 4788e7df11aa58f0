"""One client's connection: what it waits for, what is asked on it, and how it ends.

wire/connection.py has the part of it that the application uses. All of it is read and written on
the hub's thread. Way in: Connection.
"""

from __future__ import annotations

import errno
import os
import socket
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, NamedTuple

from server.green_sockets import FileSocket
from server.log_format import current_request_id, take_request_id
from server.monkey_patching import eventlet, nothing
from server.request_body import unread_bytes

GO_AHEAD = b"HTTP/1.1 100 Continue\r\n\r\n"
# A connection this young, that has not asked anything yet, has its first request on the way.
NEWCOMER_S = 1.0


class ErrorSent(NamedTuple):
    """The answer to a request that cannot be read, for the access log. sent: bytes of its body."""

    status: str
    sent: int


@dataclass(eq=False, slots=True)
class Connection:
    """See the module, and wire.connection.ClientConnection.

    refusals, pending: the worker's, by code and by address. address: as it is counted, "" for a
    Unix socket. is_pending: it is counted in pending by its address. waiting_since: when it began
    to wait for a request, None while one is answered. requests: how many it has made. request,
    request_id: what is answered at the moment; the id stays when the connection is taken over.
    """

    socket: Any
    refusals: Counter[str]
    pending: Counter[str]
    address: str
    is_pending: bool
    waiting_since: float | None = field(default_factory=monotonic)
    requests: int = 0
    head_timeout: Any = None
    request: Any = None
    request_id: str | None = None
    # The request that was answered before its body had come whole, while that comes.
    unread: Any = None
    # The client sends the body only once it is told to (`Expect: 100-continue`).
    waits_to_send: bool = False
    taken_over: bool = False
    work: Callable[[], bool | None] | None = None
    close: Callable[[], None] | None = None
    # For the access log: when the request began, what was sent past gunicorn, and the fields of a
    # connection that was taken over; a text, since an idle connection keeps it.
    began_s: float = 0.0
    sent_bytes: int | None = None
    log_fields: str | None = None
    error_sent: ErrorSent | None = None
    # The client took nothing of what it was sent for so long that the kernel has given it up.
    stalled: bool = False
    # The application's.
    credential: Any = None
    is_awaited: Callable[[], bool] | None = None
    on_gone: Callable[[Connection], None] | None = None

    def __post_init__(self) -> None:
        if self.is_pending:
            self.pending[self.address] += 1

    # What the application uses.

    @property
    def send_now(self) -> Callable[[bytes], int] | None:
        return self.socket.fd.send if isinstance(self.socket, FileSocket) else None

    @property
    def calls_back(self) -> bool:
        # What TLS has read already shows on no socket.
        return isinstance(self.socket, FileSocket)

    @staticmethod
    def spawn(work: Callable[[], None]) -> None:
        eventlet.spawn_n(work)

    def admit(self, on_gone: Callable[[Connection], None]) -> None:
        self.on_gone = on_gone
        self.end_pending()

    def take_over(self, work: Callable[[], bool | None] | None = None) -> None:
        # No greenlet is kept while it waits, whose stacks take 7 KB.
        self.taken_over = True
        self.credential = None
        self.wait()
        if work is not None:
            self.work = work
            if self.calls_back:
                self.socket.takes_turns = False
            # AsyncWorker closes what it has served.
            self.close, self.socket.close = self.socket.close, nothing

    def take_early(self) -> bytes:
        buffer = self.request.unreader.buf
        data: bytes = buffer.getvalue()
        buffer.seek(0)
        buffer.truncate()
        return data

    def failed(self, error: OSError) -> None:
        self.stalled = self.stalled or error.errno == errno.ETIMEDOUT

    def refused(self, code: str) -> None:
        self.refusals[code] += 1

    def cut(self) -> None:
        self._shut(socket.SHUT_RDWR)

    def stop_reading(self) -> None:
        # A request among what has arrived is answered.
        self._shut(socket.SHUT_RD)

    def _shut(self, how: int) -> None:
        # On a duplicate: SSLSocket.shutdown would drop the TLS state and read on in the clear.
        with suppress(OSError), socket.socket(fileno=os.dup(self.socket.fileno())) as twin:
            twin.shutdown(how)

    # What the worker uses.

    def end_pending(self) -> None:
        """Count it no longer by the address it comes from; again is harmless."""
        if self.is_pending:
            self.is_pending = False
            self.pending[self.address] -= 1
            if not self.pending[self.address]:
                del self.pending[self.address]

    def begin(self, request: Any) -> None:
        """Answer gunicorn's request from now on; what is logged bears its id."""
        self.waiting_since = None
        self.requests += 1
        self.began_s, self.sent_bytes = monotonic(), None
        self.request, self.is_awaited = request, None
        # gunicorn would tell it to go ahead before the application has looked at the head.
        self.waits_to_send, request._expected_100_continue = request._expected_100_continue, False
        self.name(value for name, value in request.headers if name == "X-REQUEST-ID")

    def name(self, asked: Iterable[str] = ()) -> str:
        """Give a new request its id; what is logged in this greenlet bears it."""
        self.request_id = take_request_id(asked)
        current_request_id.set(self.request_id)
        return self.request_id

    def go_ahead(self) -> None:
        """Tell a client that waits to send the body to send it, since it is about to be read."""
        if self.waits_to_send:
            self.waits_to_send = False
            with suppress(OSError):  # the read finds that out, too
                self.socket.sendall(GO_AHEAD)

    def hear(self, waits: bool) -> None:
        """Note whether its body, which is read as it comes, is waited for: as a request is."""
        self.waiting_since = monotonic() if waits else None

    def wait(self) -> None:
        """Wait for the client from now on, be it for a request or in an open WebSocket."""
        self.waiting_since = monotonic()
        self.unread = self.request if self.request and unread_bytes(self.request) else None
        self.request = None

    def is_closing(self) -> bool:
        """Tell whether the application is about to end it, or expects a last request on it."""
        return self.taken_over or (self.is_awaited is not None and self.is_awaited())

    def is_idle(self) -> bool:
        """Tell whether a drain may close it: nothing is running, nor about to be asked."""
        waited_s = 0.0 if self.waiting_since is None else monotonic() - self.waiting_since
        return self.waiting_since is not None and (self.requests > 0 or waited_s > NEWCOMER_S)

    def asks_nothing(self) -> bool:
        """Tell whether it waits for a request, the first or the next."""
        is_busy = self.request is not None or self.taken_over
        is_busy = is_busy or (self.unread is not None and unread_bytes(self.unread) > 0)
        return self.waiting_since is not None and not is_busy
