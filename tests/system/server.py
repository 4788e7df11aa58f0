"""A real Headwater: gunicorn on a free port, with an instance folder and a catalogue of its own."""

import http.client
import json
import os
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import pytest

ROOT = Path(__file__).parents[2]
# The script, not `-m gunicorn`: after a USR2 that finds gunicorn/http in the place of http.
GUNICORN = Path(sys.executable).with_name("gunicorn")

ROWS = 200_000

# What every server of these tests serves, unless it is given another catalogue. `long` runs for as
# long as :rows says, `sorts` works for long before its first row, `stops` fails at row :at.
CATALOGUE = """
sources.things = { database = "sqlite:///things.db", table = "things" }
sources.numbers = { database = "sqlite:///numbers.db", table = "numbers" }
sources.twin = { database = "sqlite:///numbers.db", table = "numbers" }
sources.changing = { database = "sqlite:///changing.db", table = "changing" }
sources.logged = { database = "sqlite:///logged.db", table = "logged" }
sources.users = { generate = "users", rows = 10000 }

[sources.long]
database = "sqlite:///numbers.db"
query = '''with recursive n(i) as (select 1 union all select i + 1 from n limit :rows)
 select i, 'row ' || i as t from n'''
parameters.rows = { type = "int", default = 2000000000 }

[sources.sorts]
database = "sqlite:///numbers.db"
query = '''with recursive n(i) as (select 1 union all select i + 1 from n limit :rows)
 select i from n order by i * 7919 % 1000003'''
parameters.rows = { type = "int", default = 2000000000 }

[sources.stops]
database = "sqlite:///numbers.db"
query = '''with recursive n(i) as (select 1 union all select i + 1 from n limit :rows)
 select i, abs(case when i = :at then -9223372036854775807 - 1 else i end) as x from n'''
parameters.rows = { type = "int", default = 2000000000 }
parameters.at = { type = "int", default = 400000 }

[sources.no_text]
database = "sqlite:///numbers.db"
query = '''with recursive n(i) as (select 1 union all select i + 1 from n limit :at)
 select i, case when i = :at then (select t from torn) else 'fine' end as t from n'''
parameters.at = { type = "int", default = 400000 }

[topics."demo/*"]
durable = true

[topics."brief/*"]

[topics."short/*"]
durable = true
retain_events = 20

[topics."few/*"]
retain_events = 20

[topics."load/*"]
retain_events = 4000
"""

# All storage classes; `m` has no affinity, so each of its rows is of a class of its own.
THINGS = [
    (1, 0, 0.1, "plain", b"\x00\xff", None),
    (2, 2**63 - 1, -2.5, "", b"", 7),
    (3, -(2**63), 123456.789, None, None, 0.5),
    (4, 2**53 + 1, 1.0, 'a "quote", a comma', b"abc", "text"),
    (5, None, None, "two\nlines\r\nand a\ttab", b"\x80" * 100, b"\x01\x02"),
    (6, -1, -0.125, "Ünïcødé 日本 🌊 = +1", b"z", ""),
]


def wait_until(condition, what, timeout_s=10.0):
    """Return the first true value of condition(); fail with `what` when there is none in time."""
    ends = time.monotonic() + timeout_s
    while not (value := condition()):
        assert time.monotonic() < ends, f"not within {timeout_s} s: {what}"
        time.sleep(0.01)
    return value


def status_unless_cut(ask):
    """Return the status of the answer to ask(), None if the connection was cut meanwhile.

    As is that of a client that asks at the very moment that its token is withdrawn.
    """
    with suppress(http.client.RemoteDisconnected, ConnectionResetError):
        return ask().status
    return None


def open_paths(process):
    """Return the paths of the files that a process has open; none when it has just ended."""
    with suppress(psutil.Error):
        return [file.path for file in process.open_files()]
    return []


def is_gone(process):
    """Tell whether a process has ended; who inherits it may take seconds to bury it."""
    with suppress(psutil.NoSuchProcess):
        return process.status() == psutil.STATUS_ZOMBIE
    return True


def need(program):
    """Skip the test when program is absent; in CI it must be there."""
    if shutil.which(program) is None:
        assert not os.environ.get("CI"), f"{program} is needed in CI"
        pytest.skip(f"{program} is not here")


def watched(app, environ):
    """Return what gunicorn is to load for app: with the watchdog of its hub where that reports."""
    if "HUB_REPORT" not in environ:
        return app
    environ["WATCHED"] = app
    return "tests.system.watched:app"


class Database:
    """An SQLite file that another program writes."""

    def __init__(self, path):
        self.path = path

    def write(self, *statements):
        """Commit the statements, and wait until the change can be told from the next one."""
        with closing(sqlite3.connect(self.path)) as connection:
            for statement in statements:
                connection.execute(statement)
            connection.commit()
        # sources/sqlite/fingerprint.py: what was written less than 50 ms ago is shared with nobody.
        wait_until(lambda: self.path.stat().st_mtime < time.time() - 0.1, "settled")

    def rows(self, sql):
        with closing(sqlite3.connect(self.path)) as connection:
            return connection.execute(sql).fetchall()


class Answer(NamedTuple):
    """One answer, read to its end."""

    status: int
    headers: Any
    body: bytes

    def json(self):
        assert self.headers["Content-Type"] == "application/json"
        return json.loads(self.body)


class Stream:
    """An answer that is read as the test likes; the client of it sits on a small buffer."""

    def __init__(self, port, path, headers):
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        self._connection.sock = socket.socket()
        self._connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        self._connection.sock.settimeout(20)
        try:
            self._connection.sock.connect(("127.0.0.1", port))
            self._connection.request("GET", path, headers=headers)
            self._answer = self._connection.getresponse()
        except BaseException:
            self._connection.close()
            raise
        self.status, self.headers = self._answer.status, self._answer.headers

    def read(self, size=None):
        """Return size bytes, or all that come; raises IncompleteRead when it was cut."""
        return self._answer.read(size)

    def is_whole(self):
        """Tell whether all that was announced has come, once it is read to its end."""
        # Of a length that did not come, read(size) only says that there is nothing more.
        return self._answer.isclosed() and not self._answer.length

    def close(self):
        self._answer.close()
        self._connection.close()


def end_clients(clients):
    """End what was started beside a server: processes and sockets."""
    for client in clients:
        if isinstance(client, subprocess.Popen):
            client.kill()
            client.communicate()
        else:
            client.close()


class Server:
    """start() and the others may be called again: the folder and what it holds stay."""

    def __init__(self, folder, catalogue=CATALOGUE, **environ):
        self.folder = folder
        self.instance = folder / environ.get("HEADWATER_INSTANCE", "instance")
        self.recordings = self.instance / "recordings"
        self.process = None
        # What gunicorn loads.
        self.app = "wsgi:app"
        self._clients = []
        self._seen = set()
        self._log_start = 0
        folder.joinpath("headwater.toml").write_text(catalogue)
        plain = {k: v for k, v in os.environ.items() if not k.startswith("HEADWATER_")}
        self.environ = plain | {
            "HEADWATER_PORT": "0",
            "HEADWATER_INSTANCE": str(self.instance),
            "HEADWATER_CATALOGUE": str(folder / "headwater.toml"),
            **environ,
        }

    def launch(self, *prefix):
        """Start the process and do not wait for it. prefix: a program that runs it."""
        log_path = self.folder / "server.log"
        self._log_start = log_path.stat().st_size if log_path.exists() else 0
        with open(log_path, "ab") as log:
            self.process = subprocess.Popen(
                [*prefix, GUNICORN, "-c", "gunicorn.conf.py", watched(self.app, self.environ)],
                cwd=ROOT,
                env=self.environ,
                stdout=log,
                stderr=log,
            )

    def start(self, *prefix):
        """Start and return once it answers."""
        self.launch(*prefix)
        return self.wait_until_it_answers()

    def wait_until_it_answers(self):
        wait_until(lambda: self._answers() or self.process.poll() is not None, "answers", 20)
        assert self.process.poll() is None, self.log
        self.family()
        return self

    def _answers(self):
        with suppress(OSError, http.client.HTTPException, AttributeError):
            # 401 where tokens are needed.
            mount = self.environ.get("SCRIPT_NAME", "")
            return self.get(f"{mount}/exports").status in (200, 401)

    def accepts(self):
        """Is anybody listening?"""
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=5):
            return True
        return False

    @property
    def log(self):
        """What this start has said."""
        with open(self.folder / "server.log") as log:
            log.seek(self._log_start)
            return log.read()

    def accessed(self):
        """Return the access log's lines until now; the file comes with the first."""
        path = self.instance / "logs" / "access.log"
        text = path.read_text() if path.exists() else ""
        # The last one may still be written.
        return [json.loads(line) for line in text.split("\n")[:-1]]

    def wait_until_accessed(self, path):
        """Return the access log's lines of an address once there is one: it is written last."""
        return wait_until(
            lambda: [line for line in self.accessed() if line["path"] == path], f"{path} is logged"
        )

    @property
    def port(self):
        found = re.search(r"Listening at: http://127\.0\.0\.1:(\d+)", self.log)
        return int(found[1]) if found else None

    # Processes.

    def family(self):
        """Return every process of the server that runs now: master, worker, recorders."""
        master = psutil.Process(self.process.pid)
        found = [master, *master.children(recursive=True)]
        self._seen.update(found)
        return found

    def worker(self):
        (worker,) = psutil.Process(self.process.pid).children()
        return worker

    def recorders(self):
        """Return the fork server, its spare child, and a child for each export that runs."""
        found = self.worker().children(recursive=True)
        self._seen.update(found)
        return found

    def recorder_of(self, export_id):
        """Return the process that writes an export's journal, once it does."""
        path = str(self.recordings / f"{export_id}.data")
        return wait_until(
            lambda: next((p for p in self.recorders() if path in open_paths(p)), None), "it records"
        )

    def wait_until_kept(self, export_id):
        """Wait until a complete export is safely on the disk: so says its record."""
        wait_until(lambda: self.record(export_id).get("state") == "complete", "it is kept")

    def record(self, export_id):
        """Return what the next start will know of an export, {} for nothing."""
        with closing(sqlite3.connect(self.instance / "state.db")) as state:
            sql = "select record from export_records where id = ?"
            (record,) = state.execute(sql, (export_id,)).fetchone() or ("{}",)
            return json.loads(record)

    def wait_until_idle(self):
        """Wait until only the fork server and its spare child are left."""
        wait_until(lambda: len(self.recorders()) == 2, "no export is recorded")

    def kill(self):
        """SIGKILL master and worker, so that nothing is tidied; return what they leave behind."""
        left, worker = self.recorders(), self.worker()
        self.process.kill()
        worker.kill()
        self.process.wait(10)
        wait_until(lambda: is_gone(worker), "the worker is gone")
        return left

    def stop(self):
        """SIGTERM, and wait."""
        self.family()
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(40)

    def clean_up(self):
        """End all that is left, by id and start time."""
        if self.process is None:
            return
        if self.process.poll() is None:
            with suppress(psutil.NoSuchProcess):
                self.family()
            self.process.kill()
        self.process.wait(10)
        for process in self._seen:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        end_clients(self._clients)

    def cancel_all(self):
        """End whatever is queued or recorded."""
        for export in self.get("/exports").json()["exports"]:
            if export["state"] in ("queued", "running"):
                self.get(f"/exports/{export['id']}", "DELETE")

    # Clients.

    @property
    def base(self):
        return f"http://127.0.0.1:{self.port}"

    def url(self, path):
        return self.base + path

    def get(self, path, method="GET", body=None, **headers):
        """Return the Answer; a header If_Range is sent as If-Range."""
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)) as client:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            client.request(method, path, body, named)
            answer = client.getresponse()
            return Answer(answer.status, answer.headers, answer.read())

    def open(self, path, **headers):
        """Return a Stream of the answer, of which nothing is read yet."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        stream = Stream(self.port, path, named)
        self._clients.append(stream)
        return stream

    def send(self, data):
        """Return a socket that has sent data."""
        client = socket.create_connection(("127.0.0.1", self.port), timeout=20)
        self._clients.append(client)
        client.sendall(data)
        return client

    def curl(self, path, *options):
        """Return a running curl."""
        need("curl")
        command = ["curl", "-sS", *options, self.url(path)]
        curl = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self._clients.append(curl)
        return curl

    # Events.

    def publish(self, topic, *data, name="number", **headers):
        """Publish an event for each data at once and return the receipt."""
        lines = "".join(json.dumps({"name": name, "data": each}) + "\n" for each in data)
        headers = {"Content_Type": "application/x-ndjson", **headers}
        answer = self.get(f"/events/{topic}", "POST", lines.encode(), **headers)
        assert answer.status == 201, answer.body
        return answer.json()

    def events(self, topics, since="all"):
        """Return what is kept."""
        answer = self.get(f"/events/{topics}?since={since}&poll=1")
        assert answer.status == 200, answer.body
        return [json.loads(line) for line in answer.body.splitlines()]

    def readers(self, topics):
        """Return who follows."""
        return self.get(f"/events/{topics}/readers").json()["readers"]

    # Exports.

    def prepare(self, source, extension="csv", **words):
        """Ask for an export in the background and return its id."""
        fields = {"source": source, "format": extension, **words}
        answer = self.get("/exports", "POST", json.dumps(fields), Content_Type="application/json")
        assert answer.status == 202, answer.body
        return answer.json()["id"]

    def export(self, export_id):
        """Return what is told of an export."""
        return self.get(f"/exports/{export_id}").json()

    def wait_for(self, export_id, *states, timeout_s=20.0):
        """Return what is told of an export once it is in one of the states."""
        what = f"{export_id} is {' or '.join(states)}"
        wait_until(lambda: self.export(export_id)["state"] in states, what, timeout_s)
        return self.export(export_id)

    def finished(self, source, extension="csv", **words):
        """Return what is told of an export once it is complete."""
        return self.wait_for(self.prepare(source, extension, **words), "complete")

    def running(self, source="long", **words):
        """Return the id of a prepared export that has bytes and goes on."""
        export_id = self.prepare(source, **words)
        wait_until(lambda: self.export(export_id)["bytes"] > 100_000, "has bytes")
        return export_id


def make_databases(folder):
    """Make the databases that CATALOGUE names, and wait until they are settled."""
    things, numbers = Database(folder / "things.db"), folder / "numbers.db"
    with closing(sqlite3.connect(things.path)) as connection:
        connection.execute(
            "create table things (id integer primary key, i integer, r real, t text, b blob, m)"
        )
        connection.executemany("insert into things values (?, ?, ?, ?, ?, ?)", THINGS)
        connection.commit()
    Database(numbers).write(
        "create table torn as select cast(x'ff' as text) as t",
        "create table numbers (i integer primary key, name text, x real)",
        f"with recursive n(i) as (select 1 union all select i + 1 from n limit {ROWS})"
        " insert into numbers select i, 'name of ' || i, i / 8.0 from n",
        "create view today as select i, current_date as day from numbers where i <= 2",
    )
    # Its writes go to a log beside it first; the last to leave it empties that.
    Database(folder / "logged.db").write(
        "pragma journal_mode = wal",
        "create table logged as select 'first' as name",
    )
    Database(folder / "changing.db").write(
        "create table changing (i integer primary key, name text)",
        "with recursive n(i) as (select 1 union all select i + 1 from n limit 100000)"
        " insert into changing select i, 'first ' || i from n",
    )
