"""Events published while they are sent, by real clients: receipts come before the body ends."""

import json
import socket
import subprocess
import time
from contextlib import contextmanager, suppress

import h11
import httpx
import pytest

from tests.system.server import need, wait_until

HEAD = (
    "POST /events/{topic}?receipts=stream HTTP/1.1\r\nHost: localhost\r\n"
    "Content-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n"
)
TIMEOUT_S = 20


class Sender:
    """A client of h11: sends lines as chunks, and reads the lines of the answer."""

    def __init__(self, server, topic):
        self.socket = socket.create_connection(("127.0.0.1", server.port), TIMEOUT_S)
        self._http = h11.Connection(h11.CLIENT)
        self._text = b""
        target = f"/events/{topic}?receipts=stream"
        headers = [("Host", "localhost"), ("Content-Type", "application/x-ndjson")]
        self._send(
            h11.Request(
                method="POST", target=target, headers=[*headers, ("Transfer-Encoding", "chunked")]
            )
        )
        self.response = None

    def _send(self, event):
        self.socket.sendall(self._http.send(event))

    def lines(self, *data, key=None):
        more = {"key": key} if key else {}
        text = "".join(json.dumps({"data": each, **more}) + "\n" for each in data)
        self._send(h11.Data(data=text.encode()))

    def end(self):
        self._send(h11.EndOfMessage())

    def receipt(self):
        """Return the next line of the answer, None at its end."""
        while b"\n" not in self._text:
            event = self._http.next_event()
            if event is h11.NEED_DATA:
                self._http.receive_data(self.socket.recv(65536))
            elif isinstance(event, h11.Response):
                self.response = event
            elif isinstance(event, h11.Data):
                self._text += bytes(event.data)
            else:
                return None
        line, _, self._text = self._text.partition(b"\n")
        return json.loads(line)


@contextmanager
def sending(server, topic):
    sender = Sender(server, topic)
    with sender.socket:
        yield sender


def kept(server, topic):
    answer = server.get(f"/events/{topic}?since=all&poll=1")
    return [json.loads(line)["data"] for line in answer.body.splitlines()]


def test_a_receipt_comes_while_the_body_is_sent(server, topic):
    with sending(server, topic) as sender:
        for number in range(3):
            sender.lines(number)
            receipt = sender.receipt()
            assert (receipt["line"], receipt["count"]) == (number + 1, 1)
            assert kept(server, topic)[-1] == number
        sender.end()
        assert sender.receipt() == {"done": True, "lines": 3, "count": 3}
        assert sender.receipt() is None
        assert sender.response.status_code == 200
        headers = dict(sender.response.headers)
        assert headers[b"content-type"] == b"application/x-ndjson"
        assert headers[b"x-accel-buffering"] == b"no"
        assert headers[b"x-content-type-options"] == b"nosniff"


def test_chunks_of_one_byte_hold_nobody_up(server, topic):
    """The watchdog of the hub looks on: a line of 64 KiB was joined anew for each of its bytes."""
    head = f"POST /events/{topic}?receipts=stream HTTP/1.1\r\nHost: localhost\r\n"
    head += "Content-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n"
    head += "Connection: close\r\n\r\n"
    event = b'{"data": "' + b"x" * 60_000 + b'"}'
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in event)
    with server.send(head.encode() + chunks + b"0\r\n\r\n") as client:
        answer = b"".join(iter(lambda: client.recv(65536), b""))
    assert b'"done": true, "lines": 1, "count": 1' in answer


def test_a_torn_upload_keeps_what_was_acknowledged_and_goes_on_by_keys(server, topic):
    with sending(server, topic) as sender:
        sender.lines(0, key="k0")
        sender.lines(1, key="k1")
        while sender.receipt()["line"] < 2:
            pass
        sender.socket.sendall(b'5\r\n{"dat')
        sender.socket.shutdown(socket.SHUT_WR)
        assert sender.receipt()["error"] == "upload_cut"
    assert kept(server, topic) == [0, 1]
    with sending(server, topic) as sender:
        for number in range(4):
            sender.lines(number, key=f"k{number}")
        sender.end()
        while "done" not in (last := sender.receipt()):
            pass
    assert last == {"done": True, "lines": 4, "count": 4}
    assert kept(server, topic) == [0, 1, 2, 3]


def test_curl_sends_from_a_pipe(server, topic):
    need("curl")
    url = f"http://127.0.0.1:{server.port}/events/{topic}?receipts=stream"
    kind = "Content-Type: application/x-ndjson"
    command = ["curl", "-sSN", "-m", "20", "-T", "-", "-X", "POST", "-H", kind, url]
    lines = "".join(json.dumps({"data": number}) + "\n" for number in range(3000))
    done = subprocess.run(command, input=lines, capture_output=True, text=True, check=True)
    *receipts, last = [json.loads(line) for line in done.stdout.splitlines()]
    assert sum(receipt["count"] for receipt in receipts) == receipts[-1]["line"] == 3000
    assert last == {"done": True, "lines": 3000, "count": 3000}
    assert kept(server, topic) == list(range(3000))


@pytest.mark.parametrize("has_length", [True, False])
def test_httpx_sends_a_whole_body(server, topic, has_length):
    lines = [json.dumps({"data": n}).encode() + b"\n" for n in range(5000)]
    content = b"".join(lines) if has_length else iter(lines)
    url = f"http://127.0.0.1:{server.port}/events/{topic}?receipts=stream"
    headers = {"Content-Type": "application/x-ndjson"}
    answer = httpx.post(url, content=content, headers=headers, timeout=TIMEOUT_S)
    assert json.loads(answer.text.splitlines()[-1]) == {"done": True, "lines": 5000, "count": 5000}
    assert kept(server, topic) == list(range(5000))


def test_a_request_behind_a_body_with_a_length_is_answered(server, topic):
    body = b'{"data": 1}\n'
    head = HEAD.format(topic=topic).replace(
        "Transfer-Encoding: chunked", f"Content-Length: {len(body)}"
    )
    next_request = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    with socket.create_connection(("127.0.0.1", server.port), TIMEOUT_S) as client:
        client.sendall(head.encode() + body + next_request)
        answers = b"".join(iter(lambda: client.recv(65536), b""))
    assert b'"done": true' in answers
    assert answers.count(b"HTTP/1.1 200 OK") == 2
    assert b'"status":"alive"' in answers


REFUSED = {
    "no such topic": ("/events/none?receipts=stream", {}, 404, "unknown_topic"),
    "the server's own": ("/events/status?receipts=stream", {}, 403, "not_writable"),
    "another word": ("/events/{topic}?receipts=yes", {}, 400, "malformed"),
    "JSON": (
        "/events/{topic}?receipts=stream", {"Content-Type": "application/json"}, 415,
        "unsupported_media_type",
    ),
    "one key for all": (
        "/events/{topic}?receipts=stream", {"Idempotency-Key": "k"}, 400, "malformed_key",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("path", "more", "status", "code"), REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_begin_is_a_status(server, topic, path, more, status, code):
    url = f"http://127.0.0.1:{server.port}{path.format(topic=topic)}"
    headers = {"Content-Type": "application/x-ndjson", **more}
    answer = httpx.post(url, content=b'{"data":1}\n', headers=headers, timeout=TIMEOUT_S)
    assert (answer.status_code, answer.json()["error"]) == (status, code)


def test_who_does_not_take_receipts_is_not_read_from(server, topic):
    with sending(server, topic) as sender:
        sender.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sender.socket.settimeout(1.0)
        sent = 0
        with suppress(TimeoutError):
            for sent in range(200_000):
                sender.lines(sent)
        assert 1000 < sent < 199_999
        # Others are served meanwhile.
        assert server.get("/healthz").status == 200


def test_an_upload_that_waits_ends_with_the_server(serve):
    server = serve()
    with sending(server, "demo/drained") as sender:
        sender.lines(1)
        assert sender.receipt()["line"] == 1
        server.process.terminate()
        began_s = time.monotonic()
        assert sender.receipt()["error"] == "not_ready"
        assert time.monotonic() - began_s < 10
    wait_until(lambda: server.process.poll() is not None, "it has ended", 10)


LINES = b'{"data":1}\n{"data":22}\n'


@pytest.mark.parametrize("at", range(1, len(LINES) + 20))
def test_wherever_the_network_cuts_chunks_all_of_them_are_kept(server, topic, at):
    """Also right behind the head of a chunk, whose data comes later."""
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (LINES[:14], LINES[14:]))
    sent = chunks + b"0\r\n\r\n"
    with socket.create_connection(("127.0.0.1", server.port), TIMEOUT_S) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client.sendall(HEAD.format(topic=topic).encode() + sent[:at])
        received = b""
        server.get("/healthz")  # by now it is read
        client.sendall(sent[at:])
        while b'"done": true' not in received:
            piece = client.recv(65536)
            assert piece
            received += piece
    assert b'"lines": 2, "count": 2' in received
    assert kept(server, topic) == [1, 22]


@pytest.mark.parametrize("sent", [0, 1, len(LINES) - 12, len(LINES) - 1])
def test_a_body_that_was_cut_is_not_published(server, topic, sent):
    head = HEAD.format(topic=topic).replace("?receipts=stream", "")
    head = head.replace("Transfer-Encoding: chunked", f"Content-Length: {len(LINES)}")
    with socket.create_connection(("127.0.0.1", server.port), TIMEOUT_S) as client:
        client.sendall(head.encode() + LINES[:sent])
        client.shutdown(socket.SHUT_WR)
        answer = b""
        while piece := client.recv(65536):
            answer += piece
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert kept(server, topic) == []
