"""What a request costs: requests/s on kept connections, beside the limits that are set by others.

The limits: a Flask view of the same bytes on the same worker, and a WSGI function on it. Beside
them the commit before this was measured (BEFORE), stock Flask-SocketIO, Node, nginx for files, and
Nchan for POSTs.
"""

from __future__ import annotations

import os
import socket
import statistics
import subprocess
import tarfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

from benchmarks.client import TIMEOUT_S, Address, BadAnswer
from benchmarks.kept import read_answer
from benchmarks.load import loading
from benchmarks.peers import plain
from benchmarks.peers.broadcasters import serve_nchan
from benchmarks.posts import request_of
from benchmarks.processes import DidNotStart
from benchmarks.results import Figure, Goal, interleave, ratio
from benchmarks.server import PROJECT, Server, served

NAME = "requests"
LIMIT_S = 900
BEFORE = "ced760d"
CLIENTS = 16
FOR_S = 1.5
ROUNDS = 5
PEER_ROUNDS = 3
SMALL_BYTES = 1024
# Of what is slower: the limit of the framework, or twice what it was.
OF_BARE, TIMES_BEFORE, DURABLE_TIMES = 0.8, 2.0, 1.5
STREAMED = 200_000
STREAM_GOAL = Goal(">=", 150_000)


class Kind(NamedTuple):
    """What is asked. clients: on how many connections."""

    name: str
    request: bytes
    clients: int = CLIENTS


def _get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n\r\n".encode()


DURABLE = Kind("POST, durable, one publisher", request_of("/events/kept"), 1)
KINDS = (
    Kind("POST of one event", request_of("/events/bench")),
    Kind("/healthz", _get("/healthz")),
    Kind("a file of 1 KiB", _get("/files/bench/small.bin")),
    Kind("/", _get("/")),
)
# It publishes elsewhere, and answers with its own words, to a channel that nobody listens to.
NCHAN = KINDS[0]._replace(request=request_of("/publish"))


def run(database: Path) -> Iterator[Figure]:
    with ExitStack() as everything:
        before = everything.enter_context(_before(database))
        ours = everything.enter_context(_served(database, PROJECT))
        old = everything.enter_context(_served(database, before)) if before else None
        folder = plain.record(ours.folder / "plain", ours.address, [k.request for k in KINDS])
        flask = everything.enter_context(plain.on_our_worker(folder, "flask_app"))
        raw = everything.enter_context(plain.on_our_worker(folder, "wsgi_app"))
        for kind in KINDS:
            yield from _compare(kind, ours, old, flask, raw)
        yield from _durable(ours, old)
        yield from _stream(ours, old)
        for name, serve in plain.PEERS.items():
            yield from _peer(name, serve, folder)
        yield from _peer("Nchan", lambda _: _nchan(database), folder, (NCHAN,))


@contextmanager
def _before(database: Path) -> Iterator[Path | None]:
    """Return the tree of the commit before while it is needed; None where git has none."""
    command = ["git", "-C", str(PROJECT), "archive", BEFORE]
    packed = subprocess.run(command, capture_output=True, check=False).stdout
    if not packed:
        yield None
        return
    with plain.temporary(database.parent) as folder:
        with tarfile.open(fileobj=BytesIO(packed)) as tree:
            tree.extractall(folder, filter="data")
        yield folder


@contextmanager
def _served(database: Path, project: Path) -> Iterator[Server]:
    with plain.temporary(database.parent) as folder:
        small = folder / "small.bin"
        small.write_bytes(os.urandom(SMALL_BYTES))
        # What was changed just now is read twice.
        os.utime(small, (1e9, 1e9))
        catalogue = f'\n[folders.bench]\npath = "{folder}"\n'
        with served(database, live=True, catalogue=catalogue, project=project) as server:
            yield server


def _rate(address: Address, kind: Kind) -> float:
    told = {"request": kind.request.decode(), "clients": kind.clients, "seconds": FOR_S}
    with loading("ask", TIMEOUT_S, address=address, **told) as load:
        return float(load.report(TIMEOUT_S)["answers"]) / FOR_S


def _compare(
    kind: Kind, ours: Server, old: Server | None, flask: Address, raw: Address
) -> Iterator[Figure]:
    addresses = {"headwater": ours.address, "bare Flask": flask, "bare WSGI": raw}
    if old is not None:
        addresses[BEFORE] = old.address
    measures = [lambda address=address: _rate(address, kind) for address in addresses.values()]
    rates = dict(zip(addresses, interleave(ROUNDS, *measures), strict=True))
    for name, samples in rates.items():
        yield Figure(NAME, f"{name}, {kind.name}", statistics.median(samples), "/s", None, samples)
    of_bare, ratios = ratio(rates["headwater"], rates["bare Flask"])
    if old is None:
        yield Figure(NAME, f"headwater / bare Flask, {kind.name}", of_bare, "", None, ratios)
        return
    times, more = ratio(rates["headwater"], rates[BEFORE])
    yield Figure(NAME, f"headwater / {BEFORE}, {kind.name}", times, "", None, more)
    # Whichever of the two is less is what has to be reached: so the better share counts.
    share = max(of_bare / OF_BARE, times / TIMES_BEFORE)
    note = f"{of_bare:.2f} of bare Flask (0.8 is enough), {times:.2f} times {BEFORE} (2 is enough)"
    yield Figure(NAME, f"share of the goal, {kind.name}", share, "", Goal(">=", 1.0), (), note)


def _durable(ours: Server, old: Server | None) -> Iterator[Figure]:
    servers = [ours, *([old] if old else [])]
    measures = [lambda server=server: _rate(server.address, DURABLE) for server in servers]
    mine, *others = interleave(ROUNDS, *measures)
    yield Figure(NAME, f"headwater, {DURABLE.name}", statistics.median(mine), "/s", None, mine)
    for theirs in others:
        yield Figure(NAME, f"{BEFORE}, {DURABLE.name}", statistics.median(theirs), "/s")
        times, ratios = ratio(mine, theirs)
        goal = Goal(">=", DURABLE_TIMES)
        yield Figure(NAME, f"headwater / {BEFORE}, {DURABLE.name}", times, "", goal, ratios)


def _stream(ours: Server, old: Server | None) -> Iterator[Figure]:
    """Publish as fast as possible: streamed with receipts, and in batches, also as before."""
    for topic, kind in (("bench", "ephemeral"), ("kept", "durable")):
        measures: dict[str, Callable[[], float]] = {
            f"streamed, {kind}": lambda topic=topic: _loaded(ours, topic, "stream"),
            f"batches of 10,000, {kind}": lambda topic=topic: _loaded(ours, topic, "batches"),
        }
        if old is not None:
            measures[f"{BEFORE}, batches of 10,000, {kind}"] = lambda topic=topic: _loaded(
                old, topic, "batches"
            )
        for name, samples in zip(measures, interleave(ROUNDS, *measures.values()), strict=True):
            goal = STREAM_GOAL if name == "streamed, ephemeral" else None
            yield Figure(NAME, name, statistics.median(samples), "events/s", goal, samples)


def _loaded(server: Server, topic: str, how: str) -> float:
    told = {"topic": topic, "events": STREAMED, "how": how}
    with loading("upload", TIMEOUT_S, address=server.address, **told) as load:
        return STREAMED / float(load.report(TIMEOUT_S)["seconds"])


@contextmanager
def _nchan(database: Path) -> Iterator[Address]:
    with serve_nchan(database) as running:
        yield running.address


def _peer(
    name: str, serve: plain.Serve, folder: Path, kinds: Sequence[Kind] = KINDS
) -> Iterator[Figure]:
    try:
        with serve(folder) as address:
            for kind in kinds:
                if not _can(address, kind):
                    continue
                (samples,) = interleave(PEER_ROUNDS, lambda kind=kind: _rate(address, kind))
                value = statistics.median(samples)
                yield Figure(NAME, f"{name}, {kind.name}", value, "/s", None, samples)
    except DidNotStart as error:
        yield Figure(NAME, name, None, "", note=str(error)[:200])


def _can(address: Address, kind: Kind) -> bool:
    with socket.create_connection(address, TIMEOUT_S) as connection:
        connection.sendall(kind.request)
        try:
            read_answer(connection)
        except BadAnswer:
            return False
    return True
