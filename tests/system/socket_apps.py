"""Small applications that speak WebSocket and Socket.IO; gunicorn loads one of them."""

import gc
import os
import re
from pathlib import Path
from time import sleep

import engineio
import flask_socketio
from flask import Flask, request
from flask_socketio import ConnectionRefusedError as Refused
from flask_socketio import Namespace, emit
from greenlet import greenlet

from auth.request_scheduler import RequestScheduler
from server.hooks import WorkerHooks, give_hooks
from sockets.connections import make_acceptor
from sockets.engineio.acceptor import MAX_MESSAGE_BYTES, Acceptor
from sockets.engineio.engine import EngineServer
from sockets.engineio.errors import SocketError
from sockets.engineio.sessions import EngineOptions
from sockets.engineio.socketio_packets import event_packet
from sockets.extension import SocketIO
from topics import ConnectionWriter
from wire.connection import connection_of


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
ACCEPTOR = make_acceptor(RequestScheduler())


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


@raw.get("/<talk>", websocket=True)
@raw.get("/<talk>")
def open_one(talk):
    """One of the functions above. limit: the longest message."""
    if talk == "facts":
        return process() | {"open": len(OPEN), "busy": sum(each.writer.busy for each in OPEN)}
    if talk == "leave":
        code, reason = int(request.args["code"]), request.args.get("reason", "")
        ACCEPTOR.serve(request.environ, lambda websocket: leave(websocket, code, reason), "")
    else:
        talks = {"echo": echo, "fail": fail, "flood": flood, "last": last}
        limit = request.args.get("limit", MAX_MESSAGE_BYTES, int)
        more = [("X-More", "yes")]
        ACCEPTOR.serve(request.environ, registered(talks[talk]), "", more, limit)
    return ""


@raw.get("/close_all")
def close_all():
    for websocket in OPEN:
        websocket.close(int(request.args["code"]))
    return ""


@raw.errorhandler(SocketError)
def refuse(error):
    return {"error": error.code, "message": str(error)}, error.status, {**error.headers}


# Engine.IO by itself, as its protocol suite has it: what comes goes back


class Echo:
    """Handlers of sessions. send: of the engine."""

    def __init__(self, send):
        self.message = send

    def opened(self, sid, environ): ...

    def upgraded(self, sid): ...

    def over(self, sid): ...

    def closed(self, sid, reason): ...


engine = EngineServer(
    EngineOptions(ping_interval_s=0.3, ping_timeout_s=0.2),
    acceptor=Acceptor(connection_of, ConnectionWriter),
)
engine.sessions.handlers = Echo(engine.send)

_stock = engineio.Server(ping_interval=0.3, ping_timeout=0.2, async_mode="eventlet")
_stock.on("message", _stock.send)
stock_engine = engineio.WSGIApp(_stock)


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


suite = make_suite(SocketIO, acceptor=ACCEPTOR, connect_timeout_s=1.0)
stock_suite = make_suite(flask_socketio.SocketIO, async_mode="eventlet")


# Socket.IO, with everything that may go wrong


class Feed:
    """A source of the events fed(0) … fed(count - 1), for whatever writer the client has."""

    def __init__(self, count, padding=()):
        self.count = count
        self.padding = padding
        self.next = 0
        self.transport = ""

    def attach(self, socketio, sid):
        self.transport = socketio.server.transport(sid, "/live")
        socketio.writer_of(sid, "/live").feed_from(self)

    def more(self):
        if self.next == self.count:
            return None
        sleep(0.001)  # as from a disk
        packet = event_packet("fed", [self.next, *self.padding], "/live")
        self.next += 1
        return packet.frame if self.transport == "websocket" else packet.payload


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
        feed.attach(self.socketio, request.sid)

    def on_fat_feed(self, count):
        feed = self.feeds[request.sid] = Feed(count, ["x" * 5000])
        feed.attach(self.socketio, request.sid)

    def upgraded(self, sid):
        if sid in self.feeds:
            self.feeds[sid].attach(self.socketio, sid)


def make_live(kind, **options):
    app, hooks = Flask(__name__), WorkerHooks()
    give_hooks(app, hooks)
    is_ours = kind is SocketIO
    parts = {"acceptor": ACCEPTOR, "refusals": hooks.refusals} if is_ours else {}
    socketio = kind(app, **parts, **options)
    namespace = Live()
    socketio.on_namespace(namespace)

    @app.get("/emit/<event>")
    def emit_to_all(event):
        data = [event.encode()] if "bytes" in request.args else event
        socketio.emit(event, data, namespace="/live")
        return ""

    @app.get("/tick/<event>")
    def tick(event):
        socketio.emit(event, {"data": event}, namespace="/live", volatile=True)
        return ""

    @app.get("/close_all")
    def close_all():
        socketio.close_all(1012, "the server restarts")
        return ""

    @app.get("/facts")
    def facts():
        left, namespace.left = namespace.left, []
        if is_ours:
            engine = socketio.server.engine
            members = len(socketio.server.sockets.members.addressed("/live", None, None))
            sessions = engine.sessions.by_id.values()
            more = socketio.counts() | {
                "waiting": sum(not session.writer.busy for session in sessions),
                "unfinished": engine.acceptor.unfinished.total,
            }
        else:
            manager, more = socketio.server.manager, {}
            members = sum(1 for _ in manager.get_participants("/live", None))
        return process() | more | {
            "left": left,
            "refusals": hooks.refusals,
            "members": members,
            "environs": len(socketio.server.environ),
        }  # fmt: skip

    return app


live = make_live(SocketIO)
brisk = make_live(SocketIO, ping_interval=0.3, ping_timeout=0.2, upgrade_timeout_s=0.3)
hasty = make_live(SocketIO, connect_timeout_s=0.4)
stock = make_live(flask_socketio.SocketIO, async_mode="eventlet")
