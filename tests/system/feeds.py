"""Readers of feeds, one for each transport, with clients that others wrote; and a publisher.

A reader opens its connection when it is made, and is read by iterating: so one that is not iterated
stands still. `python -m tests.system.feeds` reads with many at once; the scenario starts it.
Way in: READERS, resume, Publisher.
"""

import http.client
import json
import queue
import subprocess
import sys
import threading
import time
from contextlib import closing, contextmanager, suppress
from functools import partial
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode, urlsplit

import engineio
import engineio.payload
import httpx
import requests
import socketio
import websockets.exceptions
import websockets.sync.client
from httpx_sse import connect_sse

from tests.system.server import ROOT, need

GAP, HEARTBEAT, RECONNECT = "gap", "heartbeat", "reconnect"
# Of ours: what a publisher says at the end, and what a connection ends with.
LAST, CUT = "last", "cut"
# Longer than between two heartbeats: who is told nothing for so long is forgotten.
IDLE_S = 20
PAUSE_S = 0.05
SERVICE_RESTART = 1012
MAX_PACKETS = 100_000

# What the clients raise when their connection is cut, or cannot be made.
CUTS = (
    OSError, queue.Empty, http.client.HTTPException, httpx.TransportError,
    requests.RequestException,
    websockets.exceptions.WebSocketException, socketio.exceptions.SocketIOError,
)  # fmt: skip


class Told(NamedTuple):
    """What a reader is told: an event, or what the server says by itself. topic: not by SSE."""

    id: str | None
    name: str
    data: Any
    topic: str | None = None
    time: float | None = None


class Refused(Exception):
    """The server has said no; told: in its one shape of errors."""

    def __init__(self, told):
        super().__init__(str(told))
        self.told = told
        self.status = told["status"]


class Reader:
    """See the module. Raises Refused, and ConnectionError when it is cut; ends when it is ended.

    cursor: what to come back with. connection: its id in presence. topics, since, query: as in the
    address. path: what the address begins with.
    """

    path = "/events/"

    def __init__(self, base, topics, since=None, headers=None, **query):
        self.base = base
        self.topics = topics
        self.headers = headers or {}
        self.query = {**query, "since": since} if since else query
        self.cursor = self.connection = None
        self._all = self._follow()
        self._step()

    def __iter__(self):
        return self

    def __next__(self):
        told = self._step()
        if told.name not in (HEARTBEAT, RECONNECT):
            self.cursor = told.id
        return told

    def _step(self):
        try:
            return next(self._all)
        except CUTS as error:
            raise ConnectionError(repr(error)) from error

    def take(self, count):
        """Return the next events and gaps."""
        told, heartbeats = [], 0
        while len(told) < count:
            each = next(self)
            if each.name != HEARTBEAT:
                told.append(each)
            else:
                heartbeats += 1
                assert heartbeats < 2, f"there is nothing more: {told}"
        return told

    def numbers(self, count):
        """Return what the next events say."""
        return [told.data for told in self.take(count)]

    def close(self):
        self._all.close()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()

    @property
    def address(self):
        """Return the path with its query."""
        words = f"?{urlencode(self.query)}" if self.query else ""
        return f"{self.path}{quote(self.topics, safe='/,*')}{words}"

    def _opened(self, headers):
        self.cursor = headers["Headwater-Cursor"]
        self.connection = headers["Headwater-Connection"]

    def _follow(self):
        """Yield None once it is open, then what it is told."""
        raise NotImplementedError


class Ndjson(Reader):
    """The standard library's HTTP client."""

    def _follow(self):
        client = http.client.HTTPConnection(urlsplit(self.base).netloc, timeout=IDLE_S)
        with closing(client):
            client.request("GET", self.address, headers=self.headers)
            answer = client.getresponse()
            if answer.status != 200:
                raise Refused(json.loads(answer.read()))
            self._opened(answer.headers)
            yield
            for line in answer:
                if line.endswith(b"\n") and line.strip():
                    yield Told(**json.loads(line))


class Sse(Reader):
    """httpx, with the parser of httpx-sse. first_id, retry_ms: what the answer begins with."""

    def _follow(self):
        with (
            # Its certificates take longer to load than everything else.
            httpx.Client(timeout=IDLE_S, verify=False) as client,
            connect_sse(client, "GET", self.base + self.address, headers=self.headers) as source,
        ):
            if source.response.status_code != 200:
                raise Refused(json.loads(source.response.read()))
            self._opened(source.response.headers)
            events = source.iter_sse()
            opening = next(events)
            self.first_id, self.retry_ms = opening.id, opening.retry
            yield
            for event in events:
                if event.retry is not None:
                    yield Told(None, RECONNECT, {"after_ms": event.retry})
                elif event.data:  # a comment ends with an empty line, which is one to httpx-sse
                    yield self._told(event)

    def _told(self, event):
        return Told(event.id, event.event, json.loads(event.data))


class WholeSse(Sse):
    """With whole=1, as those who follow several topics want it; what is published has one type."""

    def __init__(self, *args, **query):
        super().__init__(*args, **query, whole=1)

    def _told(self, event):
        told = Told(**json.loads(event.data))
        kind = told.name if told.name in (GAP, HEARTBEAT) else "message"
        assert (event.id, event.event) == (told.id, kind)
        return told


class WebSocket(Reader):
    """The library websockets."""

    path = "/ws/events/"

    def _follow(self):
        try:
            client = websockets.sync.client.connect(
                self.base.replace("http", "ws", 1) + self.address,
                additional_headers=self.headers,
                compression=None, ping_interval=None, close_timeout=1, max_queue=16, proxy=None,
            )  # fmt: skip
        except websockets.exceptions.InvalidStatus as error:
            raise Refused(json.loads(error.response.body)) from error
        with client:
            self._opened(client.response.headers)
            yield
            while text := self._receive(client):
                yield Told(**json.loads(text))

    def _receive(self, client):
        try:
            return client.recv(timeout=IDLE_S)
        except websockets.exceptions.ConnectionClosed as error:
            self.close_code = error.rcvd and error.rcvd.code
            if self.close_code == SERVICE_RESTART:
                return None
            raise


class _InOrder(engineio.Client):
    def _trigger_event(self, event, *args, **kwargs):
        # engineio's client hands each message to a thread of its own: they overtake each other.
        return super()._trigger_event(event, *args, **{**kwargs, "run_async": False})


class LiveClient(socketio.Client):
    """python-socketio's client, which hears things in the order in which they were said.

    on_mistake: called with what was no packet; upstream logs it and goes on.
    """

    def __init__(self, **options):
        super().__init__(reconnection=False, handle_sigint=False, **options)
        self.on_mistake = print

    def _engineio_client_class(self):
        return _InOrder

    def _handle_eio_message(self, data):
        try:
            super()._handle_eio_message(data)
        except ValueError:
            self.on_mistake(data)


@contextmanager
def live_client(base, transports=("websocket",), listen=lambda client: None):
    """Yield a LiveClient that is connected to /live. listen: called before, to add handlers."""
    with requests.Session() as session:
        client = LiveClient(request_timeout=IDLE_S, http_session=session)
        listen(client)
        try:
            client.connect(
                base, transports=list(transports), namespaces=["/live"], wait_timeout=IDLE_S
            )
            yield client
        finally:
            reading = client.eio.read_loop_task
            client.disconnect()
            if reading is not None:
                # It waits for the writing, which would wait another 30 s for something to write.
                client.eio.queue.put(None)
                reading.join(IDLE_S)
            if client.eio.ws is not None:
                # It is left open when it was the server that has closed it.
                client.eio.ws.shutdown()


class SocketIo(Reader):
    """python-socketio's client over WebSocket."""

    transports = ("websocket",)

    def _follow(self):
        heard = queue.Queue()
        with live_client(self.base, self.transports, partial(self._listen, heard)) as client:
            told = client.call("subscribe", {"topic": self.topics, **self.query}, "/live", IDLE_S)
            if not told["ok"]:
                raise Refused(told)
            self.cursor, self.connection = told["cursor"], told["connection"]
            yield
            while (told := heard.get(timeout=IDLE_S)) is not None:
                if told.name == CUT:
                    raise ConnectionError(told.data)
                yield told

    def _listen(self, heard, client):
        """Put into heard what is heard, and None when the server has ended it."""

        def on(name, make):
            client.on(name, lambda fields: heard.put(make(fields)), namespace="/live")

        def on_end(reason=""):
            heard.put(None if self._is_ended else Told(None, CUT, reason))

        def end(fields):
            self._is_ended = True
            return Told(None, RECONNECT, fields)

        self._is_ended = False
        on("event", lambda fields: Told(**fields))
        on(GAP, lambda fields: Told(fields["to"], GAP, fields, fields["topic"]))
        on(HEARTBEAT, lambda fields: Told(fields["newest"], HEARTBEAT, {}, fields["topic"]))
        on(RECONNECT, end)
        client.on("disconnect", on_end, namespace="/live")
        client.on_mistake = lambda data: heard.put(Told(None, CUT, f"no packet: {data}"))


class Polling(SocketIo):
    """The same over HTTP long-polling."""

    transports = ("polling",)

    def _follow(self):
        # As engineio's documentation advises: its client breaks off at 17 packets in an answer.
        engineio.payload.Payload.max_decode_packets = MAX_PACKETS
        return super()._follow()


class Node(Reader):
    """The JavaScript client; tests/system/node/feed.mjs prints what it hears."""

    def _follow(self):
        need("node")
        node = start_node(self.base, self.topics, idleMs=IDLE_S * 1000, **self.query)
        try:
            for line in node.stdout:
                _, kind, fields = json.loads(line)
                if kind == "opened":
                    self.cursor, self.connection = fields["cursor"], fields["connection"]
                    yield
                elif kind == "refused":
                    raise Refused(fields)
                elif kind == "cut":
                    raise ConnectionError(fields)
                elif kind != "ended":
                    yield Told(**fields)
        finally:
            node.kill()
            node.communicate()


def start_node(base, topics, stdout=subprocess.PIPE, **options):
    """Start the JavaScript client; the options are those of tests/system/node/feed.mjs."""
    words = json.dumps({"base": base, "topic": topics, **options})
    script = ROOT / "tests" / "system" / "node" / "feed.mjs"
    return subprocess.Popen(["node", script, words], cwd=ROOT, stdout=stdout)


READERS = {
    "ndjson": Ndjson,
    "sse": Sse,
    "websocket": WebSocket,
    "socket.io": SocketIo,
    "polling": Polling,
    "node": Node,
}


def resume(reader_of, base, topics, since):
    """Yield what a reader is told that comes back after each cut with the last id that it got."""
    while True:
        try:
            with reader_of(base, topics, since) as reader:
                since = reader.cursor
                for told in reader:
                    if told.name not in (HEARTBEAT, RECONNECT):
                        since = told.id
                        yield told
        except ConnectionError:
            pass
        except Refused as error:
            if error.status != 503:
                raise
        time.sleep(PAUSE_S)


class Publisher:
    """Publishes, and says everything again with its key until it is acknowledged.

    retries: how often it had to.
    """

    def __init__(self, base):
        self._base = base
        self._client = httpx.Client(timeout=10, verify=False)
        self.retries = 0

    def publish(self, topic, *data, name="number", key=None):
        """Publish an event for each data and return the receipt."""
        key = key or f"{topic}-{data[0]}"
        lines = "".join(json.dumps({"name": name, "data": each}) + "\n" for each in data)
        headers = {"Content-Type": "application/x-ndjson", "Idempotency-Key": key}
        while True:
            with suppress(httpx.TransportError):
                answer = self._client.post(
                    f"{self._base}/events/{topic}", content=lines, headers=headers
                )
                if answer.status_code == 201:
                    return answer.json()
                assert answer.status_code == 503, answer.text
            self.retries += 1
            time.sleep(PAUSE_S)

    def close(self):
        self._client.close()


def read_to_last(index, transport, base, topics, since):
    """Print what one reader is told until the event `last`: [index, id, name, data] a line."""
    for told in resume(READERS[transport], base, topics, since):
        # One write a line: they come from many threads.
        sys.stdout.write(json.dumps([index, told.id, told.name, told.data]) + "\n")
        sys.stdout.flush()
        if told.name == LAST:
            return


def main(base, topics, since, transport, readers):
    """Read with so many at once, each on a thread."""
    threads = [
        threading.Thread(
            target=read_to_last, args=(index, transport, base, topics, since), daemon=True
        )
        for index in range(int(readers))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main(*sys.argv[1:])
