"""The catalogue's [folders.*]: which folders are served. Way in: read_folders, check_folders."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sources.catalogue.names import check_name
from wire.entry import FLAG, Entry


@dataclass(frozen=True)
class FolderEntry:
    """A folder that is served whole. hidden: also files whose names begin with a dot."""

    name: str
    path: Path
    hidden: bool


def read_folders(document: Entry, folder: Path) -> Mapping[str, FolderEntry]:
    """Return the document's [folders.*], by name; problems are added to document's.

    folder: the base of relative paths.
    """
    tables = document.tables("folders", "[folders.<name>]")
    return {name: _read(name, entry, folder) for name, entry in tables}


def _read(name: str, entry: Entry, folder: Path) -> FolderEntry:
    check_name(name, entry)
    entry.refuse_unknown(("path", "hidden"))
    hidden = entry.take("hidden", FLAG, False)
    return FolderEntry(name, folder / entry.text("path"), hidden)


def check_folders(folders: Mapping[str, FolderEntry]) -> list[str]:
    """Return the problems of the folders on the disk, one line each."""
    problems = []
    for name, entry in folders.items():
        if not entry.path.is_dir():
            found = "a file" if entry.path.exists() else "not there"
            right = "the path of a folder would be right"
            problems.append(f"folders.{name}.path: {entry.path} is {found}; {right}")
        elif not os.access(entry.path, os.R_OK | os.X_OK):
            problems.append(f"folders.{name}.path: {entry.path} cannot be read by the server")
    return problems
