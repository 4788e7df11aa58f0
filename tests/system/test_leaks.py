"""Who leaves takes everything along: descriptors, threads, memory, and a place in presence."""

import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress

import pytest

from tests.sockets.clients import Polling, RawWebSocket
from tests.system.cutter import close_by_reset
from tests.system.feeds import READERS
from tests.system.server import wait_until

TOPIC = "brief/leaks"
VISITS, WARM_VISITS = 10_000, 1_500
AT_ONCE = 8
MAX_GROWTH_BYTES = 4 * 1024**2


def get(path, *fields):
    lines = [f"GET {path} HTTP/1.1", "Host: localhost", *fields, "", ""]
    return "\r\n".join(lines).encode()


def frame(text):
    """Return a text message of a client, masked with zeros."""
    return b"\x81" + bytes([0x80 | len(text)]) + bytes(4) + text


UPGRADE = (
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
)
SUBSCRIBE = frame(b'42/live,1["subscribe",{"topic":"%s"}]' % TOPIC.encode())
CLOSE = b"\x88\x82" + bytes(4) + (1000).to_bytes(2, "big")

# What a client says, each after it was answered; what it waits for last; and how it takes leave.
VISITORS = {
    "ndjson": ([get(f"/events/{TOPIC}")], b"200 OK", b""),
    "sse": ([get(f"/events/{TOPIC}", "Accept: text/event-stream")], b"retry: ", b""),
    "websocket": ([get(f"/ws/events/{TOPIC}", *UPGRADE)], b"101 Switching", CLOSE),
    "ws/live": ([get("/ws/live", *UPGRADE)], b"101 Switching", CLOSE),
    "socket.io": (
        [
            get("/socket.io/?EIO=4&transport=websocket", *UPGRADE),
            frame(b"40/live,") + SUBSCRIBE,
        ],
        b"43/live,1[",
        CLOSE,
    ),
}
ENDINGS = ["close", "reset", "reset at once", "vanish"]


def identity(port, number):
    """Come and leave, one way or another."""
    words, last, goodbye = VISITORS[list(VISITORS)[number % len(VISITORS)]]
    ending = ENDINGS[number // len(VISITORS) % len(ENDINGS)]
    with closing(socket.create_connection(("127.0.0.1", port), timeout=20)) as client:
        received = b""
        for word in words:
            client.sendall(word)
            if ending != "reset at once":
                received = client.recv(65536)
        while ending != "reset at once" and last not in received:
            received += client.recv(65536)
        if ending == "close" and goodbye:
            client.sendall(goodbye)
            with suppress(ConnectionResetError):
                while client.recv(65536):
                    pass
        if ending.startswith("reset"):
            close_by_reset(client)


def visit_often(port, count):
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for _ in pool.map(lambda number: identity(port, number), range(count)):
            pass


@pytest.fixture
def busy(server):
    """Something is published all the time: to who is there, and to who has just left."""
    over = threading.Event()

    def publish():
        while not over.wait(0.05):
            server.publish(TOPIC, 1)

    thread = threading.Thread(target=publish)
    thread.start()
    yield
    over.set()
    thread.join()


def held(server):
    """Return what the worker holds, once everybody has left."""
    wait_until(lambda: not server.readers("*"), "nobody follows")
    worker = server.worker()
    # The publisher's, and who asks.
    wait_until(lambda: len(worker.net_connections("tcp")) <= 4, "the connections are closed")
    return worker.num_fds(), worker.num_threads(), worker.memory_full_info().pss


def test_ten_thousand_visits_leave_nothing_behind(server, busy):
    visit_often(server.port, WARM_VISITS)
    fds, threads, memory_bytes = held(server)
    visit_often(server.port, VISITS)
    now = held(server)
    assert abs(now[0] - fds) <= 3
    assert now[1] == threads
    assert now[2] - memory_bytes < MAX_GROWTH_BYTES, (memory_bytes, now[2])
    assert "Traceback" not in server.log


def test_presence_lists_who_is_there(server, follow, topic, javascript):
    readers = {name: follow(server, name, topic) for name in READERS}
    shown = {each["connection"]: each for each in server.readers(topic)}
    names = {"polling": "socket.io polling", "node": "socket.io"}
    assert {reader.connection for reader in readers.values()} == set(shown)
    for name, reader in readers.items():
        told = shown[reader.connection]
        assert told["transport"] == names.get(name, name)
        assert (told["lag_events"], told["lag_s"], told["behind"]) == (0, 0.0, "")
    for reader in readers.values():
        reader.close()
    wait_until(lambda: not server.readers(topic), "nobody follows")


def test_who_has_changed_to_a_websocket_was_not_slow(server, topic):
    session = Polling(server.port)
    session.post("40/live,")
    assert session.packet().startswith("40/live,")
    session.post(f'42/live,1["subscribe",{{"topic":"{topic}"}}]')
    assert session.packet().startswith("43/live,1")
    path = f"/socket.io/?EIO=4&transport=websocket&sid={session.sid}"
    with closing(RawWebSocket(server.port, path)) as client:
        client.send("2probe")
        assert client.text() == "3probe"
        client.send("5")

        def told():
            [reader] = server.readers(topic)
            return (reader["transport"], reader["behind"])

        wait_until(lambda: told()[0] == "socket.io", "it has changed")
        assert told() == ("socket.io", "")


# A polling client is between two connections most of the time: it has 45 s to come back.
@pytest.mark.parametrize("transport", [name for name in READERS if name != "polling"])
def test_presence_forgets_who_was_cut(server, put_cutter, topic, transport, javascript):
    cutter = put_cutter(server)
    with closing(READERS[transport](cutter.base, topic)) as reader:
        assert [each["connection"] for each in server.readers(topic)] == [reader.connection]
        cutter.cut()
        wait_until(lambda: not server.readers(topic), "it is forgotten")
