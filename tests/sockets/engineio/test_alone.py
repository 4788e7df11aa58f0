"""The protocol stack by itself, under a WSGI server of the standard library."""

import subprocess
import sys
import threading
from pathlib import Path
from wsgiref.simple_server import WSGIRequestHandler, make_server

import pytest

from sockets.engineio.engine import EngineServer
from sockets.engineio.errors import ConnectRefused
from sockets.engineio.server import SocketIOServer
from sockets.engineio.socketio_packets import event_packet
from tests.sockets.clients import Polling


class Greeter:
    """One namespace, which greets who comes and gives back what it is told."""

    def __init__(self):
        self.gone = threading.Event()
        self.sockets = None

    def opened(self, session, environ): ...

    def forget(self, session):
        self.gone.set()

    def serves(self, namespace):
        return namespace == "/"

    def connect(self, namespace, sid, auth):
        if auth == {"name": "nobody"}:
            raise ConnectRefused({"message": "no"})
        session = self.sockets.members.find(sid, namespace).session
        self.sockets.emitter.deliver(session, event_packet("hello", [auth], namespace))

    def heard(self, namespace, sid): ...

    def event(self, namespace, sid, name, arguments):
        return name, *arguments

    def disconnect(self, namespace, sid, reason): ...

    def upgraded(self, namespace, sid): ...

    def over(self, namespace, sid): ...


class Quiet(WSGIRequestHandler):
    def log_message(self, *arguments): ...


@pytest.fixture
def greeter():
    return Greeter()


@pytest.fixture
def port(greeter):
    engine = EngineServer()
    greeter.sockets = SocketIOServer(engine, greeter)
    server = make_server("127.0.0.1", 0, engine, handler_class=Quiet)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server.server_port
    engine.stop()
    server.shutdown()
    thread.join()
    server.server_close()


def test_it_serves_polls(port, greeter):
    client = Polling(port)
    assert client.opened["upgrades"] == []
    assert client.post('40{"name":"ann"}\x1e421["same",2]') == (200, "ok")
    greeting, answer, event = client.packets()
    assert greeting == '42["hello",{"name":"ann"}]'
    assert answer.startswith('40{"sid":')
    assert event == '431["same",2]'
    assert client.post("1") == (200, "ok")
    assert greeter.gone.wait(5)


def test_what_the_application_refuses(port):
    client = Polling(port)
    client.post('40{"name":"nobody"}')
    assert client.packets() == ['44{"message":"no"}']
    client.post("1")


def test_it_loads_nothing_of_ours_or_others():
    program = (
        "import sys; before = set(sys.modules); import sockets.engineio.server;"
        "loaded = {name.partition('.')[0] for name in set(sys.modules) - before};"
        "print(*sorted(loaded - set(sys.stdlib_module_names)))"
    )
    root = Path(__file__).parents[3]
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=root, capture_output=True, text=True, timeout=60
    )
    assert done.stdout.split() == ["h11", "sockets", "wsproto"]
