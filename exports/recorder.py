"""The program that records: a fork server, `python -m exports.recorder FD`, and its children.

FD is a socket to the server. Each message to us is JSON: `{"record": job}`, or `{"kill": id}`,
`{"pause": id}` or `{"resume": id}`, in one datagram or several (exports/recorders.py).
One export is one child, forked after the libraries were loaded once (0.5 s, 90 MB): a child costs
3 ms and the pages it touches, is gone whole when it is killed, and has the interpreter's lock to
itself. Children report on the same socket, each message one datagram `{"id": …, …}`; the first of
an export is `{"id", "pid"}` and the last `{"id", "exited": status}`, from us. When the server is
gone, all of this ends, also what is paused.

One child is always forked ahead and warmed up, so that the first bytes of an export come at once.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import selectors
import signal
import socket
import sys
import traceback
import warnings
from contextlib import suppress
from pathlib import Path
from typing import Any

from exports.recorders import LAST, PIECE_BYTES

# Read when the libraries are imported. One thread of polars a process: exports run beside each
# other, and one of them alone is no slower (0.60 s for 1,000,000 rows with one and with two).
# The system's allocator for Arrow: with half the batches, a child grew by 18.6 MB, not by 25.9.
os.environ["POLARS_MAX_THREADS"] = "1"
os.environ["ARROW_DEFAULT_MEMORY_POOL"] = "system"

# Below the server: on a busy machine its hub goes first. What is long is below what has just begun,
# and below the next child, which warms up, by as much again.
NICENESS = 5

PR_SET_PDEATHSIG = 1

SIGNALS = {"kill": signal.SIGKILL, "pause": signal.SIGSTOP, "resume": signal.SIGCONT}

# What a library says when it fails can be of any length; a report is one datagram.
MAX_MESSAGE_CHARS = 1000


class ForkServer:
    """Forks a child for each job. spare: the child forked ahead and the pipe that it reads."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._spare = self._fork()
        self._running: dict[int, str] = {}

    def serve(self) -> None:
        """Serve until the socket's other end is gone, then kill what still runs."""
        wake_up, on_signal = os.pipe()
        os.set_blocking(on_signal, False)
        signal.set_wakeup_fd(on_signal)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        self._reap()  # who ended before the signal was listened to
        with selectors.DefaultSelector() as selector:
            selector.register(self._control, selectors.EVENT_READ)
            selector.register(wake_up, selectors.EVENT_READ)
            message = b""
            while True:
                ready = {key.fileobj for key, _ in selector.select()}
                if wake_up in ready:
                    os.read(wake_up, 4096)
                    self._reap()
                if self._control in ready:
                    piece = self._receive()
                    if not piece:
                        break
                    message += piece[1:]
                    if piece.startswith(LAST):
                        self._obey(json.loads(message))
                        message = b""
        for pid in (*self._running, self._spare[0]):
            os.kill(pid, signal.SIGKILL)

    def _receive(self) -> bytes:
        try:
            return self._control.recv(1 + PIECE_BYTES)
        except ConnectionResetError:  # the server was killed with reports unread
            return b""

    def _obey(self, message: dict[str, Any]) -> None:
        if "record" in message:
            pid, pipe = self._spare
            self._running[pid] = message["record"]["id"]
            _send(self._control, {"id": message["record"]["id"], "pid": pid})
            if not message["record"]["chance_s"]:
                _lower(pid)
            # A spare that died meanwhile is reaped as this job's process.
            with suppress(BrokenPipeError), os.fdopen(pipe, "w") as job:
                json.dump(message["record"], job)
            self._spare = self._fork()
        else:
            ((command, wanted),) = message.items()
            for pid, export_id in self._running.items():
                if export_id == wanted:
                    if command == "resume":
                        _lower(pid)
                    os.kill(pid, SIGNALS[command])

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid == self._spare[0]:
                os.close(self._spare[1])
                self._spare = self._fork()
            elif pid in self._running:
                exited = {"id": self._running.pop(pid), "exited": os.waitstatus_to_exitcode(status)}
                _send(self._control, exited)

    def _fork(self) -> tuple[int, int]:
        read_end, write_end = os.pipe()
        parent = os.getpid()
        pid = os.fork()
        if pid:
            os.close(read_end)
            return pid, write_end
        status = 1
        try:
            os.close(write_end)
            _become_a_child(parent)
            status = _record_one(read_end, self._control)
        except BaseException:  # noqa: BLE001 (a child never returns into the server's loop)
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(status)


def _lower(pid: int) -> None:
    """Let a child go behind those that have just begun. Each of its threads has a niceness."""
    niceness = os.getpriority(os.PRIO_PROCESS, 0) + NICENESS
    with suppress(OSError):  # it has just ended
        for thread in Path(f"/proc/{pid}/task").iterdir():
            os.setpriority(os.PRIO_PROCESS, int(thread.name), niceness)


def _become_a_child(parent: int) -> None:
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def _record_one(pipe: int, control: socket.socket) -> int:
    """Wait for a job, do it, and return the exit status: 0 when all was said about it."""
    from exports.job import Job
    from exports.recording import record, warm_up

    warm_up()
    with os.fdopen(pipe) as source:
        text = source.read()
    if text:
        job = Job.from_json(json.loads(text))
        record(job, lambda fields: _send(control, {"id": job.id, **fields}))
    return 0


def _send(control: socket.socket, message: dict[str, Any]) -> None:
    if "message" in message:
        message["message"] = message["message"][:MAX_MESSAGE_CHARS]
    try:
        control.send(json.dumps(message).encode())
    except (BrokenPipeError, ConnectionResetError):
        os._exit(1)


def main() -> None:
    control = socket.socket(fileno=int(sys.argv[1]))
    # The server's green sockets do not block, and this one was made beside them.
    control.setblocking(True)
    os.nice(NICENESS)
    # As one in the background we would be stopped by what we say on a terminal with `stty tostop`.
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    import exports.recording  # noqa: F401 (loaded before the first fork)

    # Python 3.12 warns of forks beside threads. The ones here are the allocators' and polars' own,
    # which know of forks; no pool of theirs has started before the first batch of a child.
    warnings.filterwarnings("ignore", r"This process .* is multi-threaded", DeprecationWarning)

    # A child makes tuples by the million and few cycles, and ends with its export. Looking for
    # cycles took a quarter of its time: 1,000,000 rows of 8 columns in 1.0 s, without it in 0.7 s.
    gc.disable()

    ForkServer(control).serve()


if __name__ == "__main__":
    main()
