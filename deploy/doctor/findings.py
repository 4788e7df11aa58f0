"""What a check has found, and the line of it that is printed."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class Verdict(StrEnum):
    """How a check came out. SKIPPED: it could not be told, and why is said."""

    OK = "ok"
    WRONG = "wrong"
    SKIPPED = "skipped"


class Finding(NamedTuple):
    """What one check has found. told: the figure, or what is wrong. remedies: lines, or steps."""

    check: str
    verdict: Verdict
    told: str
    remedies: tuple[str, ...] = ()

    def __str__(self) -> str:
        lines = [f"{self.verdict:<8} {self.check:<14} {self.told}"]
        lines += [f"{'':<23} mend: {remedy}" for remedy in self.remedies]
        return "\n".join(lines)


class Unfit(Exception):
    """A check cannot be done here. The message says why."""


class Wrong(Exception):
    """A check has found something wrong. The message says what; remedies: as in Finding."""

    def __init__(self, told: str, *remedies: str) -> None:
        super().__init__(told)
        self.remedies = remedies
