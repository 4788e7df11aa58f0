"""The whole server, as `make run` starts it, with an instance folder and a catalogue of its own.

Way in: served.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.client import TIMEOUT_S, Address, BadAnswer, Connection, Fetched, ask
from benchmarks.data import TABLES
from benchmarks.processes import Tree, free_port, running

PROJECT = Path(__file__).parent.parent
GUNICORN = [sys.executable, "-m", "gunicorn"]

# As many rows as `big` has, of the original contract's two columns.
USERS = 1_000_000

# Large enough for all events of a benchmark.
TOPICS = """
[topics.bench]
durable = false
retain_events = 200000
retain_bytes = 268435456

[topics.kept]
durable = true
retain_events = 200000
retain_bytes = 268435456
"""


class Server(NamedTuple):
    """A running server. folder: its temporary one, also for what else a benchmark writes."""

    address: Address
    tree: Tree
    folder: Path

    def produce(self, path: str, *, stop_after_bytes: int | None = None) -> Fetched:
        """Download what was not recorded before, on a connection of its own; leave nothing kept.

        The server is idle again when this returns.
        """
        connection = Connection(self.address)
        fetched = connection.fetch(path, stop_after_bytes=stop_after_bytes)
        connection.close()
        ask(self.address, "/exports/" + fetched.headers["headwater-export"], method="DELETE")
        self.tree.settle()
        return fetched

    def prepare(self, path: str) -> dict[str, Any]:
        """Download, and return what the server says of the export once it is complete."""
        connection = Connection(self.address)
        fetched = connection.fetch(path)
        connection.close()
        address = "/exports/" + fetched.headers["headwater-export"]
        deadline_s = time.monotonic() + TIMEOUT_S
        while time.monotonic() < deadline_s:
            export: dict[str, Any] = ask(self.address, address)
            if export["state"] == "complete":
                self.tree.settle()
                return export
            time.sleep(0.1)
        raise BadAnswer(f"{address} is not complete after {TIMEOUT_S} s")

    def journal(self, export: dict[str, Any]) -> Path:
        """Return the file that holds the bytes of a complete export."""
        return self.folder / "recordings" / f"{export['id']}.data"

    def url(self, path: str) -> str:
        return f"http://{self.address[0]}:{self.address[1]}{path}"


@contextmanager
def served(
    database: Path,
    *,
    app: str = "wsgi:app",
    exports_running: int | None = None,
    settings: Mapping[str, str] | None = None,
    live: bool = False,
    catalogue: str = "",
    project: Path = PROJECT,
) -> Iterator[Server]:
    """Start a server that serves the tables of database and `users`; it is gone at the end.

    app: what gunicorn loads. exports_running: None for the setting's default. settings: more of
    the environment. live: serve the topics `bench` (ephemeral) and `kept` (durable) too.
    catalogue: more of it. project: the tree that is served.
    """
    address = ("127.0.0.1", free_port())
    with tempfile.TemporaryDirectory(prefix="server-", dir=database.parent) as name:
        folder = Path(name)
        file = folder / "headwater.toml"
        file.write_text(_catalogue(database) + (TOPICS if live else "") + catalogue)
        environ = {k: v for k, v in os.environ.items() if not k.startswith("HEADWATER_")}
        environ["HEADWATER_INSTANCE"] = str(folder)
        environ["HEADWATER_PORT"] = str(address[1])
        environ["HEADWATER_CATALOGUE"] = str(file)
        # The load is of one address.
        environ["HEADWATER_CONNECTIONS_PER_PRINCIPAL"] = "1000000"
        environ["HEADWATER_CONNECTIONS_PENDING"] = "0"
        environ["HEADWATER_REQUESTS_PER_MINUTE"] = "0"
        if exports_running is not None:
            environ["HEADWATER_EXPORTS_RUNNING"] = str(exports_running)
        environ.update(settings or {})
        command = [*GUNICORN, "-c", "gunicorn.conf.py", app]
        with running(command, address, folder / "log", environ, project) as pid:
            server = Server(address, Tree(pid), folder)
            server.tree.settle()
            yield server


def _catalogue(database: Path) -> str:
    tables = [
        f'[sources.{table}]\ndatabase = "sqlite:///{database}"\ntable = "{table}"\n'
        for table in TABLES
    ]
    return "\n".join([*tables, f'[sources.users]\ngenerate = "users"\nrows = {USERS}\n'])
