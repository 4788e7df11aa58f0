import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import engineio
import flask_socketio
import pytest
from flask import Flask, request, session
from flask_socketio import Namespace, emit, join_room
from werkzeug.middleware.proxy_fix import ProxyFix

from auth.access import Forbidden
from sockets.environs import KeptEnviron
from sockets.extension import SocketIO

ENVIRON = {
    "REQUEST_METHOD": "GET",
    "PATH_INFO": "/socket.io/",
    "QUERY_STRING": "EIO=4&transport=websocket",
    "SERVER_NAME": "127.0.0.1",
    "SERVER_PORT": "8000",
    "SERVER_PROTOCOL": "HTTP/1.1",
    "REMOTE_ADDR": "127.0.0.1",
    "wsgi.url_scheme": "http",
    "wsgi.input": object(),
    "gunicorn.socket": object(),
    "HTTP_HOST": "example.com",
    "HTTP_COOKIE": "session=abc; empty=",
    "HTTP_X_EMPTY": "",
    "HTTP_CONNECTION": "Upgrade",
    "HTTP_SEC_WEBSOCKET_KEY": "dGhlIHNhbXBsZSBub25jZQ==",
}


def test_what_is_kept_of_a_request():
    app = Flask(__name__)
    environ = KeptEnviron(ENVIRON | {"flask.app": app}).environ()
    kept = {name: value for name, value in environ.items() if isinstance(value, str)}
    gone = ("HTTP_CONNECTION", "HTTP_SEC_WEBSOCKET_KEY")
    assert kept == {n: v for n, v in ENVIRON.items() if isinstance(v, str) and n not in gone}
    with environ["flask.app"].request_context(environ):
        assert request.url == "http://example.com/socket.io/?EIO=4&transport=websocket"
        assert request.cookies["session"] == "abc"
        assert request.get_data() == b""


def test_each_handler_has_an_environ_of_its_own():
    kept = KeptEnviron(ENVIRON)
    kept.environ()["saved"] = True
    assert "saved" not in kept.environ()


def test_ours_loads_no_green_library():
    program = (
        "import sys; from flask import Flask; from sockets.extension import SocketIO;"
        "SocketIO(Flask('app')); sys.exit('eventlet' in sys.modules)"
    )
    root = Path(__file__).parents[2]
    assert subprocess.run([sys.executable, "-c", program], cwd=root, timeout=60).returncode == 0


UNSUPPORTED = {
    "message_queue": "redis://",
    "client_manager": None,
    "channel": "x",
    "serializer": "msgpack",
    "json": json,
    "logger": True,
    "cookie": "io",
    "always_connect": True,
    "namespaces": "*",
    "async_mode": "eventlet",
    "async_handlers": True,
    "manage_session": True,
}


@pytest.mark.parametrize(("name", "value"), UNSUPPORTED.items())
@pytest.mark.parametrize("start", [SocketIO, SocketIO().init_app])
def test_an_option_that_is_not_supported_is_named(start, name, value):
    with pytest.raises(ValueError, match=rf"^{name}=.* is not supported"):
        start(Flask(__name__), **{name: value})


def test_the_options_that_are_supported():
    sockets = SocketIO(
        Flask(__name__),
        ping_interval=(20, 5),
        ping_timeout=7,
        max_http_buffer_size=1000,
        transports="polling",
        async_mode="threading",
        manage_session=False,
    )
    options = sockets.server.engine.options
    assert (options.ping_interval_s, options.ping_timeout_s) == (25, 7)
    assert (options.max_payload_bytes, options.transports) == (1000, ("polling",))


WRONG = {
    "transports": [[], ["foo"], ["polling", "foo"], "", [["polling"]], 5],
    "ping_interval": [0, -1, "25", [5, 2], (), (5, -1), (0, 5), (5, 2, 1), float("nan")],
    "ping_timeout": [0, "5", (5, 2), float("inf")],
    "max_http_buffer_size": [0, "1"],
}


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in WRONG.items() for value in values]
)
@pytest.mark.parametrize("start", [SocketIO, SocketIO().init_app])
def test_a_value_that_is_not_supported_is_named(start, name, value):
    with pytest.raises(ValueError, match=rf"^{name}=.* is not supported"):
        start(Flask(__name__), **{name: value})


def test_none_is_the_default():
    names = (
        "ping_interval",
        "ping_timeout",
        "transports",
        "allow_upgrades",
        "path",
        "cors_credentials",
    )
    options = SocketIO(Flask(__name__), **dict.fromkeys(names)).server.engine.options
    assert options == SocketIO(Flask(__name__)).server.engine.options


ORIGINS = {
    "by default those of the same": (None, "http://a.example", True),
    "and no others": (None, "http://b.example", False),
    "all": ("*", "http://b.example", True),
    "a list": (["http://b.example"], "http://b.example", True),
    "that has not this one": (["http://b.example"], "http://a.example", False),
    "a function of the origin": (lambda origin: "b.ex" in origin, "http://b.example", True),
    "that has not that one": (lambda origin: "b.ex" in origin, "http://a.example", False),
    "a function": (lambda origin, environ: origin.endswith("b.example"), "http://b.example", True),
}


@pytest.mark.parametrize(("allowed", "origin", "may"), ORIGINS.values(), ids=ORIGINS.keys())
def test_whose_pages_may_connect(app, allowed, origin, may):
    SocketIO(app, cors_allowed_origins=allowed)
    headers = {"Origin": origin, "Host": "a.example"}
    answer = app.test_client().get("/socket.io/?EIO=4&transport=polling", headers=headers)
    assert answer.status_code == (200 if may else 403)
    assert answer.headers.get("Access-Control-Allow-Origin") == (origin if may else None)


def test_behind_a_proxy_the_origin_is_the_proxys(app, sockets):
    app.wsgi_app = ProxyFix(app.wsgi_app, x_proto=1, x_host=1)
    headers = {"Origin": "https://a.example"}
    headers |= {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "a.example"}
    answer = app.test_client().get("/socket.io/?EIO=4&transport=polling", headers=headers)
    assert answer.status_code == 200


def test_without_cors_nobody_looks(app):
    SocketIO(app, cors_allowed_origins=[])
    headers = {"Origin": "http://b.example"}
    answer = app.test_client().get("/socket.io/?EIO=4&transport=polling", headers=headers)
    assert answer.status_code == 200
    assert not [name for name, _ in answer.headers if name.startswith("Access-Control")]


def test_what_waits_for_itself_is_refused(sockets):
    with pytest.raises(RuntimeError, match="callback"):
        sockets.call("event", namespace="/room")
    with pytest.raises(RuntimeError, match="gunicorn"):
        sockets.run(None)
    with pytest.raises(RuntimeError, match="gunicorn"):
        sockets.stop()


def test_upstreams_queue_has_no_bound():
    """What ours is for: when this fails, upstream bounds what it keeps for a client."""
    session = engineio.socket.Socket(engineio.Server(async_mode="threading"), "sid")
    assert session.queue.maxsize == 0


# Flask-SocketIO's test client, and what Flask's handlers use


class Room(Namespace):
    def on_connect(self, auth=None):
        if auth == {"may": False}:
            raise Forbidden("you may not")
        emit("held", request.args.get("name"))

    def on_join(self, room):
        join_room(room)
        return flask_socketio.rooms()

    def on_tell(self, room, text):
        emit("told", text, to=room, include_self=False)

    def on_forbidden(self):
        raise Forbidden("you may not")

    def on_volatile(self):
        emit("ignored", volatile=True)
        with pytest.raises(TypeError, match="volatile"):
            self.emit("refused", volatile=True)
        return "refused"

    def on_session(self):
        session["x"] = 1


@pytest.fixture
def app():
    app = Flask(__name__)
    app.secret_key = "key"
    return app


@pytest.fixture
def sockets(app):
    sockets = SocketIO(refusals=Counter())
    sockets.on_namespace(Room("/room"))
    sockets.on("top")(lambda *arguments: arguments)
    sockets.init_app(app)
    return sockets


@pytest.fixture
def join(app, sockets):
    """A verb: join(name) returns Flask-SocketIO's test client in /room."""
    return lambda name: sockets.test_client(app, "/room", query_string=f"name={name}")


def test_flask_socketios_test_client(join):
    client = join("ann")
    assert client.is_connected("/room")
    held = {"name": "held", "args": ["ann"], "namespace": "/room"}
    assert client.get_received("/room") == [held]
    client.disconnect("/room")
    assert not client.is_connected("/room")


def test_rooms(join, sockets):
    ann, bob, cat = join("ann"), join("bob"), join("cat")
    assert "red" in ann.emit("join", "red", namespace="/room", callback=True)
    bob.emit("join", "red", namespace="/room", callback=True)
    for each in (ann, bob, cat):
        each.get_received("/room")
    ann.emit("tell", "red", "hi", namespace="/room")
    assert [each.get_received("/room") for each in (ann, cat)] == [[], []]
    assert bob.get_received("/room")[0]["args"] == ["hi"]
    sockets.emit("all", {"n": 1}, namespace="/room")
    assert cat.get_received("/room")[0]["name"] == "all"


def test_flask_socketios_own_emit_takes_no_volatile(join):
    """docs/embedding.md says what to call instead."""
    assert join("ann").emit("volatile", namespace="/room", callback=True) == "refused"


@pytest.mark.parametrize("room", [5, None, ["red"]])
def test_a_room_is_a_text(app, sockets, room):
    with pytest.raises(TypeError, match="a room is a text"):
        sockets.server.enter_room("sid", room, "/room")


def test_functions_are_handlers_too(app, sockets):
    client = sockets.test_client(app)
    assert client.emit("top", 1, "2", callback=True) == [1, "2"]


FORBIDDEN = {
    "ok": False,
    "error": "forbidden",
    "message": "you may not",
    "status": 403,
    "detail": {},
}


def test_an_access_error_of_a_handler_is_its_acknowledgement(join, sockets, caplog):
    answer = join("ann").emit("forbidden", namespace="/room", callback=True)
    assert answer == FORBIDDEN
    assert sockets.server.sockets.sessions.refusals == {"forbidden": 1}
    assert [record.exc_info for record in caplog.records] == [None]


def test_an_access_error_of_a_connect_handler_is_told(app, sockets, caplog):
    client = sockets.test_client(app, "/room", auth={"may": False})
    assert not client.is_connected("/room")
    assert sockets.server.sockets.sessions.refusals == {"forbidden": 1}
    assert [record.exc_info for record in caplog.records] == [None]


def test_a_session_of_flask_is_not_kept(join, caplog):
    client = join("ann")
    client.emit("session", namespace="/room", callback=True)
    assert not caplog.records


def test_polling_by_a_wsgi_server_of_any_kind(app, sockets):
    with app.test_client() as client:
        opened = client.get("/socket.io/?EIO=4&transport=polling")
        assert opened.json is None
        assert b'"upgrades":[]' in opened.data
        assert client.get("/other").status_code == 404
        answer = client.get(
            "/socket.io/?EIO=4&transport=websocket",
            headers={"Connection": "Upgrade", "Upgrade": "websocket"},
        )
        assert answer.status_code == 426
