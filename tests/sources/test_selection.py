from __future__ import annotations

import itertools
import operator
import re
import sqlite3
import time
from contextlib import closing, suppress
from pathlib import Path
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sources.database import QuerySource, TableSource
from sources.errors import BadSelection
from sources.selection import (
    MAX_PROBLEMS,
    MAX_VALUES_IN_A_LIST,
    Filter,
    Parameter,
    Selection,
    parse_selection,
)
from sources.sqlite.column_types import make_column
from sources.sqlite.database import SqliteDatabase
from sources.sqlite.sql import selection_sql

NOWHERE = Path("nowhere.db")
COLUMNS = [
    make_column("i", "INTEGER"),
    make_column("r", "REAL"),
    make_column("s", "TEXT"),
    make_column("n", "NUMERIC"),
    make_column("b", "BLOB"),
]
ROWS = [
    (1, 0.5, "one", 10, "1"),
    (2, -1.5, "Two", 2.5, 2),
    (3, None, "", "text", 3.5),
    (None, 2.0, None, None, None),
    (-(2**63), 1e300, "a,b", -1, b"\x00"),
    (2**63 - 1, 0.0, "100%", 0, "x"),
]


def parse(query, columns=COLUMNS, parameters=()):
    words = parse_qsl(query, keep_blank_values=True) if isinstance(query, str) else query
    return parse_selection(words, columns, parameters)


def problems(query, columns=COLUMNS, parameters=()):
    with pytest.raises(BadSelection) as caught:
        parse(query, columns, parameters)
    assert str(caught.value) == "; ".join(caught.value.problems)
    return caught.value.problems


def select(query, rows=ROWS):
    """Return what the selection gives of the table t with COLUMNS and these rows."""
    sql, bound = selection_sql(
        TableSource("t", SqliteDatabase(NOWHERE), "t"), parse(query), COLUMNS
    )
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("create table t (i integer, r real, s text, n numeric, b)")
        connection.executemany("insert into t values (?, ?, ?, ?, ?)", rows)
        return connection.execute(sql, bound).fetchall()


def rows_where(query):
    """Return which of ROWS a selection gives, by their numbers."""
    return [ROWS.index(row) for row in select(query)]


FILTERS = {
    "nothing": ("", [0, 1, 2, 3, 4, 5]),
    "equal": ("i=2", [1]),
    "equal, said": ("i__eq=2", [1]),
    "not equal leaves NULL out": ("i__ne=2", [0, 2, 4, 5]),
    "greater": ("i__gt=2", [2, 5]),
    "greater or equal": ("i__gte=2", [1, 2, 5]),
    "less": ("i__lt=2", [0, 4]),
    "less or equal": ("i__lte=2", [0, 1, 4]),
    "one of": ("i__in=1,3,99", [0, 2]),
    "one of texts": ("s__in=one,Two", [0, 1]),
    "a text with a comma by itself": ("s=a%2Cb", [4]),
    "a comma in a list parts, however it is written": ("s__in=a%2Cb", []),
    "a comma in quotes does not": ("s__in=%22a%2Cb%22,one", [0, 4]),
    "quotes that nothing needs are of the values": ("s__in=%22one%22,Two", [1]),
    "like": ("s__like=%25o%25", [0, 1]),
    "like is blind to ASCII case": ("s__like=ONE", [0]),
    "like one character": ("s__like=_ne", [0]),
    "NULL": ("i__null=1", [3]),
    "NULL in a word": ("i__null=true", [3]),
    "not NULL": ("i__null=0", [0, 1, 2, 4, 5]),
    "the empty text is not NULL": ("s=", [2]),
    "a real": ("r=0.5", [0]),
    "a real with an exponent": ("r__gte=1E3", [4]),
    "an integer where reals are": ("r=2", [3]),
    "a real before the point only": ("r__lt=-1.", [1]),
    "a text that looks like a number": ("s=1", []),
    "NUMERIC takes integers": ("n=10", [0]),
    "NUMERIC takes reals": ("n=2.5", [1]),
    "NUMERIC takes texts": ("n=text", [2]),
    "no affinity: a number": ("b=2", [1]),
    "no affinity: a text": ("b=x", [5]),
    "the largest integer": (f"i={2**63 - 1}", [5]),
    "all filters hold": ("i__gt=0&i__lt=3&s__like=%25e", [0]),
    "two of one column and operator hold": ("i__gte=2&i__gte=3", [2, 5]),
    "nothing equals two values": ("s=one&s=Two", []),
    "two are not equal": ("s__ne=one&s__ne=Two", [2, 4, 5]),
    "the smallest integer": (f"i={-(2**63)}", [4]),
    "no affinity: a text of digits": ("b=1", [0]),
    "a sort": ("sort=-i&i__null=0", [5, 2, 1, 0, 4]),
    "a sort by two": ("sort=i,-s", [3, 4, 0, 1, 2, 5]),
    "a limit": ("sort=i&i__null=0&limit=2", [4, 0]),
    "no rows at all": ("limit=0", []),
}


def test_like_tells_the_case_of_letters_beyond_ascii():
    rows = [(1, 0.0, "É", 0, 0), (2, 0.0, "é", 0, 0), (3, 0.0, "e", 0, 0)]
    assert select("s__like=É", rows) == [rows[0]]
    assert select("s__like=E", rows) == [rows[2]]


@pytest.mark.parametrize(("query", "want"), FILTERS.values(), ids=FILTERS.keys())
def test_which_rows(query, want):
    assert rows_where(query) == want


def test_columns_come_in_the_order_asked():
    assert select("columns=s,i&limit=1") == [("one", 1)]
    assert parse("columns=s,i").names(COLUMNS) == ("s", "i")
    assert parse("").names(COLUMNS) == ("i", "r", "s", "n", "b")


PROBLEMS = {
    "an unknown column, near one": ("ii=1", "there is no column", "is it i?"),
    "an unknown column": ("unheard=1", '"unheard"', "there are i, r, s, n, b"),
    "an unknown column to show": ("columns=i,unheard", "columns", '"unheard"'),
    "an unknown column to sort by": ("sort=-unheard", "sort", '"unheard"'),
    "an unknown operator": ("i__above=1", "i__above:", "eq, ne, gt, gte, lt, lte, like, in, null"),
    "no column but an operator": ("__gt=1", "there is no column", '""'),
    "a text for an integer": ("i=one", "i:", "whole number of 64 bits"),
    "a real for an integer": ("i=1.5", "i:", "whole number of 64 bits"),
    "one that is nearly whole": ("i=1e-400", "i:", "whole number of 64 bits"),
    "a whole real of 65 bits": (f"i={2**63}.0", "i:", "whole number of 64 bits"),
    "an endless real": ("i=1e999", "i:", "whole number of 64 bits"),
    "an integer of 65 bits": (f"i={2**63}", "i:", "whole number of 64 bits"),
    "a number of other digits": ("i=١", "i:", "whole number"),
    "a number with blanks": ("i=%201", "i:", "whole number"),
    "a number with a plus": ("i=%2B1", "i:", "whole number"),
    "a number with an underscore": ("i=1_0", "i:", "whole number"),
    "a text for a real": ("r=half", "r:", "not a number"),
    "no number at all": ("r=nan", "r:", "not a number"),
    "one bad value of a list": ("i__in=1,x,3", "i__in:", '"x"'),
    "an empty value of a list": ("i__in=1,,3", "i__in:", '""'),
    "neither yes nor no": ("i__null=maybe", "i__null:", "1 (yes) nor 0 (no)"),
    "a limit that is no number": ("limit=many", "limit:", "a number of rows"),
    "a negative limit": ("limit=-1", "limit:", "0 or more"),
    "an endless limit": ("limit=" + "9" * 19, "limit:", "a number of rows"),
    "a limit with a fraction": ("limit=1.5", "limit:", "a number of rows"),
    "a column twice": ("columns=i,i", "columns:", "named twice"),
    "no column": ("columns=", "columns", '""'),
    "a word twice": ("limit=1&limit=2", "limit:", "given twice"),
    "a word twice, alike": ("limit=1&limit=1", "limit:", "given twice"),
    "excel": ("excel=yes", "excel:", "1 (yes) nor 0 (no)"),
    "control characters are not echoed": ("i=%1B[31m", "i:", r"'\x1b[31m'"),
}


@pytest.mark.parametrize(("query", "key", "right"), PROBLEMS.values(), ids=PROBLEMS.keys())
def test_a_problem_names_its_key_and_what_would_be_right(query, key, right):
    (problem,) = problems(query)
    assert key in problem
    assert right in problem


def test_all_problems_at_once():
    found = problems("limit=x&unheard=1&i=one&columns=nothing&sort=nothing&i__null=7")
    assert len(found) == 6


def test_problems_have_a_bound():
    """Nobody reads so many."""
    found = problems([(f"unheard{i}", "1") for i in range(1000)])
    assert len(found) == MAX_PROBLEMS
    assert "unheard0" in found[0]
    assert len(problems([("limit", "x")] * MAX_PROBLEMS)) == MAX_PROBLEMS


def test_problems_with_a_wide_table_take_no_longer():
    """Each name was compared with each column: 20 with 2,000 took 540 ms."""
    columns = [make_column(f"column_{i:04}", "TEXT") for i in range(2000)]
    began_s = time.thread_time()
    found = problems([(f"colum_{i:04}", "1") for i in range(0, 2000, 50)], columns)
    assert time.thread_time() - began_s < 0.05
    assert len(found) == MAX_PROBLEMS
    assert 'no column "colum_0050"; is it column_0050?' in found[1]


MANY = ",".join(f"unheard{i}" for i in range(MAX_PROBLEMS * 5))


@pytest.mark.parametrize("key", ["columns", "sort", "i__in"])
def test_the_problems_of_one_word_have_the_same_bound(key):
    assert len(problems([(key, MANY)])) == MAX_PROBLEMS


def test_a_problem_is_short_whatever_was_sent():
    assert max(map(len, problems("&".join(f"{key}={'x' * 9999}" for key in ("i", "limit"))))) < 200
    (problem,) = problems("x" * 9999 + "=1")
    assert len(problem) < 300


def test_a_list_has_a_bound():
    most = ",".join("1" for _ in range(MAX_VALUES_IN_A_LIST))
    assert len(parse(f"i__in={most}").filters[0].values) == MAX_VALUES_IN_A_LIST
    assert str(MAX_VALUES_IN_A_LIST) in problems(f"i__in={most},1")[0]


@pytest.mark.parametrize("query", ["", "columns=gone", "columns=i&sort=gone", "columns=i&gone=1"])
@pytest.mark.parametrize("kind", ["table", "query"])
def test_a_column_that_has_gone_is_no_text_of_its_name(query, kind):
    """SQLite takes a quoted name by itself that is no column for a text; ours are qualified."""
    columns = [make_column("i", "INTEGER"), make_column("gone", "TEXT")]
    source = QuerySource("s", SqliteDatabase(NOWHERE), "select * from t", ())
    if kind == "table":
        source = TableSource("s", SqliteDatabase(NOWHERE), "t")
    sql, bound = selection_sql(source, parse(query, columns), columns)
    if (kind, query) == ("query", ""):
        assert sql == source.query  # sources.sqlite.rows looks at its columns
        return
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("create table t (i integer)")
        with pytest.raises(sqlite3.OperationalError, match="no such column"):
            connection.execute(sql, bound)


ODD_NAMES = [
    "a b", '"x"', "select", "a:b", "%s", "%(x)s", "größe", "名前", "limit",
    "columns", "sort", "a__gt",
    "a__", "__", "-a", "a.b", "a'b", "a\\b", "a\\:b", "[a]", "`a`", ":a", "?",
    "", " ", "a\nb", "_0",
    "rowid_", "x--", "/*", "source", "t", "A" * 200,
]  # fmt: skip


@pytest.mark.parametrize("name", ODD_NAMES, ids=ascii)
@pytest.mark.parametrize("kind", ["table", "query"])
def test_any_name_can_be_asked_for(name, kind):
    """As a column, as a table, as a column of a query; shown, filtered and sorted by."""
    identifier = '"' + name.replace('"', '""') + '"'
    columns = [make_column(name, "INTEGER"), make_column("other", "TEXT")]
    words = [(f"{name}__eq", "7"), ("sort", f"-{name}"), ("columns", f"other,{name}")]
    if kind == "table":
        source = TableSource("s", SqliteDatabase(NOWHERE), name)
    else:
        source = QuerySource("s", SqliteDatabase(NOWHERE), f"select * from {identifier}", ())
    sql, bound = selection_sql(source, parse(words, columns), columns)
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute(f"create table {identifier} ({identifier} integer, other text)")
        connection.execute(f"insert into {identifier} values (7, 'seven'), (8, 'eight')")
        found = connection.execute(sql, bound)
        assert found.fetchall() == [("seven", 7)]
        assert [column[0] for column in found.description] == ["other", name]


def test_a_name_that_looks_like_a_filter_is_a_column_first():
    columns = [make_column("a", "INTEGER"), make_column("a__gt", "INTEGER")]
    assert parse("a__gt=1", columns).filters == (("a__gt", "eq", (1,)),)
    assert parse("a__gt__gt=1", columns).filters == (("a__gt", "gt", (1,)),)
    assert parse("a__lt=1", columns).filters == (("a", "lt", (1,)),)


def test_a_column_called_as_a_word_of_ours_is_filtered_by_its_operator():
    columns = [make_column("limit", "INTEGER")]
    assert parse("limit=3", columns) == Selection(limit=3)
    assert parse("limit__eq=3", columns).filters == (("limit", "eq", (3,)),)


def test_a_name_that_begins_with_a_minus_sorts():
    columns = [make_column("-a", "INTEGER"), make_column("a", "INTEGER")]
    assert parse("sort=-a", columns).sort == (("-a", False),)
    assert parse("sort=--a,a", columns).sort == (("-a", True), ("a", False))


COMMAS = [
    "City, State",
    "-a",
    "City",
    " State",
    "-a,b",
    "a",
    "b",
    "a,b",
    '"q"',
    "q",
    '"x',
    'y"',
    "x,y",
]
COMMA_COLUMNS = [make_column(name, "TEXT") for name in COMMAS]
NAMED = {
    "a name as it is": ("columns", "a,b,City", ("a", "b", "City")),
    "as before: two that are there": ("columns", "City, State", ("City", " State")),
    "in quotes": ("columns", '"City, State",a', ("City, State", "a")),
    "in quotes, with a minus of its own": ("columns", '"-a,b"', ("-a,b",)),
    "in quotes that nothing needs": ("columns", '"City","q"', ("City", '"q"')),
    "as before: quotes of its own": ("columns", '"q",q', ('"q"', "q")),
    "as before: halves": ("columns", '"x,y"', ('"x', 'y"')),
    "in quotes of its own, doubled": ("columns", '"""q"""', ('"q"',)),
    "a key": ("sort", '"City, State",-b', (("City, State", False), ("b", True))),
    "a key, descending": ("sort", '-"City, State",b', (("City, State", True), ("b", False))),
    "a key that begins with a minus": ("sort", '"-a,b"', (("-a,b", False),)),
    "it, descending": ("sort", '-"-a,b"', (("-a,b", True),)),
}


@pytest.mark.parametrize(("word", "text", "want"), NAMED.values(), ids=NAMED.keys())
def test_a_name_with_a_comma(word, text, want):
    assert getattr(parse([(word, text)], COMMA_COLUMNS), word) == want


@pytest.mark.parametrize("text", ["City, State", "-City, State"])
def test_one_word_that_is_a_name_is_taken(text):
    columns = [make_column("City, State", "TEXT"), make_column("id", "INTEGER")]
    assert parse([("sort", text)], columns).sort == (("City, State", text[0] == "-"),)
    if text[0] != "-":
        assert parse([("columns", text)], columns).columns == ("City, State",)
    (problem, *_) = problems([("columns", "City, Stat")], columns)
    assert problem.endswith('there are "City, State", id')


# Injection: whatever is sent as a value is compared with as a value.

ATTACKS = [
    "' or 1=1 --", "x'; drop table t; --", '" or ""="', "1) union select * from t --", ":i", "?1",
    "%s", "\\", "\\' or 1=1", "a' || (select sql from sqlite_schema) || '", "' or '1'='1",
]  # fmt: skip


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("key", ["s", "s__in", "s__ne", "s__gt", "s__like", "b"])
def test_an_attack_is_a_value(attack, key):
    rows = [(1, 1.0, attack, 1, attack), (2, 2.0, "secret", 2, "secret")]
    got = select([(key, attack)], rows)
    if key == "s__gt":
        assert rows[0] not in got
    else:
        assert got == ([rows[1]] if key == "s__ne" else [rows[0]])


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("key", ["columns", "sort", "limit", "i", "i__null"])
def test_an_attack_elsewhere_is_refused(attack, key):
    assert problems([(key, attack)])


@pytest.mark.parametrize("attack", ["i) from t; --", "i__eq or 1=1", "i'"])
def test_an_attack_as_a_key_is_refused(attack):
    assert problems([(attack, "1")])


# Parameters

MINUTES = Parameter("minutes", "int", 60)
NAME = Parameter("name", "text", None)


def ask(sql, query, parameters, columns=("x",)):
    infos = [make_column(name, "BLOB") for name in columns]
    selection = parse(query, infos, parameters)
    text, bound = selection_sql(
        QuerySource("q", SqliteDatabase(NOWHERE), sql, parameters), selection, infos
    )
    with closing(sqlite3.connect(":memory:")) as connection:
        return connection.execute(text, bound).fetchall()


def test_a_parameter_has_its_default():
    assert ask("select :minutes as x", "", (MINUTES,)) == [(60,)]
    assert ask("select :minutes as x", "minutes=5", (MINUTES,)) == [(5,)]


def test_a_real_as_a_parameter_stays_one():
    share = Parameter("share", "float", None)
    assert ask("select :share / 2 as x", "share=5.0", (share,)) == [(2.5,)]


def test_parameters_and_filters_do_not_meet():
    sql = "select :minutes as x union all select :minutes + 1"
    assert ask(sql, "x__gt=5&limit=9&minutes=5", (MINUTES,)) == [(6,)]


PARAMETER_PROBLEMS = {
    "one that is needed": ("", (NAME,), "name: this source needs it, a value of type text"),
    "of another type": ("minutes=1.5", (MINUTES,), "minutes:"),
    "twice": ("minutes=1&minutes=2", (MINUTES,), "minutes: given twice"),
}


@pytest.mark.parametrize(
    ("query", "parameters", "want"), PARAMETER_PROBLEMS.values(), ids=PARAMETER_PROBLEMS.keys()
)
def test_parameter_problems(query, parameters, want):
    (problem,) = problems(query, COLUMNS, parameters)
    assert problem.startswith(want)


COLONS = {
    "a name in a text": ("select ':name' as x", ":name"),
    "a name in a text, beside a parameter": ("select ':name' || :name as x", ":nameN"),
    "two colons": ("select 'a::b' as x", "a::b"),
    "a cast of another database": ("select '1::int' as x", "1::int"),
    "a backslash before a colon": ("select 'a\\:name' as x", "a\\:name"),
    "two backslashes": ("select 'a\\\\:name' as x", "a\\\\:name"),
    "a colon at the end": ("select 'a:' as x", "a:"),
    "a time": ("select '12:30:59' as x", "12:30:59"),
    "per cents": ("select '%s %(a)s %%' as x", "%s %(a)s %%"),
    "a name in a comment": ("select 'a' as x /* :name */", "a"),
    "a quoted name": ('select "a:b" as x from (select 1 as "a:b")', 1),
    "braces": ("select '{x} [POSTCOMPILE_x] __[x]' as x", "{x} [POSTCOMPILE_x] __[x]"),
}


@pytest.mark.parametrize(("sql", "want"), COLONS.values(), ids=COLONS.keys())
def test_a_query_is_left_as_it_is(sql, want):
    parameters = (Parameter("name", "text", "N"),) if "|| :name" in sql else ()
    assert ask(sql, "", parameters) == [(want,)]


@given(st.text(st.sampled_from(":\\ab%$'\"x _1(){}[]"), max_size=12))
def test_any_literal_of_a_query_is_left_as_it_is(text):
    literal = "'" + text.replace("'", "''") + "'"
    assert ask(f"select {literal} as x", "", ()) == [(text,)]


# The canonical text

WORDS = [
    ("i__gt", "1"), ("s", "x"), ("r__in", "1,2"), ("limit", "3"), ("sort", "-i,s"),
    ("columns", "s,i"),
    ("minutes", "7"),
]  # fmt: skip


def test_canonical_is_the_same_for_every_order_of_the_words():
    made = {
        parse(words, COLUMNS, (MINUTES,)).canonical() for words in itertools.permutations(WORDS, 7)
    }
    assert len(made) == 1


def test_so_is_the_sql_by_which_exports_are_shared():
    source = TableSource("t", SqliteDatabase(NOWHERE), "t")
    one, other = (parse(query) for query in ("i__gt=1&s=x", "s=x&i__gt=1"))
    assert one.canonical() == other.canonical()
    assert selection_sql(source, one, COLUMNS) == selection_sql(source, other, COLUMNS)


DIFFERENT = ["", "i=1", "i__ne=1", "i=2", "r=1", "s=1", "limit=1", "limit=0", "sort=i", "sort=-i",
             "columns=i", "columns=i,s", "columns=s,i", "excel=1", "i__null=1", "i__null=0",
             "i__in=1,2", "s=1,2", "s__in=1,2"]  # fmt: skip


def test_canonical_differs_where_the_rows_do():
    assert len({parse(query).canonical() for query in DIFFERENT}) == len(DIFFERENT)


@pytest.mark.parametrize("query", [*DIFFERENT, "s=%26%3D+%C3%A9", "r=1e300"])
def test_canonical_is_a_query_string_of_the_same_selection(query):
    selection = parse(query)
    assert parse(selection.canonical()) == selection


SOME = st.lists(st.sampled_from(COMMAS), min_size=1, max_size=3, unique=True)
SELECTIONS = st.builds(
    Selection,
    columns=SOME.map(tuple),
    sort=st.lists(st.tuples(st.sampled_from(COMMAS), st.booleans()), max_size=3).map(tuple),
    limit=st.none(),
    parameters=st.just(()),
    excel=st.just(False),
    filters=st.lists(
        st.builds(Filter, st.sampled_from(COMMAS), st.just("in"), SOME.map(tuple)), max_size=1
    ).map(tuple),
)  # fmt: skip


@given(SELECTIONS, SELECTIONS)
def test_no_two_selections_have_one_canonical_text(one, other):
    assert (one.canonical() == other.canonical()) == (one == other)


def test_texts_of_lists_that_look_alike_are_told_apart():
    made = [
        Selection(sort=(("-a", False),)), Selection(sort=(("a", True),)),
        Selection(sort=(("-a", True),)), Selection(columns=("a,b",)), Selection(columns=("a", "b")),
        Selection(columns=('"a', 'b"')), Selection(columns=('"a,b"',)),
        Selection(filters=(Filter("s", "in", ("a,b",)),)),
        Selection(filters=(Filter("s", "in", ("a", "b")),)),
        Selection(filters=(Filter("s", "in", ('"a', 'b"')),)),
    ]  # fmt: skip
    assert len({each.canonical() for each in made}) == len(made)


SAME = {
    "a month": ["placed__gt=2026-03"],
    "a moment": ["placed=2026-03-05T12:30:00%2B02:00", "placed=2026-03-05+10:30",
                 "placed=2026-03-05T10:30:00.000Z", "placed__eq=2026-03-05t10:30:00z"],
    "a number": ["total=10", "total=10.0", "total=1e1"],
    "a boolean": ["active=true", "active=1", "active=True"],
}  # fmt: skip


@pytest.mark.parametrize("queries", SAME.values(), ids=SAME.keys())
def test_canonical_is_the_same_for_every_way_to_write_a_value(queries):
    types = {"placed": "TIMESTAMP", "total": "DECIMAL", "active": "BOOLEAN"}
    columns = [make_column(name, "NUMERIC", None, declared) for name, declared in types.items()]
    made = {parse(query, columns).canonical() for query in queries}
    assert len(made) == 1
    assert parse(made.pop(), columns) == parse(queries[0], columns)


# Against a filter in Python

OPERATORS = {
    "eq": operator.eq,
    "ne": operator.ne,
    "gt": operator.gt,
    "gte": operator.ge,
    "lt": operator.lt,
    "lte": operator.le,
}
INTEGERS = st.integers(-(2**63) + 1, 2**63 - 1) | st.integers(-3, 3)
REALS = st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from([0.5, -0.0, 2.0])
TEXTS = st.text(max_size=4) | st.sampled_from(["a", "A", "é", "", "'", "%", "_", "a%"])
VALUES = {"i": INTEGERS, "r": REALS, "s": TEXTS}
TABLES = st.lists(st.tuples(*(st.none() | each for each in VALUES.values())), max_size=8)


def given_rows(rows):
    return [(i, r, s, None, None) for i, r, s in rows]


@pytest.mark.parametrize("column", "irs")
@given(rows=TABLES, name=st.sampled_from(sorted(OPERATORS)), data=st.data())
def test_a_comparison_is_pythons(column, rows, name, data):
    position = "irs".index(column)
    present = [row[position] for row in rows if row[position] is not None]
    value = data.draw(st.sampled_from(present) | VALUES[column] if present else VALUES[column])
    got = select([(f"{column}__{name}", str(value))], given_rows(rows))
    keep = OPERATORS[name]
    assert [row[:3] for row in got] == [
        row for row in rows if row[position] is not None and keep(row[position], value)
    ]


@given(TABLES, st.lists(INTEGERS, min_size=1, max_size=5))
def test_in_is_pythons(rows, values):
    got = select([("i__in", ",".join(map(str, values)))], given_rows(rows))
    assert [row[:3] for row in got] == [row for row in rows if row[0] in values]


def is_like(text, pattern):
    """SQLite's LIKE: blind to the case of ASCII only."""

    def lower(text):
        return re.sub("[A-Z]+", lambda match: match[0].lower(), text)

    parts = {"%": ".*", "_": "."}
    expression = "".join(parts.get(char, re.escape(char)) for char in lower(pattern))
    return re.fullmatch(expression, lower(text), re.DOTALL) is not None


LIKE_TEXTS = st.text(st.sampled_from("aAbé%_.\n"), max_size=4)


@given(st.lists(LIKE_TEXTS, max_size=8), LIKE_TEXTS)
def test_like_is_as_documented(texts, pattern):
    got = select([("s__like", pattern)], [(0, 0, text, 0, 0) for text in texts])
    assert [row[2] for row in got] == [text for text in texts if is_like(text, pattern)]


KEYS = ["i", "r__gt", "s__in", "n", "b__like", "i__null", "columns", "sort", "limit", "excel"]


@given(st.lists(st.tuples(st.sampled_from(KEYS) | st.text(max_size=9), st.text(max_size=9))))
def test_any_words_are_read_or_refused(words):
    with suppress(BadSelection):
        select(words)
        parse(parse(words).canonical())


# JSON has one kind of number: 2.0 is 2.

WHOLE = {
    "a point": ("2.0", 2),
    "an exponent": ("2e3", 2000),
    "below zero": ("-2.0", -2),
    "zero": ("-0.0", 0),
    "the largest": ("9223372036854775807.0", 2**63 - 1),
    "digits that no real has": ("9007199254740993.0", 2**53 + 1),
}


@pytest.mark.parametrize(("text", "want"), WHOLE.values(), ids=WHOLE.keys())
def test_a_whole_number_may_be_written_as_a_real(text, want):
    parameters = (Parameter("least", "int", None),)
    words = [("i", text), ("i__in", f"7,{text}"), ("least", text)]
    selection = parse_selection(words, COLUMNS, parameters)
    plain = parse_selection(
        [(key, each.replace(text, str(want))) for key, each in words], COLUMNS, parameters
    )
    assert selection == plain
    assert all(isinstance(each, int) for f in selection.filters for each in f.values)
    assert selection.parameters == (("least", want),)
    assert selection.canonical() == plain.canonical()


def test_a_limit_may_be_written_as_a_real():
    assert parse("limit=2.0") == parse("limit=2")
