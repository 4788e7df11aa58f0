"""The load, a process of its own: what publishes, listens and waits must not share the server's
interpreter, nor ours. It gets its task as one line of JSON and reports by lines of JSON.

Way in: loading. The other side is load_tasks.py.
"""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from benchmarks.client import BadAnswer

_PROJECT = Path(__file__).parent.parent
STOP_S = 10


class Load:
    """A running load process; close() ends it."""

    def __init__(self, process: subprocess.Popen[str], stdin: IO[str], stdout: IO[str]) -> None:
        self._process = process
        self._stdin = stdin
        self._reports: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._listener = threading.Thread(target=self._listen, args=(stdout,), daemon=True)
        self._listener.start()

    def report(self, timeout_s: float) -> dict[str, Any]:
        """Wait for the next report. Raises BadAnswer when it failed, ended, or says nothing."""
        try:
            line = self._reports.get(timeout=timeout_s)
        except queue.Empty:
            raise BadAnswer(f"the load process said nothing for {timeout_s:.0f} s") from None
        if not line:
            raise BadAnswer(f"the load process ended with {self._process.wait(STOP_S)}")
        report: dict[str, Any] = json.loads(line)
        if "failed" in report:
            raise BadAnswer(report["failed"])
        return report

    def end(self) -> None:
        """End a task that runs until this call; it then reports."""
        self._stdin.close()

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(STOP_S)
        self._listener.join()
        with suppress(BrokenPipeError):
            self._stdin.close()

    def _listen(self, stdout: IO[str]) -> None:
        with stdout:
            for line in stdout:
                self._reports.put(line)
        self._reports.put("")


@contextmanager
def loading(task: str, limit_s: float, **told: Any) -> Iterator[Load]:
    """Start a task of load_tasks.py; it is over at the end, and by itself after limit_s.

    told: what the task is told, as JSON can say it.
    """
    command = [sys.executable, "-m", "benchmarks.load_tasks"]
    process = subprocess.Popen(
        command, cwd=_PROJECT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    with closing(Load(process, process.stdin, process.stdout)) as load:
        process.stdin.write(json.dumps({"task": task, "limit_s": limit_s, "told": told}) + "\n")
        process.stdin.flush()
        yield load
