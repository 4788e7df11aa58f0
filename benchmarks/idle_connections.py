"""5,000 connections that only wait: what does each cost the server in memory, how soon are all in?

Memory is the growth of PSS over the server's processes, after a first few have been connected and
have left again. Headwater's connections on /live are not quite idle: each gets the original
contract's `status_update` every second, which the peers do not send.
"""

from __future__ import annotations

import dataclasses
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.client import BadAnswer
from benchmarks.crowd import Dialogue
from benchmarks.load import loading
from benchmarks.peers.broadcasters import (
    FLASK_SOCKETIO,
    HEADWATER,
    HEADWATER_LIVE,
    NODE,
    Broadcaster,
    Running,
    serve_nchan,
    socketio,
)
from benchmarks.processes import DidNotStart, Tree, raise_descriptor_limit
from benchmarks.results import Figure, Goal

NAME = "idle-connections"
LIMIT_S = 900
CLIENTS = 5_000
WARM_UP_CLIENTS = 200
ROUNDS = 3
KB = 1000
MEMORY = Goal("<", 40)
CONNECTING = Goal("<=", 60)
HOLD_S = 120
# So long the memory is left to settle, then looked at so often; the median counts.
SETTLE_S = 4.0
LOOKS, LOOK_EVERY_S = 5, 0.5

LIVE = HEADWATER_LIVE._replace(listen=socketio("/live"))
FOLLOWING = HEADWATER_LIVE._replace(name="headwater, Socket.IO with a subscription")
SSE = HEADWATER._replace(
    name="headwater, SSE", listen=Dialogue("/events/bench", accept="text/event-stream")
)
NCHAN = NODE._replace(name="Nchan, WebSocket", serve=serve_nchan, listen=Dialogue("/listen"))
SUBJECTS = (LIVE, FOLLOWING, FLASK_SOCKETIO, NODE, NCHAN, HEADWATER, SSE)


@dataclasses.dataclass
class _Found:
    """Of one subject, by round: bytes a connection, and the seconds until all were connected."""

    connection_bytes: list[float] = dataclasses.field(default_factory=list)
    connected_s: list[float] = dataclasses.field(default_factory=list)
    failure: str = ""


def run(database: Path) -> Iterator[Figure]:
    raise_descriptor_limit()
    found = {subject.name: _Found() for subject in SUBJECTS}
    for _ in range(ROUNDS):
        for subject in SUBJECTS:
            _measure(subject, database, found[subject.name])
    for subject in SUBJECTS:
        yield from _figures(subject, found[subject.name])


def _measure(subject: Broadcaster, database: Path, found: _Found) -> None:
    """Add one round, unless one before has failed."""
    if found.failure:
        return
    try:
        with subject.serve(database) as server:
            tree = Tree(server.pid)
            _hold(subject, server, WARM_UP_CLIENTS, lambda: 0.0)
            before = _settled_pss(tree)
            connected_s, pss = _hold(subject, server, CLIENTS, lambda: _settled_pss(tree))
    except (BadAnswer, DidNotStart, OSError) as error:
        found.failure = f"{type(error).__name__}: {error}".partition("\n")[0][:200]
        return
    found.connected_s.append(connected_s)
    found.connection_bytes.append((pss - before) / CLIENTS)


def _hold(
    subject: Broadcaster, server: Running, clients: int, look: Callable[[], float]
) -> tuple[float, float]:
    """Connect, look, leave; return the seconds it took to connect and what was seen."""
    listen = subject.listen._asdict()
    with loading("hold", HOLD_S, address=server.address, clients=clients, listen=listen) as load:
        connected_s: float = load.report(HOLD_S)["connected_s"]
        seen = look()
        load.end()
        gone = load.report(HOLD_S)["gone"]
    if gone:
        raise BadAnswer(f"{gone} of {clients} were cut while they waited")
    return connected_s, seen


def _settled_pss(tree: Tree) -> float:
    time.sleep(SETTLE_S)
    looks = []
    for _ in range(LOOKS):
        looks.append(tree.memory().pss)
        time.sleep(LOOK_EVERY_S)
    return statistics.median(looks)


def _figures(subject: Broadcaster, found: _Found) -> Iterator[Figure]:
    memory, connecting = f"{subject.name}, a connection", f"{subject.name}, until all are connected"
    if not found.connected_s:
        for name in (memory, connecting):
            yield Figure(NAME, name, None, "", note=found.failure)
        return
    is_ours = subject is LIVE
    samples = [size / KB for size in found.connection_bytes]
    goal = MEMORY if is_ours else None
    note = "a status_update each second goes to all" if is_ours else found.failure
    yield Figure(NAME, memory, statistics.median(samples), "KB", goal, samples, note)
    goal = CONNECTING if is_ours else None
    seconds = found.connected_s
    yield Figure(NAME, connecting, statistics.median(seconds), "s", goal, seconds)
