"""Accepts WebSockets: answers the opening handshake and takes the client's connection over.

Way in: Acceptor, one for all of a server. Source: RFC 6455, 4.2.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from sockets.engineio.contract import (
    Environ,
    InputSchedule,
    MakeWriter,
    NoSchedule,
    SocketConnection,
)
from sockets.engineio.errors import NoConnection
from sockets.engineio.handshake import answer_handshake
from sockets.engineio.unfinished import Unfinished
from sockets.engineio.websocket import Talk, WebSocket

# The longest message of a client: an event of 64 KiB and the bytes around it.
MAX_MESSAGE_BYTES = 65 * 1024

Headers = Iterable[tuple[str, str]]


def no_connection(environ: Environ) -> None:
    """Return None: the WSGI server hands no connections over."""


def no_headers(environ: Environ) -> Headers:
    return ()


class Acceptor:
    """See the module.

    connection_of: returns the connection of a request, None if the server hands none over.
    make_writer: returns the writer of a connection. schedule: client messages are handled in its
    turns. unfinished: counts the bytes of incomplete messages. headers_of: more fields for each
    answer.
    """

    def __init__(
        self,
        connection_of: Callable[[Environ], SocketConnection | None],
        make_writer: MakeWriter,
        schedule: InputSchedule | None = None,
        unfinished: Unfinished | None = None,
        headers_of: Callable[[Environ], Headers] = no_headers,
    ) -> None:
        self.connection_of = connection_of
        self.schedule = schedule or NoSchedule()
        self.unfinished = unfinished or Unfinished()
        self._make_writer = make_writer
        self._headers_of = headers_of

    def serve(
        self,
        environ: Mapping[str, Any],
        talk: Callable[[WebSocket], Talk],
        quota_key: str,
        headers: Headers = (),
        max_message_bytes: int = MAX_MESSAGE_BYTES,
        first: bytes = b"",
    ) -> WebSocket:
        """Accept a WebSocket; call talk with it when the view has returned.

        environ: the request's. talk: returns a generator, which begins then; its `yield` returns
        the next message. The generator may wait for other things in between. While the WebSocket is
        open, neither the request is kept (there is no flask.request in talk) nor a greenlet, whose
        stacks take 7 KB. The WebSocket is closed when the generator ends, with 1011 if it raises.
        quota_key: messages of the client are counted under it, and handled in its turns. headers:
        more fields for the answer. max_message_bytes: a client that sends a longer message is
        closed with 1009. first: frames that go out together with the answer. The return value of
        the view is not sent.

        Raises BadHandshake and NoConnection before anything is sent.
        """
        answer = answer_handshake(environ, [*headers, *self._headers_of(environ)])
        connection = self.connection_of(environ)
        if connection is None:
            raise NoConnection("WebSockets need the server that gunicorn.conf.py starts")
        websocket = WebSocket(
            connection,
            quota_key,
            self.schedule,
            self.unfinished,
            self._make_writer,
            max_message_bytes,
        )
        if early := connection.take_early():
            websocket.take_in(early)
        websocket.talk = talk(websocket)
        connection.take_over(websocket.go_on)
        websocket.writer.send_control(answer + first)
        return websocket
