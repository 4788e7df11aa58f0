"""WebSocket on a real gunicorn. The tables go by RFC 6455 and Autobahn's test suite."""

import http.client
import json
import re
import signal
import struct
import subprocess
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from time import monotonic

import pytest
import websockets.sync.client

from sockets.engineio.acceptor import MAX_MESSAGE_BYTES
from sockets.engineio.websocket import CLOSE_S
from tests.sockets.clients import (
    ACCEPT,
    BINARY,
    CLOSE,
    CONTINUATION,
    FIN,
    PING,
    PONG,
    TEXT,
    RawWebSocket,
    close,
    frame,
)
from tests.system.gunicorn_process import GunicornProcess
from tests.system.server import need, wait_until


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = GunicornProcess(tmp_path_factory.mktemp("raw"), module="socket_apps", app="raw")
    yield server
    server.stop()


@pytest.fixture
def start(tmp_path):
    """A verb: start(*options, HEADWATER_X=...) returns a server that ends with the test."""
    started = []

    def start(*options, **more):
        server = GunicornProcess(tmp_path, *options, module="socket_apps", app="raw", **more)
        started.append(server)
        return server

    yield start
    for server in started:
        server.stop()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    need("openssl")
    command = "openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=localhost -days 2"
    files = ["-keyout", folder / "key", "-out", folder / "cert"]
    subprocess.run([*command.split(), *files], check=True, capture_output=True)
    return [f"--keyfile={folder / 'key'}", f"--certfile={folder / 'cert'}"]


@pytest.fixture
def client(server):
    with RawWebSocket(server.port, "/echo") as client:
        yield client


# Opening


def test_the_handshake(client):
    assert client.status == 101
    assert f"Sec-WebSocket-Accept: {ACCEPT}".encode() in client.handshake


def test_what_comes_in_one_packet_with_the_request_is_heard(server):
    hasty, rest = frame(TEXT, b"early"), frame(TEXT, b"and so on")
    with RawWebSocket(server.port, "/echo", early=hasty + rest[:3]) as client:
        client.send(rest[3:])
        assert [client.text(), client.text()] == ["early", "and so on"]


def test_more_fields_and_no_extensions(server):
    offered = "permessage-deflate; client_max_window_bits"
    with RawWebSocket(server.port, "/echo", Sec_WebSocket_Extensions=offered) as client:
        assert b"X-More: yes" in client.handshake
        assert b"xtension" not in client.handshake


def test_the_answer_has_the_id_of_the_request(server):
    with RawWebSocket(server.port, "/echo", X_Request_ID="a-talk") as client:
        assert client.handshake.count(b"X-Request-ID: a-talk") == 1
    with RawWebSocket(server.port, "/echo") as client:
        assert re.search(rb"\r\nX-Request-ID: [0-9a-f]{16}\r\n", client.handshake + b"\r\n")


def test_a_plain_request_is_told_what_to_ask_for(server):
    with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)) as client:
        for _ in range(2):  # the connection goes on
            client.request("GET", "/echo")
            answer = client.getresponse()
            assert (answer.status, answer.headers["Upgrade"]) == (426, "websocket")
            assert json.load(answer)["error"] == "bad_handshake"


REFUSED = {
    "an old version": ({"Sec_WebSocket_Version": "8"}, 426, b"Sec-WebSocket-Version: 13"),
    "a bad key": ({"Sec_WebSocket_Key": "short"}, 400, b"application/json"),
    "a body": ({"Content_Length": "0, 0"}, 400, b""),
}


@pytest.mark.parametrize(("fields", "status", "part"), REFUSED.values(), ids=REFUSED.keys())
def test_what_is_refused(server, fields, status, part):
    with RawWebSocket(server.port, "/echo", **fields) as client:
        assert client.status == status
        assert part in client.handshake


# Messages

ECHOED = {
    "1.1.1 nothing": ([frame(TEXT)], (TEXT, b"")),
    "1.1.2 125 bytes": ([frame(TEXT, b"*" * 125)], (TEXT, b"*" * 125)),
    "1.1.3 126 bytes": ([frame(TEXT, b"*" * 126)], (TEXT, b"*" * 126)),
    "1.1.5 128 bytes": ([frame(TEXT, b"*" * 128)], (TEXT, b"*" * 128)),
    "1.1.7 65536 bytes": ([frame(TEXT, b"*" * 65536)], (TEXT, b"*" * 65536)),
    "1.2.1 nothing, binary": ([frame(BINARY)], (BINARY, b"")),
    "1.2.7 65536 bytes, binary": ([frame(BINARY, b"\xfe" * 65536)], (BINARY, b"\xfe" * 65536)),
    "5.3 two fragments": (
        [frame(TEXT, b"frag", head=0), frame(CONTINUATION, b"ment")],
        (TEXT, b"fragment"),
    ),
    "5.7 three fragments, the first empty": (
        [frame(BINARY, head=0), frame(CONTINUATION, b"a", head=0), frame(CONTINUATION, b"b")],
        (BINARY, b"ab"),
    ),
    "6.1.3 an empty one of fragments": (
        [frame(TEXT, head=0), frame(CONTINUATION, head=0), frame(CONTINUATION)],
        (TEXT, b""),
    ),
    "6.2.3 a character in two fragments": (
        [frame(TEXT, b"\xc3", head=0), frame(CONTINUATION, b"\xa4")],
        (TEXT, "ä".encode()),
    ),
    "5.1 a key of zeros": ([frame(TEXT, b"plain", mask=bytes(4))], (TEXT, b"plain")),
}


@pytest.mark.parametrize(("frames", "came"), ECHOED.values(), ids=ECHOED.keys())
def test_a_message_is_whole(client, frames, came):
    client.send(*frames)
    assert client.receive() == came
    client.send(*[bytes([byte]) for byte in b"".join(frames)[:200]], b"".join(frames)[200:])
    assert client.receive() == came


def test_a_message_that_comes_byte_by_byte(client):
    for byte in frame(TEXT, "wörld".encode()):
        client.send(bytes([byte]))
    assert client.text() == "wörld"


def test_pings_are_answered_also_among_fragments(client):
    client.send(
        frame(TEXT, b"a", head=0), frame(PING, b"1"), frame(PING, b"2"), frame(CONTINUATION, b"b")
    )
    assert client.receive() == (PONG, b"1")
    assert client.receive() == (PONG, b"2")
    assert client.receive() == (TEXT, b"ab")


def test_an_unasked_pong_is_passed_over(client):
    client.send(frame(PONG, b"?"), "next")
    assert client.receive() == (TEXT, b"next")


# What clients do wrong

BAD_CODES = [0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999, 5000, 65535]
BROKEN = {
    "2.5 a ping of 126 bytes": (frame(PING, bytes(126)), 1002),
    "3.1 a reserved bit": (frame(TEXT, b"x", head=FIN | 0x40), 1002),
    "3.2 another one, behind a message": (frame(TEXT, b"x") + frame(TEXT, head=FIN | 0x20), 1002),
    "3.5 all of them on a ping": (frame(PING, head=FIN | 0x70), 1002),
    "4.1.1 opcode 3": (frame(3), 1002),
    "4.2.1 opcode 11": (frame(11), 1002),
    "5.1 a ping in fragments": (frame(PING, b"x", head=0), 1002),
    "5.9 a continuation of nothing": (frame(CONTINUATION, b"x"), 1002),
    "5.18 a message inside another": (frame(TEXT, b"x", head=0) + frame(TEXT, b"y"), 1002),
    "5.1 no mask": (frame(TEXT, b"x", mask=b""), 1002),
    "5.2 a length in more bytes than it needs": (b"\x81\xfe\x00\x01" + bytes(4) + b"x", 1002),
    "6.3.1 no UTF-8": (frame(TEXT, b"\xce\xba\xed\xa0\x80"), 1007),
    "6.4.1 no UTF-8, and the rest of the message has not come": (
        frame(TEXT, b"\xf4\x90\x80\x80", head=0),
        1007,
    ),
    "6.4.4 nor the rest of the frame": (frame(TEXT, b"\xff" + bytes(60))[:8], 1007),
    "6.12 half a character at the end": (frame(TEXT, b"\xc3"), 1007),
    "ours: a character too many": (
        frame(TEXT, "ä".encode() * (MAX_MESSAGE_BYTES // 2) + b"x" * 2),
        1009,
    ),
    "ours: fragments that add up": (
        frame(BINARY, bytes(MAX_MESSAGE_BYTES), head=0) + frame(CONTINUATION, b"x"),
        1009,
    ),
    "ours: a length that says it": (frame(BINARY, bytes(MAX_MESSAGE_BYTES + 1)), 1009),
    "7.3.2 a close of one byte": (frame(CLOSE, b"\x03"), 1002),
    "7.3.6 a reason of 124 bytes": (frame(CLOSE, bytes(126)), 1002),
    "7.5.1 a reason that is no UTF-8": (frame(CLOSE, b"\x03\xe8\xce\xba\xed\xa0\x80"), 1007),
    **{
        f"7.9 a close with {code}": (frame(CLOSE, struct.pack("!H", code)), 1002)
        for code in BAD_CODES
    },
}


@pytest.mark.parametrize(("data", "code"), BROKEN.values(), ids=BROKEN.keys())
def test_what_breaks_the_protocol_is_closed(client, data, code):
    began = monotonic()
    client.send(data)
    assert client.close_code() == code
    client.send(close(code))
    assert client.is_ended()
    assert monotonic() - began < CLOSE_S


LIMITED = {"bytes": (b"x" * 11, 1009), "characters": ("ä".encode() * 6, 1009)}


@pytest.mark.parametrize(("message", "code"), LIMITED.values(), ids=LIMITED.keys())
def test_a_view_sets_the_limit(server, message, code):
    with RawWebSocket(server.port, "/echo?limit=10") as client:
        client.send(frame(TEXT, message[:10]))
        assert client.receive() == (TEXT, message[:10])
        client.send(frame(TEXT, message))
        assert client.close_code() == code


def test_the_longest_message_is_taken(client):
    client.send(frame(BINARY, bytes(MAX_MESSAGE_BYTES)))
    assert client.receive() == (BINARY, bytes(MAX_MESSAGE_BYTES))


def test_a_client_that_breaks_the_protocol_reads_why_though_it_sends_on(client):
    client.send(frame(3), *[frame(BINARY, bytes(60_000))] * 20)
    assert client.close_code() == 1002


# Closing

CODES = [1000, 1001, 1003, 1007, 1011, 1013, 3000, 3999, 4000, 4999]


@pytest.mark.parametrize("code", CODES)
def test_a_close_is_answered_with_its_code(client, code):
    client.send(close(code, "bye"))
    assert client.close_code() == code
    assert client.is_ended()


def test_a_close_without_a_code_is_answered_without(client):
    client.send(frame(CLOSE))
    assert client.close_code() is None
    assert client.is_ended()


def test_what_is_behind_a_close_is_not_read(client):
    client.send(close(1000), frame(PING, b"x"), "hello")
    assert client.receive()[0] == CLOSE
    assert client.is_ended()


def test_when_the_view_closes_it_is_said(server):
    with RawWebSocket(server.port, "/leave?code=4001&reason=enough") as client:
        assert client.receive() == (CLOSE, struct.pack("!H", 4001) + b"enough")
        client.send("too late", close(4001))
        assert client.is_ended()


def test_who_does_not_answer_a_close_is_cut(server):
    with RawWebSocket(server.port, "/leave?code=1000") as client:
        began = monotonic()
        assert client.close_code() == 1000
        assert client.is_ended()
        assert CLOSE_S - 1 < monotonic() - began < CLOSE_S + 2


def test_another_greenlet_closes(server):
    with RawWebSocket(server.port, "/echo") as client:
        server.get("/close_all?code=1012")
        assert client.close_code() == 1012
        client.send(close(1012))
        assert client.is_ended()


def test_another_greenlet_closes_who_does_not_answer(server):
    with RawWebSocket(server.port, "/echo") as client:
        server.get("/close_all?code=1012")
        began = monotonic()
        assert client.is_ended()
        assert monotonic() - began < CLOSE_S + 2
    wait_until(lambda: facts(server)["open"] == 0, "it is forgotten")


def test_a_view_that_fails_is_closed_with_1011(start):
    server = start()
    with RawWebSocket(server.port, "/fail") as client:
        assert client.receive() == (CLOSE, struct.pack("!H", 1011))
        client.send(close(1011))
        assert client.is_ended()
    wait_until(lambda: "ZeroDivisionError" in server.log, "it is logged")
    assert server.get("/facts")


# Being lost


def facts(server):
    """Return what the server has open, and what its process holds."""
    return json.loads(server.get("/facts"))


LOSSES = {
    "a reset": RawWebSocket.reset,
    "an end without a close": RawWebSocket.shut,
    "half a close": RawWebSocket.stop_sending,
}


@pytest.mark.parametrize("lose", LOSSES.values(), ids=LOSSES.keys())
def test_a_client_that_is_lost_is_forgotten(server, lose):
    with RawWebSocket(server.port, "/echo") as client:
        wait_until(lambda: facts(server)["open"] == 1, "it is open")
        lose(client)
        wait_until(lambda: facts(server)["open"] == 0, "it is forgotten")


def flood(server, client):
    """Have the server send more than the client's socket takes."""
    client.send("flood")
    wait_until(lambda: facts(server)["busy"] == 1, "its writer is busy")


def test_a_close_while_the_writer_is_busy(server):
    with RawWebSocket(server.port, "/flood", receive_bytes=4096) as client:
        flood(server, client)
        client.send(close(1000))
        received = b""
        while (found := client.receive())[0] == BINARY:
            received += found[1]
        assert found == (CLOSE, struct.pack("!H", 1000))
        assert received == bytes(len(received))
        began = monotonic()
        assert client.is_ended()
        assert monotonic() - began < 1


ENDS = {"by a reset": RawWebSocket.reset, "by us": lambda client: client.send("leave")}


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS.keys())
def test_an_end_while_the_writer_is_busy(server, end):
    with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)) as kept:

        def greenlets():
            # On a connection that was there before: a new one may take the number of the old
            # one's descriptor, and then eventlet wakes who waits for that.
            kept.request("GET", "/facts")
            return json.load(kept.getresponse())["greenlets"]

        before = greenlets()
        with RawWebSocket(server.port, "/flood", receive_bytes=4096) as client:
            client.send("flood")
            wait_until(lambda: greenlets() == before + 1, "its writer is busy")
            end(client)
            wait_until(lambda: greenlets() == before, "both have ended", CLOSE_S + 2)


def test_a_close_that_nobody_reads_holds_nothing(server):
    with RawWebSocket(server.port, "/flood", receive_bytes=4096) as client:
        flood(server, client)
        server.get("/close_all?code=1012")
        wait_until(lambda: facts(server)["open"] == 0, "it is cut", timeout_s=CLOSE_S + 3)
    assert not facts(server)["busy"]


def test_who_reads_nothing_is_cut_off(server):
    with (
        RawWebSocket(server.port, "/echo", receive_bytes=4096) as client,
        pytest.raises(OSError, match=r"reset|pipe"),
    ):
        client.send(*[frame(TEXT, b"x" * 60_000)] * 1000)
    assert "client cut off reason=unread_control" in server.log
    wait_until(lambda: facts(server)["open"] == 0, "it is forgotten")


def test_who_sends_without_a_pause_leaves_the_others_their_turn(server):
    with RawWebSocket(server.port, "/last") as busy, ThreadPoolExecutor(1) as sending:
        sent = sending.submit(busy.send, *[frame(BINARY, b"x")] * 100_000, "end")
        waits = []
        while not sent.done() or len(waits) < 20:
            began = monotonic()
            facts(server)
            waits.append(monotonic() - began)
        assert max(waits) < 0.5
        assert busy.text() == "end"


# What says nothing

# More than the allowance, and what it grows by meanwhile.
MANY = 1000
SCRAPS = {
    "pings": [frame(PING)] * MANY,
    "pongs": [frame(PONG, b"x")] * MANY,
    "empty fragments": [frame(TEXT, head=0), *[frame(CONTINUATION, head=0)] * MANY],
    "fragments of a byte": [frame(TEXT, head=0), *[frame(CONTINUATION, b"x", head=0)] * MANY],
    "among what says something": [frame(PONG), frame(BINARY, b"x")] * MANY,
}


@pytest.mark.parametrize("frames", SCRAPS.values(), ids=SCRAPS.keys())
def test_many_frames_that_say_nothing_are_closed(server, frames):
    with RawWebSocket(server.port, "/last") as client:
        client.send(*frames)
        assert client.close_code() == 1008


FEW = {
    "pings": [frame(PING)] * 200,
    "fragments": [
        frame(BINARY, bytes(64), head=0),
        *[frame(CONTINUATION, bytes(64), head=0)] * 900,
        frame(CONTINUATION),
    ],
}


@pytest.mark.parametrize("frames", FEW.values(), ids=FEW.keys())
def test_what_is_in_order_is_not(server, frames):
    with RawWebSocket(server.port, "/last") as client:
        client.send(*frames, "end")
        while (found := client.receive())[0] == PONG:
            pass
        assert found == (TEXT, b"end")


# Other clients, other connections


def test_websockets_of_aaugustin(server):
    url = f"ws://127.0.0.1:{server.port}/echo"
    with websockets.sync.client.connect(url) as client:
        client.send(["frag", "ments"])
        assert client.recv(timeout=5) == "fragments"
        client.send(b"\0" * 60_000)
        assert client.recv(timeout=5) == b"\0" * 60_000
        assert client.ping(b"x").wait(5)
        client.close(1000, "bye")
        assert client.close_code == 1000


def test_tls(start, certificate):
    server = start(*certificate)
    with RawWebSocket(server.port, "/echo", tls=True) as client:
        client.send("hello", frame(BINARY, b"x" * 60_000), frame(PING, b"1"))
        assert client.receive() == (TEXT, b"hello")
        assert client.receive() == (BINARY, b"x" * 60_000)
        assert client.receive() == (PONG, b"1")
        client.send(close(1000))
        assert client.close_code() == 1000
        assert client.is_ended()
    assert "Traceback" not in server.log


def test_tls_lost_while_busy(start, certificate):
    server = start(*certificate)
    with RawWebSocket(server.port, "/flood", tls=True, receive_bytes=4096) as client:
        client.send("flood")
        assert client.receive()[0] == BINARY
        client.reset()
    with RawWebSocket(server.port, "/echo", tls=True) as client:
        client.send("still there")
        assert client.text() == "still there"
    server.signal(signal.SIGTERM)
    assert server.process.wait(10) == 0
    assert "Traceback" not in server.log


def test_a_drain_ends_it_at_once(start):
    server = start()
    with RawWebSocket(server.port, "/echo") as client:
        server.signal(signal.SIGTERM)
        assert client.is_ended()
    assert server.process.wait(3) == 0
    assert "cut connections" not in server.log


def test_quit_ends_it_at_once(start):
    server = start()
    with RawWebSocket(server.port, "/echo") as client:
        server.signal(signal.SIGQUIT)
        assert client.close_code() == 1001
        client.send(close(1001))
        assert client.is_ended()
    assert server.process.wait(3) == 0
    assert "Traceback" not in server.log


# Nothing is left behind


def talkative(server):
    """Return a client that has said something."""
    client = RawWebSocket(server.port, "/echo")
    client.send("hello")
    assert client.text() == "hello"
    return client


def connect_and_leave(server, leave):
    with talkative(server) as client:
        leave(client)


def test_four_thousand_come_and_go(start):
    server = start()
    leaves = [RawWebSocket.reset, lambda client: client.send(close(1000)), RawWebSocket.shut]
    for i in range(500):
        connect_and_leave(server, leaves[i % 3])
    wait_until(lambda: facts(server)["open"] == 0, "the first are forgotten")
    before = facts(server)
    for i in range(4_000):
        connect_and_leave(server, leaves[i % 3])
    wait_until(lambda: facts(server)["open"] == 0, "the last is forgotten")
    wait_until(lambda: facts(server)["greenlets"] <= before["greenlets"], "their greenlets ended")
    after = facts(server)
    assert after["descriptors"] <= before["descriptors"]
    # Not one each; eventlet keeps timers for a while that were cancelled.
    assert after["objects"] <= before["objects"] + 2000
    assert after["memory"] <= before["memory"] + 3 * 2**20


def test_an_idle_one_is_small(start):
    server = start(HEADWATER_CONNECTIONS="2000")
    with ExitStack() as clients:
        for _ in range(100):
            clients.enter_context(talkative(server))
        before = facts(server)
        for _ in range(400):
            clients.enter_context(talkative(server))
        after = facts(server)
    assert after["greenlets"] == before["greenlets"]
    assert (after["memory"] - before["memory"]) / 400 < 6_000  # measured: 3,000
    assert (after["objects"] - before["objects"]) / 400 < 38  # measured: 37.1
