"""Does a small export wait for large ones? What is open meanwhile, and at whose cost?

Each client has an address of its own in 127.0.0.0/8, which makes it an owner. For comparison the
same server with as many open as record at once: then nothing overtakes, and none is paused.
"""

from __future__ import annotations

import sqlite3
import statistics
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import NamedTuple

from benchmarks.client import TIMEOUT_S, BadAnswer, Connection, ask
from benchmarks.data import TABLES
from benchmarks.processes import Peak
from benchmarks.results import Figure, Goal, interleave, percentile, ratio
from benchmarks.server import Server, served

NAME = "overtaking"
APP = "benchmarks.lag_wsgi:app"
LARGE, SMALLS = 8, 60
MANY, OWNERS = 20, 10
ROWS = TABLES["big"]
EVERY_S = 0.2
PING_EVERY_S = 0.01
ALONE_ROUNDS = 9
IN_TURN = {"HEADWATER_EXPORTS_OPEN": "1"}
MIB = 1024 * 1024

WRITER_ROUNDS = 2
# 50 commits of 8 KB a second.
WRITE_EVERY_S = 0.02
NOTE = "insert into notes (text) values (hex(randomblob(4096)))"

SOURCE = """
[sources.crowd]
database = "sqlite:///{database}"
table = "big"
"""


class Gone(NamedTuple):
    """One download. first_s: until its first byte; seconds: until its last."""

    first_s: float
    seconds: float


def run(database: Path) -> Iterator[Figure]:
    for mode in ("delete", "wal"):
        with _crowd(database, mode) as server:
            for whose, asking in (("another owner", _address(1)), ("the same owner", _address(0))):
                yield from _small_ones(f"100 rows, {mode}, beside 8 of {whose}", server, asking)
    yield from _many(database)
    yield from _writer(database)
    yield from _alone(database)


def _small_ones(name: str, server: Server, asking: str) -> Iterator[Figure]:
    """Ask for 100 rows at a time while there are 8 large exports; each is another export."""
    samples: list[float] = []
    while len(samples) < SMALLS:
        with _curls(server, [_address(0)] * LARGE, len(samples)) as large:
            time.sleep(EVERY_S)
            while len(samples) < SMALLS and not any(each.poll() is not None for each in large[2:]):
                client = Connection(server.address, source=asking)
                path = f"/download/crowd.csv?limit=100&id__gte={len(samples)}"
                samples.append(client.fetch(path).first_byte_s * 1000)
                client.close()
                time.sleep(EVERY_S)
        _end_all(server)
    for percent, bound in ((50, 100), (99, 300)):
        value = percentile(samples, percent)
        goal = Goal("<", bound)
        note = f"{len(samples)} of them, the latest after {max(samples):.0f} ms"
        yield Figure(NAME, f"{name}, p{percent}", value, "ms", goal, samples, note)


def _many(database: Path) -> Iterator[Figure]:
    """20 large exports of 10 owners, in both ways."""
    owners = [_address(1 + i // 2) for i in range(MANY)]
    ended: dict[str, list[Gone]] = {}
    for way, settings in (("two at a time", IN_TURN), ("overtaking", {})):
        with _crowd(database, "wal", settings) as server, _writing(database, "wal") as writer:
            idle = server.tree.memory()
            ask(server.address, "/_lag")
            with (
                Peak(server.tree) as peak,
                _pinging(server) as outside_ms,
                _curls(server, owners, 0) as running,
            ):
                ended[way] = [_ended(each) for each in running]
            lag = ask(server.address, "/_lag")
        grown = (peak.memory.pss - idle.pss) / MIB
        yield _of_wal(way, writer)
        is_ours = way == "overtaking"
        goal = Goal("<", 250) if is_ours else None
        yield Figure(NAME, f"20 of 10 owners, {way}, growth of PSS", grown, "MiB", goal)
        goal = Goal("<", 25) if is_ours else None
        note = f"seen from outside {percentile(outside_ms, 99):.0f} ms, with the client's own waits"
        yield Figure(
            NAME, f"20 of 10 owners, {way}, hub lag p99", percentile(lag, 99), "ms", goal, note=note
        )
    firsts = [min(ended["overtaking"][i : i + 2]).first_s for i in range(0, MANY, 2)]
    note = f"median {statistics.median(firsts):.2f} s"
    name = "20 of 10 owners, latest first byte of an owner's first"
    yield Figure(NAME, name, max(firsts), "s", Goal("<", 1), firsts, note)
    ours, theirs = (
        max(each.seconds for each in ended[way]) for way in ("overtaking", "two at a time")
    )
    name = "20 of 10 owners, all ended / two at a time"
    yield Figure(
        NAME, name, ours / theirs, "", Goal("<=", 1.15), note=f"{ours:.1f} and {theirs:.1f} s"
    )


def _of_wal(way: str, writer: _Writer) -> Figure:
    note = f"{len(writer.waits_s)} commits of 8 KB, the slowest {max(writer.waits_s):.2f} s"
    return Figure(
        NAME, f"20 of 10 owners, {way}, largest WAL", writer.wal_bytes / MIB, "MiB", note=note
    )


def _writer(database: Path) -> Iterator[Figure]:
    """The longest that a writer in rollback mode waits beside 20 large exports."""
    owners = [_address(1 + i // 2) for i in range(MANY)]
    longest = {}
    for way, settings in (("two at a time", IN_TURN), ("overtaking", {})):
        waits, failed = [], 0
        for _ in range(WRITER_ROUNDS):
            with (
                _crowd(database, "delete", settings) as server,
                _writing(database, "delete") as writer,
                _curls(server, owners, 0) as running,
            ):
                failed += sum(each.wait(TIMEOUT_S) != 0 for each in running)
            waits.append(max(writer.waits_s))
        longest[way] = statistics.median(waits)
        note = f"median of {WRITER_ROUNDS} runs; {failed} exports failed, locked out"
        yield Figure(
            NAME, f"a writer in rollback mode, {way}", longest[way], "s", None, waits, note
        )
    value = longest["overtaking"] / longest["two at a time"]
    yield Figure(NAME, "a writer's longest wait / two at a time", value, "", Goal("<=", 1.1))


def _alone(database: Path) -> Iterator[Figure]:
    with (
        _built(database, "wal") as source,
        served(database, catalogue=source) as ours,
        served(database, settings=IN_TURN, catalogue=source) as theirs,
    ):

        def rate(server: Server) -> float:
            return ROWS / server.produce("/download/crowd.csv").seconds

        rate(ours), rate(theirs)
        rates = interleave(ALONE_ROUNDS, lambda: rate(ours), lambda: rate(theirs))
    value, ratios = ratio(*rates)
    note = f"{statistics.median(rates[0]):,.0f} rows/s"
    yield Figure(NAME, "one alone / two at a time", value, "", Goal(">=", 0.97), ratios, note)


def _address(number: int) -> str:
    return f"127.0.0.{10 + number}"


@contextmanager
def _crowd(
    database: Path, mode: str, settings: Mapping[str, str] | None = None
) -> Iterator[Server]:
    """Serve the table `big` of a database of its own in that journal mode.

    It has exported once: on a busy machine its recorders start after it does.
    """
    with (
        _built(database, mode) as source,
        served(database, app=APP, settings=settings, catalogue=source) as server,
    ):
        server.produce("/download/small.csv")
        yield server


@contextmanager
def _built(database: Path, mode: str) -> Iterator[str]:
    """Make that database; return what the catalogue says of it. It is removed at the end."""
    path = _path(database, mode)
    for old in database.parent.glob(f"{path.name}*"):
        old.unlink()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("pragma journal_mode = off")
        connection.execute(f"attach 'file:{database}?mode=ro' as made")
        (sql,) = connection.execute(
            "select sql from made.sqlite_schema where name = 'big'"
        ).fetchone()
        connection.execute(sql)
        connection.execute("insert into main.big select * from made.big")
        connection.execute("create table notes (text)")
        connection.commit()
        connection.execute("detach made")
        connection.execute(f"pragma journal_mode = {mode}")
    yield SOURCE.format(database=path)
    for old in database.parent.glob(f"{path.name}*"):
        old.unlink()


def _path(database: Path, mode: str) -> Path:
    return database.with_name(f"crowd-{mode}.db")


@contextmanager
def _curls(
    server: Server, addresses: Sequence[str], first: int
) -> Iterator[list[subprocess.Popen[str]]]:
    """Start a large download from each address. first: of the numbers that make each another."""
    command = ["curl", "-sS", "--fail", "-o", "/dev/null", "--max-time", str(TIMEOUT_S)]
    running = [
        subprocess.Popen(
            [*command, "-w", "%{time_starttransfer} %{time_total}", "--interface", address,
             server.url(f"/download/crowd.csv?limit={2 * ROWS + first + i}")],
            stdout=subprocess.PIPE, text=True,
        )
        for i, address in enumerate(addresses)
    ]  # fmt: skip
    try:
        yield running
    finally:
        for process in running:
            process.kill()
            process.communicate()


def _ended(process: subprocess.Popen[str]) -> Gone:
    said, _ = process.communicate(timeout=TIMEOUT_S)
    if process.returncode:
        raise BadAnswer(f"curl ended with {process.returncode}")
    return Gone(*map(float, said.split()))


def _end_all(server: Server) -> None:
    for export in ask(server.address, "/exports")["exports"]:
        ask(server.address, f"/exports/{export['id']}", method="DELETE")
    server.tree.settle()


class _Writer:
    """Commits to the database until it is stopped. every_s: the pace, 0 for as quick as it can."""

    def __init__(self, path: Path, every_s: float) -> None:
        self.waits_s: list[float] = []
        self.wal_bytes = 0
        self._path = path
        self._every_s = every_s
        self._stopped = Event()
        self._thread = Thread(target=self._write)
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join()

    def _write(self) -> None:
        log = self._path.with_name(f"{self._path.name}-wal")
        with closing(sqlite3.connect(self._path, TIMEOUT_S, isolation_level=None)) as connection:
            while not self._stopped.wait(self._every_s):
                began_s = time.monotonic()
                connection.execute(NOTE)
                self.waits_s.append(time.monotonic() - began_s)
                if log.exists():
                    self.wal_bytes = max(self.wal_bytes, log.stat().st_size)


@contextmanager
def _writing(database: Path, mode: str) -> Iterator[_Writer]:
    writer = _Writer(_path(database, mode), WRITE_EVERY_S)
    try:
        yield writer
    finally:
        writer.stop()


@contextmanager
def _pinging(server: Server) -> Iterator[list[float]]:
    """Ask for next to nothing every PING_EVERY_S; hand out how long each took, in milliseconds."""
    took_ms: list[float] = []
    stopped = Event()

    def ping() -> None:
        client = Connection(server.address)
        while not stopped.wait(PING_EVERY_S):
            took_ms.append(client.fetch("/_ping").seconds * 1000)
        client.close()

    thread = Thread(target=ping)
    thread.start()
    try:
        yield took_ms
    finally:
        stopped.set()
        thread.join()
