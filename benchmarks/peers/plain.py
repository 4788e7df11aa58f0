"""Peers with the same answers: Headwater's answers are recorded, and sent again by each.

Way in: record, on_our_worker for a Flask view and a WSGI function on Headwater's worker, PEERS.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from benchmarks.client import TIMEOUT_S, Address
from benchmarks.kept import read_answer
from benchmarks.peers import nginx
from benchmarks.processes import DidNotStart, free_port, running
from benchmarks.server import PROJECT

HERE = Path(__file__).parent
Serve = Callable[[Path], AbstractContextManager[Address]]


@contextmanager
def temporary(above: Path) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="plain-", dir=above) as name:
        yield Path(name)


def record(folder: Path, address: Address, requests: Sequence[bytes]) -> Path:
    """Write what address answers to each request into folder: answers.json, and bodies as files."""
    told = []
    for request in requests:
        method, path, _ = request.decode().split(" ", 2)
        with socket.create_connection(address, TIMEOUT_S) as connection:
            connection.sendall(request)
            head, _, body = read_answer(connection).partition(b"\r\n\r\n")
        file = folder / "bodies" / path.lstrip("/")
        file = file / "index.html" if path == "/" else file
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(body)
        fields = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:])
        told.append(
            {
                "method": method,
                "path": path,
                "status": int(head.split()[1]),
                "type": fields["Content-Type"],
                "file": str(file),
            }
        )
    (folder / "answers.json").write_text(json.dumps(told))
    return folder


@contextmanager
def on_our_worker(folder: Path, app: str) -> Iterator[Address]:
    """Serve it by an application of plain_app.py, on Headwater's worker, without any log."""
    address = ("127.0.0.1", free_port())
    command = [sys.executable, "-m", "gunicorn", "-c", str(HERE / "plain_gunicorn.py")]
    command += ["-b", f"127.0.0.1:{address[1]}", f"benchmarks.peers.plain_app:{app}"]
    environ = {**os.environ, "PLAIN_FOLDER": str(folder)}
    with running(command, address, folder / f"{app}.log", environ, PROJECT):
        yield address


@contextmanager
def _flask_socketio(folder: Path) -> Iterator[Address]:
    with _started([sys.executable, "-m", "benchmarks.peers.plain_app"], folder) as address:
        yield address


@contextmanager
def _node(folder: Path) -> Iterator[Address]:
    if not shutil.which("node"):
        raise DidNotStart("node is missing: apt install nodejs")
    with _started(["node", str(HERE / "plain_app.mjs")], folder) as address:
        yield address


@contextmanager
def _nginx(folder: Path) -> Iterator[Address]:
    if not nginx.is_there():
        raise DidNotStart(nginx.INSTALL)
    with nginx.served(folder / "bodies", folder / "nginx") as address:
        yield address


@contextmanager
def _started(command: list[str], folder: Path) -> Iterator[Address]:
    address = ("127.0.0.1", free_port())
    environ = {**os.environ, "PLAIN_FOLDER": str(folder)}
    with running([*command, str(address[1])], address, folder / "peer.log", environ, PROJECT):
        yield address


PEERS: dict[str, Serve] = {"Flask-SocketIO": _flask_socketio, "Node": _node, "nginx": _nginx}
