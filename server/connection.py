"""One client's connection: what it waits for, its present request, and how it ends.

wire/connection.py declares the part that the application uses. Only the hub's thread reads and
writes a connection. Way in: Connection.
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
# The first request of a connection this young may be on its way.
NEWCOMER_S = 1.0


class ErrorSent(NamedTuple):
    """The answer to a request that cannot be read, for the access log. sent: bytes of its body."""

    status: str
    sent: int


@dataclass(eq=False, slots=True)
class Connection:
    """See the module, and wire.connection.ClientConnection.

    refusals, pending: the worker's, by code and by address. address: as it is counted, "" for a
    Unix socket. is_pending: the connection is counted in pending by its address. waiting_since:
    when it began to wait for a request, None while one is answered. requests: how many it has sent.
    request, request_id: the request that is being answered; the id stays when the connection is
    taken over.
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
    # A request that was answered before its whole body arrived, while the rest arrives.
    unread: Any = None
    # The client waits for a 100 before it sends the body (`Expect: 100-continue`).
    waits_to_send: bool = False
    taken_over: bool = False
    work: Callable[[], bool | None] | None = None
    close: Callable[[], None] | None = None
    # For the access log: when the request began, the bytes that were sent past gunicorn, and the
    # fields of a connection that was taken over. These are text, since an idle connection keeps
    # them.
    began_s: float = 0.0
    sent_bytes: int | None = None
    log_fields: str | None = None
    error_sent: ErrorSent | None = None
    # The client took no bytes for so long that the kernel closed the connection.
    stalled: bool = False
    # The application's data.
    credential: Any = None
    is_awaited: Callable[[], bool] | None = None
    on_gone: Callable[[Connection], None] | None = None

    def __post_init__(self) -> None:
        if self.is_pending:
            self.pending[self.address] += 1

    # Used by the application.

    @property
    def send_now(self) -> Callable[[bytes], int] | None:
        return self.socket.fd.send if isinstance(self.socket, FileSocket) else None

    @property
    def calls_back(self) -> bool:
        # Bytes that TLS has already read do not make the socket readable.
        return isinstance(self.socket, FileSocket)

    @staticmethod
    def spawn(work: Callable[[], None]) -> None:
        eventlet.spawn_n(work)

    def admit(self, on_gone: Callable[[Connection], None]) -> None:
        self.on_gone = on_gone
        self.end_pending()

    def take_over(self, work: Callable[[], bool | None] | None = None) -> None:
        # While it waits it keeps no greenlet, since the stacks of one take 7 KB.
        self.taken_over = True
        # An application may take over what it has not admitted.
        self.end_pending()
        self.credential = None
        self.wait()
        if work is not None:
            self.work = work
            if self.calls_back:
                self.socket.takes_turns = False
            # AsyncWorker closes the connections that it served.
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
        # A request in the bytes that have arrived is still answered.
        self._shut(socket.SHUT_RD)

    def _shut(self, how: int) -> None:
        # On a duplicate: SSLSocket.shutdown would drop the TLS state and read on in the clear.
        with suppress(OSError), socket.socket(fileno=os.dup(self.socket.fileno())) as twin:
            twin.shutdown(how)

    # Used by the worker.

    def end_pending(self) -> None:
        """Stop counting it by its address; a second call does nothing."""
        if self.is_pending:
            self.is_pending = False
            self.pending[self.address] -= 1
            if not self.pending[self.address]:
                del self.pending[self.address]

    def begin(self, request: Any) -> None:
        """Answer gunicorn's request from now on; log lines carry its id."""
        self.waiting_since = None
        self.requests += 1
        self.began_s, self.sent_bytes = monotonic(), None
        self.request, self.is_awaited = request, None
        # gunicorn would send the 100 before the application has seen the head.
        self.waits_to_send, request._expected_100_continue = request._expected_100_continue, False
        self.name(value for name, value in request.headers if name == "X-REQUEST-ID")

    def name(self, asked: Iterable[str] = ()) -> str:
        """Give a new request its id; log lines of this greenlet carry it."""
        self.request_id = take_request_id(asked)
        current_request_id.set(self.request_id)
        return self.request_id

    def go_ahead(self) -> None:
        """Tell a waiting client to send the body, since it is about to be read."""
        if self.waits_to_send:
            self.waits_to_send = False
            with suppress(OSError):  # the read will fail, too
                self.socket.sendall(GO_AHEAD)

    def hear(self, waits: bool) -> None:
        """Note whether its body, which is read as it arrives, is waited for, as a request is."""
        self.waiting_since = monotonic() if waits else None

    def wait(self) -> None:
        """Wait for the client from now on: for a request or in an open WebSocket."""
        self.waiting_since = monotonic()
        self.unread = self.request if self.request and unread_bytes(self.request) else None
        self.request = None

    def is_closing(self) -> bool:
        """Tell whether the application will end it soon, or expects a last request on it."""
        return self.taken_over or (self.is_awaited is not None and self.is_awaited())

    def is_idle(self) -> bool:
        """Tell whether a drain may close it: no request is running or about to arrive."""
        waited_s = 0.0 if self.waiting_since is None else monotonic() - self.waiting_since
        return self.waiting_since is not None and (self.requests > 0 or waited_s > NEWCOMER_S)

    def asks_nothing(self) -> bool:
        """Tell whether it waits for a request, the first or the next."""
        is_busy = self.request is not None or self.taken_over
        is_busy = is_busy or (self.unread is not None and unread_bytes(self.unread) > 0)
        return self.waiting_since is not None and not is_busy
