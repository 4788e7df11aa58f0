"""The catalogue's [sources.*]: which tables, queries and generated rows are served.

Way in: read_sources. Databases are not opened here.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path

from sources.catalogue.names import check_name
from sources.columns import INT64
from sources.database import (
    Database,
    DatabaseKind,
    GeneratedSource,
    QuerySource,
    Source,
    TableSource,
)
from sources.kinds import GENERATORS, KINDS
from sources.row_filter import RowFilter
from sources.selection import RESERVED, Parameter
from wire.entry import Entry, shown, whole

# A parameter is a key of the URL's query, in which `__` separates a column from an operator.
PARAMETER_NAME = re.compile(r"(?!.*__)[A-Za-z][0-9A-Za-z_]{0,63}")
PARAMETER_TYPES = ("int", "float", "text")
# About 200 GB of text: a larger number is a typing error.
MAX_GENERATED_ROWS = 10**10

_KEYS_OF = {
    "table": ("database", "table", "where"),
    "query": ("database", "query", "parameters", "where"),
    "generate": ("generate", "rows"),
}
_SOURCE_KEYS = ("database", "table", "query", "parameters", "where", "generate", "rows")
_VALUE_OF = {"int": "60", "float": "0.5", "text": '"EWR"'}


def read_sources(document: Entry, folder: Path) -> Mapping[str, Source]:
    """Return the document's [sources.*], by name; problems are added to document's.

    folder: the base of relative paths.
    """
    tables = document.tables("sources", "[sources.<name>]")
    sources = {name: _read(name, entry, folder) for name, entry in tables}
    return {name: source for name, source in sources.items() if source is not None}


def _read(name: str, entry: Entry, folder: Path) -> Source | None:
    """Return the source that entry describes, None if not even its kind is known.

    Each error in entry adds a problem, and the source gets a value of the right type.
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
    return TableSource(name, database, table, _read_where(entry, KINDS[database.kind]))


def _read_where(entry: Entry, kind: DatabaseKind) -> RowFilter | None:
    sql = entry.text("where") if "where" in entry.values else ""
    if not sql:
        return None
    row_filter, problems = kind.read_filter(sql)
    for problem in problems:
        entry.refuse("where", problem)
    return row_filter


def _read_generated(name: str, entry: Entry) -> GeneratedSource:
    generate = entry.text("generate")
    if generate and generate not in GENERATORS:
        known = ", ".join(map(shown, GENERATORS))
        entry.refuse("generate", f"{shown(generate)} is not known; {known} would be right")
    rows = entry.take("rows", whole(0, MAX_GENERATED_ROWS))
    return GeneratedSource(name, generate, rows or 0)


def _read_query(name: str, entry: Entry, folder: Path) -> QuerySource:
    database = _read_database(entry, folder)
    kind = KINDS[database.kind]
    like = 'parameters.<name> = { type = "int", default = 60 }'
    parameters = tuple(_read_parameter(*each) for each in entry.tables("parameters", like))
    where = _read_where(entry, kind)
    sql = entry.text("query")
    if not sql:
        return QuerySource(name, database, "", parameters, where)
    statement = kind.read_statement(sql)
    for problem in statement.problems:
        entry.refuse("query", problem)
    declared = entry.values.get("parameters", {})
    # If the text could not be read to its end, the parameters that it uses are unknown.
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
    if name.lower() in RESERVED:
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
    """Can a database take the TOML value as a parameter of this type?"""
    if kind == "text":
        return isinstance(value, str) and "\0" not in value
    if type(value) is int:
        return value in INT64
    # SQLite turns nan into NULL.
    return kind == "float" and isinstance(value, float) and math.isfinite(value)


def _read_database(entry: Entry, folder: Path) -> Database:
    """Return the database that the address at `database` names."""
    address = entry.text("database")
    scheme, separator, rest = address.partition("://")
    if separator and scheme in KINDS:
        database, problem = KINDS[scheme].read_address(rest, folder)
        if problem:
            entry.refuse("database", problem)
        return database
    if separator:
        # The rest of the address is not shown: it may hold a password.
        right = '"sqlite:///file.db" would be right'
        entry.refuse(
            "database", f"{shown(scheme)} databases are not served by this version; {right}"
        )
    elif address:
        right = shown(f"sqlite:///{address}")
        entry.refuse("database", f"{shown(address)} is not an address; {right} would be right")
    # The other problems of the source are reported, too.
    return KINDS["sqlite"].read_address("/.", folder)[0]
