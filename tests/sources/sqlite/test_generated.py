from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from sources.database import GeneratedSource
from sources.kinds import GENERATORS
from sources.sqlite.column_types import storage_of
from sources.sqlite.connections import read_only_uri
from sources.sqlite.generated import as_query


def rows_of(source):
    query = as_query(source)
    with closing(sqlite3.connect(read_only_uri(query.database), uri=True)) as connection:
        found = connection.execute(query.query)
        return [column[0] for column in found.description], found.fetchall()


@pytest.mark.parametrize("rows", [0, 1, 2, 999, 1_000, 1_001, 10_000, 12_345])
def test_the_users_of_the_textbook(rows):
    names, got = rows_of(GeneratedSource("users", "users", rows))
    assert names == ["id", "name"]
    assert got == [(i, f"User {i}") for i in range(1, rows + 1)]


@pytest.mark.parametrize("generate", GENERATORS)
def test_every_generator_of_the_catalogue_has_rows(generate):
    assert len(rows_of(GeneratedSource("any", generate, 3))[1]) == 3


def test_it_is_a_source_like_others():
    query = as_query(GeneratedSource("people", "users", 5))
    assert (query.name, query.parameters) == ("people", ())
    columns = [
        (column.name, storage_of(column).affinity)
        for column in query.database.describe(query).columns
    ]
    assert columns == [("id", "INTEGER"), ("name", "TEXT")], "what has none is read slowly"
