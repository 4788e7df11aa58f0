"""What sources.database promises, asked of every kind of database that sources.kinds names.

A kind brings a Maker: a database of its own, in which standard SQL is run. To add one, add a row to
MAKERS.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Protocol

import apsw
import pyarrow as pa
import pytest

from exports.job import Job
from exports.recording_store import RecordingTarget
from sources import rows as rows_table
from sources.columns import READINGS, TYPES, shown_type
from sources.database import Database, QuerySource, TableSource
from sources.errors import MissingAttribute, SourceFailed, SourceUnavailable
from sources.kinds import KINDS, database_of
from sources.rows import open_rows
from sources.selection import Parameter, parse_selection
from tests.conftest import settle


class Maker(Protocol):
    """A database to be asked. database: as the catalogue's address gives it."""

    database: Database

    def run(self, *statements: str) -> None:
        """Commit the statements; the database then looks as if nothing had happened lately."""

    def remove(self) -> None:
        """Take the database away."""


class SqliteMaker:
    def __init__(self, folder: Path) -> None:
        self.path = folder / "data.db"
        self.database, problem = KINDS["sqlite"].read_address("/data.db", folder)
        assert problem is None

    def run(self, *statements: str) -> None:
        # Not by another SQLite in this process, which would drop the locks of ours.
        with closing(apsw.Connection(str(self.path))) as connection:
            # Then a commit does not wait for readers.
            connection.execute("pragma journal_mode = wal")
            for statement in statements:
                connection.execute(statement)
        settle(self.path)

    def remove(self) -> None:
        self.path.unlink()


MAKERS: dict[str, Callable[[Path], Maker]] = {"sqlite": SqliteMaker}

TABLE = (
    "create table things (id integer, price decimal(10, 2), weight double precision,"
    " name varchar(500), made date, at timestamp, sold boolean)",
    "insert into things values (1, 2.50, 0.5, 'one', '2026-03-05', '2026-03-05 10:30:00', true),"
    " (2, 10.25, 1e10, 'two, and \"more\"', '2025-12-31', '2025-12-31 00:00:00', false),"
    " (3, null, null, null, null, null, null)",
)
ROWS = 3


@pytest.fixture(params=MAKERS)
def maker(request, tmp_path):
    maker = MAKERS[request.param](tmp_path)
    maker.run(*TABLE)
    return maker


@pytest.fixture
def database(maker):
    return maker.database


@pytest.fixture
def things(database):
    return TableSource("things", database, "things")


@pytest.fixture
def plan(database):
    """plan(source, (key, value), …, attributes): the query for these words of a URL."""

    def make(source, *words, **attributes):
        columns = database.describe(source).columns
        selection = parse_selection(words, columns, source.parameters)
        return database.plan(source, selection, columns, attributes)

    return make


def cells(batch: pa.RecordBatch) -> list[tuple[object, ...]]:
    return list(zip(*(column.to_pylist() for column in batch.columns), strict=True))


def read(query) -> list[tuple[object, ...]]:
    with closing(open_rows(query)) as rows:
        return [row for batch in rows for row in cells(batch)]


def filtered(database, sql):
    row_filter, problems = KINDS[database.kind].read_filter(sql)
    assert problems == []
    return TableSource("mine", database, "things", row_filter)


def test_every_kind_is_asked_and_can_be_recorded():
    assert set(MAKERS) == set(KINDS) == set(rows_table.OPENERS)


# What it is


def test_equal_databases_are_one_place_to_wait(maker, tmp_path):
    again = MAKERS[maker.database.kind](tmp_path).database
    other = MAKERS[maker.database.kind](tmp_path / "other").database
    assert (again, hash(again)) == (maker.database, hash(maker.database))
    assert other != maker.database
    assert str(other) != str(maker.database)


def test_a_query_leads_to_its_database(database, things, plan):
    assert database_of(plan(things)) == database


def test_it_may_change(database):
    assert not database.is_constant


# describe


def test_columns_carry_arrow_types(database, things):
    found = database.describe(things)
    assert [(column.name, column.type) for column in found.columns] == [
        ("id", "int64"),
        ("price", "decimal128(10, 2)"),
        ("weight", "double"),
        ("name", "string"),
        ("made", "date32[day]"),
        ("at", "timestamp[us]"),
        ("sold", "bool"),
    ]
    shown = [shown_type(column) for column in found.columns]
    assert shown == ["integer", "decimal", "real", "text", "date", "timestamp", "boolean"]
    assert set(shown) <= set(TYPES)
    assert {column.read_as for column in found.columns} <= set(READINGS)
    assert found.rows_estimate in (None, ROWS)


def test_typed_rows_are_of_the_described_types(database, things, plan, tmp_path):
    counts: list[int] = []
    with closing(open_rows(plan(things))) as rows:
        typed = rows.typed(rows, tmp_path, counts.append)
    with closing(typed):
        batches = list(typed)
    described = [(each.name, each.type) for each in database.describe(things).columns]
    assert [(each.name, str(each.type)) for each in typed.columns] == described
    assert sum(batch.num_rows for batch in batches) == counts[-1] == ROWS


def test_a_query_has_columns_and_parameters(database, plan):
    parameters = (Parameter("least", "int", 2),)
    sql = "select id, name as label from things where id >= :least"
    source = QuerySource("some", database, sql, parameters)
    columns = database.describe(source).columns
    assert [(each.name, each.type) for each in columns] == [("id", "int64"), ("label", "string")]
    assert [row[0] for row in read(plan(source))] == [2, 3]
    assert [row[0] for row in read(plan(source, ("least", "3")))] == [3]


def test_a_filtered_source_tells_nothing_of_its_rows(database):
    assert database.describe(filtered(database, "name = :principal.who")).rows_estimate is None


def test_what_is_not_there_cannot_be_described(maker, database, things):
    with pytest.raises(SourceUnavailable, match="none"):
        database.describe(TableSource("none", database, "nothing"))
    maker.remove()
    with pytest.raises(SourceUnavailable, match="things"):
        database.describe(things)


# check


def test_what_is_right_has_no_problems(database, things):
    query = QuerySource("q", database, "select id from things", ())
    assert database.check([things, query, filtered(database, "id = :principal.n")]) == []


def test_all_problems_are_told_at_once_with_their_keys(database):
    problems = database.check(
        [
            TableSource("a", database, "thing"),
            QuerySource("b", database, "select nope from things", ()),
            QuerySource("c", database, "delete from things", ()),
            filtered(database, "nope = :principal.n"),
        ]
    )
    keys = [problem.partition(": ")[0] for problem in problems]
    assert keys == ["sources.a.table", "sources.b.query", "sources.c.query", "sources.mine.where"]
    assert "things" in problems[0], "what would be right"


def test_a_database_that_is_not_there_is_one_problem(maker, things):
    maker.remove()
    (problem,) = maker.database.check([things, things])
    assert problem.startswith("sources.things.database (and 1 more): ")


# fingerprint


def test_a_fingerprint_lasts_until_a_commit(maker, database):
    before = database.fingerprint()
    assert before == database.fingerprint()
    maker.run("insert into things (id) values (4)")
    assert before is None or database.fingerprint() != before


def test_what_depends_on_the_clock_is_not_shared(database, things, plan):
    assert plan(things).is_shareable
    clock = QuerySource("clock", database, "select current_timestamp as now", ())
    assert not plan(clock).is_shareable


# plan

SELECTIONS = {
    "all": ((), [1, 2, 3]),
    "a number": ((("id__gt", "1"),), [2, 3]),
    "a decimal": ((("price", "2.5"),), [1]),
    "a text": ((("name", 'two, and "more"'),), [2]),
    "a text as SQL": ((("name", "x' or '1' = '1"),), []),
    "a day": ((("made", "2026-03-05"),), [1]),
    "a year": ((("made__lt", "2026"),), [2]),
    "a moment": ((("at__gte", "2026-03-05T10:30"),), [1]),
    "a boolean": ((("sold", "false"),), [2]),
    "a list": ((("id__in", "1,3"),), [1, 3]),
    "NULL": ((("name__null", "1"),), [3]),
    "like": ((("name__like", "%more%"),), [2]),
    "descending": ((("sort", "-id"),), [3, 2, 1]),
    "a limit": ((("sort", "id"), ("limit", "2")), [1, 2]),
    "none": ((("limit", "0"),), []),
}


@pytest.mark.parametrize(("words", "want"), SELECTIONS.values(), ids=SELECTIONS.keys())
def test_selections_mean_the_same(things, plan, words, want):
    words = words if any(key == "sort" for key, _ in words) else (*words, ("sort", "id"))
    assert [row[0] for row in read(plan(things, *words))] == want


def test_columns_come_in_the_order_that_is_asked_for(things, plan):
    query = plan(things, ("columns", "name,id"), ("id", "1"))
    assert [column.name for column in query.columns] == ["name", "id"]
    assert read(query) == [("one", 1)]


def test_what_clients_send_is_bound(things, plan):
    query = plan(things, ("name", "s3cret"), ("limit", "17"))
    assert "s3cret" not in query.sql
    assert "17" not in query.sql
    assert {"s3cret", 17} <= set(query.parameters.values())


def test_equal_selections_have_one_identity(things, plan):
    words = ("id__gt", "1"), ("name", "one")
    assert plan(things, *words).identity() == plan(things, *reversed(words)).identity()
    assert plan(things, words[0]).identity() != plan(things, words[1]).identity()
    assert plan(things, words[0]).identity() != plan(things, ("id__gt", "2")).identity()
    json.dumps(plan(things, *words).identity())


def test_a_query_crosses_to_another_process(things, plan):
    query = plan(things, ("id__lte", "2"))
    job = Job("id", RecordingTarget("disk", "path", "folder"), "csv", False, query, "things")
    crossed = Job.from_json(json.loads(json.dumps(job.to_json())))
    assert crossed.query.identity() == query.identity()
    assert read(crossed.query) == read(query)


def test_a_row_filter_is_below_what_is_selected(database, plan):
    mine = filtered(database, "name = :principal.who")
    assert [row[0] for row in read(plan(mine, who="one"))] == [1]
    assert read(plan(mine, ("id__gt", "1"), who="one")) == []
    assert read(plan(mine, who="x' or 1 = 1 --")) == []
    with pytest.raises(MissingAttribute):
        plan(mine, other="one")


# count_at_most, preview, sample


def test_counting_stops_at_the_bound(database, things, plan):
    counts = [database.count_at_most(things, plan(things), most) for most in (0, 2, ROWS, 100)]
    assert counts == [0, 2, ROWS, ROWS]


def test_a_preview_shows_the_first_rows(maker, database, things, plan):
    maker.run(f"insert into things (id, name) values (4, '{'long ' * 100}')")
    query = plan(things, ("columns", "id,name"), ("sort", "id"))
    rows = database.preview(query, 3)
    assert [[cell.value for cell in row] for row in rows] == [
        [1, "one"],
        [2, 'two, and "more"'],
        [3, None],
    ]
    (long,) = database.preview(plan(things, ("columns", "name"), ("id", "4")), 20)[0]
    assert long.length == 500
    assert ("long " * 100).startswith(long.value)
    assert len(long.value) < 500


def test_a_sample_tells_what_columns_are_like(maker, database, things, plan):
    with closing(database.sample(plan(things), 10.0)) as sample:
        assert sample.take() == ("all", ROWS, ROWS)
        maker.run("delete from things")
        profile = sample.profile(0)
    assert (profile.rows, profile.nulls, profile.distinct) == (ROWS, 0, ROWS)
    assert (profile.numbers.least, profile.numbers.most) == (1, 3)


# open_rows


def test_all_rows_are_of_one_moment(maker, things, plan):
    with closing(open_rows(plan(things, ("sort", "id")))) as rows:
        maker.run("insert into things (id) values (4)")
        batches = iter(rows)
        first = next(batches)
        assert first.num_rows == 1, "it goes out at once"
        maker.run("delete from things where id < 3")
        seen = [row[0] for batch in (first, *batches) for row in cells(batch)]
    assert seen == [1, 2, 3]
    assert [row[0] for row in read(plan(things, ("sort", "id")))] == [3, 4]


def test_values_are_exact(things, plan):
    query = plan(things, ("columns", "id,weight,name"), ("sort", "id"))
    assert read(query) == [(1, 0.5, "one"), (2, 1e10, 'two, and "more"'), (3, None, None)]


def test_rows_that_are_closed_early_keep_nobody_waiting(maker, things, plan):
    with closing(open_rows(plan(things))) as rows:
        next(iter(rows))
    maker.run("drop table things")


def test_what_has_changed_since_is_an_error_and_no_rows(maker, things, plan):
    query = plan(things)
    maker.run("drop table things", "create table things (other integer)")
    with pytest.raises(SourceFailed):
        read(query)
    maker.remove()
    with pytest.raises(SourceFailed):
        read(query)
