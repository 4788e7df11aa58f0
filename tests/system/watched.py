"""The application of a test server with a watchdog inside: what holds the hub?

gunicorn loads this in place of the application that WATCHED names; HUB_REPORT is where it tells.
Starting is not watched, nor is the end of the process: nobody waits then.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import re
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import IO, Any

import greenlet

from server.hooks import find_hooks, give_hooks
from server.monkey_patching import eventlet

ROOT = Path(__file__).parents[2]
# From one switch of greenlets to the next nobody else has a turn.
BOUND_S = 0.05
# From half the bound on it is looked so often at what runs, and the last looks are told.
LOOK_EVERY_S = 0.01
MAX_STACKS = 4

# Where a call that waits for a disk is no fault: what the kernel makes, and what a program is.
HARMLESS = ("/proc/", "/dev/", str(ROOT), sys.prefix, sys.base_prefix)
# The events of sys.addaudithook that may wait for a disk, or for a name server or a process.
AUDITED = {
    "open", "os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.listdir", "os.scandir",
    "os.truncate", "os.link", "os.symlink", "fcntl.flock", "fcntl.lockf", "sqlite3.connect",
    "socket.getaddrinfo", "socket.gethostbyname", "subprocess.Popen",
}  # fmt: skip
# What has no such event.
UNAUDITED = ("stat", "lstat", "readlink", "fsync", "fdatasync")

_threading = eventlet.patcher.original("threading")
_sleep = eventlet.patcher.original("time").sleep


class Report:
    """Tells what is wrong with the hub, one line of JSON each."""

    def __init__(self, file: IO[str]) -> None:
        self._file = file

    def tell(self, what: str, stacks: list[str]) -> None:
        is_the_tests_own = all(map(_is_the_tests_own, stacks))
        told = {"what": what, "stacks": stacks, "is_the_tests_own": is_the_tests_own}
        self._file.write(json.dumps(told) + "\n")
        self._file.flush()


class Watchdog:
    """Measures the CPU time of the thread that starts it, from one switch to the next.

    Wall time would count what other processes do. A native thread notes the stack of what takes
    long; what is in C lets it look only afterwards, so it is told also where the run has ended.
    """

    def __init__(self, report: Report) -> None:
        self._report = report
        self._thread = _threading.get_ident()
        self._clock = time.pthread_getcpuclockid(self._thread)
        self._run = 0
        self._began_s = time.thread_time()
        self._collected_s = self._collecting_s = 0.0
        # The number of the run, and the stack.
        self._seen: list[tuple[int, str]] = []

    def start(self) -> None:
        gc.callbacks.append(self._on_collection)
        greenlet.settrace(self._on_switch)
        _threading.Thread(target=self._look, daemon=True).start()

    def stop(self) -> None:
        greenlet.settrace(None)

    def _on_switch(self, event: str, args: tuple[Any, Any]) -> None:
        took_s = time.thread_time() - self._began_s
        if took_s > BOUND_S:
            self._tell(took_s, args[0])
        self._run += 1
        self._collected_s = 0.0
        self._began_s = time.thread_time()

    def _on_collection(self, phase: str, info: dict[str, int]) -> None:
        if _threading.get_ident() != self._thread:
            return
        if phase == "start":
            self._collecting_s = time.thread_time()
        else:
            self._collected_s += time.thread_time() - self._collecting_s

    def _look(self) -> None:
        while True:
            _sleep(LOOK_EVERY_S)
            run, began_s = self._run, self._began_s
            if time.clock_gettime(self._clock) - began_s > BOUND_S / 2:
                stack = _text(sys._current_frames()[self._thread])
                self._seen = [*self._seen[1 - MAX_STACKS :], (run, stack)]

    def _tell(self, took_s: float, left: Any) -> None:
        stacks = [stack for run, stack in self._seen if run == self._run]
        if left.gr_frame is not None:
            stacks.append(_text(left.gr_frame))
        took_ms, collected_ms = round(took_s * 1000), round(self._collected_s * 1000)
        what = f"the hub was held for {took_ms} ms ({collected_ms} of them by the collector)"
        self._report.tell(what, stacks)


class Waits:
    """Looks for calls on the thread that starts it that may wait for a disk, each told once."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._thread = _threading.get_ident()
        self._is_on = True
        self._told: set[tuple[str, str]] = set()

    def start(self) -> None:
        sys.addaudithook(self._on_event)
        for name in UNAUDITED:
            setattr(os, name, self._noting(name, getattr(os, name)))

    def stop(self) -> None:
        self._is_on = False

    def _noting(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def noting(*args: Any, **more: Any) -> Any:
            self._note(f"os.{name}", args[0])
            return call(*args, **more)

        return noting

    def _on_event(self, event: str, args: tuple[Any, ...]) -> None:
        if event in AUDITED:
            self._note(event, args[0])

    def _note(self, call: str, on: Any) -> None:
        if not self._is_on or _threading.get_ident() != self._thread:
            return
        # Of what is open already only these wait: a lock, and that it is on the disk.
        is_open = isinstance(on, int) and call not in ("fcntl.flock", "os.fsync", "os.fdatasync")
        if is_open or os.fsdecode(on if isinstance(on, (str, bytes, Path)) else "").startswith(
            HARMLESS
        ):
            return
        stack = _text(sys._getframe(2))
        if (call, stack) not in self._told:
            self._told.add((call, stack))
            self._report.tell(f"{call} was called on the hub, with {on!r}", [stack])


def _start() -> None:
    """Start the application, and then watch the thread of the hub."""
    _hooks.on_start()
    # As wsgi.py does: else a collection goes through all that was imported, 40 ms.
    gc.collect()
    gc.freeze()
    for watcher in (Watchdog(_report), Waits(_report)):
        watcher.start()
        atexit.register(watcher.stop)


def _is_the_tests_own(stack: str) -> bool:
    """Is the innermost function of this project one of the tests?"""
    ours = [path for path in re.findall(f'File "{ROOT}/(.*)"', stack) if ".venv/" not in path]
    return bool(ours) and ours[-1].startswith("tests/")


def _text(frame: FrameType) -> str:
    return "".join(traceback.format_stack(frame))


_report = Report(open(os.environ["HUB_REPORT"], "a"))  # noqa: SIM115 (as long as the process)
_module, _, _name = os.environ["WATCHED"].partition(":")
app = getattr(importlib.import_module(_module), _name)
_hooks = find_hooks(app)
give_hooks(app, replace(_hooks, on_start=_start))
