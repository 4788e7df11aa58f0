from __future__ import annotations

import os

import pytest

from sources.database import GeneratedSource, QuerySource, TableSource
from sources.descriptions import Descriptions
from sources.errors import SourceUnavailable
from sources.sqlite.database import SqliteDatabase


@pytest.fixture
def database(make_database):
    return make_database("create table t (i integer)", "insert into t values (1), (2)")


@pytest.fixture
def descriptions():
    return Descriptions()


def names(description):
    return [column.name for column in description.columns]


def test_a_database_that_has_not_changed_is_not_asked_again(descriptions, database):
    source = TableSource("t", SqliteDatabase(database), "t")
    first = descriptions.of(source)
    assert (names(first), first.rows_estimate) == (["i"], 2)
    # Nothing that is asked twice is the same object.
    assert descriptions.of(source) is first


def test_after_a_commit_it_is_asked_anew(descriptions, database, change):
    source = TableSource("t", SqliteDatabase(database), "t")
    descriptions.of(source)
    change(database, "alter table t add column more text", "insert into t values (3, '')")
    assert names(descriptions.of(source)) == ["i", "more"]
    assert descriptions.of(source).rows_estimate == 3


def test_what_was_just_written_is_asked_each_time(descriptions, database):
    source = TableSource("t", SqliteDatabase(database), "t")
    os.utime(database)
    assert descriptions.of(source) is not descriptions.of(source)


def test_sources_of_one_database_are_kept_apart(descriptions, database):
    table = TableSource("t", SqliteDatabase(database), "t")
    query = QuerySource("q", SqliteDatabase(database), "select i * 2 as twice from t", ())
    assert names(descriptions.of(table)) == ["i"]
    assert names(descriptions.of(query)) == ["twice"]
    assert names(descriptions.of(table)) == ["i"]


def test_a_database_that_is_gone_has_no_description(descriptions, database):
    source = TableSource("t", SqliteDatabase(database), "t")
    descriptions.of(source)
    database.unlink()
    with pytest.raises(SourceUnavailable):
        descriptions.of(source)


def test_generated_rows_are_always_the_same(descriptions):
    source = GeneratedSource("users", "users", 10)
    first = descriptions.of(source)
    assert (names(first), first.rows_estimate) == (["id", "name"], 10)
    assert descriptions.of(source) is first
