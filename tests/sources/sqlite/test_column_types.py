"""Types as people name them, of what a database says of its columns."""

from __future__ import annotations

import pytest

from sources.columns import TYPES, shown_type
from sources.database import QuerySource
from sources.sqlite.column_types import Declared, affinity_of, declared_as, make_column, storage_of
from sources.sqlite.database import SqliteDatabase

DECLARED = {
    "DATE": ("date", Declared("date")),
    "date": ("date", Declared("date")),
    "DATETIME": ("timestamp", Declared("timestamp")),
    "datetime(6)": ("timestamp", Declared("timestamp")),
    "TIMESTAMP": ("timestamp", Declared("timestamp")),
    "timestamp with time zone": ("timestamp", Declared("timestamp")),
    "TIMESTAMPTZ": ("timestamp", Declared("timestamp")),
    "TIMESTAMP TEXT": ("timestamp", Declared("timestamp")),
    "TIMESTAMP INTEGER": ("timestamp", Declared("timestamp")),
    "TEXT DATE": ("text", None),
    "DATE_CHAR": ("text", None),
    "UPDATE": ("any", None),
    "DECIMAL": ("decimal", Declared("decimal")),
    "DECIMAL(10,2)": ("decimal", Declared("decimal", 10, 2)),
    "decimal( 10 , 2 )": ("decimal", Declared("decimal", 10, 2)),
    "NUMERIC(18)": ("decimal", Declared("decimal", 18, 0)),
    "NUMERIC": ("decimal", Declared("decimal")),
    "MONEY": ("decimal", Declared("decimal")),
    "DECIMAL TEXT": ("text", None),
    "BOOLEAN": ("boolean", Declared("boolean")),
    "bool": ("boolean", Declared("boolean")),
    "INTEGER": ("integer", None),
    "BIGINT": ("integer", None),
    "VARCHAR(20)": ("text", None),
    "DOUBLE PRECISION": ("real", None),
    "BLOB": ("any", None),
    "": ("any", None),
    "ANY": ("any", None),
    "STRING": ("any", None),
    "TIME": ("any", None),
}


@pytest.mark.parametrize(("declared", "want"), DECLARED.items(), ids=DECLARED.keys())
def test_a_declared_type(declared, want):
    column = make_column("x", affinity_of(declared), None, declared)
    assert (shown_type(column), declared_as(storage_of(column))) == want
    assert want[0] in TYPES


STORED = {
    ("", "integer"): "integer",
    ("", "text"): "text",
    ("BLOB", "blob"): "blob",
    ("STRING", "text"): "text",
    ("NUM", "text"): "text",
    ("DECIMAL(5,2)", "real"): "decimal",
    ("DECIMAL(5,2)", "text"): "text",
    ("BOOLEAN", "text"): "boolean",
    ("DATE", "integer"): "date",
    ("INTEGER", "text"): "integer",
}


@pytest.mark.parametrize(("found", "want"), STORED.items(), ids=" of ".join)
def test_what_is_stored(found, want):
    declared, stored = found
    assert shown_type(make_column("x", affinity_of(declared), stored, declared)) == want


EXPRESSIONS = {
    "sum(i)": "integer",
    "sum(i) * 1.5": "real",
    "iif(i > 1, i, 0.5)": "real",
    "i + 1": "integer",
    "upper('a')": "text",
    "d": "date",
    "date(d)": "text",
    "cast(i as numeric)": "integer",
    "cast(i as real)": "real",
    "x'00'": "blob",
    "iif(i > 1, 'a', 1)": "any",
    "null": "any",
}


@pytest.mark.parametrize(("expression", "want"), EXPRESSIONS.items(), ids=EXPRESSIONS.keys())
def test_an_expression_is_named_by_what_its_first_rows_hold(make_database, expression, want):
    database = make_database(
        "create table t (i integer, d date)", "insert into t values (1, '2026-03-05'), (2, null)"
    )
    grouped = "" if "sum" in expression else "group by i"
    source = QuerySource(
        "q", SqliteDatabase(database), f"select {expression} as x from t {grouped}", ()
    )
    assert [shown_type(column) for column in source.database.describe(source).columns] == [want]
