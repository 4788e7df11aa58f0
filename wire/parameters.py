"""Query parameters: are they all known? Pure. Way in: check_parameters."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from wire.errors import WireError
from wire.nearest import hint


class UnknownParameter(WireError):
    """A query has a parameter that is not known here; ignoring it would hide typing errors."""


def check_parameters(given: Iterable[str], known: Sequence[str]) -> None:
    """Raise UnknownParameter for the first given name that is not known, with the nearest one."""
    for key in given:
        if key not in known:
            right = hint(key, known)
            raise UnknownParameter(f"{_shown(key)}: there is no such parameter; {right}")


def _shown(key: str) -> str:
    short = key[:60]
    return short if short.isidentifier() else ascii(short)
