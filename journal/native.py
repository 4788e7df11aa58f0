"""Where work that may block is run: here, or, in a process with a hub, on a native thread."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

Result = TypeVar("Result")


class RunNative(Protocol):
    """Runs work where it may block without holding anybody up, and returns what it returns."""

    def __call__(self, work: Callable[[], Result], /) -> Result: ...


def run_here(work: Callable[[], Result], /) -> Result:
    """Run work on the caller's own thread, which may block."""
    return work()
