"""Figures, their goals, and how they are shown and kept. Knows nothing of what was measured.

Way in: Figure and Goal for a benchmark, show for a reader. `python -m benchmarks.results a.json …`
prints the figures of runs as the table of docs/benchmarks.md; of the same figure, the last counts.
"""

from __future__ import annotations

import json
import math
import statistics
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple


class Goal(NamedTuple):
    """What is to be reached. sign: `>=`, `<=` or `<`."""

    sign: str
    bound: float

    def is_met(self, value: float) -> bool:
        if self.sign == ">=":
            return value >= self.bound
        return value <= self.bound if self.sign == "<=" else value < self.bound

    def __str__(self) -> str:
        return f"{self.sign} {self.bound:g}"


class Figure(NamedTuple):
    """One measured number.

    benchmark: the module it is of. name: what was measured. value: None when it could not be
    measured, which `note` explains. samples: what value is the median (or as `name` says) of.
    """

    benchmark: str
    name: str
    value: float | None
    unit: str
    goal: Goal | None = None
    samples: Sequence[float] = ()
    note: str = ""

    def verdict(self) -> str:
        """Return whether the goal was met, "" when there is none."""
        if self.value is None:
            return "not measured"
        if self.goal is None:
            return ""
        return "met" if self.goal.is_met(self.value) else "MISSED"

    def shown(self) -> str:
        """Return the value with its unit, to three digits."""
        if self.value is None:
            return "-"
        digits = 0 if abs(self.value) >= 100 else 1 if abs(self.value) >= 10 else 2
        return f"{self.value:,.{digits}f} {self.unit}".rstrip()


def percentile(samples: Iterable[float], percent: float) -> float:
    """Return the smallest sample that at least percent of them do not exceed."""
    ordered = sorted(samples)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def interleave(rounds: int, *measures: Callable[[], float]) -> list[list[float]]:
    """Run A B A B …; return the samples of each. So what disturbs the machine disturbs all."""
    taken = [[measure() for measure in measures] for _ in range(rounds)]
    return [list(samples) for samples in zip(*taken, strict=True)]


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> tuple[float, list[float]]:
    """Return the median of the ratios pair by pair, and the ratios."""
    ratios = [mine / other for mine, other in zip(ours, theirs, strict=True)]
    return statistics.median(ratios), ratios


def show(figures: Iterable[Figure]) -> str:
    """Return the figures as a markdown table that is readable as it is."""
    header: tuple[str, ...] = ("benchmark", "figure", "value", "goal", "", "note")
    rows = [header] + [
        (f.benchmark, f.name, f.shown(), str(f.goal or ""), f.verdict(), f.note) for f in figures
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(header) - 1)] + [0]
    rows.insert(1, tuple("-" * max(3, width) for width in widths))
    lines = ["| " + " | ".join(map(str.ljust, row, widths)) + " |" for row in rows]
    return "\n".join(lines)


def to_json(figures: Iterable[Figure], about: Mapping[str, Any]) -> str:
    """Return a run as JSON: about it, and its figures with all samples."""
    shown = [
        {**f._asdict(), "goal": f.goal and str(f.goal), "verdict": f.verdict()} for f in figures
    ]
    return json.dumps({**about, "figures": shown}, indent=1) + "\n"


def _from_json(text: str) -> list[Figure]:
    figures = []
    for fields in json.loads(text)["figures"]:
        del fields["verdict"]
        if fields["goal"]:
            sign, bound = fields["goal"].split()
            fields["goal"] = Goal(sign, float(bound))
        figures.append(Figure(**fields))
    return figures


if __name__ == "__main__":
    last = {f[:2]: f for path in sys.argv[1:] for f in _from_json(Path(path).read_text())}
    print(show(last.values()))
