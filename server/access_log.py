"""The server's own access log: a line of JSON for each request, once it is over.

gunicorn's logger, named in gunicorn.conf.py; gunicorn's own lines have the format of the rest of
the log (server/log_format.py). The log rotates its file itself; USR1 reopens it. A thread of its
own writes the file, since a disk may take long: the arbiter imports this before the worker is
patched, so the thread, its queue, its locks and its sleep are the system's. Way in:
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

# With the four older files at most 160 MiB, some 500,000 requests.
MAX_FILE_BYTES = 32 * 1024 * 1024
OLDER_FILES = 4
# Lines that may wait for a slow disk, some 4 MB. Further lines are lost.
MAX_WAITING = 10_000
# A line waits so long for others: to wake the thread costs a request more than its line does.
GATHER_S = 0.02
# At the end of the process, waiting lines have so long to be written.
FLUSH_S = 2.0
# RFC 9110 15.2.2: WebSockets.
SWITCHED = "101"
# The length of a field that the client chooses; gunicorn bounds the rest.
MAX_FIELD_CHARACTERS = 500
# Most lines have the same parts about the client and the request: these are made once, if short.
MAX_KNOWN = 1024
MAX_KNOWN_CHARACTERS = 400


class _File(RotatingFileHandler):
    """Reports once, and not for each line, that it cannot be written.

    Lines go straight to this handler: a record of `logging`, with its two checks of the file, costs
    as much as the rest of the line.
    """

    stream: Any
    has_failed = False
    # How many bytes the stream still has room for.
    _counted: Any = None
    _room_bytes = 0.0

    def createLock(self) -> None:
        """Create no lock: one thread uses this, and locks of a patched process are green."""
        self.lock = None

    def add(self, lines: Sequence[str]) -> None:
        """Write lines of ASCII; begin a new file when the present one is full."""
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
        """Return how many more bytes the file may have; open it if it is closed."""
        if self.stream is None:
            Path(self.baseFilename).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.stream = self._open()
        if self.stream is not self._counted:
            self._counted, found = self.stream, os.fstat(self.stream.fileno())
            # A pipe or a device is never full, and is not renamed.
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
        """Wait until all lines are written, but not for long: this holds the hub."""
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

    log_format: the format of its other lines, see server/log_format.py.
    """

    class AccessLog(Logger):  # type: ignore[misc]
        """See the module."""

        def setup(self, cfg: Any) -> None:
            super().setup(cfg)
            self._writer: _Writer | None = None
            # Registered before the application's handlers, so that it runs last.
            atexit.register(self.flush)
            for handler in self.error_log.handlers:
                handler.setFormatter(formatter_for(log_format, getattr(handler, "stream", None)))

        def access(self, resp: Any, req: Any, environ: Any, request_time: timedelta) -> None:
            """Write the line of a request that has ended and took request_time."""
            client = connection_of(environ)
            sent_bytes = client.sent_bytes if client is not None else None
            sent_bytes = resp.sent if sent_bytes is None else sent_bytes
            fields = describe(environ, str(resp.status)[:3], sent_bytes)
            self.end(fields, request_time.total_seconds())

        def begin(self, environ: Any) -> str:
            """Return the fields of a request that takes its connection over; `end` writes them."""
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
            """Wait until all lines are in the file. Called at the end of the process."""
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
    """Return the fields of a request, as JSON. environ: incomplete for an unreadable request."""
    # A request that could not be read has only the id of the moment.
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
    """Return a function that calls make once for the same texts, if they are short."""
    known = lru_cache(MAX_KNOWN)(make)

    def find(*texts: str | None) -> str:
        is_short = sum([len(text) for text in texts if text]) <= MAX_KNOWN_CHARACTERS
        return known(*texts) if is_short else make(*texts)

    return find


@_remembering
def _asked(client: str | None, method: str | None, path: str | None, protocol: str | None) -> str:
    """Return the fields about the request, as the inside of a JSON object."""
    fields = {"client": client, "method": method, "path": _shown(path), "protocol": protocol}
    return json.dumps(fields)[1:-1]


@_remembering
def _said(agent: str | None, referer: str | None) -> str:
    """Return the fields that the client chooses, in the same form."""
    return json.dumps({"agent": _cut(_shown(agent)), "referer": _cut(_shown(referer))})[1:-1]


def _shown(text: str | None) -> str | None:
    return text and hide(text)


def _cut(text: str | None) -> str | None:
    return text and text[:MAX_FIELD_CHARACTERS]
