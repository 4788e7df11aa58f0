"""The catalogue: which sources are served, as headwater.toml names them.

Reading is pure: text in, a Catalogue out, or all its problems at once, each with its key and what
would be right. check.py checks that the databases hold the named tables. Way in: load_catalogue, or
sample_catalogue when no file is named.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sources.catalogue.folders import FolderEntry, read_folders
from sources.catalogue.logs import LogEntry, read_logs
from sources.catalogue.sources import read_sources
from sources.catalogue.topics import TopicEntry, read_topics
from sources.database import Source
from sources.errors import CatalogueError
from wire.entry import read_document

_SECTIONS = ("sources", "folders", "logs", "topics")


@dataclass(frozen=True)
class Catalogue:
    """All sources, folders, logs and topics, by name, in the order of the file."""

    sources: Mapping[str, Source]
    topics: Mapping[str, TopicEntry] = field(default_factory=dict)
    folders: Mapping[str, FolderEntry] = field(default_factory=dict)
    logs: Mapping[str, LogEntry] = field(default_factory=dict)


def load_catalogue(path: Path) -> Catalogue:
    """Return the catalogue in the file at path; databases are relative to the file's folder.

    Raises CatalogueError, also if the file cannot be read.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise CatalogueError([f"{path}: cannot be read ({error.strerror})"]) from error
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        # error.object is the content without its byte order mark.
        line = error.object.count(b"\n", 0, error.start) + 1
        raise CatalogueError([f"{path}: line {line}: not UTF-8"]) from error
    return parse_catalogue(text, path.absolute().parent, path)


def sample_catalogue(instance: Path) -> Catalogue:
    """Return the embedded sample's catalogue; instance: the folder that holds sample.db."""
    text = Path(__file__).with_name("sample.toml").read_text(encoding="utf-8")
    return parse_catalogue(text, instance.absolute())


def parse_catalogue(text: str, folder: Path, path: Path | None = None) -> Catalogue:
    """Return the catalogue that text describes.

    text: TOML. folder: the base of relative databases; no database is opened. path: the file of
    text, None for none; a problem that has only a line and no key names it. Raises CatalogueError
    with every problem.
    """
    document = read_document(text)
    if document.problems:
        where = f"{path}: " if path else ""
        raise CatalogueError([where + problem for problem in document.problems])
    for key in document.values:
        if key not in _SECTIONS:
            document.refuse(key, f"unknown section; there are {', '.join(_SECTIONS)}")
    if not any(document.values.get(section) for section in _SECTIONS):
        document.refuse("sources", "there is none; [sources.<name>] begins one")
    sources = read_sources(document, folder)
    folders = read_folders(document, folder)
    logs = read_logs(document, folder)
    topics = read_topics(document)
    if document.problems:
        raise CatalogueError(document.problems)
    return Catalogue(sources, topics=topics, folders=folders, logs=logs)
