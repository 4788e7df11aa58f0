"""A storm of reconnects: how soon are 5,000 clients of /live back, each with its subscription?

Each connects by WebSocket and subscribes; in another storm each is also told the last 100 events by
`since=`. Node's clients only connect, Nchan's begin to listen. The server has one core, the load
another one. Meanwhile some clients that were there before watch the tick: it has to be on time.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.client import Address, BadAnswer, ask
from benchmarks.load import loading
from benchmarks.peers.broadcasters import HEADWATER_LIVE, NODE, Broadcaster, serve_nchan, socketio
from benchmarks.processes import DidNotStart, cores, pinned, raise_descriptor_limit
from benchmarks.results import Figure, Goal, percentile, ratio
from benchmarks.tally import payload
from benchmarks.ticks import anchor, lateness

NAME = "reconnects"
LIMIT_S = 400
CLIENTS, WATCHERS, EVENTS = 5_000, 20, 100
ROUNDS = 3
CALM_S = 4.0
STORM_S = 120

PLAIN = HEADWATER_LIVE._replace(name="headwater, /live")
REPLAYED = PLAIN._replace(
    name=f"headwater, /live, since= with {EVENTS} events",
    listen=socketio("/live", subscribe="bench", since="all"),
)
NCHAN = NODE._replace(
    name="Nchan, WebSocket",
    serve=serve_nchan,
    listen=NODE.listen._replace(path="/listen", steps=()),
)
SUBJECTS = (NODE, NCHAN, PLAIN, REPLAYED)
GOALS = {PLAIN.name: Goal("<=", 2), REPLAYED.name: Goal("<=", 6)}
ON_TIME = Goal("<", 100)


def run(database: Path) -> Iterator[Figure]:
    raise_descriptor_limit()
    seconds: dict[str, list[float]] = {subject.name: [] for subject in SUBJECTS}
    made_ms: dict[str, list[float]] = {subject.name: [] for subject in SUBJECTS}
    came_ms: dict[str, list[float]] = {subject.name: [] for subject in SUBJECTS}
    for _ in range(ROUNDS):
        for subject in SUBJECTS:
            try:
                storm = _storm(subject, database)
            except (BadAnswer, DidNotStart, OSError) as error:
                told = f"{type(error).__name__}: {error}".partition("\n")[0][:200]
                yield Figure(NAME, subject.name, None, "", note=told)
                continue
            seconds[subject.name].append(storm["served_s"])
            if subject.name in GOALS:
                _note_ticks(storm, made_ms[subject.name], came_ms[subject.name])
    for subject in SUBJECTS:
        name = subject.name
        if not seconds[name]:
            continue
        value = statistics.median(seconds[name])
        yield Figure(NAME, f"{name}, {CLIENTS:,} are back", value, "s", samples=seconds[name])
        if subject.name in GOALS and seconds[NODE.name]:
            value, ratios = ratio(seconds[name], seconds[NODE.name])
            yield Figure(NAME, f"{name} / {NODE.name}", value, "", GOALS[name], ratios)
        if made_ms[name]:
            note = f"as it arrives {percentile(came_ms[name], 99):.1f}; {len(made_ms[name])} ticks"
            worst = percentile(made_ms[name], 99)
            yield Figure(NAME, f"{name}, tick as made, p99", worst, "ms", ON_TIME, note=note)


def _storm(subject: Broadcaster, database: Path) -> dict[str, Any]:
    ours, loads = cores()
    with pinned(ours), subject.serve(database) as server:
        events = EVENTS if subject is REPLAYED else 0
        if events:
            _publish(server.address, events)
        told = {
            "core": loads,
            "clients": CLIENTS,
            "watchers": WATCHERS,
            "calm_s": CALM_S,
            "listen": subject.listen._asdict(),
            "events": events,
        }
        with loading("reconnect", STORM_S, address=server.address, **told) as load:
            storm = load.report(STORM_S)
    if storm["wrong"]:
        raise BadAnswer(f"{storm['wrong']} events or clients were lost")
    return storm


def _publish(address: Address, events: int) -> None:
    lines = [f'{{"name":"message","data":"{payload(seq)}"}}' for seq in range(events)]
    ask(address, "/events/bench", method="POST", ndjson="\n".join(lines).encode())


def _note_ticks(storm: dict[str, Any], made_ms: list[float], came_ms: list[float]) -> None:
    """Add how late the ticks of a storm were, as they were made and as they came."""
    served_at = {int(number): at_s for number, at_s in storm["served_at"].items()}
    if not served_at:
        return
    anchored_at = anchor(served_at)
    made = [(n, at_s) for n, at_s in served_at.items() if at_s >= storm["began_at"]]
    made_ms += [late_s * 1000 for late_s in lateness(made, anchored_at)]
    came_ms += [late_s * 1000 for late_s in lateness(storm["arrivals"], anchored_at)]
