"""What depends on the clock or on chance, and what only looks as if it did."""

from contextlib import closing

import pytest

from sources.sqlite.column_types import make_column
from sources.sqlite.database import SqliteDatabase
from sources.sqlite.rows import open_rows
from sources.sqlite.volatility import CHANCE, CLOCK, NEVER, PERHAPS, volatility_of


@pytest.fixture
def database(make_database):
    return make_database(
        "create table t (id integer primary key, day text)",
        "insert into t values (1, '2026-03-05'), (2, '2026-03-06')",
        "create view open as select * from t where day > date('now')",
        "create view more as select id from open",
        "create view years as select strftime('%Y', day) as year from t",
    )


def query(database, sql, parameters):
    return SqliteDatabase(database).query(sql, parameters, [make_column("x", "BLOB")])


CASES = {
    "a table": ("select * from t", NEVER),
    "date('now')": ("select * from t where day > date('now')", CLOCK),
    "now, written otherwise": ("select * from t where day > date(' NOW ')", CLOCK),
    "no argument": ("select unixepoch() as x", CLOCK),
    "a modifier alone": ("select unixepoch('subsec') as x", CLOCK),
    "current_timestamp": ("select current_timestamp as x", CLOCK),
    "current_date": ("select count(*) filter (where day > current_date) from t", CLOCK),
    "the zone of the machine": ("select datetime(day, 'localtime') as x from t", CLOCK),
    "timediff": ("select timediff('now', day) as x from t", CLOCK),
    "a view": ("select * from open", CLOCK),
    "a view of a view": ("select * from more", CLOCK),
    "a subquery": ("select id from t where id in (select id from more)", CLOCK),
    "with": ("with x as (select date() as d) select * from x", CLOCK),
    "random()": ("select random() as x", CHANCE),
    "randomblob": ("select hex(randomblob(4)) as x", CHANCE),
    "an order by chance": ("select * from t order by random()", CHANCE),
    "a window by chance": ("select row_number() over (order by random()) as x from t", CHANCE),
    "the clock and chance": ("select date() as x from t order by random()", CHANCE),
    "a function of a column": ("select date(day) as x from t", PERHAPS),
    "a view of such": ("select * from years", PERHAPS),
    "a function with a modifier": ("select date(day, '+1 day') as x from t", PERHAPS),
    "the word in a text": ("select 'now' as x from t", NEVER),
    "the word as a name": ("select id as now from t", NEVER),
    "a blob among the literals": ("select id from t where day <> x'ff'", NEVER),
    "one beside the clock": ("select id from t where day <> x'ff' and day > date('now')", CLOCK),
    "what does not compile": ("select nothing from t", CHANCE),
}  # fmt: skip


@pytest.mark.parametrize(("sql", "want"), CASES.values(), ids=CASES.keys())
def test_what_a_statement_depends_on(database, sql, want):
    assert volatility_of(SqliteDatabase(database).query(sql, {}, []), None) == want


@pytest.mark.parametrize(("value", "want"), [("2026-03-05", PERHAPS), ("Now", CLOCK), (5, PERHAPS)])
def test_a_parameter_can_be_the_clock(database, value, want):
    asked = SqliteDatabase(database).query("select date(:day) as x", {"day": value}, [])
    assert volatility_of(asked, "the same database") == want


def test_a_view_that_has_changed_is_looked_at_again(database, change):
    asked = SqliteDatabase(database).query("select * from years", {}, [])
    assert volatility_of(asked, "one") == PERHAPS
    change(database, "drop view years", "create view years as select date() as year")
    assert volatility_of(asked, "another") == CLOCK


WATCHED = {
    "a column": ("select date(day) as x from t", {}, False),
    "a format by itself": ("select strftime('%Y') as x from t", {}, True),
    "a column that says now": ("select date(iif(id = 2, 'n' || 'ow', day)) as x from t", {}, True),
    "a case that is not due": ("select iif(id, day, date(:x)) as x from t", {"x": "now"}, False),
}  # fmt: skip


@pytest.mark.parametrize(("sql", "parameters", "want"), WATCHED.values(), ids=WATCHED.keys())
def test_the_clock_is_watched_while_a_statement_runs(database, sql, parameters, want):
    asked = query(database, sql, parameters)._replace(watches_clock=True)
    with closing(open_rows(asked)) as rows:
        assert sum(batch.num_rows for batch in rows) == 2
        assert rows.has_asked_the_clock() == want


@pytest.mark.parametrize("journal", ["delete", "wal"])
def test_watching_reads_the_same_rows(database, change, journal):
    change(database, f"pragma journal_mode = {journal}")
    asked = query(database, "select day as x from t", {})
    found = []
    for watches in (False, True):
        with closing(open_rows(asked._replace(watches_clock=watches))) as rows:
            found.append([batch.to_pylist() for batch in rows])
    assert found[0] == found[1]
