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

# What a client may send at once: an event of 64 KiB and what is around it.
MAX_MESSAGE_BYTES = 65 * 1024

Headers = Iterable[tuple[str, str]]


def no_connection(environ: Environ) -> None:
    """Return None: the WSGI server keeps the connections of its clients to itself."""


def no_headers(environ: Environ) -> Headers:
    return ()


class Acceptor:
    """See the module.

    connection_of: returns the connection of a request, None where the server hands out none.
    make_writer: returns what writes to it. schedule: what clients send is heard in its turns.
    unfinished: what has not come whole. headers_of: more fields for each answer.
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
        the next message. It may wait for other things in between. Nothing of the request is kept
        while the WebSocket is open (there is no flask.request in talk), nor a greenlet, whose
        stacks take 7 KB. It is closed when the generator ends, with 1011 when that raises.
        quota_key: what the client sends is counted to it, and heard in its turns. headers: more
        fields for the answer. max_message_bytes: a client that sends a longer message is closed
        with 1009. first: frames that go out together with the answer. What the view returns is not
        sent.

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
