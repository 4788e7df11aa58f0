"""The catalogue: which sources are served, as headwater.toml names them.

Reading is pure: text in, a Catalogue out, and everything that is wrong with it at once, each with
its key and what would be right. Whether the databases hold what it names is catalogue_check's work.
Way in: load_catalogue, or sample_catalogue when no file is named.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sources.catalogue.entry import INT64, Entry, read_document, shown
from sources.catalogue.folders import FolderEntry, read_folders
from sources.catalogue.logs import LogEntry, read_logs
from sources.catalogue.names import check_name
from sources.catalogue.topics import TopicEntry, read_topics
from sources.errors import CatalogueError
from sources.row_filter import RowFilter, read_filter
from sources.sqlite.statement import read_statement

# A parameter is a key of the URL's query, where `__` parts a column from its filter's operator.
PARAMETER_NAME = re.compile(r"(?!.*__)[A-Za-z][0-9A-Za-z_]{0,63}")
RESERVED_PARAMETERS = frozenset(["columns", "sort", "limit", "excel"])
PARAMETER_TYPES = ("int", "float", "text")
GENERATORS = ("users",)
# About 200 GB of text: more is a slip of the finger.
MAX_GENERATED_ROWS = 10**10

_SECTIONS = ("sources", "folders", "logs", "topics")
_KEYS_OF = {
    "table": ("database", "table", "where"),
    "query": ("database", "query", "parameters", "where"),
    "generate": ("generate", "rows"),
}
_SOURCE_KEYS = ("database", "table", "query", "parameters", "where", "generate", "rows")
_VALUE_OF = {"int": "60", "float": "0.5", "text": '"EWR"'}


@dataclass(frozen=True)
class Parameter:
    """A typed value that the URL gives a query. default: None when the URL must give one."""

    name: str
    type: str  # of PARAMETER_TYPES
    default: int | float | str | None


@dataclass(frozen=True)
class TableSource:
    """A table or view of an SQLite database. where: the rows one may see, None for all."""

    name: str
    database: Path
    table: str
    where: RowFilter | None = None


@dataclass(frozen=True)
class QuerySource:
    """One SELECT or WITH over an SQLite database.

    query: ends with its last word, without a semicolon or comment, so that it can be put in
    parentheses. parameters: those of the `:name`s in it, in the order of the file. where: the
    rows one may see, None for all.
    """

    name: str
    database: Path
    query: str
    parameters: tuple[Parameter, ...]
    where: RowFilter | None = None


@dataclass(frozen=True)
class GeneratedSource:
    """Rows made up on the way. generate: of GENERATORS."""

    name: str
    generate: str
    rows: int


Source = TableSource | QuerySource | GeneratedSource


@dataclass(frozen=True)
class Catalogue:
    """Everything that is served, by name, in the order of the file."""

    sources: Mapping[str, Source]
    topics: Mapping[str, TopicEntry] = field(default_factory=dict)
    folders: Mapping[str, FolderEntry] = field(default_factory=dict)
    logs: Mapping[str, LogEntry] = field(default_factory=dict)


def load_catalogue(path: Path) -> Catalogue:
    """Return the catalogue in the file at path; databases are relative to the file's folder.

    Raises CatalogueError, also when the file cannot be read.
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

    text: TOML. folder: what relative databases are relative to; nothing is opened. path: where text
    is from, None for nowhere; it is said where a problem has no key, only a line.
    Raises CatalogueError with every problem.
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
    sources = {
        name: _read_source(name, entry, folder)
        for name, entry in document.tables("sources", "[sources.<name>]")
    }
    folders = read_folders(document, folder)
    logs = read_logs(document, folder)
    topics = read_topics(document)
    if document.problems:
        raise CatalogueError(document.problems)
    known = {name: source for name, source in sources.items() if source is not None}
    return Catalogue(known, topics=topics, folders=folders, logs=logs)


def _read_source(name: str, entry: Entry, folder: Path) -> Source | None:
    """Return the source that entry describes, None when not even its kind can be told.

    Wherever entry is wrong, its problems grow and the source holds something of the right type.
    """
    check_name(name, entry)
    entry.refuse_unknown(_SOURCE_KEYS)
    kinds = [kind for kind in _KEYS_OF if kind in entry.values]
    if len(kinds) != 1:
        found = " and ".join(kinds) or "none"
        entry.refuse("", f"has {found} of table, query, generate; exactly one would be right")
        return None
    for key in entry.values:
        if key in _SOURCE_KEYS and key not in _KEYS_OF[kinds[0]]:
            entry.refuse(key, f"does not go with {kinds[0]}; leave it out")
    if kinds == ["generate"]:
        return _read_generated(name, entry)
    if kinds == ["query"]:
        return _read_query(name, entry, folder)
    database, table = _read_database(entry, folder), entry.text("table")
    return TableSource(name, database, table, _read_where(entry))


def _read_where(entry: Entry) -> RowFilter | None:
    sql = entry.text("where") if "where" in entry.values else ""
    if not sql:
        return None
    row_filter, problems = read_filter(sql)
    for problem in problems:
        entry.refuse("where", problem)
    return row_filter


def _read_generated(name: str, entry: Entry) -> GeneratedSource:
    generate = entry.text("generate")
    if generate and generate not in GENERATORS:
        known = ", ".join(map(shown, GENERATORS))
        entry.refuse("generate", f"{shown(generate)} is not known; {known} would be right")
    rows = entry.values.get("rows")
    # Not isinstance: to Python, but not to TOML, true is an integer.
    if type(rows) is not int or not 0 <= rows <= MAX_GENERATED_ROWS:
        found = "is missing" if rows is None else f"{shown(rows)} cannot be used"
        right = f"a whole number from 0 to {MAX_GENERATED_ROWS}"
        entry.refuse("rows", f"{found}; {right} would be right")
        rows = 0
    return GeneratedSource(name, generate, rows)


def _read_query(name: str, entry: Entry, folder: Path) -> QuerySource:
    database = _read_database(entry, folder)
    like = 'parameters.<name> = { type = "int", default = 60 }'
    parameters = tuple(_read_parameter(*each) for each in entry.tables("parameters", like))
    where = _read_where(entry)
    sql = entry.text("query")
    if not sql:
        return QuerySource(name, database, "", parameters, where)
    statement = read_statement(sql)
    for problem in statement.problems:
        entry.refuse("query", problem)
    declared = entry.values.get("parameters", {})
    # Where the text could not be read to its end, what it uses is not known.
    if isinstance(declared, dict) and not statement.problems:
        for used in statement.parameters:
            if used not in declared:
                right = f'parameters.{used} = {{ type = "int" }}, or another type, would be right'
                entry.refuse("query", f":{used} is not declared; {right}")
        for unused in (key for key in declared if key not in statement.parameters):
            child = Entry(entry.child("parameters"), declared, entry.problems)
            child.refuse(unused, f"the query has no :{unused}; leave it out")
    return QuerySource(name, database, statement.text, parameters, where)


def _read_parameter(name: str, entry: Entry) -> Parameter:
    if not PARAMETER_NAME.fullmatch(name):
        right = "1 to 64 letters, digits and single _, a letter first"
        entry.refuse("", f"{shown(name)} is not a name; {right}, would be right")
    if name.lower() in RESERVED_PARAMETERS:
        entry.refuse("", f"every download has a {name} already; another name would be right")
    entry.refuse_unknown(("type", "default"))
    kind = entry.values.get("type")
    default = entry.values.get("default")
    if kind not in PARAMETER_TYPES:
        found = "is missing" if kind is None else f"{shown(kind)} is not a type"
        entry.refuse("type", f"{found}; one of {', '.join(PARAMETER_TYPES)} would be right")
        return Parameter(name, "text", None)
    if default is not None and not _is_value(default, kind):
        noun = f"an {kind}" if kind == "int" else f"a {kind}"
        entry.refuse("default", f"{shown(default)} is not {noun}; {_VALUE_OF[kind]} would be right")
    elif default is not None and kind == "float":
        default = float(default)
    return Parameter(name, kind, default)


def _is_value(value: object, kind: str) -> bool:
    """Is the TOML value one that SQLite can be given as a parameter of this type?"""
    if kind == "text":
        return isinstance(value, str) and "\0" not in value
    if type(value) is int:
        return value in INT64
    # SQLite makes NULL of nan.
    return kind == "float" and isinstance(value, float) and math.isfinite(value)


def _read_database(entry: Entry, folder: Path) -> Path:
    """Return the file that the address at `database` names: sqlite:///relative, sqlite:////absolute."""
    address = entry.text("database")
    scheme, separator, rest = address.partition("://")
    path = rest.removeprefix("/")
    if not address:
        return folder
    if not separator:
        right = shown(f"sqlite:///{address}")
        entry.refuse("database", f"{shown(address)} is not an address; {right} would be right")
    elif scheme != "sqlite":
        # The rest of the address is not repeated: it may hold a password.
        right = '"sqlite:///file.db" would be right'
        entry.refuse(
            "database", f"{shown(scheme)} databases are not served by this version; {right}"
        )
    elif rest and not rest.startswith("/"):
        right = shown(f"sqlite:///{rest}")
        entry.refuse("database", f"needs three slashes; {right} would be right")
    elif path in ("", "/", ":memory:") or path.startswith("file:"):
        right = '"sqlite:///file.db" would be right'
        entry.refuse("database", f"{shown(address)} names no file; {right}")
    elif "?" in path:
        entry.refuse("database", "options are not read; leave out the ? and what follows it")
    return folder / path
