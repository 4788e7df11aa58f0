"""`python -m benchmarks [name ...]`: run those benchmarks, or all, and write the results."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks import (
    csv_throughput,
    fan_out,
    files,
    first_byte,
    flood,
    hub_lag,
    idle_connections,
    logs,
    memory,
    one_a_post,
    overtaking,
    reconnects,
    replay,
    requests,
    served_again,
    textbook,
    tick,
)
from benchmarks.client import BadAnswer
from benchmarks.data import build
from benchmarks.machine import describe_commit, describe_machine, describe_versions
from benchmarks.processes import DidNotStart
from benchmarks.results import Figure, show, to_json
from benchmarks.server import PROJECT

EXPORTS = (csv_throughput, textbook, first_byte, memory, hub_lag, overtaking, served_again)
FILES = (files,)
LIVE = (
    fan_out, one_a_post, idle_connections, reconnects, tick, replay, requests, logs, flood
)  # fmt: skip
BENCHMARKS: dict[str, Callable[[Path], Iterator[Figure]]] = {
    module.NAME: module.run for module in (*EXPORTS, *FILES, *LIVE)
}

# The longest of exports takes three minutes on two cores. The live ones know their own limit.
LIMIT_S = 900
LIMITS_S = {module.NAME: module.LIMIT_S for module in LIVE}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="name", help=", ".join(BENCHMARKS))
    names = parser.parse_args().names or list(BENCHMARKS)
    if unknown := set(names) - set(BENCHMARKS):
        parser.error(f"no such benchmark: {', '.join(unknown)}; there are {', '.join(BENCHMARKS)}")
    folder = Path(os.environ.get("HEADWATER_INSTANCE") or "instance").resolve() / "benchmarks"
    folder.mkdir(parents=True, exist_ok=True)
    began = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    about = {
        "began": began,
        "machine": describe_machine(),
        "versions": describe_versions(),
        "commit": describe_commit(PROJECT),
    }
    print(*(f"{key}: {value}" for key, value in about.items()), sep="\n", flush=True)
    database = folder / "big.db"
    build(database)
    figures: list[Figure] = []
    for name in names:
        figures += _run(name, database)
    print(show(figures))
    path = folder / f"{began}.json"
    path.write_text(to_json(figures, about))
    print(path)
    missed = [figure.name for figure in figures if figure.verdict() == "MISSED"]
    if missed:
        print("goals missed:", "; ".join(missed))
    return 0


def _run(name: str, database: Path) -> list[Figure]:
    """Run one benchmark, within its limit. An error becomes a figure that was not measured."""
    figures = []
    print(f"{name}, load {os.getloadavg()[0]:.1f}", end="", file=sys.stderr, flush=True)
    signal.signal(signal.SIGALRM, _time_is_up)
    signal.alarm(LIMITS_S.get(name, LIMIT_S))
    try:
        for figure in BENCHMARKS[name](database):
            figures.append(figure)
            print(".", end="", file=sys.stderr, flush=True)
    except (BadAnswer, DidNotStart, OSError) as error:  # a time-out is an OSError
        figures.append(Figure(name, "the rest", None, "", note=f"{type(error).__name__}: {error}"))
    finally:
        signal.alarm(0)
        print(file=sys.stderr)
    return figures


def _time_is_up(number: int, frame: object) -> None:
    raise TimeoutError("not done in the time that it may take")


if __name__ == "__main__":
    sys.exit(main())
