"""A real gunicorn on a free port, with the project's own gunicorn.conf.py."""

import http.client
import os
import re
import socket
import subprocess
from contextlib import suppress

import psutil

from tests.system.server import GUNICORN, ROOT, end_clients, need, wait_until, watched


class GunicornProcess:
    """Started by the constructor; stop() ends it, its workers and its clients, by their ids.

    module: of tests.system; None if app names one itself. is_ours: what it runs is ours and must
    not hold the hub.
    """

    def __init__(self, folder, *options, module="worker_apps", app="app", is_ours=True, **environ):
        self.log_path = folder / "gunicorn.log"
        self.instance = folder / "instance"
        plain = {k: v for k, v in os.environ.items() if not k.startswith("HEADWATER_")}
        settings = {
            "HEADWATER_PORT": "0",
            "HEADWATER_INSTANCE": str(self.instance),
            # The small applications admit nobody.
            "HEADWATER_CONNECTIONS_PENDING": "0",
        }
        environ = plain | settings | {"HOME": str(folder)} | environ
        loaded = f"tests.system.{module}:{app}" if module else app
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                [GUNICORN, watched(loaded, environ) if is_ours else loaded, *options],
                cwd=ROOT,
                env=environ,
                stdout=log,
                stderr=log,
            )
        self.seen_workers = set()
        self._clients = []

    @property
    def log(self):
        return self.log_path.read_text()

    @property
    def port(self):
        found = wait_until(
            lambda: re.search(r"Listening at: https?://127\.0\.0\.1:(\d+)", self.log), "listens"
        )
        return int(found[1])

    def workers(self):
        """Return the workers that run now."""
        running = psutil.Process(self.process.pid).children()
        self.seen_workers.update(running)
        return running

    def worker(self):
        return wait_until(self.workers, "a worker")[0]

    def get(self, path):
        """Return the body of an answer 200, asked on a connection of its own."""
        client = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            client.request("GET", path, headers={"Connection": "close"})
            answer = client.getresponse()
            assert answer.status == 200
            return answer.read()
        finally:
            client.close()

    def send(self, data=b""):
        """Return a connected socket that has sent data."""
        client = socket.create_connection(("127.0.0.1", self.port), timeout=15)
        self._clients.append(client)
        client.sendall(data)
        return client

    def ask(self, path, version="1.1"):
        """Return a socket that has asked for path and keeps the connection."""
        return self.send(f"GET {path} HTTP/{version}\r\nHost: localhost\r\n\r\n".encode())

    def curl(self, path, *options, scheme="http"):
        """Return a running curl for path: a Popen with stdout and stderr."""
        need("curl")
        command = ["curl", "-sS", "-N", *options, f"{scheme}://127.0.0.1:{self.port}{path}"]
        curl = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self._clients.append(curl)
        return curl

    def signal(self, number):
        self.workers()
        self.process.send_signal(number)

    def stop(self):
        with suppress(psutil.NoSuchProcess):
            self.workers()
        self.process.kill()
        self.process.wait()
        for worker in self.seen_workers:  # by id and start time, so never another process
            with suppress(psutil.NoSuchProcess):
                worker.kill()
        end_clients(self._clients)


def read_to_end(client):
    """Return all bytes until the other side closes."""
    return b"".join(iter(lambda: client.recv(65536), b""))


def read_until(client, mark):
    """Return the bytes up to and with mark, or somewhat more."""
    data = b""
    while mark not in data:
        piece = client.recv(65536)
        assert piece, f"ended before {mark!r}: {data!r}"
        data += piece
    return data
