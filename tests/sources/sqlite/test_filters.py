"""Row filters: as they are read, and against rows of SQLite."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sources.database import QuerySource, TableSource
from sources.errors import MissingAttribute
from sources.selection import Parameter, parse_selection
from sources.sqlite.column_types import make_column, storage_of
from sources.sqlite.database import SqliteDatabase
from sources.sqlite.filters import read_filter, unclear_uses
from sources.sqlite.sql import selection_sql

NOWHERE = Path("/nowhere.db")
COLUMNS = [
    make_column("id", "INTEGER"), make_column("region", "TEXT"), make_column("level", "INTEGER"),
    make_column("weight", "REAL"), make_column("mixed", "BLOB"),
]  # fmt: skip
AFFINITIES = {column.name: storage_of(column).affinity for column in COLUMNS}
ROWS = [
    (1, "north", 1, 0.5, 1),
    (2, "south", 2, 1.5, "2"),
    (3, "north", 3, 2.5, 3),
    (4, None, None, None, None),
    (5, "10", 10, 10.0, b"x"),
]
SCHEMA = "create table t (id integer, region text, level integer, weight real, mixed)"


def select(where, attributes, words=(), rows=ROWS):
    """Return the rows that somebody sees of the table t."""
    row_filter, problems = read_filter(where)
    assert problems == []
    assert unclear_uses(row_filter, AFFINITIES) == []
    selection = parse_selection(words, COLUMNS)
    source = TableSource("t", SqliteDatabase(NOWHERE), "t", row_filter)
    sql, bound = selection_sql(source, selection, COLUMNS, attributes)
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute(SCHEMA)
        connection.executemany("insert into t values (?, ?, ?, ?, ?)", rows)
        return connection.execute(sql, bound).fetchall()


def ids(where, attributes, words=()):
    return [row[0] for row in select(where, attributes, words)]


REGION = "region = :principal.region"
FILTERS = {
    "a text": (REGION, {"region": "north"}, [1, 3]),
    "a text of nobody": (REGION, {"region": "east"}, []),
    "an empty text is not NULL": (REGION, {"region": ""}, []),
    "the other way round": (":principal.region = region", {"region": "south"}, [2]),
    "two attributes": (
        f"{REGION} and level = :principal.level", {"region": "north", "level": "3"}, [3],
    ),
    "either": (f"{REGION} or level = :principal.region", {"region": "10"}, [5]),
    "one twice": (f"{REGION} or {REGION}", {"region": "south"}, [2]),
    "a text with an INTEGER column": ("level = :principal.level", {"level": "2"}, [2]),
    "a text with a REAL column": ("weight = :principal.weight", {"weight": "1.5"}, [2]),
    "digits with a TEXT column": (REGION, {"region": "10"}, [5]),
    "other digits with a TEXT column": (REGION, {"region": "10.0"}, []),
    "no number with an INTEGER column": ("level = :principal.level", {"level": "x"}, []),
    "at most": ("level <= :principal.level", {"level": "2"}, [1, 2]),
    "at most, the other way round": (":principal.level >= level", {"level": "2"}, [1, 2]),
    "more than": ("weight > :principal.weight", {"weight": "1.5"}, [3, 5]),
    "another number": ("level <> :principal.level", {"level": "2"}, [1, 3, 5]),
    "between": (
        "level between :principal.low and :principal.high", {"low": "2", "high": "3"}, [2, 3],
    ),
    "not between": (
        "level not between 2 and :principal.high or id = 2", {"high": "3"}, [1, 2, 5],
    ),
    "a text in an order": ("region > :principal.region", {"region": "o"}, [2]),
    "an expression, as an integer": (
        "length(region) > cast(:principal.length as integer)", {"length": "4"}, [1, 2, 3],
    ),
    "a column of no type, as an integer": (
        "mixed <> cast(:principal.mixed as integer)", {"mixed": "1"}, [2, 3, 5],
    ),
    "a list": (
        "instr(',' || cast(:principal.regions as text) || ',', ',' || region || ',') > 0",
        {"regions": "south,10"}, [2, 5],
    ),
    "in": ("region in (:principal.a, :principal.b)", {"a": "south", "b": "10"}, [2, 5]),
    "a function": ("region = lower(:principal.region)", {"region": "NORTH"}, [1, 3]),
    "like, which escapes nothing": ("region like :principal.like", {"like": "%th"}, [1, 2, 3]),
    "other rows of the database": (
        "level = (select max(level) from t where region = :principal.region)",
        {"region": "north"}, [3],
    ),
    "nobody's": ("level = 1", {}, [1]),
    "a comment": ("region = -- ) or 1\n :principal.region /* ' */", {"region": "south"}, [2]),
    "more than is asked": (REGION, {"region": "south", "level": "1", "x": "'"}, [2]),
}  # fmt: skip


@pytest.mark.parametrize(("where", "attributes", "want"), FILTERS.values(), ids=FILTERS.keys())
def test_which_rows(where, attributes, want):
    assert ids(where, attributes) == want


# To SQLite each of these would be true of every number.
NO_READING = {
    "at most": ("level <= :principal.x", "x"),
    "less": ("weight < :principal.x", "1,5"),
    "not equal": ("level <> :principal.x", "x"),
    "not": ("not level = :principal.x", "x"),
    "is not": ("not level is :principal.x", "x"),
    "the other way round": (":principal.x > level", "x"),
    "between": ("level between 0 and :principal.x", "x"),
    "not between": ("level not between :principal.x and 5", "x"),
    "a cast": ("length(region) <> cast(:principal.x as integer)", "4x"),
    "an empty text": ("level <= :principal.x", ""),
    "blanks": ("level <= :principal.x", " 5"),
    "too large for a number": ("level <= :principal.x", "1e999"),
    "infinity": ("level <= :principal.x", "inf"),
    "not a number": ("level <> :principal.x", "nan"),
    "hexadecimal": ("level <= :principal.x", "0x10"),
    "digits of another script": ("level <= :principal.x", "٣"),
    "beside what is true": ("level <= :principal.x or level = 1", "x"),
}


@pytest.mark.parametrize(("where", "value"), NO_READING.values(), ids=NO_READING.keys())
def test_a_value_of_no_reading_shows_no_rows(where, value):
    assert ids(where, {"x": value}) == []


def test_a_column_that_has_lost_its_type_shows_no_rows():
    """The catalogue was checked when the server was started."""
    row_filter, _ = read_filter("level <= :principal.level")
    columns = [make_column("level", "BLOB")]
    source = TableSource("t", SqliteDatabase(NOWHERE), "t", row_filter)
    sql, bound = selection_sql(source, parse_selection([], columns), columns, {"level": "2"})
    assert ("where (0)" in sql, bound) == (True, {})


ATTACKS = [
    "' or '1'='1", "north' or 1=1 --", "1) or (1=1", "); drop table t; --", "' union select 1 --",
    "%", "_", "*", "\\", '"region"', "region", "`region`", "[region]", ":principal.region", "null",
    "NULL", "0", "1", "true", "north\n", " north", "NORTH", "nórth", "\u202enorth", "-- ", "/*",
    "?", "x'6e6f727468'", "north;", "😀", ":_0", "10 ", "1e1", "+10", "0x0A",
]  # fmt: skip


@pytest.mark.parametrize("value", ATTACKS)
def test_an_attack_is_a_value_like_others(value):
    assert ids(REGION, {"region": value}) == []
    assert ids("level = :principal.level and region = '10'", {"level": value}) in ([], [5])


CLIENTS = {
    "a filter": [("region", "south")],
    "a filter of all": [("region__in", "north,south,10")],
    "a LIKE of all": [("region__like", "%")],
    "a limit": [("limit", "1"), ("region", "south")],
    "a sort": [("sort", "-id"), ("id__ne", "1"), ("id__ne", "3")],
}


@pytest.mark.parametrize("words", CLIENTS.values(), ids=CLIENTS.keys())
def test_what_a_client_asks_for_is_above_the_filter(words):
    assert set(ids(REGION, {"region": "north"}, words)) <= {1, 3}


def test_values_of_a_client_and_of_the_filter_are_apart():
    words = [("region", "north"), ("level__gt", "1"), ("limit", "5")]
    assert ids(
        f"{REGION} and level <= :principal.level", {"region": "north", "level": "3"}, words
    ) == [3]


def test_all_that_is_bound_is_used():
    """What reads the rows may refuse a value that the statement has no name for."""
    row_filter, _ = read_filter("level <= :principal.level and region = :principal.level")
    source = TableSource("t", SqliteDatabase(NOWHERE), "t", row_filter)
    sql, bound = selection_sql(source, parse_selection([], COLUMNS), COLUMNS, {"level": "2"})
    assert bound == {"_ordered_0": 2, "_ordered_1": "2"}
    assert all(f":{name}" in sql for name in bound)


def test_a_query_is_filtered_by_what_it_gives():
    row_filter, _ = read_filter("place = :principal.region and twice <= cast(:principal.n as int)")
    query = "select region as place, level * 2 as twice from t where level < :n order by id desc"
    source = QuerySource(
        "q", SqliteDatabase(NOWHERE), query, (Parameter("n", "int", 9),), row_filter
    )
    columns = [make_column("place", "TEXT"), make_column("twice", "BLOB")]
    selection = parse_selection([("twice__gt", "1")], columns, source.parameters)
    sql, bound = selection_sql(source, selection, columns, {"region": "north", "n": "6"})
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute(SCHEMA)
        connection.executemany("insert into t values (?, ?, ?, ?, ?)", ROWS)
        assert sorted(connection.execute(sql, bound)) == [("north", 2), ("north", 6)]


TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8)
VALUES = TEXTS | st.sampled_from([*ATTACKS, "north", "5", "05"])


@given(st.lists(VALUES | st.none(), max_size=6), VALUES, st.data())
@example(["'", '"', "' or 1=1 --"], "' or 1=1 --", None)
def test_the_rows_are_those_that_python_finds(regions, asked, data):
    if data is not None and regions and (seen := [each for each in regions if each is not None]):
        asked = data.draw(st.sampled_from([asked, *seen]))
    rows = [(i, region, None, None, None) for i, region in enumerate(regions)]
    got = select(REGION, {"region": asked}, rows=rows)
    assert got == [row for row in rows if row[1] == asked]


@given(st.lists(st.integers(-9, 9), max_size=6), TEXTS | st.integers(-9, 9).map(str))
def test_the_numbers_are_those_that_python_finds(levels, asked):
    rows = [(i, None, level, None, None) for i, level in enumerate(levels)]
    got = select("level <= :principal.level", {"level": asked}, rows=rows)
    try:
        most = float(asked) if asked.isascii() and not set(asked) & set(" _+\t\n\r\f\v") else None
    except ValueError:
        most = None
    assert got == [row for row in rows if most is not None and row[2] <= most < 1e308]


# Reading

REFUSED = {
    "a parameter of another name": ("region = :region", ":region is not bound here; :principal."),
    "the principal alone": ("region = :principal", ":principal is not bound here"),
    "blanks within": ("region = :principal .region", ":principal is not bound here"),
    "a number": ("region = :principal.1", ":principal is not bound here"),
    "a name with other letters": ("region = :principal.é", ":principal is not bound here"),
    "a name that goes on": ("region = :principal.a$b", ":principal is not bound here"),
    "ours": ("region = :_0", ":_0 is not bound here"),
    "a numbered one": ("region = ?1", "?1 is not bound here"),
    "a $ one": ("region = $region", "$region is not bound here"),
    "an @ one": ("region = @region", "@region is not bound here"),
    "a semicolon": ("1; drop table t", "holds a semicolon"),
    "a semicolon at its end": ("1;", "holds a semicolon"),
    "an open text": ("region = 'x", "the ' at character 10 is never closed"),
    "an open name": ('"region = 1', 'the " at character 1 is never closed'),
    "an open bracket": ("[region = 1", "the [ at character 1 is never closed"),
    "an open comment": ("1 /* x", "the comment at character 3 is never closed"),
    "the shortest open comment": ("1 /*/", "the comment at character 3 is never closed"),
    "out of its parentheses": ("1) or (1", "has a ) without its ("),
    "a ( too many": ("(1", "has a ( without its )"),
    "a ) in a comment does not count": ("(1 -- )", "has a ( without its )"),
    "a ) in a text does not count": ("(')'", "has a ( without its )"),
    "nothing": ("-- all", "is empty"),
    "an order beside an expression": ("level + 1 <= :principal.x", "orders or negates, and :princ"),
    "an order beside a number": ("5 <= :principal.x", "orders or negates"),
    "an order beside a text": ("'level' <= :principal.x", "orders or negates"),
    "an order in parentheses": ("level <= (:principal.x)", "orders or negates"),
    "an order with a sign": ("level <= -:principal.x", "orders or negates"),
    "an order with a sum": ("level <= :principal.x + 0", "orders or negates"),
    "an order within a function": ("max(:principal.x, 1) > level", "orders or negates"),
    "an order of a row": ("(level, id) < (:principal.x, 1)", "orders or negates"),
    "an order in a subquery": ("exists (select 1 where level < :principal.x)", "orders or"),
    "a qualified name": ("t.level < :principal.x", "orders or negates"),
    "not in": ("region not in (:principal.x)", "orders or negates"),
    "is not": ("level is not :principal.x", "orders or negates"),
    "a case": ("case level when :principal.x then 0 else 1 end", "orders or negates"),
    "a cast to what is no type": ("level < cast(:principal.x as blob)", "orders or negates"),
    "a wide between": ("level between 1 + 1 and :principal.x", "orders or negates"),
    "a between the other way round": (":principal.x between level and id", "orders or negates"),
    "one of two": ("level < :principal.x and :principal.x", "orders or negates"),
}


@pytest.mark.parametrize(("where", "want"), REFUSED.values(), ids=REFUSED.keys())
def test_a_problem_is_named(where, want):
    _, problems = read_filter(where)
    assert [problem.startswith(want) for problem in problems] == [True], problems


def test_what_would_be_right_is_said():
    _, [problem] = read_filter("level + 1 <= :principal.max")
    assert problem == (
        "orders or negates, and :principal.max is not beside a column by itself; "
        "cast(:principal.max as integer), real or text, would be right"
    )


TYPES = {
    "a column of no type": ("mixed <= :principal.x", True),
    "a column that is not there": ("rowid <= :principal.x", True),
    "an equal one": ("mixed = :principal.x", False),
    "a cast": ("mixed <= cast(:principal.x as real)", False),
    "other letters": ("LEVEL <= :principal.x", False),
    "a quoted name": ('"level" <= :principal.x', False),
    "a name in brackets": ("[level] <= :principal.x", False),
    "not the letters of another script": ("ſ <= :principal.x", True),
}


@pytest.mark.parametrize(("where", "is_unclear"), TYPES.values(), ids=TYPES.keys())
def test_an_order_is_of_a_column_with_a_type(where, is_unclear):
    row_filter, problems = read_filter(where)
    assert problems == []
    assert bool(unclear_uses(row_filter, AFFINITIES | {"s": "TEXT"})) is is_unclear


def test_a_quoted_name_is_never_a_text():
    row_filter, _ = read_filter('"regi`o""n" = :principal.region')
    assert row_filter.sql == '`regi``o"n` = :_principal_region'


# Audiences


def test_an_audience_is_of_the_expression_and_the_values_bound():
    row_filter, _ = read_filter(f"{REGION} and level = :principal.level")
    audience = row_filter.visibility_key("t", {"level": "1", "region": "é'", "other": "x"})
    assert audience == row_filter.visibility_key("t", {"region": "é'", "level": "1"})
    sql = "region = :_principal_region and level = :_principal_level"
    assert json.loads(audience) == {":where": sql, "region": "é'", "level": "1"}
    assert audience != row_filter.visibility_key("t", {"region": "1", "level": "é'"})
    other, _ = read_filter(f"{REGION} and level = :principal.level and id > 1")
    assert audience != other.visibility_key("t", {"region": "é'", "level": "1"})


def test_an_attribute_that_is_missing_is_named_and_how_to_give_it():
    row_filter, _ = read_filter(f"{REGION} and level = :principal.level")
    with pytest.raises(MissingAttribute) as caught:
        row_filter.bind("flights", {"Region": "north"})
    assert caught.value.names == ("region", "level")
    assert str(caught.value).startswith(
        "flights shows each principal rows of its own, by region and"
    )
    assert "tokens add … --attribute region=… --attribute level=…" in str(caught.value)
