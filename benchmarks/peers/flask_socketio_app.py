"""Stock Flask-SocketIO on eventlet's own server, as its documentation has it: what is published on
/publish is emitted to everyone on /live.

Started by broadcasters.py: python -m benchmarks.peers.flask_socketio_app <port>
"""

from __future__ import annotations

import warnings

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import eventlet

eventlet.monkey_patch()

import sys  # noqa: E402

from flask import Flask  # noqa: E402
from flask_socketio import SocketIO, emit  # noqa: E402

# eventlet serves 1,024 connections at once unless told otherwise.
MOST_CONNECTIONS = 20_000

app = Flask(__name__)
socketio = SocketIO(app, async_mode="eventlet")


def greet(auth: object = None) -> None:
    emit("response", {"data": "Connected to live stream"})


def publish(data: str) -> None:
    socketio.emit("event", {"data": data}, namespace="/live")


socketio.on_event("connect", greet, namespace="/live")
socketio.on_event("publish", publish, namespace="/publish")

if __name__ == "__main__":
    socketio.run(app, "127.0.0.1", int(sys.argv[1]), log_output=False, max_size=MOST_CONNECTIONS)
