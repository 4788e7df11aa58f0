"""20,000 lines/s appended to a log: how late are they at 50 followers, and what does that cost?

A line was due when its writer, a process of its own, had to write it. `tail -F`, 50 of them reading
the same file into pipes, is the peer.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.client import BadAnswer, ask
from benchmarks.load import Load, loading
from benchmarks.processes import Peak
from benchmarks.results import Figure, Goal, percentile
from benchmarks.server import served

NAME = "logs"
LIMIT_S = 240
RATE = 20_000
SECONDS = 20.0
FOLLOWERS = 50
MIB = 1024 * 1024
LATE_GOAL = Goal("<", 250)
MEMORY_GOAL = Goal("<", 64)
LAG_GOAL = Goal("<", 25)
CATALOGUE = '\n[logs.bench]\npath = "bench.log"\n'
# What the server needs once before it is measured: a first line, a first follower.
WARM_S = 2.0


def run(database: Path) -> Iterator[Figure]:
    with served(database, app="benchmarks.lag_wsgi:app", catalogue=CATALOGUE) as server:
        path = server.folder / "bench.log"
        path.touch()
        with loading("tail", LIMIT_S, address=server.address, path="bench", **_told()) as load:
            load.report(LIMIT_S)
            time.sleep(WARM_S)
            idle = server.tree.memory()
            ask(server.address, "/_lag")
            with Peak(server.tree) as peak:
                report = _write(path, load)
            lag_ms = ask(server.address, "/_lag")
        shown = [log for log in ask(server.address, "/logs")["logs"] if log["name"] == "bench"]
    if report["wrong"] or shown[0]["lines"] != RATE * SECONDS:
        raise BadAnswer(f"{report['wrong']} lines out of order, {shown[0]['lines']} are kept")
    yield _late(f"{FOLLOWERS} followers, NDJSON", report, LATE_GOAL)
    grown = (peak.memory.pss - idle.pss) / MIB
    note = f"from {idle.pss / MIB:.0f} MiB"
    yield Figure(NAME, "growth of PSS", grown, "MiB", MEMORY_GOAL, note=note)
    note = f"p50 {percentile(lag_ms, 50):.1f}, p100 {max(lag_ms):.1f} ms, {len(lag_ms)} samples"
    yield Figure(NAME, "hub lag p99", percentile(lag_ms, 99), "ms", LAG_GOAL, note=note)
    if shutil.which("tail") is None:
        yield Figure(NAME, "tail -F", None, "ms", note="tail is not here")
        return
    path = database.parent / "tailed.log"
    path.write_text("")
    try:
        with loading("tail", LIMIT_S, address=None, path=str(path), **_told()) as load:
            load.report(LIMIT_S)
            time.sleep(WARM_S)
            yield _late(f"{FOLLOWERS} x tail -F", _write(path, load), None)
    finally:
        path.unlink()


def _told() -> dict[str, Any]:
    return {"followers": FOLLOWERS, "lines": int(RATE * SECONDS), "rate": RATE}


def _write(path: Path, load: Load) -> dict[str, Any]:
    """Have the log written; return what its followers report, with how late each line was."""
    told = {"path": str(path), "rate": RATE, "seconds": SECONDS}
    with loading("append", LIMIT_S, address=None, **told) as writer:
        written = writer.report(LIMIT_S)
    report = load.report(LIMIT_S)
    late_ms = [(at_s - written["began_s"]) * 1000 for at_s in report["since_due_s"]]
    return {**report, "late_ms": late_ms}


def _late(name: str, report: dict[str, Any], goal: Goal | None) -> Figure:
    late_ms = report["late_ms"]
    parts = [f"p{percent} {percentile(late_ms, percent):.0f}" for percent in (50, 95, 100)]
    note = f"{', '.join(parts)} ms; {len(late_ms):,} deliveries looked at, {report['wrong']} wrong"
    return Figure(NAME, f"{name}, p99", percentile(late_ms, 99), "ms", goal, note=note)
