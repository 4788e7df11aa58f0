from __future__ import annotations

from pathlib import Path

import pytest

from sources.catalogue.catalogue import Catalogue, load_catalogue, parse_catalogue, sample_catalogue
from sources.database import GeneratedSource, QuerySource, TableSource
from sources.errors import CatalogueError, SourceError
from sources.row_filter import RowFilter
from sources.selection import Parameter
from sources.sqlite.database import SqliteDatabase

FOLDER = Path("/srv/headwater")

WHOLE = """
[sources.flights]
database = "sqlite:///data/flights.db"
table = "Flights of 2013"

[sources.late]
database = "sqlite:////var/lib/flights.db"
query = "select * from flights where dep_delay > :minutes and origin = :origin; -- late"
parameters.minutes = { type = "int", default = 60 }
parameters.origin = { type = "text" }

[sources.users]
generate = "users"
rows = 10000
"""

TABLE = '[sources.a]\ndatabase = "sqlite:///a.db"\ntable = "t"\n'
QUERY = '[sources.a]\ndatabase = "sqlite:///a.db"\nquery = "select :p"\n'
USERS = '[sources.a]\ngenerate = "users"\n'

PARAMETERS = {
    "int": ('{ type = "int", default = -1 }', Parameter("p", "int", -1)),
    "the largest int": (
        '{ type = "int", default = 9223372036854775807 }',
        Parameter("p", "int", 2**63 - 1),
    ),
    "float": ('{ type = "float", default = 0.5 }', Parameter("p", "float", 0.5)),
    "a whole number is a float too": (
        '{ type = "float", default = 2 }',
        Parameter("p", "float", 2.0),
    ),
    "text": ('{ type = "text", default = "" }', Parameter("p", "text", "")),
    "no default": ('{ type = "int" }', Parameter("p", "int", None)),
}

# Each: the text, and the one problem it has.
REFUSED = {
    "nothing": ("", "sources: there is none; [sources.<name>] begins one"),
    "no source": ("[sources]", "sources: there is none; [sources.<name>] begins one"),
    "sources is no table": ("sources = 1", "sources: 1 is not a table; [sources.<name>] would be"),
    "a source is no table": (
        "sources.a = true",
        "sources.a: true is not a table; [sources.<name>] would be right",
    ),
    "unknown section": (
        f"{TABLE}[source.b]",
        "source: unknown section; there are sources, folders, logs, topics",
    ),
    "neither a source nor a topic": (
        "[sources]\n[topics]",
        "sources: there is none; [sources.<name>]",
    ),
    "unknown key": (
        f'{QUERY}parameter = "x"\nparameters.p.type = "int"',
        "sources.a.parameter: unknown key; did you mean parameters?",
    ),
    "unknown key like no other": (
        f"{TABLE}zzz = 1",
        "sources.a.zzz: unknown key; there are database, table, query, parameters, where, "
        "generate, rows",
    ),
    "neither table nor query": (
        '[sources.a]\ndatabase = "sqlite:///a.db"',
        "sources.a: has none of table, query, generate; exactly one would be right",
    ),
    "both table and query": (
        f'{TABLE}query = "select 1"',
        "sources.a: has table and query of table, query, generate; exactly one would be right",
    ),
    "where of generated rows": (
        f'{USERS}rows = 1\nwhere = "id = 1"',
        "sources.a.where: does not go with generate; leave it out",
    ),
    "where is a number": (f"{TABLE}where = 1", "sources.a.where: 1 is not a text; quotes would"),
    "where is empty": (f"{TABLE}where = ''", 'sources.a.where: "" cannot be used'),
    "where is only a comment": (f"{TABLE}where = '-- x'", "sources.a.where: is empty; an expr"),
    "where has a parameter": (
        f"{TABLE}where = 'a = :a'",
        "sources.a.where: :a is not bound here; :principal.<name> would be right",
    ),
    "where has a parameter of the query": (
        f"{QUERY}parameters.p.type = 'int'\nwhere = 'a = :p'",
        "sources.a.where: :p is not bound here; :principal.<name> would be right",
    ),
    "where leaves its parentheses": (
        f"{TABLE}where = '1) or (1'",
        "sources.a.where: has a ) without its (; balanced parentheses would be right",
    ),
    "where is a statement": (f"{TABLE}where = '1; drop table t'", "sources.a.where: holds a semi"),
    "rows of a table": (f"{TABLE}rows = 1", "sources.a.rows: does not go with table; leave it out"),
    "database of generated rows": (
        f'{USERS}rows = 1\ndatabase = "sqlite:///a.db"',
        "sources.a.database: does not go with generate; leave it out",
    ),
    "no database": ('[sources.a]\ntable = "t"', "sources.a.database: is missing"),
    "empty table": (TABLE.replace('"t"', '""'), 'sources.a.table: "" cannot be used'),
    "NUL in a table": (TABLE.replace('"t"', '"t\\u0000"'), 'sources.a.table: "t\\u0000" cannot'),
    "table is a number": (
        TABLE.replace('"t"', "7"),
        "sources.a.table: 7 is not a text; quotes would be right",
    ),
    "unknown generator": (
        '[sources.a]\ngenerate = "user"\nrows = 1',
        'sources.a.generate: "user" is not known; "users" would be right',
    ),
    "no rows": (USERS, "sources.a.rows: is missing; a whole number from 0 to 10000000000 would"),
    "rows below zero": (f"{USERS}rows = -1", "sources.a.rows: -1 cannot be used"),
    "too many rows": (f"{USERS}rows = 10_000_000_001", "sources.a.rows: 10000000001 cannot be"),
    "rows is true": (f"{USERS}rows = true", "sources.a.rows: true cannot be used"),
    "rows is a float": (f"{USERS}rows = 1.0", "sources.a.rows: 1.0 cannot be used"),
    "a query that writes": (
        '[sources.a]\ndatabase = "sqlite:///a.db"\nquery = "delete from t"',
        "sources.a.query: begins with delete; one SELECT or WITH statement would be right",
    ),
    "a query that ends in a text says nothing of its parameters": (
        f"{QUERY}parameters.p.type = 'int'".replace(":p", "' :p"),
        "sources.a.query: the ' at character 8 is never closed",
    ),
    "a parameter that is not declared": (
        QUERY,
        'sources.a.query: :p is not declared; parameters.p = { type = "int" }, or another type, '
        "would be right",
    ),
    "a parameter that is not used": (
        f'{QUERY}parameters.p.type = "int"\nparameters.q.type = "int"',
        "sources.a.parameters.q: the query has no :q; leave it out",
    ),
    "parameters is no table": (
        f"{QUERY}parameters = 1",
        "sources.a.parameters: 1 is not a table; parameters.<name> = { type =",
    ),
    "a parameter is no table": (
        f"{QUERY}parameters.p = 60",
        "sources.a.parameters.p: 60 is not a table; parameters.<name> = { type =",
    ),
}

BAD_PARAMETERS = {
    "no type": ("{}", "type: is missing; one of int, float, text would be right"),
    "unknown type": ('{ type = "integer" }', 'type: "integer" is not a type; one of int'),
    "type is a list": ("{ type = [1] }", "type: [1] is not a type"),
    "unknown key": ('{ type = "int", defualt = 1 }', "defualt: unknown key; did you mean default?"),
    "text for an int": (
        '{ type = "int", default = "x" }',
        'default: "x" is not an int; 60 would be right',
    ),
    "float for an int": ('{ type = "int", default = 1.0 }', "default: 1.0 is not an int"),
    "true for an int": ('{ type = "int", default = true }', "default: true is not an int"),
    "an int past 64 bits": (
        '{ type = "int", default = 9223372036854775808 }',
        "default: a number past 64 bits is not an int",
    ),
    "an int of 5,000 hex digits": (
        '{ type = "float", default = 0x%s }' % ("f" * 5000),
        "default: a number past 64 bits is not a float",
    ),
    "nan": ('{ type = "float", default = nan }', "default: nan is not a float; 0.5 would be"),
    "an infinity": ('{ type = "float", default = -inf }', "default: -inf is not a float"),
    "an int for a text": ('{ type = "text", default = 1 }', 'default: 1 is not a text; "EWR"'),
    "NUL in a text": ('{ type = "text", default = "\\u0000" }', "is not a text"),
    "a date for a text": ('{ type = "text", default = 2013-01-01 }', "2013-01-01 is not a text"),
}

DATABASES = {
    "relative to the folder": ("sqlite:///a/b.db", FOLDER / "a/b.db"),
    "up from the folder": ("sqlite:///../b.db", FOLDER / "../b.db"),
    "absolute": ("sqlite:////a/b.db", Path("/a/b.db")),
    "as it is, with blanks and signs": ("sqlite:///a b%20#é.db", FOLDER / "a b%20#é.db"),
}

BAD_DATABASES = {
    "a path": ("a.db", '"a.db" is not an address; "sqlite:///a.db" would be right'),
    "an absolute path": ("/a.db", '"/a.db" is not an address; "sqlite:////a.db" would be right'),
    "another database": (
        "postgresql://me:secret@host/db",
        '"postgresql" databases are not served by this version; "sqlite:///file.db" would be right',
    ),
    "two slashes": ("sqlite://a.db", 'needs three slashes; "sqlite:///a.db" would be right'),
    "no path": ("sqlite://", '"sqlite://" names no file'),
    "no file": ("sqlite:///", '"sqlite:///" names no file'),
    "the root folder": ("sqlite:////", '"sqlite:////" names no file'),
    "memory": ("sqlite:///:memory:", '"sqlite:///:memory:" names no file'),
    "a URI inside": ("sqlite:///file:a.db", '"sqlite:///file:a.db" names no file'),
    "options": ("sqlite:///a.db?mode=rw", "options are not read; leave out the ? and what follows"),
}

SYNTAX = {
    "a bad line": ("[sources.a]\ntable 1\n", "line 2, column 7: "),
    "a key twice": ("a = 1\na = 2", "line 2: Cannot overwrite a value"),
    "a text that is not closed": ('a = 1\nb = "x', "line 2: "),
    "a number too long to read": ("a = " + "1" * 5000, "not TOML: "),
}


def problems_of(text: str) -> list[str]:
    with pytest.raises(CatalogueError) as caught:
        parse_catalogue(text, FOLDER)
    return caught.value.problems


def only_problem_of(text: str) -> str:
    [problem] = problems_of(text)
    assert "\n" not in problem
    return problem


def test_every_kind_of_source_is_read():
    catalogue = parse_catalogue(WHOLE, FOLDER)
    query = "select * from flights where dep_delay > :minutes and origin = :origin"
    parameters = (Parameter("minutes", "int", 60), Parameter("origin", "text", None))
    assert list(catalogue.sources.values()) == [
        TableSource("flights", SqliteDatabase(FOLDER / "data/flights.db"), "Flights of 2013"),
        QuerySource("late", SqliteDatabase(Path("/var/lib/flights.db")), query, parameters),
        GeneratedSource("users", "users", 10000),
    ]
    assert all(name == source.name for name, source in catalogue.sources.items())


@pytest.mark.parametrize("text", [TABLE, QUERY.replace(":p", "1")])
def test_a_filter_is_read(text):
    source = parse_catalogue(f"{text}where = 'a = :principal.a and b'", FOLDER).sources["a"]
    assert isinstance(source, TableSource | QuerySource)
    assert source.where == RowFilter("a = :_principal_a and b", ("a",))


@pytest.mark.parametrize(("declared", "want"), PARAMETERS.values(), ids=PARAMETERS.keys())
def test_a_parameter_is_read(declared, want):
    source = parse_catalogue(f"{QUERY}parameters.p = {declared}", FOLDER).sources["a"]
    assert isinstance(source, QuerySource)
    [got] = source.parameters
    assert got == want
    assert type(got.default) is type(want.default)


@pytest.mark.parametrize(("text", "want"), REFUSED.values(), ids=REFUSED.keys())
def test_a_problem_is_named_with_its_key(text, want):
    assert only_problem_of(text).startswith(want)


@pytest.mark.parametrize(("declared", "want"), BAD_PARAMETERS.values(), ids=BAD_PARAMETERS.keys())
def test_a_bad_parameter_is_refused(declared, want):
    problem = only_problem_of(f"{QUERY}parameters.p = {declared}")
    assert problem.startswith("sources.a.parameters.p.")
    assert want in problem


@pytest.mark.parametrize("name", ["a", "0", "a-b_c", "x" * 64])
def test_a_source_may_have_this_name(name):
    assert list(parse_catalogue(TABLE.replace("sources.a", f"sources.{name}"), FOLDER).sources) == [
        name
    ]


@pytest.mark.parametrize(
    "name", ["A", "_a", "-a", "x" * 65, "", "..", "a.b", "a/b", "a%00", "a\\u0000", "a\\n", "é"]
)
def test_no_source_may_have_this_name(name):
    problem = only_problem_of(TABLE.replace("sources.a", f'sources."{name}"'))
    assert problem.startswith("sources.")
    assert problem.endswith(
        "is not a name; 1 to 64 of a-z, 0-9, _ and -, not _ or - first, would be right"
    )


@pytest.mark.parametrize("name", ["con", "nul", "com1", "lpt9"])
def test_names_of_windows_devices_are_reserved(name):
    problem = only_problem_of(TABLE.replace("sources.a", f"sources.{name}"))
    assert problem.startswith(f"sources.{name}: no file can have this name on Windows")


@pytest.mark.parametrize("name", ["columns", "sort", "limit", "excel", "Limit"])
def test_parameters_of_every_download_are_reserved(name):
    text = QUERY.replace(":p", f":{name}") + f'parameters.{name}.type = "int"'
    assert only_problem_of(text).startswith(f"sources.a.parameters.{name}: every download has a")


@pytest.mark.parametrize("name", ["_a", "a__gt", "1a", "x" * 65, "é"])
def test_no_parameter_may_have_this_name(name):
    text = QUERY.replace(":p", f":{name}") + f'parameters."{name}".type = "int"'
    assert " is not a name; 1 to 64 letters" in only_problem_of(text)


@pytest.mark.parametrize(("address", "want"), DATABASES.values(), ids=DATABASES.keys())
def test_an_address_names_a_file(address, want):
    source = parse_catalogue(TABLE.replace("sqlite:///a.db", address), FOLDER).sources["a"]
    assert isinstance(source, TableSource)
    assert source.database == SqliteDatabase(want)


@pytest.mark.parametrize(("address", "want"), BAD_DATABASES.values(), ids=BAD_DATABASES.keys())
def test_an_address_that_names_none_is_refused(address, want):
    problem = only_problem_of(TABLE.replace("sqlite:///a.db", address))
    assert problem.startswith(f"sources.a.database: {want}")


def test_an_address_with_a_password_is_not_repeated():
    assert "secret" not in only_problem_of(TABLE.replace("sqlite:///", "mysql://me:secret@host/"))


@pytest.mark.parametrize(("text", "want"), SYNTAX.values(), ids=SYNTAX.keys())
def test_what_is_not_toml_is_named_with_its_line(text, want):
    assert only_problem_of(text).startswith(want)


def test_every_problem_is_named_at_once():
    problems = problems_of(
        '[sources.A]\ntable = 1\n[sources.b]\n[sources.c]\ngenerate = "x"\n[log.d]\n'
        "[topics.status]\ndurable = 1\nretain = 5\n"
        '[sources.e]\ndatabase = "x"\nquery = "select ?, :p; select 2"\nparameters.p.type = "x"\n'
    )
    assert [problem.split(": ")[0] for problem in problems] == [
        "log",
        "sources.A",
        "sources.A.database",
        "sources.A.table",
        "sources.b",
        "sources.c.generate",
        "sources.c.rows",
        "sources.e.database",
        "sources.e.parameters.p.type",
        "sources.e.query",
        "sources.e.query",
        "topics.status",
        "topics.status.retain",
        "topics.status.durable",
    ]


def test_an_error_is_the_packages_and_its_text_has_every_problem():
    error = CatalogueError(["a: x", "b: y"])
    assert isinstance(error, SourceError)
    assert str(error) == "a: x\nb: y"


def test_a_file_is_loaded_and_databases_are_beside_it(tmp_path, monkeypatch):
    (tmp_path / "headwater.toml").write_text(TABLE, encoding="utf-8-sig")
    monkeypatch.chdir(tmp_path)
    catalogue = load_catalogue(Path("headwater.toml"))
    assert catalogue == Catalogue({"a": TableSource("a", SqliteDatabase(tmp_path / "a.db"), "t")})


def test_a_file_that_is_not_there_is_a_problem(tmp_path):
    with pytest.raises(CatalogueError, match=r"no\.toml: cannot be read \(No such file"):
        load_catalogue(tmp_path / "no.toml")


def test_a_file_that_is_not_utf8_is_a_problem(tmp_path):
    path = tmp_path / "headwater.toml"
    path.write_bytes(b"# a\n# \xe9\n")
    with pytest.raises(CatalogueError, match="line 2: not UTF-8"):
        load_catalogue(path)


def test_the_sample_is_what_the_design_says(tmp_path):
    sources, topics = sample_catalogue(tmp_path).sources, sample_catalogue(tmp_path).topics
    database = tmp_path / "sample.db"
    for name in ("flights", "weather", "planes", "airports", "airlines"):
        assert sources[name] == TableSource(name, SqliteDatabase(database), name)
    query = "select * from flights where dep_delay > :minutes"
    late = QuerySource("late", SqliteDatabase(database), query, (Parameter("minutes", "int", 60),))
    assert sources["late"] == late
    assert sources["users"] == GeneratedSource("users", "users", 10000)
    assert len(sources) == 7
    assert {pattern: topic.durable for pattern, topic in topics.items()} == {"demo/*": True}


def test_a_catalogue_may_have_topics_only():
    catalogue = parse_catalogue("[topics.a]", FOLDER)
    assert (list(catalogue.sources), list(catalogue.topics)) == ([], ["a"])
