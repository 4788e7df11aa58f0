"""One event to 1,000 WebSocket clients: how many deliveries a second, none lost, p99 in 250 ms?

The load process publishes over one connection and listens over a thousand, at higher and higher
rates (steps.py). The last good rate counts. Deliveries that differ in their envelope are compared:
Headwater's events carry id, topic, name and time, the peers' nothing but their 100 bytes of data.
"""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.client import BadAnswer
from benchmarks.crowd import Dialogue
from benchmarks.load import loading
from benchmarks.peers.broadcasters import (
    FASTAPI,
    FLASK_SOCKETIO,
    HEADWATER,
    HEADWATER_LIVE,
    NODE,
    Broadcaster,
    Running,
    prebuilt,
)
from benchmarks.processes import DidNotStart, raise_descriptor_limit
from benchmarks.results import Figure, Goal, ratio

NAME = "fan-out"
LIMIT_S = 2400
CLIENTS = 1_000
ROUNDS = 3
SUBJECTS = (HEADWATER, HEADWATER_LIVE, FLASK_SOCKETIO, NODE, FASTAPI)
PAIRS = [
    (mine, other, goal)
    for other, goal in ((FLASK_SOCKETIO, Goal(">=", 3)), (NODE, Goal(">=", 1)), (FASTAPI, None))
    for mine in (HEADWATER_LIVE, HEADWATER)
]
# The first round begins here, the others a little below what the first has found.
FIRST_RATE = 16.0
NEXT_RATE = 0.8
CLIMB_S = 240

# What the load process itself takes, a frame and many frames a read.
DRINKS = ((1, 200), (16, 3_200))
CAPACITY = Goal(">=", 500_000)


@dataclasses.dataclass
class _Climbs:
    """What the climbs of one subject have found: the last good step of each, or why there is none.

    most: deliveries/s in the quickest step, however late they were. losses: where something was
    lost, which ended a climb.
    """

    best: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    most: float = 0.0
    losses: list[str] = dataclasses.field(default_factory=list)
    failure: str = ""

    def rates(self) -> list[float]:
        return [step["deliveries_per_s"] for step in self.best]


def run(database: Path) -> Iterator[Figure]:
    raise_descriptor_limit()
    for frames_a_write, events in DRINKS:
        yield _drink(database.parent, frames_a_write, events)
    climbs = {subject.name: _Climbs() for subject in SUBJECTS}
    for _ in range(ROUNDS):
        for subject in SUBJECTS:
            _climb(subject, database, climbs[subject.name])
    for name, found in climbs.items():
        yield from _figures(name, found)
    for mine, other, goal in PAIRS:
        yield _ratio(f"{mine.name} / {other.name}", climbs[mine.name], climbs[other.name], goal)


def _drink(folder: Path, frames_a_write: int, events: int) -> Figure:
    listen = Dialogue("/")._asdict()
    with (
        prebuilt(folder, CLIENTS, frames_a_write, events) as peer,
        loading(
            "drink", 120, address=peer.address, clients=CLIENTS, listen=listen, events=events
        ) as load,
    ):
        drunk = load.report(120)
    rate = drunk["frames"] / drunk["seconds"]
    share = drunk["used_s"] / drunk["seconds"]
    note = f"{rate:,.0f}/s came, {share:.0%} of a core; wrong: {drunk['wrong']}"
    name = f"the load process alone, {frames_a_write} a write, a core"
    goal = CAPACITY if frames_a_write > 1 else None
    return Figure(NAME, name, drunk["frames"] / drunk["used_s"], "frames/s", goal, note=note)


def _climb(subject: Broadcaster, database: Path, found: _Climbs) -> None:
    """Add one climb, unless one before has failed."""
    if found.failure:
        return
    first_rate = found.best[0]["rate"] * NEXT_RATE if found.best else FIRST_RATE
    try:
        with subject.serve(database) as server:
            steps = _steps(subject, server, first_rate)
    except (BadAnswer, DidNotStart, OSError) as error:
        found.failure = f"{type(error).__name__}: {error}".partition("\n")[0][:200]
        return
    found.most = max([found.most, *(step["deliveries_per_s"] for step in steps)])
    if steps[-1]["lost"]:
        found.losses.append(f"{steps[-1]['lost']} lost at {steps[-1]['rate']:.0f} events/s")
    if good := [step for step in steps if step["is_good"]]:
        found.best.append(max(good, key=lambda step: float(step["rate"])))
    else:
        found.failure = f"no rate was good: {steps[-1]}"


def _steps(subject: Broadcaster, server: Running, first_rate: float) -> list[dict[str, Any]]:
    """Return every step of one climb."""
    with loading(
        "fan_out",
        CLIMB_S,
        address=server.address,
        pid=server.pid,
        clients=CLIENTS,
        listen=subject.listen._asdict(),
        publish=subject.publish._asdict(),
        template=subject.template,
        first_rate=first_rate,
    ) as load:
        steps = []
        while "best" not in (report := load.report(CLIMB_S)):
            if "rate" in report:
                steps.append(report)
    return steps


def _figures(name: str, found: _Climbs) -> Iterator[Figure]:
    if not found.best:
        yield Figure(NAME, name, None, "", note=found.failure)
        return

    def typical(what: str) -> float:
        return statistics.median(float(step[what]) for step in found.best)

    note = (
        f"{typical('rate'):.0f} events/s, p50 {typical('p50_ms'):.0f} ms, "
        f"p99 {typical('p99_ms'):.0f} ms, cpu {typical('server_share'):.0%}, "
        f"of the load {typical('own_share'):.0%}, of others {typical('others_share'):.0%}; "
        f"quickest step {found.most:,.0f}/s"
    )
    note = "; ".join([note, *found.losses, *filter(None, [found.failure])])
    rates = found.rates()
    yield Figure(NAME, name, statistics.median(rates), "deliveries/s", samples=rates, note=note)


def _ratio(name: str, mine: _Climbs, other: _Climbs, goal: Goal | None) -> Figure:
    rounds = min(len(mine.best), len(other.best))
    if not rounds:
        return Figure(NAME, name, None, "", goal, note=mine.failure or other.failure)
    value, ratios = ratio(mine.rates()[:rounds], other.rates()[:rounds])
    return Figure(NAME, name, value, "", goal, ratios)
