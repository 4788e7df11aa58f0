"""What a client selects costs and answers the same, whatever is in the rows that it may not see."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import apsw
import pytest

from sources.database import PreviewCell, QuerySource, TableSource
from sources.selection import parse_selection
from sources.sqlite.column_types import storage_of
from sources.sqlite.connections import connect
from sources.sqlite.database import SqliteDatabase
from sources.sqlite.filters import read_filter
from sources.sqlite.preview import first_rows
from sources.sqlite.profiling import SqliteSample
from sources.sqlite.rows import open_rows
from sources.sqlite.sql import selection_sql
from sources.sqlite.tables import count_at_most

# Of the hidden rows none has the x and s of NONE, most have those of MANY.
NONE, MANY = 1, 2
ROWS = (
    "create table t (id integer primary key, region, x integer, s text collate nocase, d date)",
    "with recursive n(i) as (select 0 union all select i + 1 from n limit 3000)"
    " insert into t select i, iif(i % 100, 'south', 'north'), iif(i % 100, m, 10 + i % 7),"
    " 's' || iif(i % 100, m, 9) || 'z', '200' || iif(i % 100, m, 9) || '-01-01'"
    f" from (select i, iif(i % 3, {MANY}, 3) as m from n)",
    "create index t_x on t (x)", "create index t_x_region on t (x, region)",
    "create index t_s on t (s)", "create index t_d on t (d)",
)  # fmt: skip
# Of its own, of none, and of one that is not looked at before the client's conditions.
WHERES = {
    "with an index": ("region = :principal.region", ["create index t_region on t (region)"]),
    "without an index": ("region = :principal.region", []),
    "a subquery": ("region = (select r from (select :principal.region as r) where r = region)", []),
}
SELECTIONS = {
    "equal": [("x", "{}")],
    "a list": [("x__in", "{},77")],
    "between": [("x__gte", "{}"), ("x__lte", "{}")],
    "like": [("s__like", "s{}%")],
    "a text": [("s", "s{}z")],
    "a date": [("d__lte", "200{}"), ("d__gte", "200{}")],
    "sorted, limited": [("x__lte", "{}"), ("sort", "x"), ("limit", "5")],
    "sorted by a date": [("d", "200{}"), ("sort", "-d"), ("limit", "5")],
    "some columns": [("columns", "x,region"), ("x", "{}"), ("limit", "5")],
}


class Shown:
    """A source with a row filter. see(words): the query of who has the attribute north."""

    def __init__(self, database, where, query=None):
        row_filter, problems = read_filter(where) if where else (None, [])
        assert problems == []
        self.source = TableSource("t", SqliteDatabase(database), "t", row_filter)
        if query:
            self.source = QuerySource("t", SqliteDatabase(database), query, (), row_filter)
        self.columns = self.source.database.describe(self.source).columns

    def see(self, words):
        selection = parse_selection(words, self.columns)
        sql, bound = selection_sql(self.source, selection, self.columns, {"region": "north"})
        by_name = {column.name: column for column in self.columns}
        columns = [by_name[name] for name in selection.names(self.columns)]
        return self.source.database.query(sql, bound, columns)


@pytest.fixture(scope="module", params=WHERES.values(), ids=WHERES.keys())
def shown(request, tmp_path_factory):
    where, statements = request.param
    database = tmp_path_factory.mktemp("hidden") / "t.db"
    with closing(sqlite3.connect(database)) as connection, connection:
        for statement in (*ROWS, *statements):
            connection.execute(statement)
    return Shown(database, where)


@pytest.fixture
def steps():
    """steps(work): how many steps SQLite's machine takes for all statements in work."""
    counted = []

    def watch(connection):
        connection.trace_v2(apsw.SQLITE_TRACE_PROFILE, note)

    def note(event):
        counted.append(event["stmt_status"]["SQLITE_STMTSTATUS_VM_STEP"])

    def count(work):
        counted.clear()
        work()
        return sum(counted)

    apsw.connection_hooks.append(watch)
    yield count
    apsw.connection_hooks.remove(watch)


def preview(shown, query):
    assert first_rows(query, 20) == []


def count(shown, query):
    assert count_at_most(shown.source, query, 1000) == 0


def report(shown, query):
    sample = SqliteSample(query)
    try:
        assert sample.take().rows == 0
    finally:
        sample.close()


def export(shown, query):
    rows = open_rows(query)
    try:
        assert list(rows) == []
    finally:
        rows.close()


def plan_of(query):
    with connect(query.database) as connection:
        plan = connection.execute(f"explain query plan {query.sql}", dict(query.parameters))
        return [detail for *_, detail in plan]


def about(words, x):
    return [(key, text.format(x)) for key, text in words]


@pytest.mark.parametrize("work", [preview, count, report, export])
@pytest.mark.parametrize("words", SELECTIONS.values(), ids=SELECTIONS.keys())
def test_hidden_matches_cost_nothing(shown, steps, work, words):
    none = steps(lambda: work(shown, shown.see(about(words, NONE))))
    many = steps(lambda: work(shown, shown.see(about(words, MANY))))
    assert none == many


@pytest.mark.parametrize("words", SELECTIONS.values(), ids=SELECTIONS.keys())
def test_rows_are_found_by_the_row_filter_alone(shown, words):
    query = shown.see(about(words, MANY))
    steps = plan_of(query)
    assert "CO-ROUTINE source" in steps
    of_selection = ("t_x", "t_s", "t_d")
    assert [
        each for each in steps if any(f"INDEX {name} " in f"{each} " for name in of_selection)
    ] == []


@pytest.mark.parametrize("words", SELECTIONS.values(), ids=SELECTIONS.keys())
def test_who_sees_all_rows_uses_the_indexes(make_database, words):
    query = Shown(make_database(*ROWS), None).see(about(words, MANY))
    assert "limit -1" not in query.sql
    assert "CO-ROUTINE source" not in plan_of(query)


LONG = f"printf('%.*c', {(8 << 20) + 1}, 'x')"
HIDDEN = {
    "a value that no request may hold": (LONG, [("v__like", "%x%")]),
    "one to sort by": (LONG, [("sort", "v")]),
    "a text among numbers": ("'x'", [("v__gt", "0")]),
    "a blob": ("x'ff'", [("v__in", "1,2")]),
    "no UTF-8": ("cast(x'ff' as text)", [("v__ne", "y")]),
}


@pytest.mark.parametrize("where", [where for where, _ in WHERES.values()])
@pytest.mark.parametrize(("value", "words"), HIDDEN.values(), ids=HIDDEN.keys())
def test_a_hidden_value_changes_no_answer(make_database, value, words, where):
    answers = []
    for i, hidden in enumerate(("1", value)):
        database = make_database(
            "create table t (id integer, region text, v)",
            f"insert into t values (1, 'south', {hidden}), (2, 'north', 1), (3, 'south', {hidden})",
            name=f"{i}.db",
        )
        own = Shown(database, where)
        query = own.see(words)
        answers.append((own.columns, query.sql, first_rows(query, 20)))
    assert answers[0] == answers[1]


def test_columns_of_a_source_with_a_row_filter_are_not_named_by_rows(make_database):
    database = make_database("create table t (region, v)", "insert into t values ('south', 'x')")
    region = "region = :principal.region"
    for query in (None, "select * from t"):
        assert [storage_of(each).stored for each in Shown(database, region, query).columns] == [
            None,
            None,
        ]
        assert [storage_of(each).stored for each in Shown(database, None, query).columns] == [
            "text",
            "text",
        ]


def test_what_is_not_selected_is_not_read(make_database):
    database = make_database(
        "create table t (region text, v, big)", f"insert into t values ('north', 1, {LONG})"
    )
    own = Shown(database, "region = :principal.region")
    assert first_rows(own.see([("columns", "v"), ("v", "1")]), 20) == [[PreviewCell(1)]]
    # Without a selection the size of a large value is told, as to who sees all rows.
    assert first_rows(own.see([]), 20) == [
        [PreviewCell("north", 5), PreviewCell(1), PreviewCell(None, (8 << 20) + 1)]
    ]


ALIKE = [
    [("s", "aBc")], [("s__in", "ABC,x")], [("s__gt", "ABC")], [("s__ne", "ABD")], [("u", "x")],
    [("sort", "s,-id")], [("sort", "u,id")], [("n", "5")], [("n", " 5")], [("n__gte", "5")],
    [("columns", "n,id"), ("sort", "-n,id"), ("limit", "2")],
]  # fmt: skip


@pytest.mark.parametrize("words", ALIKE, ids=map(str, ALIKE))
def test_the_rows_are_those_of_all_that_may_be_seen(make_database, words):
    """Affinities and collations of the columns are those of the table."""
    database = make_database(
        "create table t (id integer, region text, s text collate nocase, u text collate rtrim,"
        " n string)",
        "insert into t values (1, 'north', 'abc', 'x', 5), (2, 'north', 'ABC', 'x  ', '5'),"
        " (3, 'north', 'Abd', 'y', 'z')",
    )
    everything = Shown(database, None).see(words)
    own = Shown(database, "region = :principal.region").see(words)
    assert first_rows(own, 20) == first_rows(everything, 20)
