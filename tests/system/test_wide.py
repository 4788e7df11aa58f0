"""A wide table and many sources hold nobody up: the watchdog looks at each request."""

import sqlite3
from contextlib import closing

import pytest

COLUMNS, SOURCES = 2000, 200
PAGE, DATA = "text/html", "application/json"
NAMES = [f"c{number:04}" for number in range(COLUMNS)]
WRONG = [f"d{number:04}" for number in range(1000)]
# A request line is 8,190 bytes at most.
REQUESTS = {
    "the page of a source": ("/sources/wide", PAGE),
    "what a source is": ("/sources/wide", DATA),
    "the page of all sources": ("/sources", PAGE),
    "all sources": ("/sources", DATA),
    "rows": ("/download/wide.csv", DATA),
    "rows with types": ("/download/wide.parquet?c0001=1", DATA),
    "many columns": ("/download/wide.csv?columns=" + ",".join(NAMES[:1200]), DATA),
    "wrong columns": ("/download/wide.csv?columns=" + ",".join(WRONG), DATA),
    "wrong filters": ("/download/wide.csv?" + "&".join(f"{name}=1" for name in WRONG), DATA),
    "a page of what is wrong": (
        "/sources/wide?" + "&".join(f"columns={n}" for n in WRONG[:500]),
        PAGE,
    ),
}


@pytest.fixture(scope="module")
def wide(serve_all, tmp_path_factory):
    """A server of a table of 2,000 columns, and of as many sources as make a long list."""
    folder = tmp_path_factory.mktemp("large")
    row = ", ".join(map(str, range(COLUMNS)))
    with closing(sqlite3.connect(folder / "wide.db")) as database:
        database.execute(f"create table wide ({', '.join(NAMES)})")
        database.execute("create table narrow (a, b)")
        for _ in range(20):
            database.execute(f"insert into wide values ({row})")
        database.commit()
    sources = {"wide": "wide", **{f"narrow-{number}": "narrow" for number in range(SOURCES)}}
    entries = [
        f'sources.{name} = {{ database = "sqlite:///{folder}/wide.db", table = "{table}" }}'
        for name, table in sources.items()
    ]
    return serve_all("\n".join(entries))


@pytest.mark.parametrize(("path", "accept"), REQUESTS.values(), ids=REQUESTS.keys())
def test_what_is_wide_holds_nobody_up(wide, path, accept):
    assert wide.get(path, Accept=accept).status in (200, 400)
