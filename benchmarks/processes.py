"""Processes that we start, watch and end by their ids.

Way in: running for one that serves, Tree for what it and its children use.
"""

from __future__ import annotations

import os
import resource
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

from benchmarks.client import Address

START_S = 30
STOP_S = 10
SAMPLE_EVERY_S = 0.05
# Beside 20 exports it took 3 s of processor time while the watched hub took 1 s.
SAMPLER_NICENESS = 10
# Two looks this far apart without work in between: it is idle. Heartbeats take less than a tick.
IDLE_S = 0.2
IDLE_TICKS = 1
SETTLE_S = 60


class DidNotStart(Exception):
    """A process ended, or did not listen, before it could be measured; the text is its output."""


def free_port() -> int:
    """Return a port of 127.0.0.1 that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def raise_descriptor_limit() -> None:
    """Let this process, and those that it starts, have as many descriptors as are allowed."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def cores() -> tuple[int, int]:
    """Return one core for a server and one for the load: the same where there is only one."""
    available = sorted(os.sched_getaffinity(0))
    return available[0], available[-1]


@contextmanager
def pinned(core: int) -> Iterator[None]:
    """Have what is started meanwhile run on one core."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextmanager
def running(
    command: Sequence[str], address: Address, output: Path, environ: Mapping[str, str], cwd: Path
) -> Iterator[int]:
    """Start a server, wait until it listens, hand out its id; it is stopped at the end.

    output: where what it prints goes. Raises DidNotStart.
    """
    with output.open("wb") as file:
        process = subprocess.Popen(
            command,
            cwd=cwd,
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    try:
        deadline_s = time.monotonic() + START_S
        while not _listens(address):
            if process.poll() is not None or time.monotonic() > deadline_s:
                raise DidNotStart(f"{command[0]}: {output.read_text(errors='replace')[-2000:]}")
            time.sleep(0.05)
        yield process.pid
    finally:
        process.terminate()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            for pid in Tree(process.pid).pids():
                with suppress(ProcessLookupError):
                    os.kill(pid, 9)
            process.wait()


def _listens(address: Address) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(address) == 0


class Memory(NamedTuple):
    """Bytes. pss: each page counted once, shared ones in parts. rss: in every process anew."""

    pss: int
    rss: int


class Tree:
    """A process and all that descend from it, as they are at each moment."""

    def __init__(self, root: int) -> None:
        self.root = root

    def pids(self) -> list[int]:
        """Return the root's id and those of its descendants."""
        found = [self.root]
        for pid in found:
            with suppress(OSError):
                for children in Path(f"/proc/{pid}/task").glob("*/children"):
                    found += map(int, children.read_text().split())
        return found

    def memory(self) -> Memory:
        """Return what all of them use together."""
        sums = {"Pss": 0, "Rss": 0}
        for pid in self.pids():
            with suppress(OSError):  # it has just ended
                for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
                    name, _, rest = line.partition(":")
                    if name in sums:
                        sums[name] += int(rest.split()[0]) * 1024
        return Memory(sums["Pss"], sums["Rss"])

    def ticks(self) -> int:
        """Return the processor time that those alive have used, in clock ticks."""
        total = 0
        for pid in self.pids():
            with suppress(OSError):
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
                total += int(fields[11]) + int(fields[12])
        return total

    def settle(self) -> None:
        """Wait until the same processes are there and idle."""
        deadline_s = time.monotonic() + SETTLE_S
        before = (self.pids(), self.ticks())
        while time.monotonic() < deadline_s:
            time.sleep(IDLE_S)
            now = (self.pids(), self.ticks())
            if now[0] == before[0] and now[1] - before[1] <= IDLE_TICKS:
                return
            before = now


class Peak:
    """The most memory that a tree has used, looked at every SAMPLE_EVERY_S while inside `with`."""

    def __init__(self, tree: Tree) -> None:
        self.memory = Memory(0, 0)
        self._tree = tree
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Peak:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), SAMPLER_NICENESS)
        while not self._ended.wait(SAMPLE_EVERY_S):
            now = self._tree.memory()
            self.memory = Memory(max(self.memory.pss, now.pss), max(self.memory.rss, now.rss))
