"""Between the worker and the application: checks each request, and bounds the time of its body.

Errors of HTTP itself are answered here, before the application sees the request: no valid Host, an
address outside the mount, a body that is late or broken. Way in: Gateway.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from server.connection import Connection
from server.hooks import WorkerHooks
from server.refusals import BAD_REQUEST, NOT_FOUND, REQUEST_TIMEOUT, Refusals
from server.request_body import BrokenBody, LateBody, RequestBody, unread_bytes
from server.response_body import ResponseBody
from server.target import take_host, take_mount
from wire.connection import CONNECTION, ClientConnection

# If the application leaves at most this much of a body, the rest is read and dropped before the
# next request. Otherwise the answer is the connection's last: gunicorn would read on for as long as
# the client sends. As much as gunicorn's own bound, which it does not apply between requests.
MAX_UNREAD_BYTES = 64 * 1024


class Gateway:
    """app: the WSGI application. mount: the path below which the application is, "" for none.

    body_s: how long a request's body may take. is_tls: whether clients speak TLS.
    """

    def __init__(
        self,
        app: Callable[..., Any],
        hooks: WorkerHooks,
        refusals: Refusals,
        *,
        mount: str,
        body_s: float,
        is_tls: bool,
    ) -> None:
        self._app = app
        self._turn_paused = hooks.turn_paused
        self._refusals = refusals
        self._mount = mount
        self._body_s = body_s
        self._is_tls = is_tls

    def answer(
        self, connection: Connection, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Any:
        """Return the body of the answer, as WSGI defines it."""
        # The type checks that the worker's connection has everything that the application uses.
        client: ClientConnection = connection
        environ[CONNECTION] = client
        # eventlet's WebSocket calls this once it is open; the name is that of eventlet's own
        # server.
        environ["eventlet.set_idle"] = connection.take_over
        request = connection.request  # None once the connection is taken over
        environ["headwater.request_id"] = connection.request_id
        environ["wsgi.input"] = RequestBody(
            environ["wsgi.input"],
            self._body_s,
            connection.go_ahead,
            connection.hear,
            self._turn_paused,
        )
        body = self._ask(environ, start_response)
        # A client that waits for the 100 may skip the body after an answer, and send another
        # request.
        if unread_bytes(request) > (0 if connection.waits_to_send else MAX_UNREAD_BYTES):
            request.force_close()
        if isinstance(body, environ["wsgi.file_wrapper"]) and not self._is_tls:
            return body  # gunicorn passes it to sendfile, which takes turns itself
        is_whole_if_ended = environ["SERVER_PROTOCOL"] != "HTTP/1.0"
        if type(body) is list and len(body) == 1 and is_whole_if_ended:
            return body  # one write: there is nothing to cut, and no other client waits
        return ResponseBody(body, None if is_whole_if_ended else environ["gunicorn.socket"])

    def _ask(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        """Let the application answer, unless there is a reason to refuse the request."""
        wrong = take_host(environ)
        if wrong is not None:
            return self._refuse(environ, start_response, BAD_REQUEST, wrong)
        if not take_mount(environ, self._mount):
            message = f"there is nothing at this address; all begin with {self._mount}/"
            return self._refuse(environ, start_response, NOT_FOUND, message)
        try:
            return self._app(environ, start_response)
        except LateBody:
            message = f"The request's body was not there within {self._body_s:g} s: send it again."
            detail = {"body_s": self._body_s}
            return self._refuse(environ, start_response, REQUEST_TIMEOUT, message, detail)
        except BrokenBody as error:
            message = f"The request's body cannot be read: {error}."
            return self._refuse(environ, start_response, BAD_REQUEST, message)

    def _refuse(
        self,
        environ: dict[str, Any],
        start_response: Callable[..., Any],
        code: str,
        message: str,
        detail: dict[str, Any] | None = None,
    ) -> list[bytes]:
        """Answer a request that was not read to its end; it is the connection's last."""
        environ[CONNECTION].request.force_close()
        return self._refusals.refuse_unread(environ, start_response, code, message, detail or {})
