"""The gunicorn worker: one greenlet for each connection, on eventlet's hub.

gunicorn 26 dropped its own eventlet worker; this is written against the contract of AsyncWorker,
which parses, answers and keeps alive. Added here: patching and hub after the fork, a limit of
connections, time limits for a request's head and body and for a client that takes nothing, the end
of unread bodies, an id for each request, the heartbeat and the drain. Knows nothing of the
application, which may give it hooks (server/hooks.py). AsyncWorker and the parser are internal to
gunicorn, so gunicorn is pinned exactly, and tests/system/test_worker.py tests each addition on a
real server.

Way in: make_worker_class, for gunicorn.conf.py.
"""

from __future__ import annotations

import os
import socket
import traceback
from contextlib import nullcontext, suppress
from datetime import timedelta
from functools import partialmethod
from time import monotonic
from types import FrameType
from typing import Any

from gunicorn import sock, util
from gunicorn.http.errors import InvalidHeader, InvalidHeaderName
from gunicorn.http.unreader import SocketUnreader
from gunicorn.workers.base_async import AsyncWorker

from server.connection import Connection
from server.connections import Connections
from server.draining import cut, drain
from server.gateway import Gateway
from server.green_sockets import FileSocket
from server.hooks import WorkerHooks, find_hooks
from server.log_format import current_request_id
from server.monkey_patching import eventlet, patch_everything
from server.refusals import HEADER_TIMEOUT, Refusals, close_gracefully
from server.request import environ_of, know_heads
from server.request_body import receive_in_turn, unread_bytes
from server.response import Answer
from wire.addresses import counted_address

# The arbiter kills a worker that is silent for --timeout seconds, which may be as short as one.
HEARTBEAT_S = 0.5
# From the connect to the end of the first request head, TLS handshake included. A head is a packet
# or two; ten seconds allow for three losses in a row (TCP retries after 1, 3 and 7 s). Later heads
# share the keep-alive time: a client may be idle for as long, so a shorter limit would protect from
# nothing.
HEAD_S = 10.0
# When no descriptors are left, the backlog stays readable, so accepting again at once would spin.
ACCEPT_PAUSE_S = 0.5
# One accept takes 0.05 ms.
ACCEPTS_A_TURN = 10
# The arbiter kills at graceful_timeout; the last tenth is for close() of cut bodies.
DRAIN_SHARE = 0.9
_IN_TIME = nullcontext()


def make_worker_class(*, body_s: float, stall_s: float, most_pending: int) -> type:
    """Return the worker class with values from the settings; see GreenWorker."""
    given = {"body_s": body_s, "stall_s": stall_s, "most_pending": most_pending}
    return type("GreenWorker", (GreenWorker,), given)


class GreenWorker(AsyncWorker):  # type: ignore[misc]
    """See the module; its attributes are read and written on the hub's thread only.

    most_pending: see Connections. body_s: how long a request's body may take. stall_s: how long a
    client may take no bytes of an answer, 0 for the kernel's own limit.
    """

    body_s = 30.0
    stall_s = 120.0
    most_pending = 1000
    alive: bool

    _hooks: WorkerHooks
    _refusals: Refusals
    _connections: Connections
    _gateway: Gateway
    _mount = ""
    _tls: Any = None
    _ends_at_once = False
    _reopens_logs = False

    @classmethod
    def check_config(cls, cfg: Any, log: Any) -> None:
        """Refuse unsupported settings; gunicorn prints a RuntimeError as one line."""
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
        # Settings do not change in a worker, and a request reads thirty of them: as attributes they
        # need no search. Properties of the class still come first.
        self.cfg.__dict__.update({name: each.get() for name, each in self.cfg.settings.items()})
        super().init_process()

    def load_wsgi(self) -> None:
        super().load_wsgi()
        self._hooks = find_hooks(self.wsgi)
        self._hooks.on_start()
        # gunicorn would answer 500 to other paths, and take /mounted for one below /mount.
        self._mount = util.unquote_to_wsgi_str(os.environ.pop("SCRIPT_NAME", "").rstrip("/"))

    def run(self) -> None:
        """Accept until told to stop, drain, cut remaining clients; the return ends the process."""
        self._tls = sock.ssl_context(self.cfg) if self.cfg.is_ssl else None
        self._refusals = Refusals(self._hooks, self._secure, self.log)
        self._connections = Connections(
            self.worker_connections, self.most_pending, self._refusals.counts, self.log
        )
        self._gateway = Gateway(
            self.wsgi,
            self._hooks,
            self._refusals,
            mount=self._mount,
            body_s=self.body_s,
            is_tls=self._tls is not None,
        )
        acceptors = [eventlet.spawn(self._accept, FileSocket(s.sock)) for s in self.sockets]
        while self.alive and not any(acceptor.dead for acceptor in acceptors):
            self._beat(HEARTBEAT_S)
        for acceptor in acceptors:
            eventlet.kill(acceptor)
        for listener in self.sockets:
            listener.close()
        self.alive = False
        self._end()
        if self._ends_at_once:
            self.cfg.worker_int(self)

    def _end(self) -> None:
        on_drain = self._hooks.on_drain
        if on_drain is not None:
            try:
                on_drain()
            except Exception:
                self.log.exception("on_drain failed")
        drain(
            self._connections,
            self.cfg.graceful_timeout * DRAIN_SHARE,
            on_drain is not None,
            lambda: self._ends_at_once,
            self._beat,
        )
        cut(self._connections, self.log, self._beat)

    # The heartbeat and signals. A signal may arrive in the hub itself, where nothing may wait or
    # lock: a handler only notes it, and the byte that Python writes to PIPE for it wakes _beat.

    def _beat(self, seconds: float) -> None:
        """Tell the arbiter that the hub turns; then wait for a signal, at most so many seconds."""
        self.notify()
        self._connections.end_idle(self.cfg.keepalive)
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
        """The hub was held for --timeout seconds: log by what, and end without the hub."""
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
                # Also for a client that only has its window shut: zero-window probes count.
                with suppress(OSError):  # a Unix socket has no such option
                    stall_ms = round(self.stall_s * 1000)
                    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, stall_ms)
            # A Unix socket has no addresses: its client is a proxy on this machine.
            address = counted_address(_address_of(addr))
            full = self._connections.why_full(address)
            if full is None:
                greenlet = eventlet.spawn_n(self._serve, listener, client, addr)
                self._connections.add(greenlet, client, address)
            else:
                self._refusals.refuse_connection(client, address, *full)
            # During a flood of connects the listener stays readable, so accept alone would never
            # wait.
            accepted += 1
            if accepted % ACCEPTS_A_TURN == 0:
                eventlet.sleep(0)

    def _secure(self, client: FileSocket) -> Any:
        if self._tls is None:
            return client
        return self._tls.wrap_socket(
            client,
            server_side=True,
            do_handshake_on_connect=False,
            suppress_ragged_eofs=self.cfg.suppress_ragged_eofs,
        )

    def _serve(self, listener: FileSocket, client: FileSocket, addr: Any) -> None:
        connection = self._connections.current()
        try:
            with eventlet.Timeout(HEAD_S, False) as connection.head_timeout:
                connection.socket = self._secure(client)
                self.handle(listener, connection.socket, addr)
            connection.head_timeout = None
            if connection.work is not None:
                self._connections.go_on(connection)
        finally:
            self._connections.end()

    def timeout_ctx(self) -> Any:
        """Begin to wait for a request; end_idle bounds this, as a timer for each is expensive."""
        connection = self._connections.current()
        connection.wait()
        connection.request_id = None
        current_request_id.set(None)
        return _IN_TIME

    # Requests.

    def handle_request(self, listener_name: Any, req: Any, client: Any, addr: Any) -> Any:
        """Answer a request as AsyncWorker does, but without the objects that it makes each time."""
        connection = self._connections.current()
        connection.head_timeout.cancel()
        connection.begin(req)
        try:
            return self._respond(connection, listener_name, req, client, addr)
        except StopIteration:
            if unread_bytes(req) and not connection.taken_over:
                # A close while bytes are unread sends a reset, which may overtake the answer.
                close_gracefully(client)
            raise
        except OSError as error:
            connection.failed(error)
            if not connection.stalled:
                raise
            raise StopIteration from None

    def _respond(
        self, connection: Connection, listener_name: Any, req: Any, client: Any, addr: Any
    ) -> bool:
        """Let the application answer, and log it. Raises StopIteration after the last request."""
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
            body = self._gateway.answer(connection, environ, answer.start_response)
            if _is_answered(connection, answer):
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
            # The client would read a second status as part of the answer that is already sent.
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
        """Answer a request that could not be read, as JSON.

        After a kill or a time-out there is no answer, since it may come in mid-response; nor is
        there one for a client that was answered on the socket.
        """
        connection = self._connections.current()
        if exc is connection.head_timeout:
            self._refusals.counts[HEADER_TIMEOUT] += 1
        if not isinstance(exc, Exception | SystemExit):
            return
        if connection.request_id is None:
            connection.name()
        if connection.taken_over:
            self.log.error("failed after it took its connection over", exc_info=exc)
            return
        with self._refusals.turn_at(_address_of(addr)):
            super().handle_error(req, client, addr, exc)
        if isinstance(exc, InvalidHeader | InvalidHeaderName):
            req = req or getattr(exc, "req", None)
        if req is None and connection.error_sent is not None:
            # gunicorn logs only requests that it could read.
            environ = {
                "REMOTE_ADDR": _address_of(addr),
                "headwater.request_id": connection.request_id,
            }
            self.log.access(connection.error_sent, None, environ, timedelta())
        close_gracefully(client)

    def _write_error(self, client: Any, status: int, reason: str, message: str) -> None:
        """Answer instead of gunicorn's `util.write_error`."""
        connection = self._connections.current()
        self._refusals.refuse_unreadable(connection, client, status, reason, message)


def _address_of(addr: Any) -> str:
    """Return the address of a peer, as the socket reports it, "" for a Unix socket's."""
    return addr[0] if isinstance(addr, tuple) else ""


def _is_answered(connection: Connection, answer: Answer) -> bool:
    """Tell whether the application has answered on the socket, as WebSockets do."""
    # eventlet's own WebSocket has no status, and its mark is expensive to read.
    return connection.taken_over or (
        answer.status is None and getattr(eventlet.wsgi.WSGI_LOCAL, "already_handled", False)
    )
