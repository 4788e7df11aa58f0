"""One event a POST to 1,000 clients: what does a server sustain, and is the publisher slowed?

The publisher is outside: it POSTs each event by itself, pipelined on one connection, on 16 kept
connections, or on a connection for each. The server has one core, the load another one. Rates go
up from 10 events/s until one is bad: its p99 is 250 ms or more, an event is lost, or the answers to
the publisher come more slowly than it asks.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.client import BadAnswer
from benchmarks.crowd import Dialogue
from benchmarks.load import loading
from benchmarks.peers.broadcasters import HEADWATER, HEADWATER_LIVE, NODE, Running, serve_nchan
from benchmarks.poster import ANEW, PIPELINED, WAYS
from benchmarks.processes import DidNotStart, cores, pinned, raise_descriptor_limit
from benchmarks.results import Figure, Goal

NAME = "one-a-post"
LIMIT_S = 1200
CLIENTS = 1_000
RATES = (10.0, 100.0, 150.0, 400.0, 1_000.0, 2_000.0)
SUBJECT_S = 240
LATE_MS = 250
# What it was before rounds rested.
GENTLE = Goal("<=", 10)
RATIO = Goal(">=", 3)


class Subject(NamedTuple):
    """serve: starts it. listen: how a client listens. path, template: what is POSTed, and where."""

    name: str
    serve: Callable[[Path], AbstractContextManager[Running]]
    listen: Dialogue
    path: str
    template: str


_PATH, _EVENT, _BARE = "/events/bench", '{"name":"message","data":"%s"}', '"%s"'
SSE = "text/event-stream"
LIVE = Subject("headwater, /live", HEADWATER_LIVE.serve, HEADWATER_LIVE.listen, _PATH, _EVENT)
OURS = (
    LIVE,
    LIVE._replace(name="headwater, /ws/events", listen=HEADWATER.listen),
    LIVE._replace(name="headwater, SSE", listen=Dialogue("/events/bench", accept=SSE)),
)
NCHAN = Subject("Nchan, WebSocket", serve_nchan, Dialogue("/listen"), "/publish", _BARE)
NCHAN_SSE = NCHAN._replace(name="Nchan, SSE", listen=Dialogue("/listen", accept=SSE))
PEERS = (
    NCHAN,
    NCHAN_SSE,
    Subject("Socket.IO on Node", NODE.serve, NODE.listen, "/publish", _BARE),
)

Steps = list[dict[str, Any]]


def run(database: Path) -> Iterator[Figure]:
    raise_descriptor_limit()
    sustained: dict[str, dict[str, float]] = {}
    for subject in (*PEERS, *OURS):
        try:
            steps = _measure(subject, database)
        except (BadAnswer, DidNotStart, OSError) as error:
            told = f"{type(error).__name__}: {error}".partition("\n")[0][:200]
            yield Figure(NAME, subject.name, None, "", note=told)
            continue
        alone = {step["way"]: step["alone"] for step in steps if "alone" in step}
        for way in WAYS:
            of_way = [step for step in steps if step["way"] == way and "rate" in step]
            yield from _figures(subject, way, of_way, alone[way])
            good = [step["rate"] for step in of_way if step["is_good"]]
            sustained.setdefault(subject.name, {})[way] = max(good, default=0.0) * CLIENTS
    for mine, way in itertools.product(OURS, WAYS):
        other = NCHAN_SSE if mine.listen.accept else NCHAN
        name = f"{mine.name} / {other.name}, {way}"
        if sustained.get(mine.name) and (theirs := sustained.get(other.name, {}).get(way)):
            yield Figure(NAME, name, sustained[mine.name][way] / theirs, "", RATIO)


def _measure(subject: Subject, database: Path) -> Steps:
    """Return the reports of all steps, in each way."""
    ours, loads = cores()
    with pinned(ours), subject.serve(database) as server:
        told = {
            "core": loads,
            "clients": CLIENTS,
            "listen": subject.listen._asdict(),
            "path": subject.path,
            "template": subject.template,
            "ways": WAYS,
            "rates": RATES,
            "alone": ANEW,
        }
        with loading("one_a_post", SUBJECT_S, address=server.address, **told) as load:
            steps: Steps = []
            while "done" not in (report := load.report(SUBJECT_S)):
                steps.append(report)
    return steps


def _figures(subject: Subject, way: str, steps: Steps, alone: float) -> Iterator[Figure]:
    is_ours = subject in OURS
    for step in sorted(steps, key=lambda step: float(step["rate"])):
        is_gentle = is_ours and way == PIPELINED and step["rate"] == RATES[0]
        bound = Goal("<", LATE_MS) if is_ours and step["rate"] in RATES else None
        note = (
            f"p50 {step['p50_ms']:.1f}; the publisher has {step['asked_share']:.0%} of what it "
            f"asks; {step['deliveries_per_s']:,.0f} deliveries/s"
        )
        note += f"; {step['lost']} lost" if step["lost"] else ""
        name = f"{subject.name}, {way}, {step['rate']:,.0f} events/s, p99"
        yield Figure(NAME, name, step["p99_ms"], "ms", GENTLE if is_gentle else bound, note=note)
    good = max((step["rate"] for step in steps if step["is_good"]), default=0.0)
    note = f"{good:,.0f} events/s of {alone:,.0f} POSTs/s without a listener"
    yield Figure(
        NAME, f"{subject.name}, {way}, sustained", good * CLIENTS, "deliveries/s", note=note
    )
