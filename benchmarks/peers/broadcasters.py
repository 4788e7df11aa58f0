"""Servers that send one event to many clients: how to start, listen and publish to each.

Headwater itself is among them, so that a benchmark treats all alike. FastAPI runs under uvicorn
with uvloop, httptools and `websockets`; Flask-SocketIO on eventlet's server; Node's Socket.IO as
npm installs it. Only WebSocket is spoken, compression is never offered. What is missing is
installed on demand, where git ignores it. Way in: HEADWATER and those beside it.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import NamedTuple

from benchmarks.client import Address
from benchmarks.crowd import Dialogue
from benchmarks.peers import nchan
from benchmarks.processes import DidNotStart, free_port, running
from benchmarks.server import PROJECT, served

HERE = Path(__file__).parent
INSTALL_S = 300
CONNECTIONS = 10_000
SOCKETIO = "/socket.io/?EIO=4&transport=websocket"
# A server that listens may not have its routes yet; 50 ms would do.
READY_S = 0.5


class Running(NamedTuple):
    """A server under measurement. pid: the root of its processes."""

    address: Address
    pid: int


class Broadcaster(NamedTuple):
    """One of those compared.

    serve: starts it, given the database of the tables that Headwater's catalogue names; raises
    DidNotStart, which says what is missing. template: what is said to publish, `%s` is the data.
    """

    name: str
    serve: Callable[[Path], AbstractContextManager[Running]]
    listen: Dialogue
    publish: Dialogue
    template: str


def socketio(namespace: str, *, subscribe: str = "", since: str = "") -> Dialogue:
    """Return how Socket.IO over WebSocket connects to a namespace, and subscribes to a topic.

    since: from where on, "" for what comes.
    """
    steps = [("0{", f"40{namespace},"), (f"40{namespace},", "")]
    if subscribe:
        text = json.dumps(["subscribe", {"topic": subscribe} | ({"since": since} if since else {})])
        steps[1:] = [(f"40{namespace},", f"42{namespace},0{text}"), (f"43{namespace},0[{{", "")]
    return Dialogue(SOCKETIO, steps)


def _headwater(**settings: str) -> Callable[[Path], AbstractContextManager[Running]]:
    @contextmanager
    def serve(database: Path) -> Iterator[Running]:
        more = {"HEADWATER_CONNECTIONS": str(CONNECTIONS), **settings}
        with served(database, settings=more, live=True) as server:
            yield Running(server.address, server.tree.root)

    return serve


@contextmanager
def _flask_socketio(database: Path) -> Iterator[Running]:
    command = [sys.executable, "-m", "benchmarks.peers.flask_socketio_app"]
    with _started(command, database.parent / "flask-socketio.log") as peer:
        yield peer


@contextmanager
def _node(database: Path) -> Iterator[Running]:
    if not shutil.which("node") or not shutil.which("npm"):
        raise DidNotStart("node is missing: apt install nodejs npm")
    _install_once(
        HERE / "package-lock.json",
        HERE / "node_modules" / ".installed",
        [["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]],
    )
    command = ["node", str(HERE / "socketio_app.mjs")]
    with _started(command, database.parent / "node.log") as peer:
        yield peer


@contextmanager
def serve_nchan(database: Path) -> Iterator[Running]:
    """Serve Nchan; see nchan.py."""
    with nchan.served(database.parent) as (address, pid):
        yield Running(address, pid)


@contextmanager
def _fastapi(database: Path) -> Iterator[Running]:
    environment = database.parent / "peers"
    python = str(environment / "bin" / "python")
    _install_once(
        HERE / "requirements.txt",
        environment / ".installed",
        [
            [sys.executable, "-m", "venv", "--clear", str(environment)],
            [
                python,
                "-m",
                "pip",
                "install",
                "--quiet",
                "--require-hashes",
                "-r",
                "requirements.txt",
            ],
        ],
    )
    command = [python, "-m", "uvicorn", "benchmarks.peers.fastapi_app:app", "--loop", "uvloop"]
    command += ["--http", "httptools", "--ws", "websockets", "--log-level", "warning", "--port"]
    with _started(command, database.parent / "fastapi.log") as peer:
        yield peer


@contextmanager
def prebuilt(folder: Path, clients: int, frames_a_write: int, events: int) -> Iterator[Running]:
    """Serve frames made beforehand; see prebuilt.py. folder: for its log."""
    command = [sys.executable, "-m", "benchmarks.peers.prebuilt"]
    more = [str(clients), str(frames_a_write), str(events)]
    with _started(command, folder / "prebuilt.log", more) as peer:
        yield peer


@contextmanager
def _started(command: list[str], log: Path, more: Sequence[str] = ()) -> Iterator[Running]:
    """Run a peer whose command goes on with its port, and then with more."""
    address = ("127.0.0.1", free_port())
    with running([*command, str(address[1]), *more], address, log, os.environ, PROJECT) as pid:
        time.sleep(READY_S)
        yield Running(address, pid)


def _install_once(pins: Path, stamp: Path, commands: Sequence[Sequence[str]]) -> None:
    """Run the commands unless the stamp says that these pins are installed. Raises DidNotStart."""
    if stamp.exists() and stamp.read_bytes() == pins.read_bytes():
        return
    for command in commands:
        done = subprocess.run(
            command, cwd=HERE, capture_output=True, text=True, timeout=INSTALL_S, check=False
        )
        if done.returncode:
            raise DidNotStart(f"{' '.join(command[:3])}: {(done.stderr or done.stdout)[-300:]}")
    stamp.write_bytes(pins.read_bytes())


_PUBLISH = '42/live,["publish",{"topic":"bench","name":"message","data":"%s"}]'

HEADWATER = Broadcaster(
    "headwater, WebSocket",
    _headwater(),
    Dialogue("/ws/events/bench"),
    socketio("/live"),
    _PUBLISH,
)
HEADWATER_LIVE = Broadcaster(
    "headwater, Socket.IO",
    _headwater(),
    socketio("/live", subscribe="bench"),
    socketio("/live"),
    _PUBLISH,
)
FLASK_SOCKETIO = Broadcaster(
    "Flask-SocketIO",
    _flask_socketio,
    socketio("/live"),
    socketio("/publish"),
    '42/publish,["publish","%s"]',
)
NODE = FLASK_SOCKETIO._replace(name="Socket.IO on Node", serve=_node)
FASTAPI = Broadcaster("FastAPI", _fastapi, Dialogue("/live"), Dialogue("/publish"), '"%s"')
