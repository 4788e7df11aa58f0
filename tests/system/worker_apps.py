"""Small WSGI applications, one for each habit of the worker; gunicorn loads `app` or `live`."""

import json
import logging
import os
import sys

# Taken from its module as the application's modules would: it lets other greenlets run only if the
# worker patched before it loaded this file.
from time import sleep, thread_time
from urllib.parse import parse_qsl

from eventlet import tpool
from flask import Flask
from flask_socketio import SocketIO

from server.hooks import WorkerHooks, give_hooks
from server.log_format import formatter_for
from server.monkey_patching import eventlet

log = logging.getLogger(__name__)
handler = logging.StreamHandler()
handler.setFormatter(formatter_for("json", None))
logging.basicConfig(handlers=[handler])

PATCHED_BEFORE_LOAD = eventlet.patcher.is_monkey_patched("socket")


def hello(query, environ, start_response):
    start_response("200 OK", [("Content-Length", "6")])
    return [b"hello\n"]


def state(query, environ, start_response):
    start_response("200 OK", [])
    facts = {
        "pid": os.getpid(),
        "patched before load": PATCHED_BEFORE_LOAD,
        "at fork": os.environ.get("AT_FORK"),
    }
    return [json.dumps(facts).encode()]


def count(query, environ, start_response):
    """n lines, gap seconds apart; says on stderr when it is closed."""
    start_response("200 OK", [])
    try:
        for i in range(int(query["n"])):
            yield b"%d\n" % i
            sleep(float(query["gap"]))
    finally:
        print("count is closed", file=sys.stderr, flush=True)


def breaks(query, environ, start_response):
    """Raise after the first bytes; `length` announces more than comes."""
    start_response("200 OK", [("Content-Length", "99")] if "length" in query else [])
    yield b"first\n"
    raise eventlet.Timeout() if "timeout" in query else RuntimeError("after the first byte")


def flood(query, environ, start_response):
    """Never end and never wait; pieces so small that a client reads them faster than they come."""
    start_response("200 OK", [])
    while True:
        yield b"drop"


def file(query, environ, start_response):
    """The bytes offset <= i < offset + length of a file, by gunicorn's sendfile."""
    opened = open(query["path"], "rb")  # noqa: SIM115 (the response closes it)
    opened.seek(int(query.get("offset", 0)))
    length = query.get("length", str(os.path.getsize(query["path"])))  # noqa: PTH202
    start_response("200 OK", [("Content-Length", length)])
    return environ["wsgi.file_wrapper"](opened)


class Taken(list):
    """An empty body whose close() tells that somebody closed it."""

    def close(self):
        print("taken is closed", file=sys.stderr, flush=True)


def taken(query, environ, start_response):
    """Answer on the socket itself, as a WebSocket under eventlet does."""
    environ["gunicorn.socket"].sendall(b"HTTP/1.1 101 Taken\r\n\r\nmine")
    eventlet.wsgi.WSGI_LOCAL.already_handled = True
    return Taken()


def told(query, environ, start_response):
    """Log a line in the view and one at the end of the body, with time for others in between."""
    start_response("200 OK", [("X-Request-ID", "the application's own")])
    log.warning("view %s", query["n"])
    try:
        for _ in range(3):
            yield b"."
            sleep(0.01)
    finally:
        log.warning("body %s", query["n"])


def talks(query, environ, start_response):
    """Take the connection over, and log in what goes on with it."""
    client = environ["headwater.client"]

    def talk():
        client.socket.sendall(b"mine")
        log.warning("talk %s", query["n"])

    client.take_over(talk)
    return [b""]


def size(query, environ, start_response):
    """Read the body as Flask does, or line after line, and say how long it is."""
    stream = environ["wsgi.input"]
    body = b"".join(stream) if "lines" in query else stream.read()
    start_response("200 OK", [])
    return [b"%d\n" % len(body)]


def refusals(query, environ, start_response):
    start_response("200 OK", [])
    return [json.dumps(hooks.refusals).encode()]


def hold(query, environ, start_response):
    """Hold the hub, as a C library does that waits for a disk."""
    eventlet.patcher.original("time").sleep(60)
    return hello(query, environ, start_response)


def works(query, environ, start_response):
    """Take so much CPU time before the answer, in `turns` with turns of others in between."""
    for _ in range(int(query.get("turns", 1))):
        ends_s = thread_time() + float(query["ms"]) / 1000
        while thread_time() < ends_s:
            pass
        sleep(0)
    return hello(query, environ, start_response)


def syncs(query, environ, start_response):
    """Wait for the disk, here or on a native thread."""
    descriptor = os.memfd_create("synced")
    if "native" in query:
        tpool.execute(os.fsync, descriptor)
    else:
        os.fsync(descriptor)
    os.close(descriptor)
    return hello(query, environ, start_response)


ROUTES = {f"/{route.__name__}": route for route in (hello, state, count, breaks)}
ROUTES |= {f"/{route.__name__}": route for route in (flood, file, taken, hold)}
ROUTES |= {f"/{route.__name__}": route for route in (told, talks, size, refusals, works, syncs)}


def app(environ, start_response):
    query = dict(parse_qsl(environ["QUERY_STRING"]))
    return ROUTES[environ["PATH_INFO"]](query, environ, start_response)


hooks = WorkerHooks()
give_hooks(app, hooks)

live = Flask(__name__)
socketio = SocketIO(live, async_mode="eventlet")


@socketio.on("echo")
def echo(text):
    socketio.emit("echoed", text)
