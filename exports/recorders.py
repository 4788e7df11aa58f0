"""This side of the recording processes: start them, hand them jobs, kill them, hear from them.

Way in: Recorders. Knows nothing of queues or states (that is `exports.exports`).
"""

from __future__ import annotations

import json
import logging
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from exports.job import Job

log = logging.getLogger(__name__)

PROJECT = Path(__file__).parent.parent

# A datagram may be no longer than the socket's buffer, 208 KiB by default. A job, which has a
# statement and all its columns, goes as several: each begins with whether there is more to come.
PIECE_BYTES = 64 * 1024
MORE, LAST = b"+", b"."

# To end, the fork server has nothing to do but to kill its children.
STOP_S = 5.0


class Recorders:
    """The fork server `exports.recorder` and the socket to it.

    on_report: called with each report of each child, in order, on one thread of ours.
    on_lost: called when the fork server has died, and all recordings with it. It calls `forget`;
    the next `record` then starts another.
    """

    def __init__(
        self, on_report: Callable[[dict[str, Any]], None], on_lost: Callable[[], None]
    ) -> None:
        self._on_report = on_report
        self._on_lost = on_lost
        self._socket: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None
        # By export: the process that records it.
        self._pids: dict[str, int] = {}

    def start(self) -> None:
        """Start the fork server and listen to it. Returns before it is ready to record."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "exports.recorder", str(theirs.fileno())],
                cwd=PROJECT,
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                # Not the terminal's Ctrl-C: running exports may end within the server's grace.
                # No session of their own: Linux shares the cores out among sessions (autogroup),
                # and then niceness has no effect between them and the server.
                process_group=0,
            )
        except OSError:
            ours.close()
            raise
        finally:
            theirs.close()
        self._socket = ours
        threading.Thread(target=self._listen, args=(ours, self._process), daemon=True).start()

    def record(self, job: Job) -> None:
        """Have job recorded. What comes of it comes as reports."""
        if self._socket is None:
            self.start()
        self._send({"record": job.to_json()})

    def kill(self, export_id: str) -> None:
        """End a recording now. Its last report is that its process has exited."""
        self._send({"kill": export_id})

    def pause(self, export_id: str) -> None:
        """Stop a recording where it is, until `resume`."""
        self._send({"pause": export_id})

    def resume(self, export_id: str) -> None:
        """Let a paused recording go on."""
        self._send({"resume": export_id})

    def used_s(self, export_id: str) -> float:
        """Return the processor time that a recording has used so far, 0 if it has no process."""
        pid = self._pids.get(export_id)
        try:
            # The clock of another process: clock_getcpuclockid(3).
            return time.clock_gettime(~pid << 3 | 2) if pid else 0.0
        except OSError:  # it has just ended
            return 0.0

    def forget(self) -> None:
        """The fork server is dead: have no more to do with it."""
        self._socket = None
        self._pids.clear()

    def stop(self) -> None:
        """End the fork server and every recording, and wait for it."""
        if self._socket is not None:
            ours, self._socket = self._socket, None
            with suppress(OSError):  # it has just died by itself
                ours.shutdown(socket.SHUT_RDWR)
        if self._process is not None:
            try:
                self._process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                self._process.kill()

    def _send(self, message: dict[str, Any]) -> None:
        # One message at a time: the runner's lock is held around every call.
        if self._socket is not None:
            try:
                text = json.dumps(message).encode()
                for start in range(0, len(text), PIECE_BYTES):
                    piece = text[start : start + PIECE_BYTES]
                    is_last = start + PIECE_BYTES >= len(text)
                    self._socket.send((LAST if is_last else MORE) + piece)
            except OSError as error:  # it has died: the listener says so
                log.warning("recorders unreachable error=%s", error.strerror)

    def _listen(self, ours: socket.socket, process: subprocess.Popen[bytes]) -> None:
        while True:
            try:
                message = ours.recv(PIECE_BYTES)
            except OSError:
                message = b""
            if not message:
                break
            try:
                report = json.loads(message)
                if "pid" in report:
                    self._pids[report["id"]] = report["pid"]
                    continue
                if "exited" in report:
                    self._pids.pop(report["id"], None)
                self._on_report(report)
            except Exception:
                # A bug in handling one report must not lose all others.
                log.exception("report not handled report=%r", message[:200])
        ours.close()
        status = process.wait()
        if self._socket is ours:
            log.error("recorders lost status=%s", status)
            self._on_lost()
