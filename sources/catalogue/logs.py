"""The catalogue's [logs.*]: which logs are followed. Way in: read_logs, check_logs."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sources.catalogue.names import check_name
from wire.entry import FLAG, Entry, whole

# A log of this name would have the address of the topic's readers.
RESERVED_NAMES = ("readers",)

_LEAST = {
    "retain_lines": 1,
    # The topic needs at least this time: the follower's position in the log is saved each second.
    "retain_s": 60,
    # The longest line, if cut and all escapes, is 100 KB.
    "retain_bytes": 1024**2,
}
_MOST = {"retain_lines": 10**9, "retain_s": 10**9, "retain_bytes": 2**50}
# Half an hour of 500 lines/s, on 256 MiB of disk; no bound by age.
_DEFAULTS = {"retain_lines": 1_000_000, "retain_s": 10**9, "retain_bytes": 256 * 1024**2}


@dataclass(frozen=True)
class LogEntry:
    """A log that is followed. retain_*: how many of its lines are retained at most.

    links: whether a link that leads out of the path's folder is followed.
    """

    name: str
    path: Path
    retain_lines: int
    retain_s: int
    retain_bytes: int
    links: bool = False


def read_logs(document: Entry, folder: Path) -> Mapping[str, LogEntry]:
    """Return the document's [logs.*], by name; problems are added to document's.

    folder: the base of relative paths.
    """
    tables = document.tables("logs", "[logs.<name>]")
    return {name: _read(name, entry, folder) for name, entry in tables}


def _read(name: str, entry: Entry, folder: Path) -> LogEntry:
    check_name(name, entry)
    if name in RESERVED_NAMES:
        entry.refuse("", f"{name} is the server's own; another name would be right")
    entry.refuse_unknown(("path", "links", *_DEFAULTS))
    kept = {key: entry.take(key, whole(_LEAST[key], _MOST[key]), n) for key, n in _DEFAULTS.items()}
    return LogEntry(
        name, folder / entry.text("path"), **kept, links=entry.take("links", FLAG, False)
    )


def check_logs(logs: Mapping[str, LogEntry]) -> list[str]:
    """Return the problems of the logs on the disk, one line each; a log may be created later."""
    problems = []
    for name, entry in logs.items():
        key, folder = f"logs.{name}.path", entry.path.parent
        if not folder.is_dir():
            right = "the path of a file in a folder that is there would be right"
            problems.append(f"{key}: the folder {folder} is not there; {right}")
        elif not os.access(folder, os.R_OK | os.X_OK):
            problems.append(f"{key}: the folder {folder} cannot be read by the server")
        elif entry.path.is_dir():
            problems.append(f"{key}: {entry.path} is a folder; the path of a file would be right")
    return problems
