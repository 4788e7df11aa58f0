"""docs/embedding.md: each program in it is run as it stands there, and does what it says."""

import re
import signal
import subprocess
from contextlib import ExitStack

import pytest
import requests
import socketio

from tests.sockets.clients import Polling, RawWebSocket, close
from tests.system.gunicorn_process import GunicornProcess
from tests.system.server import CATALOGUE, GUNICORN, ROOT, Server, wait_until

PROGRAMS = re.findall(r"(?s)```python\n(.*?)```", (ROOT / "docs" / "embedding.md").read_text())
WEBSOCKET = "/socket.io/?EIO=4&transport=websocket"
PENDING = 5
SHOP = '\n[topics."shop/*"]\ndurable = true\n'


@pytest.fixture
def lay(tmp_path):
    """A verb: lay(program) writes a program of the page to its file; returns the module's name."""

    def lay(program):
        name = re.match(r'"""(\w+)\.py: ', program)[1]
        (tmp_path / f"{name}.py").write_text(program)
        return name

    return lay


@pytest.fixture
def shop(tmp_path, fill, lay):
    """The server with what the page adds to it."""
    fill(tmp_path)
    server = Server(tmp_path, CATALOGUE + SHOP, PYTHONPATH=f"{ROOT}:{tmp_path}")
    server.app = f"{lay(PROGRAMS[0])}:app"
    yield server.start()
    server.clean_up()


@pytest.fixture
def own(tmp_path, lay):
    """The application of its own."""
    name = lay(PROGRAMS[1])
    environ = {
        "PYTHONPATH": f"{ROOT}:{tmp_path}",
        "HEADWATER_CONNECTIONS_PENDING": str(PENDING),
    }
    server = GunicornProcess(tmp_path, module=None, app=f"{name}:app", **environ)
    yield server
    server.stop()


@pytest.fixture
def join():
    """A verb: join(url, namespace) returns a connected client of python-socketio."""
    clients = []

    def join(url, namespace, **more):
        clients.append(socketio.Client(http_session=requests.Session()))
        clients[-1].connect(url, namespaces=[namespace], **more)
        return clients[-1]

    yield join
    for client in clients:
        client.disconnect()
        client.eio.http.close()


def test_every_program_of_the_page_is_run():
    assert len(PROGRAMS) == 2


def test_a_namespace_an_event_and_a_blueprint(shop, join):
    client = join(shop.base, "/shop")
    came = []
    client.on("order", came.append, namespace="/shop")
    assert client.call("price", "tea", namespace="/shop") == {"article": "tea", "price": 3}
    answer = requests.post(f"{shop.base}/shop/orders", json={"n": 1}, timeout=10)
    assert answer.status_code == 201
    wait_until(lambda: came == [{"n": 1}], "it is emitted")
    kept = requests.get(f"{shop.base}/events/shop/orders?since=all&poll=1", timeout=10)
    assert f'"id":"{answer.json()["id"]}"' in kept.text.replace(": ", ":")


def test_headwaters_own_namespace_is_there_too(shop, join):
    assert join(shop.base, "/live").call("subscribe", {"topic": "shop/*"}, namespace="/live")["ok"]


def test_a_namespace_of_ones_own_asks_who_comes(shop, join):
    command = [GUNICORN.with_name("flask"), "--app", "wsgi", "tokens", "add", "ann"]
    command += ["--scope", "read:*"]
    subprocess.run(command, cwd=ROOT, env=shop.environ, check=True, capture_output=True)
    wait_until(lambda: shop.get("/exports").status == 401, "a token is needed")
    with pytest.raises(socketio.exceptions.ConnectionError):
        join(shop.base, "/shop", auth={"token": "wrong"})


@pytest.mark.parametrize("transports", [["polling"], ["websocket"], None])
def test_an_application_of_ones_own(own, join, transports):
    client = join(f"http://127.0.0.1:{own.port}", "/", transports=transports)
    assert client.call("greet", "ann") == "hello ann"


def test_it_tells_its_clients_that_it_stops(own):
    with RawWebSocket(own.port, WEBSOCKET) as client:
        polling = Polling(own.port)
        polling.post("40")
        assert polling.packet().startswith("40")
        with polling.begin("GET") as poll:
            client.send("40")
            client.text(), client.text()
            own.signal(signal.SIGTERM)
            assert client.close_code() == 1012
            client.send(close(1012))
            assert poll.answer() == (200, "1")
        # Clients that are not told have 27 s.
        own.process.wait(timeout=10)
    assert "cut connections" not in own.log


def test_it_counts_no_open_websocket_as_pending(own):
    with ExitStack() as stack:
        for _ in range(PENDING + 2):
            client = stack.enter_context(RawWebSocket(own.port, WEBSOCKET))
            assert client.status == 101


def test_the_entry_is_imported_before_flask(tmp_path, fill, lay):
    fill(tmp_path)
    late = PROGRAMS[0].replace('a shop."""\n', 'a shop."""\nimport flask\n', 1)
    server = Server(tmp_path, PYTHONPATH=f"{ROOT}:{tmp_path}")
    server.app = f"{lay(late)}:app"
    server.launch()
    wait_until(lambda: server.process.poll() is not None, "it ends")
    assert "import wsgi before Flask" in server.log
