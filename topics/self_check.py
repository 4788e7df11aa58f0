"""Follows the topic `status` as a client does, over a socket of its own.

Its events are published, kept, framed and pushed like all others: as long as they arrive, other
readers get their events, too. Way in: SelfCheck, started by a process entry.
"""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from topics import ConnectionWriter, NotReady, Patterns, Topics
from topics.status import EVERY_S, TOPIC
from wire.framing import NDJSON
from wire.since import parse_since

log = logging.getLogger(__name__)

READ_BYTES = 4096


class SelfCheck:
    """heard_s: the time of the last event, by the monotonic clock; at first, of construction."""

    def __init__(self, topics: Topics) -> None:
        self.heard_s = time.monotonic()
        self._topics = topics
        self._stopped = threading.Event()

    def start(self) -> None:
        threading.Thread(target=self._run, name="self_check", daemon=True).start()

    def stop(self) -> None:
        self._stopped.set()

    def silent_s(self) -> float:
        """Return the time since the last event."""
        return time.monotonic() - self.heard_s

    def _run(self) -> None:
        while not self._stopped.wait(EVERY_S):
            try:
                self._follow()
            except NotReady:
                continue
            except Exception:
                log.exception("self-check failed")

    def _follow(self) -> None:
        """Note the time of each event, until the feed ends."""
        near, far = socket.socketpair()
        with near, far:
            client = _SocketClient(far)
            writer = ConnectionWriter(client, client.stop_reading)
            reader = self._topics.reader(Patterns.parse(TOPIC), parse_since(None), "", NDJSON)
            reader.writer = writer
            self._topics.watch(reader)
            try:
                while near.recv(READ_BYTES):
                    self.heard_s = time.monotonic()
            finally:
                self._topics.leave(reader)
                writer.close()


class _SocketClient:
    """The writing end of the socket; see wire.connection.Writable."""

    def __init__(self, far: socket.socket) -> None:
        # The writer never waits for it.
        far.setblocking(False)
        self.socket = far
        self.send_now: Callable[[bytes], int] | None = far.send

    @staticmethod
    def spawn(work: Callable[[], None]) -> None:
        threading.Thread(target=work, daemon=True).start()

    def failed(self, error: OSError) -> None:
        """Do nothing: another feed begins."""

    def refused(self, code: str) -> None:
        """Do nothing: it is not a client."""

    def stop_reading(self) -> None:
        with suppress(OSError):
            self.socket.shutdown(socket.SHUT_WR)
