"""Small applications that speak WebSocket and Socket.IO; gunicorn loads one of them."""

import gc
import os
import re
from pathlib import Path
from time import sleep

import engineio
from flask import Flask, request
from flask_socketio import ConnectionRefusedError as Refused
from flask_socketio import Namespace, SocketIO, emit
from greenlet import greenlet

from auth import SocketLimits
from auth.request_scheduler import RequestScheduler
from auth.unfinished import Unfinished
from server.hooks import WorkerHooks
from sockets.engine import make_socketio
from sockets.engineio.errors import SocketError
from sockets.engineio.packets import event_packet
from sockets.engineio.sessions import EngineServer
from sockets.engineio.websocket import MAX_MESSAGE_BYTES, accept, serve


def process():
    """What this process holds; memory is what nobody shares, in bytes."""
    gc.collect()
    objects = gc.get_objects()
    rollup = Path("/proc/self/smaps_rollup").read_text()
    return {
        "descriptors": len(os.listdir("/proc/self/fd")),  # noqa: PTH208
        "greenlets": sum(isinstance(each, greenlet) and not each.dead for each in objects),
        "objects": len(objects),
        "memory": int(re.search(r"Anonymous: +([0-9]+) kB", rollup)[1]) * 1024,
    }


# WebSocket

raw = Flask(__name__)
OPEN = set()
HEARING = SocketLimits(RequestScheduler(), Unfinished())


def give_back(websocket, message):
    (websocket.send_text if isinstance(message, str) else websocket.send_bytes)(message)


def echo(websocket):
    while True:
        give_back(websocket, (yield))


def last(websocket):
    """Say only the last message, `end`."""
    while True:
        if (yield) == "end":
            websocket.send_text("end")


def leave(websocket, code, reason):
    websocket.close(code, reason)
    yield from ()


def fail(websocket):
    yield from ()
    raise ZeroDivisionError


def flood(websocket):
    """Offer until the writer is busy, when asked for `flood`."""
    while (yield) == "flood":
        while websocket.writer.try_send(b"\x82\x7e\xff\xff" + bytes(65535)):
            pass


def registered(talk):
    def registered(websocket):
        OPEN.add(websocket)
        try:
            yield from talk(websocket)
        finally:
            OPEN.remove(websocket)

    return registered


def talk_within(websocket, talk):
    """Fail or echo while the view runs."""
    OPEN.add(websocket)
    try:
        if talk == "fail":
            raise ZeroDivisionError
        while (message := websocket.receive()) is not None:
            give_back(websocket, message)
    finally:
        OPEN.remove(websocket)


@raw.get("/<talk>", websocket=True)
@raw.get("/<talk>")
def open_one(talk):
    """One of the functions above; `within`: while the view runs. limit: the longest message."""
    if talk == "facts":
        return process() | {"open": len(OPEN), "busy": sum(each.writer.busy for each in OPEN)}
    if talk == "leave":
        code, reason = int(request.args["code"]), request.args.get("reason", "")
        serve(request.environ, lambda websocket: leave(websocket, code, reason), "", HEARING)
    elif "within" in request.args or talk == "within":
        with accept(request.environ, "", HEARING) as websocket:
            talk_within(websocket, talk)
    else:
        talks = {"echo": echo, "fail": fail, "flood": flood, "last": last}
        limit = request.args.get("limit", MAX_MESSAGE_BYTES, int)
        more = [("X-More", "yes")]
        serve(request.environ, registered(talks[talk]), "", HEARING, more, limit)
    return ""


@raw.get("/close_all")
def close_all():
    for websocket in OPEN:
        websocket.close(int(request.args["code"]))
    return ""


@raw.errorhandler(SocketError)
def refuse(error):
    return {"error": error.code, "message": str(error)}, error.status, {**error.headers}


# Engine.IO, as its protocol suite has it: what comes goes back


def make_engine(kind, **options):
    engine = kind(ping_interval=0.3, ping_timeout=0.2, **options)
    engine.on("message", engine.send)
    return engineio.WSGIApp(engine)


engine = make_engine(EngineServer)
stock_engine = make_engine(engineio.Server, async_mode="eventlet")


# Socket.IO, as its protocol suite has it


def make_suite(kind, **options):
    app = Flask(__name__)
    socketio = kind(app, ping_interval=0.3, ping_timeout=0.2, **options)

    def greet(auth=None):
        emit("auth", auth or {})

    def give_back(*arguments):
        emit("message-back", arguments)

    for namespace in ("/", "/custom"):
        socketio.on_event("connect", greet, namespace)
        socketio.on_event("message", give_back, namespace)
        socketio.on_event("message-with-ack", lambda *arguments: arguments, namespace)
    return app


suite = make_suite(make_socketio, connect_timeout_s=1.0)
stock_suite = make_suite(SocketIO, async_mode="eventlet")


# Socket.IO, with everything that may go wrong


class Feed:
    """A source of the events fed(0) … fed(count - 1), for whatever writer the client has."""

    def __init__(self, count, padding=()):
        self.count = count
        self.padding = padding
        self.next = 0
        self.writer = None

    def attach(self, writer):
        self.writer = writer
        writer.feed_from(self)

    def more(self):
        if self.next == self.count:
            return None
        sleep(0.001)  # as from a disk
        packet = event_packet("fed", [self.next, *self.padding], "/live")
        self.next += 1
        return packet.frame if self.writer.transport == "websocket" else packet.payload


class Live(Namespace):
    def __init__(self):
        super().__init__("/live")
        self.feeds = {}
        self.left = []
        self.failing = set()

    def on_connect(self, auth=None):
        auth = auth or {}
        if auth.get("refuse"):
            raise Refused("no", {"because": "so"})
        if auth.get("fail"):
            return 1 / 0
        if auth.get("fail later"):
            self.failing.add(request.sid)
        sleep(auth.get("sleep", 0))
        emit("greeting", auth)
        return auth.get("answer")

    def on_disconnect(self, reason):
        self.left.append(reason)
        self.feeds.pop(request.sid, None)
        if request.sid in self.failing:
            self.failing.remove(request.sid)
            raise RuntimeError("failed later")

    def on_same(self, *arguments):
        return arguments

    def on_one(self, argument):
        return argument["key"]

    def on_unsayable(self):
        return object()

    def on_whoami(self):
        return [request.sid, request.path, request.headers["User-Agent"], request.remote_addr]

    def on_numbers(self, count):
        """Emit so many events, and let others have their turn in between."""
        for number in range(count):
            emit("number", number)
            sleep(0.0005)

    def on_much(self, count, size):
        for _ in range(count):
            emit("much", "x" * size)

    def on_feed(self, count):
        feed = self.feeds[request.sid] = Feed(count)
        feed.attach(self.socketio.writer_of(request.sid, "/live"))

    def on_fat_feed(self, count):
        feed = self.feeds[request.sid] = Feed(count, ["x" * 5000])
        feed.attach(self.socketio.writer_of(request.sid, "/live"))

    def upgraded(self, sid):
        if sid in self.feeds:
            self.feeds[sid].attach(self.socketio.writer_of(sid, "/live"))


hooks = WorkerHooks()


def make_live(kind, **options):
    app = Flask(__name__)
    socketio = kind(app, **options)
    is_ours = kind is make_socketio
    if is_ours:
        socketio.server.eio.refusals = hooks.refusals
    namespace = Live()
    socketio.on_namespace(namespace)

    @app.get("/emit/<event>")
    def emit_to_all(event):
        data = [event.encode()] if "bytes" in request.args else event
        socketio.emit(event, data, namespace="/live")
        return ""

    @app.get("/tick/<event>")
    def tick(event):
        socketio.tick(event, {"data": event}, "/live")
        return ""

    @app.get("/close_all")
    def close_all():
        socketio.close_all(1012, "the server restarts")
        return ""

    @app.get("/facts")
    def facts():
        left, namespace.left = namespace.left, []
        manager = socketio.server.manager
        members = sum(1 for _ in manager.get_participants("/live", None))
        engine = socketio.server.eio
        sessions = engine.sockets.values()
        counts = socketio.counts() if is_ours else {}
        return process() | counts | {
            "left": left,
            "refusals": hooks.refusals,
            "members": members,
            "waiting": sum(hasattr(s, "writer") and not s.writer.busy for s in sessions),
            "environs": len(socketio.server.environ),
            "unfinished": engine.socket_limits.unfinished.total if is_ours else 0,
        }  # fmt: skip

    return app


live = make_live(make_socketio)
brisk = make_live(make_socketio, ping_interval=0.3, ping_timeout=0.2, upgrade_timeout_s=0.3)
hasty = make_live(make_socketio, connect_timeout_s=0.4)
stock = make_live(SocketIO, async_mode="eventlet")
