from __future__ import annotations

import socket
import threading
import time
from contextlib import closing

import pytest

from benchmarks.client import BadAnswer
from benchmarks.poster import ANEW, KEPT, PIPELINED, WAYS, Poster

CREATED = b"HTTP/1.1 201 CREATED\r\nContent-Length: 2\r\n\r\n{}"
REFUSED = b"HTTP/1.1 507 Insufficient Storage\r\nContent-Length: 0\r\n\r\n"
EVENTS = 40


class Server:
    """Answers each request by itself, in bits; counts connections and requests."""

    def __init__(self, answer):
        self.answer, self.connections, self.requests = answer, 0, 0
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.address = self.listener.getsockname()
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        with connection:
            while data := connection.recv(65536):
                for _ in range(data.count(b"POST ")):
                    self.requests += 1
                    connection.sendall(self.answer[:9])
                    connection.sendall(self.answer[9:])
                if b"Connection: close" in data:
                    return


@pytest.fixture
def serve():
    with closing(socket.socket()) as nothing:
        listeners = [nothing]

        def start(answer=CREATED):
            server = Server(answer)
            listeners.append(server.listener)
            return server

        yield start
        for listener in listeners[1:]:
            listener.close()


def post(poster, count):
    for number in range(count):
        poster.publish(f'"{number}"')
    ends_s = time.monotonic() + 10
    while poster.acked < count and time.monotonic() < ends_s:
        poster.turn()


@pytest.mark.parametrize("way", WAYS)
def test_each_event_is_answered(serve, way):
    server = serve()
    with closing(Poster(server.address, "/events/bench", way)) as poster:
        post(poster, EVENTS)
        assert (poster.acked, server.requests) == (EVENTS, EVENTS)
    assert server.connections == {PIPELINED: 1, KEPT: 16, ANEW: EVENTS}[way]


@pytest.mark.parametrize("way", WAYS)
def test_a_refusal_is_told(serve, way):
    with (
        closing(Poster(serve(REFUSED).address, "/events/bench", way)) as poster,
        pytest.raises(BadAnswer, match="507"),
    ):
        post(poster, 1)
