"""What of SQLite's databases must stay as it was; ../test_database.py has the contract."""

from __future__ import annotations

import json
from pathlib import Path

import apsw

from sources.database import GeneratedSource, QuerySource, TableSource, definition_of
from sources.selection import Parameter
from sources.sqlite.database import SqliteDatabase
from sources.sqlite.filters import read_filter

DATABASE = SqliteDatabase(Path("/data/shop.db"))


def test_the_definition_of_a_source_is_that_of_older_versions():
    """Else all that is recorded of it is nobody's after an update."""
    row_filter, _ = read_filter("level <= :principal.level")
    own = {
        "sql": "level <= :_ordered_0",
        "attributes": ["level"],
        "uses": [["level", "_ordered_0", "level", ""]],
    }
    parameter = Parameter("least", "int", 1)
    sources = {
        TableSource("t", DATABASE, "orders", row_filter): [
            "TableSource",
            {"name": "t", "database": "/data/shop.db", "table": "orders", "where": own},
        ],
        QuerySource("q", DATABASE, "select :least as a", (parameter,)): [
            "QuerySource",
            {
                "name": "q",
                "database": "/data/shop.db",
                "query": "select :least as a",
                "parameters": [{"name": "least", "type": "int", "default": 1}],
                "where": None,
            },
        ],
        GeneratedSource("g", "users", 7): [
            "GeneratedSource",
            {"name": "g", "generate": "users", "rows": 7},
        ],
    }
    for source, want in sources.items():
        assert json.dumps(definition_of(source)) == json.dumps(want)


def test_the_identity_of_a_query_is_that_of_older_versions():
    """Else what is recorded is recorded again after an update."""
    query = DATABASE.query("select :b, :a", {"b": 1, "a": "x"}, ())
    want = [apsw.sqlite_lib_version(), "file:/data/shop.db?mode=ro", "select :b, :a"]
    assert query.identity() == [*want, [("a", "x"), ("b", 1)]]
