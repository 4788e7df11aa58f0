"""How late is the one-second tick on /live, with 1,000 clients and 8 exports running?

A tick says when the server made it, and its number, so when it was due is known: whole seconds
after the least late one. It is reported twice: as the server made it, and as each client had it,
where the clients' own turn on a busy machine counts too.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.client import BadAnswer, curls
from benchmarks.load import loading
from benchmarks.peers.broadcasters import CONNECTIONS, socketio
from benchmarks.processes import raise_descriptor_limit
from benchmarks.results import Figure, Goal, percentile
from benchmarks.server import served
from benchmarks.ticks import anchor, lateness

NAME = "tick"
LIMIT_S = 300
CLIENTS = 1_000
EXPORTS = 8
GOAL = Goal("<", 50)
IDLE_S = 10.0
# The exports are asked for, and all of them run.
BEGIN_S = 2.0
LOADED_S = 40.0
LEAST_TICKS = 30


def run(database: Path) -> Iterator[Figure]:
    raise_descriptor_limit()
    settings = {"HEADWATER_CONNECTIONS": str(CONNECTIONS)}
    with (
        served(database, exports_running=EXPORTS, settings=settings, live=True) as server,
        loading(
            "hold",
            LIMIT_S,
            address=server.address,
            clients=CLIENTS,
            listen=socketio("/live")._asdict(),
        ) as load,
    ):
        load.report(LIMIT_S)
        spans = {"idle": (time.time(), time.time() + IDLE_S)}
        time.sleep(IDLE_S)
        # None of the huge ones is finished when the time is up.
        urls = [server.url(f"/download/huge.csv?limit={20_000_000 + i}") for i in range(EXPORTS)]
        with curls(urls) as running:
            time.sleep(BEGIN_S)
            spans[f"{EXPORTS} exports"] = (time.time(), time.time() + LOADED_S)
            time.sleep(LOADED_S)
            if any(process.poll() is not None for process in running):
                raise BadAnswer("an export ended while the ticks were watched")
            load.end()
            seen = load.report(LIMIT_S)
    served_at = {int(number): at_s for number, at_s in seen["served_at"].items()}
    if seen["gone"] or not served_at:
        raise BadAnswer(f"{seen['gone']} clients were cut, {len(served_at)} ticks came")
    anchored_at = anchor(served_at)
    for name, (begins_at, ends_at) in spans.items():
        made = [(n, at_s) for n, at_s in served_at.items() if begins_at <= at_s < ends_at]
        numbers = {n for n, _ in made}
        came = [(n, at_s) for n, at_s in seen["arrivals"] if n in numbers]
        goal = GOAL if len(made) >= LEAST_TICKS else None
        expected = len(made) * CLIENTS
        note = f"{len(made)} ticks; of {expected:,} arrivals {expected - len(came):,} are missing"
        yield _p99(f"{name}, as made", lateness(made, anchored_at), goal, note)
        yield _p99(f"{name}, as it arrives", lateness(came, anchored_at), goal, note)


def _p99(name: str, late_s: Sequence[float], goal: Goal | None, note: str) -> Figure:
    late_ms = [seconds * 1000 for seconds in late_s]
    parts = [f"p{percent} {percentile(late_ms, percent):.1f}" for percent in (50, 95, 100)]
    note = ", ".join(parts) + f" ms, {note}"
    return Figure(NAME, f"{name}, p99", percentile(late_ms, 99), "ms", goal, note=note)
