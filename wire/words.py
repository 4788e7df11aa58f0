"""The words of a query string: are they all known? Pure. Way in: check_words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from wire.errors import WireError
from wire.nearest import hint


class UnknownWord(WireError):
    """A query has a word that says nothing here: ignored, a typing error would pass in silence."""


def check_words(given: Iterable[str], known: Sequence[str]) -> None:
    """Raise UnknownWord for the first key given that is not known; it names the nearest one."""
    for key in given:
        if key not in known:
            raise UnknownWord(f"{_shown(key)}: there is no such word; {hint(key, known)}")


def _shown(key: str) -> str:
    short = key[:60]
    return short if short.isidentifier() else ascii(short)
