"""The gunicorn worker: one greenlet for each connection, on eventlet's hub.

gunicorn 26 dropped its own eventlet worker; this is written against the contract of AsyncWorker,
which parses, answers and keeps alive. Added here: patching and hub after the fork, a counted bound
on connections, time for the request's head and body and for a client that takes nothing, the end of
bodies that nobody reads, a name for each request, the heartbeat and the drain. Knows nothing of the
application, which may count what is refused here: in its attribute `refusals`, by the error's code.
It may also have what is refused here wait for a turn: its attribute `turn_at`, called with the
peer's address, returns a context manager that does so; `turn_paused` returns one in which a turn
rests while a body is waited for.
AsyncWorker and the parser are internal to gunicorn, so gunicorn is pinned exactly, and
tests/system/test_worker.py shows each of these on a real server.

Way in: make_worker_class, for gunicorn.conf.py.
"""

from __future__ import annotations

import errno
import json
import math
import os
import socket
import sys
import traceback
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial, partialmethod
from time import monotonic
from types import FrameType
from typing import Any, NamedTuple

from gunicorn import sock, util
from gunicorn.http.body import ChunkedReader
from gunicorn.http.errors import InvalidHeader, InvalidHeaderName, NoMoreData, ParseException
from gunicorn.http.unreader import SocketUnreader
from gunicorn.workers.base_async import AsyncWorker

from server.log_format import current_request_id, take_request_id
from server.monkey_patching import (
    Body,
    BrokenInput,
    FileSocket,
    Input,
    LateInput,
    Lookout,
    eventlet,
    patch_everything,
)
from server.request import environ_of, know_heads
from server.response import Answer
from wire.addresses import counted_address
from wire.hosts import parse_host, split_target

# The arbiter kills a worker that is silent for --timeout seconds, which may be as short as one.
HEARTBEAT_S = 0.5
# From the connect to the end of the first request head, TLS handshake included. A head is a packet
# or two; ten seconds allow for three losses in a row (TCP retries after 1, 3 and 7 s). Later heads
# share the keep-alive time: a client may sit idle for as long, so less would protect from nothing.
HEAD_S = 10.0
# A refused client gets this long to read its 503: a close while its request is unread sends a
# reset, which may overtake the answer. So many may linger at once; the others are just closed.
REFUSAL_S = 1.0
MAX_REFUSALS = 100
# What the application has left of a body is read and dropped before the next request, if it is no
# more than this. Else the answer is the connection's last: gunicorn would read on for as long as
# the client sends. As much as gunicorn's own bound, which it does not apply between requests.
MAX_UNREAD_BYTES = 64 * 1024
GO_AHEAD = b"HTTP/1.1 100 Continue\r\n\r\n"
# What is refused or cut here, as it is counted; and what gunicorn answers, by its reason.
TOO_MANY_CONNECTIONS = "too_many_connections"
TOO_MANY_PENDING = "too_many_pending_connections"
HEADER_TIMEOUT = "header_timeout"
REQUEST_TIMEOUT = "request_timeout"
STALLED = "stalled"
BAD_REQUEST = "bad_request"
NOT_FOUND = "not_found"
IDLE = "idle"
DISPLACED = "displaced"
# The answer to a connection that is refused: status, code, message.
REFUSED = {
    TOO_MANY_CONNECTIONS: (
        "503 Service Unavailable",
        TOO_MANY_CONNECTIONS,
        "The server has as many connections as it may: try again in a second.",
    ),
    TOO_MANY_PENDING: (
        "429 Too Many Requests",
        TOO_MANY_PENDING,
        "Your address has too many connections without a request: try again in a second.",
    ),
}
# As of every other answer; auth/answers.py says why.
HARDENED = [
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("Referrer-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
]
# While all places are taken, connections that ask nothing are looked for so often: 0.3 ms for
# 2,000.
LOOK_S = 0.05
# When descriptors have run out the backlog stays readable, so accepting again at once would spin.
ACCEPT_PAUSE_S = 0.5
# One takes 0.05 ms.
ACCEPTS_A_TURN = 10
DRAIN_TICK_S = 0.1
# What gunicorn raises for a body that is not framed right, or was cut.
BROKEN = (ParseException, NoMoreData)
# So long an application that was told of the drain has to close what it has taken over, and to
# answer the last request that it awaits: a WebSocket's closing handshake gets three seconds.
CLOSING_S = 4.0
# A connection this young, that has not asked anything yet, has its first request on the way.
NEWCOMER_S = 1.0
# The arbiter kills at graceful_timeout; the last tenth is for close() of the bodies that are cut.
DRAIN_SHARE = 0.9
CUT_S = 1.0
_IN_TIME = nullcontext()


class Refusal(NamedTuple):
    """The answer to a request that cannot be read, for the access log. sent: bytes of its body."""

    status: str
    sent: int


@dataclass(eq=False, slots=True)
class Connection:
    """One client: whether it waits for a request, since when, and how many it has made.

    refusals, pending: the worker's. address: as it is counted, "" for a Unix socket. is_pending:
    it is counted in pending by its address. request, request_id: what is answered at the moment;
    the name stays with who takes over.
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
    # For the access log: when the request began, what was sent past gunicorn, and what there is to
    # tell of who has taken over; a text, since an idle connection keeps it.
    began_s: float = 0.0
    sent_bytes: int | None = None
    told: str | None = None
    refusal: Refusal | None = None
    # The client took nothing of what it was sent for so long that the kernel has given it up.
    stalled: bool = False
    # The application's: what the client has shown, and what was found by it.
    shown: Any = None
    # Whether another request is awaited before a drain may close it, as the application has it.
    is_awaited: Callable[[], bool] | None = None
    # Called once, when the client is gone.
    on_gone: Callable[[Connection], None] | None = None

    def __post_init__(self) -> None:
        if self.is_pending:
            self.pending[self.address] += 1

    # What an application that speaks on the socket is given; see topics/connection_writer.py.

    @property
    def send_now(self) -> Callable[[bytes], int] | None:
        """Send what the socket takes without waiting; None for TLS, which cannot say."""
        return self.socket.fd.send if isinstance(self.socket, FileSocket) else None

    def admit(self, on_gone: Callable[[Connection], None]) -> None:
        """A request on it is admitted: from now on the application counts it, until on_gone."""
        self.on_gone = on_gone
        self.end_pending()

    def end_pending(self) -> None:
        """Count it no longer by the address it comes from; again is harmless."""
        if self.is_pending:
            self.is_pending = False
            self.pending[self.address] -= 1
            if not self.pending[self.address]:
                del self.pending[self.address]

    @staticmethod
    def spawn(work: Callable[[], None]) -> None:
        eventlet.spawn_n(work)

    @property
    def calls_back(self) -> bool:
        """Tell whether work may return True; what TLS has read already shows on no socket."""
        return isinstance(self.socket, FileSocket)

    def take_over(self, work: Callable[[], bool | None] | None = None) -> None:
        """Write nothing more to the socket once the application returns, and close it then.

        work: goes on before the close, when the request and all that belonged to it is gone. If it
        returns True it is called again when there is something to read; no greenlet is kept until
        then, whose stacks take 7 KB.
        """
        self.taken_over = True
        self.shown = None
        self.wait()
        if work is not None:
            self.work = work
            if self.calls_back:
                self.socket.takes_turns = False
            # AsyncWorker closes what it has served.
            self.close, self.socket.close = self.socket.close, _leave_open

    def take_early(self) -> bytes:
        """Return what the client has sent behind the request; for who takes the connection over."""
        buffer = self.request.unreader.buf
        data: bytes = buffer.getvalue()
        buffer.seek(0)
        buffer.truncate()
        return data

    def failed(self, error: OSError) -> None:
        """Note why the socket has failed, as far as that is counted."""
        self.stalled = self.stalled or error.errno == errno.ETIMEDOUT

    def refused(self, code: str) -> None:
        """Count that the client was refused something, or was cut off, by who has taken over."""
        self.refusals[code] += 1

    def begin(self, request: Any) -> None:
        """From now on this request is answered, gunicorn's; what is logged bears its name."""
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
        """Say whether its body, which is read as it comes, is waited for: as a request is."""
        self.waiting_since = monotonic() if waits else None

    def wait(self) -> None:
        """From now on it waits for its client, be it for a request or in an open WebSocket."""
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

    def cut(self) -> None:
        """End the connection as it is; its readers and writers find it closed."""
        self._shut(socket.SHUT_RDWR)

    def stop_reading(self) -> None:
        """Let it read what has arrived, and then the end; a request among that is answered."""
        self._shut(socket.SHUT_RD)

    def _shut(self, how: int) -> None:
        # On a duplicate: SSLSocket.shutdown would drop the TLS state and read on in the clear.
        with suppress(OSError), socket.socket(fileno=os.dup(self.socket.fileno())) as twin:
            twin.shutdown(how)


def _address_of(addr: Any) -> str:
    """Return the address of a peer as the socket has it, "" for a Unix socket's."""
    return addr[0] if isinstance(addr, tuple) else ""


def _leave_open() -> None:
    pass


def error_body(status: str, code: str, message: str, detail: dict[str, Any]) -> bytes:
    """Return the one shape that errors have."""
    fields = {"error": code, "message": message, "status": int(status[:3]), "detail": detail}
    return json.dumps(fields).encode()


def error_answer(
    status: str, code: str, message: str, detail: dict[str, Any], headers: str = ""
) -> bytes:
    """Return a whole response that is an error. headers: more of them."""
    body = error_body(status, code, message, detail)
    hardened = "".join(f"{name}: {value}\r\n" for name, value in HARDENED)
    head = (
        f"HTTP/1.1 {status}\r\n{headers}Connection: close\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n{hardened}\r\n"
    )
    return head.encode() + body


def unread_bytes(request: Any) -> float:
    """Return how much of a request's body was not read; inf if a chunked one has not ended."""
    reader = request.body.reader
    if isinstance(reader, ChunkedReader):
        return 0 if reader.parser is None else math.inf
    length: int = reader.length
    return length


def receive_in_turn(reader: Any, receive: Callable[..., bytes], size: int | None = None) -> bytes:
    """Receive by TLS after the other greenlets have had their turn.

    A receive does not wait while data is there, so gunicorn's loops over heads, chunks and bodies
    would hold the hub for as long as a client sends faster than they parse. FileSocket.recv, that
    knows whether it has waited, gives the others their turn by itself.
    """
    with getattr(reader, "paused", nullcontext)():
        if not isinstance(reader.sock, FileSocket):
            eventlet.sleep(0)
        return receive(reader, size)


def take_host(environ: dict[str, Any]) -> str | None:
    """Have environ say by what name the server was called; return what is wrong, None if nothing.

    A target in absolute form names the host, whatever Host says, and is in origin form from then
    on. HTTP/1.0 has no Host. RFC 9112, 3.2 and 3.2.2.
    """
    host, target = environ.get("HTTP_HOST"), environ["RAW_URI"]
    if host is None and environ["SERVER_PROTOCOL"] != "HTTP/1.0":
        return "a request of HTTP/1.1 has a Host"
    if host is not None and parse_host(host) is None:
        return f"Host is a name or an address, and a port if need be, not {host[:100]!a}"
    if environ["REQUEST_METHOD"] == "CONNECT":
        return None
    parts = split_target(target)
    if parts is None:
        return f"a request's target is a path, or an address of http, not {target[:100]!a}"
    if parts.authority is not None:
        if parse_host(parts.authority) is None:
            return f"the request's target has no host: {target[:100]!a}"
        environ["HTTP_HOST"], environ["RAW_URI"] = parts
    return None


def take_mount(environ: dict[str, Any], mount: str) -> bool:
    """Have environ tell the path below the mount; return whether the request is for one."""
    path = environ["PATH_INFO"]
    if mount and path != mount and not path.startswith(f"{mount}/"):
        return False
    environ["SCRIPT_NAME"], environ["PATH_INFO"] = mount, path.removeprefix(mount)
    return True


def make_worker_class(*, body_s: float, stall_s: float, most_pending: int) -> type:
    """Return the worker with what settings give it; see GreenWorker."""
    given = {"body_s": body_s, "stall_s": stall_s, "most_pending": most_pending}
    return type("GreenWorker", (GreenWorker,), given)


class GreenWorker(AsyncWorker):  # type: ignore[misc]
    """See the module; the attributes below are read and written on the hub's thread only.

    connections: each client's state by its greenlet, by itself while it has none. refusals: what
    was refused or cut, by code. most_pending: how many connections of one address the application
    may not have admitted, 0 for any number. Until their first request is admitted they belong to
    nobody whom it could count. body_s: how long a request's body may take. stall_s: how long a
    client may take nothing that it is sent, 0 for as long as the kernel has it.
    """

    body_s = 30.0
    stall_s = 120.0
    most_pending = 1000
    alive: bool
    wsgi: Any

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.connections: dict[Any, Connection] = {}
        self.refusals: Counter[str] = Counter()
        self._pending: Counter[str] = Counter()
        # Connections that ask nothing by their addresses, the longest waiting last.
        self._waiting: dict[str, list[Connection]] = {}
        self._looked_at = -LOOK_S
        self._refusal_logged_at = -1.0
        self._mount = ""
        self._ends_at_once = False
        self._reopens_logs = False

    @classmethod
    def check_config(cls, cfg: Any, log: Any) -> None:
        """Refuse what this worker does not do; gunicorn prints a RuntimeError as one line."""
        if cfg.preload_app:
            raise RuntimeError("--preload loads the application before GreenWorker has patched")
        if "h2" in cfg.http_protocols:
            raise RuntimeError("GreenWorker speaks HTTP/1 only: its time-outs know no HTTP/2")

    def init_process(self) -> None:
        """Patch and choose the hub in the worker, never in the arbiter; then load and run."""
        # A hub made before the fork would share its epoll descriptor with the arbiter.
        eventlet.hubs.use_hub()
        patch_everything()
        util.write_error = self._write_error
        SocketUnreader.chunk = partialmethod(receive_in_turn, SocketUnreader.chunk)
        know_heads()
        # Nothing changes a setting in a worker, and a request reads thirty of them: found here, one
        # is an attribute, and no search. Properties of the class still come before it.
        self.cfg.__dict__.update({name: each.get() for name, each in self.cfg.settings.items()})
        super().init_process()

    def load_wsgi(self) -> None:
        super().load_wsgi()
        # An application may have work beside its requests, which commands that load it do not want,
        # and may want to end what would never end by itself: streams of events.
        getattr(self.wsgi, "on_start", lambda: None)()
        self._on_drain: Callable[[], None] | None = getattr(self.wsgi, "on_drain", None)
        counted: Any = getattr(self.wsgi, "refusals", self.refusals)
        self.refusals = counted
        # gunicorn would answer 500 to other paths, and take /mounted for one below /mount.
        self._mount = util.unquote_to_wsgi_str(os.environ.pop("SCRIPT_NAME", "").rstrip("/"))
        # Called with a peer's address.
        self._turn_at: Callable[[str], Any] = getattr(self.wsgi, "turn_at", nullcontext)
        self._turn_paused: Callable[[], Any] = getattr(self.wsgi, "turn_paused", nullcontext)
        self.wsgi = partial(self._call, self.wsgi)

    def run(self) -> None:
        """Accept until told to stop, drain, cut what is left; the return ends the process."""
        self._tls = sock.ssl_context(self.cfg) if self.cfg.is_ssl else None
        self._refusals = eventlet.GreenPool(MAX_REFUSALS)
        self._lookout = Lookout(self._wake)
        acceptors = [eventlet.spawn(self._accept, FileSocket(s.sock)) for s in self.sockets]
        while self.alive and not any(acceptor.dead for acceptor in acceptors):
            self._beat(HEARTBEAT_S)
        for acceptor in acceptors:
            eventlet.kill(acceptor)
        for listener in self.sockets:
            listener.close()
        self.alive = False
        self._drain()
        self._cut()
        if self._ends_at_once:
            self.cfg.worker_int(self)

    # The heartbeat and signals. A signal may arrive in the hub itself, where nothing may wait or
    # lock: a handler only notes it, and the byte that Python writes to PIPE for it wakes _beat.

    def _beat(self, seconds: float) -> None:
        """Tell the arbiter that the hub turns; then wait for a signal, at most so many seconds."""
        self.notify()
        self._end_idle()
        self._waiting, self._looked_at = {}, -LOOK_S
        with eventlet.Timeout(seconds, False):
            os.read(self.PIPE[0], 64)
        if self._reopens_logs:
            self._reopens_logs = False
            self.log.reopen_files()

    def notify(self) -> None:
        super().notify()
        if os.getppid() != self.ppid:
            self.log.info("arbiter=%s is gone, ending", self.ppid)
            self.handle_quit()

    def handle_quit(self, sig: int = 0, frame: FrameType | None = None) -> None:
        self._ends_at_once = True
        self.alive = False

    def handle_usr1(self, sig: int, frame: FrameType | None) -> None:
        self._reopens_logs = True

    def handle_abort(self, sig: int, frame: FrameType | None) -> None:
        """The hub was held for --timeout seconds: say by what, and end without the hub."""
        traceback.print_stack(frame)
        self.cfg.worker_abort(self)
        os._exit(1)

    # Connections.

    def _accept(self, listener: FileSocket) -> None:
        accepted = 0
        while True:
            try:
                client, addr = listener.accept()
            except OSError as error:
                self.log.error("accept failed: %s", error)
                eventlet.sleep(ACCEPT_PAUSE_S)
                continue
            if self.stall_s:
                # Also of a client that only has its window shut: zero-window probes count.
                with suppress(OSError):  # a Unix socket has no such thing
                    stall_ms = round(self.stall_s * 1000)
                    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, stall_ms)
            # A Unix socket has no addresses: a proxy of this machine asks.
            address = counted_address(_address_of(addr))
            is_pending = bool(self.most_pending and address)
            if is_pending and self._pending[address] >= self.most_pending:
                self._refuse(client, address, TOO_MANY_PENDING, self.most_pending)
            elif len(self.connections) >= self.worker_connections and not self._displace(address):
                self._refuse(client, address, TOO_MANY_CONNECTIONS, self.worker_connections)
            else:
                greenlet = eventlet.spawn_n(self._serve, listener, client, addr)
                connection = Connection(client, self.refusals, self._pending, address, is_pending)
                self.connections[greenlet] = connection
                if self._waiting:
                    self._waiting.setdefault(address, []).insert(0, connection)
            # A flood of connects keeps the listener readable, so accept alone would never wait.
            accepted += 1
            if accepted % ACCEPTS_A_TURN == 0:
                eventlet.sleep(0)

    def _displace(self, address: str) -> bool:
        """End a connection that asks nothing, so that one of this address has its place.

        It is the longest waiting one of the address that has the most of these, if that has more
        than this address will have. Return whether there was one.
        """
        if monotonic() - self._looked_at >= LOOK_S:
            self._looked_at = monotonic()
            self._waiting = {}
            idle = [each for each in self.connections.values() if each.asks_nothing()]
            for each in sorted(idle, key=lambda each: each.waiting_since or 0.0, reverse=True):
                self._waiting.setdefault(each.address, []).append(each)
        while True:
            most = max(self._waiting.values(), key=len, default=[])
            if len(most) <= len(self._waiting.get(address, ())) + 1:
                return False
            connection = most.pop()
            if connection.asks_nothing():
                connection.waiting_since = None
                self.refusals[DISPLACED] += 1
                connection.stop_reading()
                return True

    def _secure(self, client: FileSocket) -> Any:
        # The handshake waits for the client: it is left to the first read or write.
        if self._tls is None:
            return client
        return self._tls.wrap_socket(
            client,
            server_side=True,
            do_handshake_on_connect=False,
            suppress_ragged_eofs=self.cfg.suppress_ragged_eofs,
        )

    def _serve(self, listener: FileSocket, client: FileSocket, addr: Any) -> None:
        connection = self.connections[eventlet.getcurrent()]
        try:
            with eventlet.Timeout(HEAD_S, False) as connection.head_timeout:
                connection.socket = self._secure(client)
                self.handle(listener, connection.socket, addr)
            connection.head_timeout = None
            if connection.work is not None:
                self._go_on(connection)
        finally:
            self._forget()

    def _wake(self, connection: Connection) -> None:
        """There is something to read; called in a new greenlet."""
        self.connections[eventlet.getcurrent()] = self.connections.pop(connection)
        self._go_on(connection)

    def _go_on(self, connection: Connection) -> None:
        """Have what took the connection over go on, until it waits for something to read."""
        assert connection.work is not None
        assert connection.close is not None
        current_request_id.set(connection.request_id)
        waits: bool | None = False
        try:
            waits = connection.work()
        except Exception:
            self.log.exception("what took a connection over failed")
        finally:
            if waits:
                self.connections[connection] = self.connections.pop(eventlet.getcurrent())
                self._lookout.watch(connection.socket.fileno(), connection)
            else:
                connection.close()
                if connection.told is not None:
                    self.log.end(connection.told, monotonic() - connection.began_s)
                self._forget()

    def _forget(self) -> None:
        """The client of this greenlet has ended, unless it is waited for; again is harmless."""
        connection = self.connections.pop(eventlet.getcurrent(), None)
        if connection is None:
            return
        connection.work = connection.waiting_since = None
        connection.end_pending()
        if connection.stalled:
            self.refusals[STALLED] += 1
            self.log.info("client cut off reason=stalled")
        if connection.on_gone is not None:
            connection.on_gone(connection)

    def timeout_ctx(self) -> Any:
        """Begin to wait for a request, which _end_idle bounds; a timer for each would be dear."""
        connection = self.connections[eventlet.getcurrent()]
        connection.wait()
        connection.request_id = None
        current_request_id.set(None)
        return _IN_TIME

    def _end_idle(self) -> None:
        """End the connections whose next request is not there in the keep-alive time."""
        before_s = monotonic() - self.cfg.keepalive
        for connection in list(self.connections.values()):
            since_s = connection.waiting_since
            if (
                since_s is not None
                and since_s < before_s
                and connection.requests
                and not connection.taken_over
            ):
                connection.waiting_since = None
                self.refusals[IDLE] += 1
                connection.stop_reading()

    def handle_request(self, listener_name: Any, req: Any, client: Any, addr: Any) -> Any:
        """Answer a request; as AsyncWorker does, but for what it makes anew each time."""
        connection = self.connections[eventlet.getcurrent()]
        connection.head_timeout.cancel()
        connection.begin(req)
        try:
            return self._respond(connection, listener_name, req, client, addr)
        except StopIteration:
            if unread_bytes(req) and not connection.taken_over:
                # A close while there is something unread sends a reset, which may overtake the
                # answer.
                util.close_graceful(client, timeout=REFUSAL_S)
            raise
        except OSError as error:
            connection.failed(error)
            if not connection.stalled:
                raise
            raise StopIteration from None

    def _respond(
        self, connection: Connection, listener_name: Any, req: Any, client: Any, addr: Any
    ) -> bool:
        """Have the application answer, and log it. Raises StopIteration: it was the last."""
        environ: dict[str, Any] = {}
        answer: Answer | None = None
        try:
            self.cfg.pre_request(self, req)
            assert connection.request_id is not None
            answer, environ = environ_of(
                req, client, addr, listener_name, self.cfg, Answer, connection.request_id
            )
            environ["wsgi.multithread"] = True
            self.nr += 1
            if self.nr >= self.max_requests and self.alive:
                self.log.info("Autorestarting worker after current request.")
                self.alive = False
            if not self.alive or not self.cfg.keepalive:
                answer.force_close()
            body = self.wsgi(environ, answer.start_response)
            if self._is_answered(connection, answer):
                if hasattr(body, "close"):
                    body.close()
                raise StopIteration
            try:
                if isinstance(body, environ["wsgi.file_wrapper"]):
                    answer.write_file(body)
                else:
                    for piece in body:
                        answer.write(piece)
                answer.close()
            finally:
                took = timedelta(seconds=monotonic() - connection.began_s)
                self.log.access(answer, req, environ, took)
                if hasattr(body, "close"):
                    body.close()
            if answer.should_close():
                raise StopIteration
        except (StopIteration, OSError):
            raise
        except (Exception, SystemExit):
            if answer is None or not answer.headers_sent:
                raise
            # A status behind what is sent already would be read as part of it.
            self.log.exception("Error handling request")
            connection.cut()
            raise StopIteration from None
        finally:
            try:
                self.cfg.post_request(self, req, environ, answer)
            except Exception:
                self.log.exception("Exception in post_request hook")
        return True

    def handle_error(self, req: Any, client: Any, addr: Any, exc: BaseException) -> None:
        """Answer a request that never became one, as JSON.

        A kill or a time-out gets no answer, as it may come in mid-response; nor does who has been
        answered on the socket.
        """
        connection = self.connections[eventlet.getcurrent()]
        if exc is connection.head_timeout:
            self.refusals[HEADER_TIMEOUT] += 1
        if not isinstance(exc, Exception | SystemExit):
            return
        if connection.request_id is None:
            connection.name()
        if connection.taken_over:
            self.log.error("failed after it took its connection over", exc_info=exc)
        else:
            with self._turn_at(_address_of(addr)):
                super().handle_error(req, client, addr, exc)
            if isinstance(exc, InvalidHeader | InvalidHeaderName):
                req = req or getattr(exc, "req", None)
            if req is None and connection.refusal is not None:
                # gunicorn logs only what it could read.
                environ = {
                    "REMOTE_ADDR": _address_of(addr),
                    "headwater.request_id": connection.request_id,
                }
                self.log.access(connection.refusal, None, environ, timedelta())
            util.close_graceful(client, timeout=REFUSAL_S)

    def _call(self, app: Callable[..., Any], environ: dict[str, Any], start_response: Any) -> Any:
        client = environ["gunicorn.socket"]
        connection = self.connections[eventlet.getcurrent()]
        environ["headwater.client"] = connection
        # eventlet's WebSocket calls this, a name of eventlet's own server, once it is open.
        environ["eventlet.set_idle"] = connection.take_over
        request = connection.request  # which is gone once somebody has taken the connection over
        environ["headwater.request_id"] = connection.request_id
        environ["wsgi.input"] = Input(
            environ["wsgi.input"],
            self.body_s,
            BROKEN,
            connection.go_ahead,
            connection.hear,
            self._turn_paused,
        )
        wrong = take_host(environ)
        try:
            if wrong is not None:
                told = "400 Bad Request", BAD_REQUEST, wrong
                body = self._answer_unread(environ, start_response, *told, {})
            elif not take_mount(environ, self._mount):
                where = f"there is nothing at this address; all begin with {self._mount}/"
                told = "404 Not Found", NOT_FOUND, where
                body = self._answer_unread(environ, start_response, *told, {})
            else:
                body = app(environ, start_response)
        except LateInput:
            status = "408 Request Timeout"
            message = f"The request's body was not there within {self.body_s:g} s: send it again."
            detail = {"body_s": self.body_s}
            body = self._answer_unread(
                environ, start_response, status, REQUEST_TIMEOUT, message, detail
            )
        except BrokenInput as error:
            told = "400 Bad Request", BAD_REQUEST, f"The request's body cannot be read: {error}."
            body = self._answer_unread(environ, start_response, *told, {})
        # A client that waits to send may skip the body after an answer, and send another request.
        if unread_bytes(request) > (0 if connection.waits_to_send else MAX_UNREAD_BYTES):
            request.force_close()
        if isinstance(body, environ["wsgi.file_wrapper"]) and self._tls is None:
            return body  # gunicorn hands it to sendfile, which takes turns itself
        if type(body) is list and len(body) == 1 and environ["SERVER_PROTOCOL"] != "HTTP/1.0":
            return body  # one write: there is nothing to cut, nor anybody to make wait
        return Body(body, client if environ["SERVER_PROTOCOL"] == "HTTP/1.0" else None)

    def _answer_unread(
        self,
        environ: dict[str, Any],
        start: Callable[..., Any],
        status: str,
        code: str,
        message: str,
        detail: dict[str, Any],
    ) -> list[bytes]:
        """Answer a request that was not read to its end, and so is the connection's last."""
        self.refusals[code] += 1
        environ["headwater.client"].request.force_close()
        with self._turn_at(environ["REMOTE_ADDR"]):
            body = error_body(status, code, message, detail)
            fields = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
            start(status, [*fields, *HARDENED], sys.exc_info())
        return [body]

    def _write_error(self, client: Any, status: int, reason: str, message: str) -> None:
        """Send what gunicorn answers to a request that it cannot read; gunicorn's own is HTML."""
        code = reason.lower().replace(" ", "_")
        self.refusals[code] += 1
        connection = self.connections[eventlet.getcurrent()]
        named = f"X-Request-ID: {connection.request_id or connection.name()}\r\n"
        answer = error_answer(f"{status} {reason}", code, message or reason, {}, named)
        connection.refusal = Refusal(str(status), len(answer.partition(b"\r\n\r\n")[2]))
        util.write_nonblock(client, answer)

    @staticmethod
    def _is_answered(connection: Connection, answer: Answer) -> bool:
        """Tell whether the application has answered on the socket, as WebSockets do."""
        # eventlet's own WebSocket says so in a place that is dear to look at, and has no status.
        return connection.taken_over or (
            answer.status is None and getattr(eventlet.wsgi.WSGI_LOCAL, "already_handled", False)
        )

    def _refuse(self, client: FileSocket, address: str, code: str, limit: int) -> None:
        self.refusals[code] += 1
        if monotonic() - self._refusal_logged_at >= 1.0:
            self._refusal_logged_at = monotonic()
            named = code.replace("_", " ")
            self.log.warning("%s: limit=%d refused=%d", named, limit, self.refusals[code])
        if self._refusals.free() > 0:
            self._refusals.spawn_n(self._turn_away, client, address, code, limit)
        else:
            client.close()

    def _turn_away(self, client: FileSocket, address: str, code: str, limit: int) -> None:
        with eventlet.Timeout(REFUSAL_S, False), suppress(OSError):
            secured = self._secure(client)
            with self._turn_at(address):
                answer = error_answer(
                    *REFUSED[code],
                    {"limit": limit},
                    f"Retry-After: 1\r\nX-Request-ID: {take_request_id()}\r\n",
                )
            secured.sendall(answer)
            util.close_graceful(secured, timeout=REFUSAL_S)

    def _drain(self) -> None:
        """Wait until running responses have ended, or their time has; idle clients go at once."""
        if self._on_drain is not None:
            try:
                self._on_drain()
            except Exception:
                self.log.exception("on_drain failed")
        began = monotonic()
        ends = began + self.cfg.graceful_timeout * DRAIN_SHARE
        while self.connections and monotonic() < ends and not self._ends_at_once:
            may_close = self._on_drain is not None and monotonic() < began + CLOSING_S
            for connection in list(self.connections.values()):
                if connection.is_idle() and not (may_close and connection.is_closing()):
                    connection.stop_reading()
            self._beat(DRAIN_TICK_S)

    def _cut(self) -> None:
        """End every connection as it is; each body's close() gets to run."""
        if self.connections:
            self.log.warning("cut connections=%d", len(self.connections))
        # Those that only wait get a greenlet, to end like all others.
        for key, connection in list(self.connections.items()):
            if key is connection:
                self._lookout.forget(connection.socket.fileno())
                eventlet.spawn_n(self._wake, connection)
        eventlet.sleep(0)
        for key, connection in list(self.connections.items()):
            if key is connection:
                connection.cut()
            else:
                eventlet.kill(key)
        ends = monotonic() + CUT_S
        while self.connections and monotonic() < ends:
            self._beat(DRAIN_TICK_S)
