from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sources.sqlite.statement import read_statement

PARAMETERS = {
    "none": ("select 1", ()),
    "in the order of their first use": ("select :b, :a, :b", ("b", "a")),
    "beside operators": ("select a>:low and a<=:high+1", ("low", "high")),
    "names are case-sensitive": ("select :a, :A", ("a", "A")),
    "not in a text": ("select ':a', 'it''s :b'", ()),
    "not in a quoted name": ('select ":a", "x"":b", `:c`, [:d]', ()),
    "not in a comment": ("select 1 -- :a\n, /* :b\n :c */ :d", ("d",)),
    "a comment that is never closed ends with the text": ("select 1 /* :a", ()),
    "a quote in a comment opens nothing": ("select 1 -- it's\n, :a", ("a",)),
    "a comment in a text is none": ("select '--', :a", ("a",)),
    "not in the number of a JSON path": ("select x -> '$.a:b' ->> :c", ("c",)),
}

TEXTS = {
    "as it is": ("select 1", "select 1"),
    "blanks": ("\n select 1 \n", "select 1"),
    "a last semicolon": ("select 1 ; \n", "select 1"),
    "several": ("select 1;;", "select 1"),
    "a last comment": ("select 1 -- all", "select 1"),
    "a comment after the semicolon": ("select 1; /* all */", "select 1"),
    "a first comment stays": ("/* all */ select 1", "/* all */ select 1"),
}

REFUSED = {
    "nothing": ("", "is empty; one SELECT or WITH statement would be right"),
    "only a comment": ("-- select 1", "is empty; one SELECT or WITH statement would be right"),
    "another statement": ("Delete from t", "begins with Delete; one SELECT or WITH"),
    "a pragma": ("pragma query_only = 0", "begins with pragma"),
    "a parenthesis": ("(select 1)", "begins with ("),
    "a name that begins like select": ("selected", "begins with selected"),
    "two statements": ("select 1; select 2", "more than one statement"),
    "a second statement that hides": ("select 1;/* x */drop table t", "more than one statement"),
    "an open text": ("select 'it''s", "the ' at character 8 is never closed"),
    "an open name": ('select "a', 'the " at character 8 is never closed'),
    "a numbered parameter": ("select ?1", "?1 is not a parameter here; :name would be right"),
    "a bare parameter": ("select ?", "? is not a parameter here"),
    "an @ parameter": ("select @a", "@a is not a parameter here"),
    "a $ parameter": ("select $a", "$a is not a parameter here"),
    "NUL, where SQLite would stop": ("select 1 \0 ; drop table t", "NUL"),
}


@pytest.mark.parametrize(("sql", "want"), PARAMETERS.values(), ids=PARAMETERS.keys())
def test_parameters(sql, want):
    statement = read_statement(sql)
    assert statement.parameters == want
    assert statement.problems == ()


@pytest.mark.parametrize(("sql", "want"), TEXTS.values(), ids=TEXTS.keys())
def test_text_can_be_put_in_parentheses(sql, want):
    statement = read_statement(sql)
    assert statement.text == want
    with closing(sqlite3.connect(":memory:")) as connection:
        assert connection.execute(f"select * from ({statement.text})").fetchall() == [(1,)]


@pytest.mark.parametrize("sql", ["SELECT 1", "with a as (select 1) select * from a", "WITH(1)"])
def test_select_and_with_are_taken_in_any_case(sql):
    assert read_statement(sql).problems == ()


@pytest.mark.parametrize(("sql", "want"), REFUSED.values(), ids=REFUSED.keys())
def test_what_is_refused(sql, want):
    assert want in "\n".join(read_statement(sql).problems)


PIECES = [
    "'",
    '"',
    "`",
    "[",
    "]",
    "--",
    "\n",
    "/*",
    "*/",
    ":a",
    ":b",
    ",1",
    ",x",
    " ",
    "/",
    "$",
    "é",
]


def unbound(connection: sqlite3.Connection, sql: str, names: Iterable[str]) -> bool | None:
    """Does sql have a parameter that is not among names? None when SQLite does not compile it."""
    try:
        connection.execute(f"explain {sql}", dict.fromkeys(names, 1))
    except sqlite3.ProgrammingError:
        return True
    except sqlite3.Error:
        return None
    return False


@given(st.lists(st.sampled_from(PIECES), max_size=12).map("".join))
def test_sqlite_finds_the_same_parameters(tail):
    """Whatever SQLite compiles has exactly the parameters that were read, or is refused."""
    statement = read_statement(f"select 1 {tail}")
    with closing(sqlite3.connect(":memory:")) as connection:
        found = unbound(connection, f"select 1 {tail}", statement.parameters)
        assert not found or statement.problems
        for name in statement.parameters if found is False else ():
            others = set(statement.parameters) - {name}
            assert unbound(connection, f"select 1 {tail}", others)
