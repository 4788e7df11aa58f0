"""The answers that plain.py has recorded: by a Flask view, by a WSGI function, and by stock
Flask-SocketIO on eventlet's own server, which also emits what is published.

Started by plain.py; the last as `python -m benchmarks.peers.plain_app <port>`.
"""

from __future__ import annotations

import sys

if __name__ == "__main__":
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import eventlet

    eventlet.monkey_patch()

import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from flask import Flask, Response, request

FOLDER = Path(os.environ["PLAIN_FOLDER"])
ANSWERS = {
    (each["method"], each["path"]): (each["status"], each["type"], Path(each["file"]).read_bytes())
    for each in json.loads((FOLDER / "answers.json").read_text())
}
MOST_CONNECTIONS = 20_000


def make_flask(publish: Callable[[bytes], None] = lambda data: None) -> Flask:
    """Return an application with a view for each answer. publish: told what was posted."""
    app = Flask(__name__)
    for (method, path), answer in ANSWERS.items():

        def view(answer: tuple[int, str, bytes] = answer) -> Response:
            status, kind, body = answer
            if request.method == "POST":
                publish(request.get_data())
            return Response(body, status, content_type=kind)

        app.add_url_rule(path, f"{method} {path}".replace(".", "_"), view, methods=[method])
    return app


def wsgi_app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    status, kind, body = ANSWERS[environ["REQUEST_METHOD"], environ["PATH_INFO"]]
    if environ["REQUEST_METHOD"] == "POST":
        environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
    fields = [("Content-Type", kind), ("Content-Length", str(len(body)))]
    start_response(f"{status} OK", fields)
    return [body]


flask_app = make_flask()

if __name__ == "__main__":
    from flask_socketio import SocketIO

    def emit(data: bytes) -> None:
        socketio.emit("event", json.loads(data), namespace="/live")

    stock = make_flask(emit)
    socketio = SocketIO(stock, async_mode="eventlet")
    port = int(sys.argv[1])
    socketio.run(stock, "127.0.0.1", port, log_output=False, max_size=MOST_CONNECTIONS)
