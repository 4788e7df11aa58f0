from __future__ import annotations

import socket
import threading

import pytest

from benchmarks.client import BadAnswer
from benchmarks.crowd import Crowd, Dialogue
from benchmarks.websocket import masked

SWITCHING = b"HTTP/1.1 101 Switching Protocols\r\n\r\n"


def text(said: bytes) -> bytes:
    return bytes([0x81, len(said)]) + said


@pytest.fixture
def serve():
    """Serve one client: send each of what is given, after something has come from it."""
    listener = socket.create_server(("127.0.0.1", 0))
    heard: list[bytes] = []
    threads: list[threading.Thread] = []

    def converse(parts: list[bytes]) -> None:
        client, _ = listener.accept()
        with client:
            for part in parts:
                heard.append(client.recv(4096))
                client.sendall(part)
            heard.append(client.recv(4096))

    def start(*parts: bytes) -> tuple[tuple[str, int], list[bytes]]:
        threads.append(threading.Thread(target=converse, args=(list(parts),)))
        threads[0].start()
        return listener.getsockname(), heard

    yield start
    for thread in threads:
        thread.join(10)
    listener.close()


DIALOGUE = Dialogue("/x", [("0{", "40/live,"), ("40/live,", "")])


def test_a_dialogue_is_gone_through(serve):
    texts: list[bytes] = []
    address, heard = serve(SWITCHING + text(b'0{"sid":1}'), text(b"42other") + text(b"40/live,{}"))
    crowd = Crowd(address, on_text=lambda member, frame, said: texts.append(said))
    (member,) = crowd.join(1, DIALOGUE, timeout_s=10)
    assert member.is_ready
    crowd.close()
    assert heard[0].startswith(b"GET /x HTTP/1.1\r\n")
    assert heard[1] == masked(b"40/live,")


def test_a_ping_is_answered(serve):
    address, heard = serve(SWITCHING + text(b"2") + b"\x89\x02hi", b"")
    crowd = Crowd(address)
    crowd.join(1, Dialogue("/"), timeout_s=10)
    wanted = masked(b"3") + masked(b"hi", 0xA)
    while len(b"".join(heard[1:])) < len(wanted):
        crowd.turn(0.01)
    crowd.close()
    assert b"".join(heard[1:]) == wanted


REFUSALS = {
    "no WebSocket": b"HTTP/1.1 404 Not Found\r\n\r\n",
    "a refused namespace": SWITCHING + text(b'44/live,{"message":"no"}'),
    "a refused subscription": SWITCHING + text(b'43/live,0[{"ok":false}]'),
}


@pytest.mark.parametrize("answer", REFUSALS.values(), ids=REFUSALS.keys())
def test_a_refusal_is_told(serve, answer):
    address, _ = serve(answer)
    crowd = Crowd(address)
    with pytest.raises(BadAnswer):
        crowd.join(1, DIALOGUE, timeout_s=10)
    crowd.close()
