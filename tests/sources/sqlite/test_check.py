from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import apsw
import pytest

from sources.catalogue.catalogue import Catalogue
from sources.catalogue.check import check_catalogue
from sources.database import GeneratedSource, QuerySource, TableSource
from sources.selection import Parameter
from sources.sqlite import check
from sources.sqlite.database import SqliteDatabase
from sources.sqlite.filters import read_filter

SCHEMA = '''
create table t (a integer, b text);
create table "T of ""x""" (a);
create view v as select a from t;
create view broken as select a from gone;
create virtual table words using fts5(word);
'''


@pytest.fixture
def database(tmp_path):
    # A name that a careless URI would cut or decode.
    path = tmp_path / "a b?c#d%20é.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(SCHEMA)
    return path


def problems_of(*sources: TableSource | QuerySource | GeneratedSource) -> list[str]:
    return check_catalogue(Catalogue({source.name: source for source in sources}))


def query_problems(database: Path, query: str, *parameters: Parameter) -> list[str]:
    return problems_of(QuerySource("q", SqliteDatabase(database), query, parameters))


@pytest.mark.parametrize("table", ["t", "v", 'T of "x"', "words"])
def test_tables_and_views_are_found(database, table):
    assert problems_of(TableSource("x", SqliteDatabase(database), table)) == []


def test_generated_rows_need_nothing():
    assert problems_of(GeneratedSource("users", "users", 5)) == []


def test_a_table_that_is_not_there_is_named_with_those_that_are(database):
    [problem] = problems_of(TableSource("x", SqliteDatabase(database), "u"))
    assert problem.startswith('sources.x.table: there is no table or view "u" in ')
    assert '; there is T of "x", broken, t, v, words' in problem


def test_a_table_in_other_letters_gets_the_exact_name(database):
    [problem] = problems_of(TableSource("x", SqliteDatabase(database), "V"))
    assert problem.endswith("; there is v")


def test_a_view_of_what_is_gone_is_a_problem(database):
    [problem] = problems_of(TableSource("x", SqliteDatabase(database), "broken"))
    assert problem == 'sources.x.table: "broken" cannot be read (no such table: main.gone)'


@pytest.mark.parametrize(
    "query",
    [
        "select a from t where a > :n and b = :s and a < :r",
        "with w as (select a from t) select * from w where a in (:n, :s, :r)",
        "select word from words where word match :s and :n and :r",
        "select name, :n, :s, :r from pragma_table_info('t')",
    ],
)
def test_a_query_is_planned_with_its_parameters(database, query):
    parameters = [Parameter("n", "int", 1), Parameter("s", "text", None)]
    assert query_problems(database, query, *parameters, Parameter("r", "float", None)) == []


def test_a_query_that_does_not_compile_is_a_problem(database):
    [problem] = query_problems(database, "select nope from t")
    assert problem == "sources.q.query: SQLite refuses it (no such column: nope)"


def test_a_query_is_planned_and_not_run(database):
    endless = "with recursive n(i) as (select 1 union all select i + 1 from n) select i from n"
    assert query_problems(database, endless) == []


@pytest.mark.parametrize("what", ["insert into t select 1, 2", "delete from t", "update t set a=1"])
def test_a_query_that_writes_is_a_problem(database, what):
    [problem] = query_problems(database, f"with w as (select 1) {what}")
    assert problem == "sources.q.query: it writes; a query that only reads would be right"


def test_a_second_statement_is_a_problem(database):
    [problem] = query_problems(database, "select 1; drop table t")
    assert problem.startswith("sources.q.query: SQLite refuses it")


def where(text):
    row_filter, problems = read_filter(text)
    assert problems == []
    return row_filter


FILTERS = ["a = :principal.x", "a <= :principal.x and b > :principal.y", "rowid = :principal.x"]
BAD_FILTERS = {
    "a column that is not there": ("c = :principal.x", "SQLite refuses it (no such column: c)"),
    "one in quotes": ('"c" = :principal.x', "SQLite refuses it (no such column: c)"),
    "another table's": ("v.a = :principal.x", "SQLite refuses it (no such column: v.a)"),
    "no expression": ("a = = :principal.x", "SQLite refuses it ("),
    "what goes on behind it": ("a = :principal.x union select 1", "SQLite refuses it ("),
    "a function that is not there": ("f(:principal.x)", "SQLite refuses it (no such function: f)"),
    "an aggregate": ("count(*) = :principal.x", "SQLite refuses it (misuse of aggregate"),
    "an order of no column": (
        "rowid <= :principal.x",
        "orders or negates, and :principal.x is bes",
    ),
}


@pytest.mark.parametrize("text", FILTERS)
def test_a_filter_of_a_table_is_planned(database, text):
    assert problems_of(TableSource("x", SqliteDatabase(database), "t", where(text))) == []


@pytest.mark.parametrize(("text", "want"), BAD_FILTERS.values(), ids=BAD_FILTERS.keys())
def test_a_filter_that_is_none_of_the_table_is_a_problem(database, text, want):
    [problem] = problems_of(TableSource("x", SqliteDatabase(database), "t", where(text)))
    assert problem.startswith(f"sources.x.where: {want}")


def test_a_filter_of_a_query_is_over_what_it_gives(database):
    sql, parameters = "select a * :n as n, b from t", (Parameter("n", "int", None),)
    for text, is_right in {"n = :principal.x": True, "a = :principal.x": False}.items():
        problems = problems_of(
            QuerySource("q", SqliteDatabase(database), sql, parameters, where(text))
        )
        right = "an expression over the columns would be right"
        one = f"sources.q.where: SQLite refuses it (no such column: a); {right}"
        assert problems == ([] if is_right else [one])


def test_filters_of_one_database_are_each_looked_at(database):
    sources = [
        QuerySource(f"q{i}", SqliteDatabase(database), "select a from t", (), where("c"))
        for i in range(3)
    ]
    assert (
        len(problems_of(*sources, TableSource("x", SqliteDatabase(database), "t", where("a")))) == 3
    )


def test_a_table_that_is_not_there_is_the_only_problem(database):
    [problem] = problems_of(TableSource("x", SqliteDatabase(database), "u", where("c = 1")))
    assert problem.startswith("sources.x.table: ")


def test_a_missing_database_is_one_problem_and_is_not_made(tmp_path):
    path = tmp_path / "no.db"
    problems = problems_of(
        TableSource("x", SqliteDatabase(path), "t"), TableSource("y", SqliteDatabase(path), "t")
    )
    right = "the path of an SQLite file would be right"
    assert problems == [f"sources.x.database (and 1 more): {path} is not there; {right}"]
    assert not path.exists()


def test_a_folder_is_no_database(tmp_path):
    [problem] = problems_of(TableSource("x", SqliteDatabase(tmp_path), "t"))
    assert f"{tmp_path} is a folder" in problem


def test_a_file_of_something_else_is_no_database(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("not a database, but long enough to have a header " * 20)
    [problem] = problems_of(TableSource("x", SqliteDatabase(path), "t"))
    assert problem.startswith(f"sources.x.database: {path} cannot be read as an SQLite database (")


def test_nothing_is_written(database):
    before = (database.read_bytes(), sorted(database.parent.iterdir()))
    problems_of(
        TableSource("x", SqliteDatabase(database), "t"),
        QuerySource("q", SqliteDatabase(database), "select 1", ()),
    )
    assert (database.read_bytes(), sorted(database.parent.iterdir())) == before


def test_the_log_of_a_running_writer_is_left_alone(database, tmp_path):
    """Opened to write, the last one out would move the log into the database."""
    copy = tmp_path / "copy.db"
    with closing(sqlite3.connect(database)) as writer:
        writer.execute("pragma journal_mode = wal")
        writer.execute("create table late (a)")
        for end in ("", "-wal"):
            shutil.copy(f"{database}{end}", f"{copy}{end}")
    before = copy.read_bytes()
    assert problems_of(TableSource("x", SqliteDatabase(copy), "late")) == []
    assert copy.read_bytes() == before


def test_every_problem_is_named_at_once(database, tmp_path):
    problems = problems_of(
        TableSource("a", SqliteDatabase(database), "nope"),
        TableSource("b", SqliteDatabase(tmp_path / "no.db"), "t"),
        QuerySource("c", SqliteDatabase(database), "select nope", ()),
    )
    assert sorted(problem.split(": ")[0] for problem in problems) == [
        "sources.a.table",
        "sources.b.database",
        "sources.c.query",
    ]


def test_a_locked_database_is_no_problem_of_the_catalogue(database, monkeypatch, caplog):
    monkeypatch.setattr(check, "LOCK_WAIT_S", 0.05)
    with closing(apsw.Connection(str(database))) as writer:
        writer.execute("begin exclusive")
        assert problems_of(TableSource("x", SqliteDatabase(database), "gone")) == []
    assert "is locked by a writer" in caplog.text
    assert len(problems_of(TableSource("x", SqliteDatabase(database), "gone"))) == 1
