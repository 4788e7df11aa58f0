"""The names of sources, folders and logs: a segment of an address, and a file's name."""

from __future__ import annotations

import re

from wire.entry import Entry, shown

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
# Windows cannot save a file named con, whatever its extension.
_RESERVED = frozenset(
    ["con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10))]
)


def check_name(name: str, entry: Entry) -> None:
    """Add the problems of entry's name to entry."""
    if not _NAME.fullmatch(name):
        right = "1 to 64 of a-z, 0-9, _ and -, not _ or - first"
        entry.refuse("", f"{shown(name)} is not a name; {right}, would be right")
    if name in _RESERVED:
        entry.refuse("", "no file can have this name on Windows; another would be right")
