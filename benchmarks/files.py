"""A large file beside nginx, and a folder of many small files as a ZIP beside `zip -0`.

Each time the ZIP is read for the first time: the files are touched before, so that nothing is
remembered of them.
"""

from __future__ import annotations

import os
import random
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from benchmarks.client import Connection, Fetched, ask
from benchmarks.peers import nginx
from benchmarks.processes import Peak
from benchmarks.results import Figure, Goal, interleave, percentile, ratio
from benchmarks.server import Server, served

NAME = "files"
GIB, MIB, MB = 1024**3, 1024**2, 1_000_000
LARGE = "/files/large/gib.bin"
FOLDERS, FILES_EACH, MOST_BYTES = 100, 100, 8192
ZIP = "/download/small.zip"
ROUNDS = 5
# Changes so long ago show in the files' times.
SETTLED_S = 0.1

THROUGHPUT, LAG, MEMORY = Goal(">=", 0.6), Goal("<", 25), Goal("<", 64)
ARCHIVE, FIRST_BYTE = Goal(">=", 0.5), Goal("<", 100)


def run(database: Path) -> Iterator[Figure]:
    with tempfile.TemporaryDirectory(prefix="files-", dir=database.parent) as name:
        large, small = Path(name, "large"), Path(name, "small")
        _build(large, small)
        catalogue = "".join(f'[folders.{f.name}]\npath = "{f}"\n' for f in (large, small))
        app = "benchmarks.lag_wsgi:app"
        with served(database, app=app, catalogue=catalogue) as server:
            with Peak(server.tree) as peak:
                idle = server.tree.memory()
                yield from _compare_large(server, large)
                yield from _watch_large(server, large)
            grown = (peak.memory.pss - idle.pss) / MIB
            yield Figure(NAME, "1 GiB file, growth of PSS", grown, "MiB", MEMORY)
            with Peak(server.tree) as peak:
                idle = server.tree.memory()
                yield from _compare_archive(server, small)
            grown = (peak.memory.pss - idle.pss) / MIB
            yield Figure(NAME, "10,000 files, growth of PSS", grown, "MiB", MEMORY)


def _build(large: Path, small: Path) -> None:
    source = random.Random(1)
    large.mkdir()
    with (large / "gib.bin").open("wb") as file:
        for _ in range(GIB // MIB):
            file.write(source.randbytes(MIB))
    for number in range(FOLDERS):
        folder = small / f"{number:03}"
        folder.mkdir(parents=True)
        for each in range(FILES_EACH):
            content = source.randbytes(source.randrange(MOST_BYTES))
            (folder / f"{each:03}.bin").write_bytes(content)


def _fetch(address: tuple[str, int], path: str) -> Fetched:
    with closing(Connection(address)) as connection:
        return connection.fetch(path)


def _compare_large(server: Server, large: Path) -> Iterator[Figure]:
    def speed(address: tuple[str, int], path: str) -> float:
        fetched = _fetch(address, path)
        return fetched.body_bytes / MB / fetched.seconds

    if not nginx.is_there():
        yield Figure(NAME, "headwater / nginx, 1 GiB file", None, "", note=nginx.INSTALL)
        return
    with nginx.served(large, server.folder / "nginx") as address:
        mine, other = interleave(
            ROUNDS, lambda: speed(server.address, LARGE), lambda: speed(address, "/gib.bin")
        )
    yield Figure(NAME, "headwater, 1 GiB file", statistics.median(mine), "MB/s", samples=mine)
    yield Figure(NAME, "nginx, 1 GiB file", statistics.median(other), "MB/s", samples=other)
    value, ratios = ratio(mine, other)
    yield Figure(NAME, "headwater / nginx, 1 GiB file", value, "", THROUGHPUT, ratios)


def _watch_large(server: Server, large: Path) -> Iterator[Figure]:
    """How late the hub is while the file is sent: from memory, and from the disk."""
    for name, is_cold in (("in memory", False), ("on the disk", True)):
        ask(server.address, "/_lag")
        for _ in range(ROUNDS):
            if is_cold:
                _forget(large / "gib.bin")
            fetched = _fetch(server.address, LARGE)
        lag = ask(server.address, "/_lag")
        speed = fetched.body_bytes / MB / fetched.seconds
        note = f"p50 {percentile(lag, 50):.1f}, p100 {max(lag):.1f} ms, {speed:,.0f} MB/s"
        yield Figure(NAME, f"hub lag p99, 1 GiB {name}", percentile(lag, 99), "ms", LAG, note=note)


def _forget(path: Path) -> None:
    """Have the system drop the file from memory."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _compare_archive(server: Server, small: Path) -> Iterator[Figure]:
    first_bytes_ms = []
    archive = server.folder / "peer.zip"

    def ours() -> float:
        for path in small.glob("*/*"):
            os.utime(path)
        time.sleep(SETTLED_S)
        fetched = _fetch(server.address, ZIP)
        first_bytes_ms.append(fetched.first_byte_s * 1000)
        return fetched.body_bytes / MB / fetched.seconds

    def theirs() -> float:
        archive.unlink(missing_ok=True)
        began_s = time.perf_counter()
        subprocess.run(["zip", "-0", "-q", "-r", archive, "."], cwd=small, check=True)
        return archive.stat().st_size / MB / (time.perf_counter() - began_s)

    ask(server.address, "/_lag")
    mine, other = interleave(ROUNDS, ours, theirs)
    lag = ask(server.address, "/_lag")
    yield Figure(NAME, "headwater, 10,000 files", statistics.median(mine), "MB/s", samples=mine)
    yield Figure(NAME, "zip -0, 10,000 files", statistics.median(other), "MB/s", samples=other)
    value, ratios = ratio(mine, other)
    yield Figure(NAME, "headwater / zip -0, 10,000 files", value, "", ARCHIVE, ratios)
    worst_ms = max(first_bytes_ms)
    yield Figure(NAME, "first byte, 10,000 files, slowest", worst_ms, "ms", FIRST_BYTE)
    yield Figure(NAME, "hub lag p99, 10,000 files", percentile(lag, 99), "ms", LAG)
