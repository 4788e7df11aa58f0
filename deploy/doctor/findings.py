"""The finding of a check, and its printed line."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class Verdict(StrEnum):
    """The result of a check. SKIPPED: it could not be checked; the finding tells why."""

    OK = "ok"
    WRONG = "wrong"
    SKIPPED = "skipped"


class Finding(NamedTuple):
    """The finding of one check. told: the figure, or the problem. remedies: lines, or steps."""

    check: str
    verdict: Verdict
    told: str
    remedies: tuple[str, ...] = ()

    def __str__(self) -> str:
        lines = [f"{self.verdict:<8} {self.check:<14} {self.told}"]
        lines += [f"{'':<23} mend: {remedy}" for remedy in self.remedies]
        return "\n".join(lines)


class Unfit(Exception):
    """A check cannot run here. The message says why."""


class Wrong(Exception):
    """A check has found a problem, which the message names. remedies: as in Finding."""

    def __init__(self, told: str, *remedies: str) -> None:
        super().__init__(told)
        self.remedies = remedies
