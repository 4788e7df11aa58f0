"""Runs work that may block: here or, in a process with a hub, on a native thread."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

Result = TypeVar("Result")


class RunNative(Protocol):
    """Runs work where it may block, and returns its result."""

    def __call__(self, work: Callable[[], Result], /) -> Result: ...


def run_here(work: Callable[[], Result], /) -> Result:
    """Run work on the caller's thread, which may block."""
    return work()
