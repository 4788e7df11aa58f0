"""The server's own access log: a line of JSON for each request, once it is over.

gunicorn's logger, named in gunicorn.conf.py; gunicorn's own lines are written as all of the log is
(server/log_format.py). The file rotates itself; USR1 reopens it. It is written on a thread of its
own, since a disk may take long: the arbiter imports this before the worker is patched, so the
thread, its queue, its locks and its sleep are the system's. Way in:
make_logger_class, log_taken_over.
"""

from __future__ import annotations

import atexit
import json
import os
import sys
import time
from _thread import allocate_lock, start_new_thread
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from functools import lru_cache
from logging.handlers import RotatingFileHandler
from math import inf
from pathlib import Path
from queue import SimpleQueue
from stat import S_ISREG
from time import sleep
from typing import Any

from gunicorn.glogging import Logger

from server.connection import Connection
from server.log_format import AUTO, current_request_id, format_time, formatter_for, hide
from wire.connection import CONNECTION, connection_of

# With the four before it at most 160 MiB, some 500,000 requests.
MAX_FILE_BYTES = 32 * 1024 * 1024
OLDER_FILES = 4
# What waits for a disk that does not take it, some 4 MB. More is lost.
MAX_WAITING = 10_000
# A line waits so long for others: a wake of the thread costs a request more than its line does.
GATHER_S = 0.02
# At the end of the process what waits has so long to be written.
FLUSH_S = 2.0
# RFC 9110 15.2.2: WebSockets.
SWITCHED = "101"
# Of what a client says of itself; gunicorn bounds the rest.
MAX_FIELD_CHARACTERS = 500
# Most lines say the same of a client and of what it asks: that is made once, of texts so short.
MAX_KNOWN = 1024
MAX_KNOWN_CHARACTERS = 400


class _File(RotatingFileHandler):
    """Reports once, and not for each line, that it cannot write.

    A line goes straight to it: a record of `logging`, and the two looks at the file that come with
    each, cost as much as the rest of the line.
    """

    stream: Any
    has_failed = False
    # How much there is still room for, in which stream.
    _counted: Any = None
    _room_bytes = 0.0

    def createLock(self) -> None:
        """Have none: one thread uses it, and a lock of a patched process is for green ones."""
        self.lock = None

    def add(self, lines: Sequence[str]) -> None:
        """Write lines of ASCII, in a new file where one is full."""
        try:
            for line in lines:
                more_bytes = len(line) + 1
                if self._room() < more_bytes:
                    self.doRollover()
                    self._room()
                self.stream.write(line + "\n")
                self._room_bytes -= more_bytes
            if lines:
                self.stream.flush()
        except OSError as error:
            if not self.has_failed:
                self.has_failed = True
                print(f"headwater: access log: {error}", file=sys.stderr)

    def _room(self) -> float:
        """Return how many bytes more the file may have, which is opened if it is not."""
        if self.stream is None:
            Path(self.baseFilename).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.stream = self._open()
        if self.stream is not self._counted:
            self._counted, found = self.stream, os.fstat(self.stream.fileno())
            # A pipe or a device is never full, and stays where it is.
            self._room_bytes = self.maxBytes - found.st_size if S_ISREG(found.st_mode) else inf
        return self._room_bytes


class _Writer:
    """Writes lines to the file at path, in order, on a thread of its own."""

    def __init__(self, path: Path) -> None:
        self._file = _File(
            path, maxBytes=MAX_FILE_BYTES, backupCount=OLDER_FILES, encoding="utf-8",
            errors="backslashreplace", delay=True,
        )  # fmt: skip
        self._work: SimpleQueue[str | Callable[[], None]] = SimpleQueue()
        self._has_lost = False
        start_new_thread(self._run, ())

    def write(self, line: str) -> None:
        """Have a line written. Does not wait."""
        if self._work.qsize() < MAX_WAITING:
            self._work.put(line)
        elif not self._has_lost:
            self._has_lost = True
            print("headwater: access log: the disk is too slow, lines are lost", file=sys.stderr)

    def reopen(self) -> None:
        """Reopen the file for the next line. Does not wait."""
        self._work.put(self._close)

    def flush(self) -> None:
        """Wait until all lines are written, but not for long: it holds the hub."""
        done = allocate_lock()
        done.acquire()
        self._work.put(done.release)
        done.acquire(timeout=FLUSH_S)

    def _close(self) -> None:
        stream, self._file.stream = self._file.stream, None
        if stream is not None:
            with suppress(OSError):
                stream.close()

    def _run(self) -> None:
        while True:
            first = self._work.get()
            sleep(GATHER_S)
            work = [first, *(self._work.get() for _ in range(self._work.qsize()))]
            lines: list[str] = []
            for each in work:
                if isinstance(each, str):
                    lines.append(each)
                else:
                    self._file.add(lines)
                    lines = []
                    each()
            self._file.add(lines)


def make_logger_class(path: Path | None, log_format: str = AUTO) -> type:
    """Return gunicorn's logger, with the access log in the file at path; None for none.

    log_format: of its other lines, see server/log_format.py.
    """

    class AccessLog(Logger):  # type: ignore[misc]
        """See the module."""

        def setup(self, cfg: Any) -> None:
            super().setup(cfg)
            self._writer: _Writer | None = None
            # Before the application's, so that it comes last.
            atexit.register(self.flush)
            for handler in self.error_log.handlers:
                handler.setFormatter(formatter_for(log_format, getattr(handler, "stream", None)))

        def access(self, resp: Any, req: Any, environ: Any, request_time: timedelta) -> None:
            """Write the line of a request, that is over now and took request_time."""
            client = connection_of(environ)
            sent_bytes = client.sent_bytes if client is not None else None
            sent_bytes = resp.sent if sent_bytes is None else sent_bytes
            fields = describe(environ, str(resp.status)[:3], sent_bytes)
            self.end(fields, request_time.total_seconds())

        def begin(self, environ: Any) -> str:
            """Return the fields of a request that takes its connection over; end writes them."""
            return describe(environ, SWITCHED)

        def end(self, fields: str, seconds: float) -> None:
            """Write a line. fields: all others, as JSON. seconds: how long the request took."""
            if path is None:
                return
            if self._writer is None:
                self._writer = _Writer(path)
            now = format_time(time.time())
            self._writer.write(f'{{"time": "{now}", "seconds": {seconds:.3f}, {fields[1:]}')

        def reopen_files(self) -> None:
            super().reopen_files()
            if self._writer is not None:
                self._writer.reopen()

        def flush(self) -> None:
            """Wait until what was logged is in the file. At the end of the process."""
            if self._writer is not None:
                self._writer.flush()

    return AccessLog


def log_taken_over(worker: Any, req: Any, environ: Any, resp: Any) -> None:
    """Log a request that has taken its connection over, once that is over.

    gunicorn's `post_request`.
    """
    connection: Connection | None = environ.get(CONNECTION)
    if connection is not None and connection.taken_over:
        fields = worker.log.begin(environ)
        if connection.work is None:
            worker.log.end(fields, time.monotonic() - connection.began_s)
        else:
            connection.log_fields = fields


def describe(environ: Mapping[str, Any], status: str, sent_bytes: int | None = None) -> str:
    """Return the fields of a request, as JSON. environ: not whole if it never became one."""
    # A request that never became one has no more than that of the moment.
    request_id = environ.get("headwater.request_id") or current_request_id.get()
    asked = _asked(
        environ.get("REMOTE_ADDR"), environ.get("REQUEST_METHOD"), environ.get("RAW_URI"),
        environ.get("SERVER_PROTOCOL"),
    )  # fmt: skip
    said = _said(environ.get("HTTP_USER_AGENT"), environ.get("HTTP_REFERER"))
    number = int(status) if status.isdecimal() else "null"
    size = "null" if sent_bytes is None else sent_bytes
    return (
        f'{{"id": {json.dumps(request_id)}, {asked}, "status": {number}, "bytes": {size}, {said}}}'
    )


def _remembering(make: Callable[..., str]) -> Callable[..., str]:
    """Have make called once for the same texts, if they are short."""
    known = lru_cache(MAX_KNOWN)(make)

    def find(*texts: str | None) -> str:
        is_short = sum([len(text) for text in texts if text]) <= MAX_KNOWN_CHARACTERS
        return known(*texts) if is_short else make(*texts)

    return find


@_remembering
def _asked(client: str | None, method: str | None, path: str | None, protocol: str | None) -> str:
    """Return the fields that say what was asked, as the inside of an object of JSON."""
    fields = {"client": client, "method": method, "path": _shown(path), "protocol": protocol}
    return json.dumps(fields)[1:-1]


@_remembering
def _said(agent: str | None, referer: str | None) -> str:
    """Return what a client says of itself, likewise."""
    return json.dumps({"agent": _cut(_shown(agent)), "referer": _cut(_shown(referer))})[1:-1]


def _shown(text: str | None) -> str | None:
    return text and hide(text)


def _cut(text: str | None) -> str | None:
    return text and text[:MAX_FIELD_CHARACTERS]
