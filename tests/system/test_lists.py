"""Lists of sources whose databases do not answer, on a running server."""

import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager

import pytest

TABLES = 12
CATALOGUE = "folders.files.path = 'files'\n" + "".join(
    f'sources.{database}{n} = {{ database = "sqlite:///{database}.db", table = "t{n}" }}\n'
    for database, tables in {"busy": TABLES, "fine": 1}.items()
    for n in range(tables)
)
# For the lists, which are to be there within 2 s. A busy machine is given more.
SOON_S = 4.0


@pytest.fixture
def server(launch):
    server = launch(catalogue=CATALOGUE)
    server.folder.joinpath("files").mkdir()
    for database in ("busy", "fine"):
        with closing(sqlite3.connect(server.folder / f"{database}.db")) as connection:
            for n in range(TABLES):
                connection.execute(f"create table t{n} as select 1 as i")
            connection.commit()
    return server.wait_until_it_answers()


@contextmanager
def locked(server):
    path = server.folder / "busy.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("begin exclusive")
        yield


def sources_of(server):
    return {source["name"]: source for source in server.get("/sources").json()["sources"]}


def test_a_list_does_not_wait_for_a_locked_database(server):
    with locked(server):
        began_s = time.monotonic()
        sources = sources_of(server)
        page = server.get("/", Accept="text/html")
        assert time.monotonic() - began_s < 2 * SOON_S
    assert sources.pop("fine0")["columns"] == [{"name": "i", "type": "integer"}]
    assert sources == {
        name: {"name": name, "pending": "Its database has not answered yet."} for name in sources
    }
    assert page.status == 200
    assert page.body.count(b"Its database has not answered yet.") == TABLES
    assert b'href="/download/fine0.csv"' in page.body


def test_what_was_known_before_is_shown_as_such(server):
    assert "pending" not in sources_of(server)["busy0"]
    with closing(sqlite3.connect(server.folder / "busy.db")) as connection:
        connection.execute("alter table t0 add column more")
    with locked(server):
        source = sources_of(server)["busy0"]
        page = server.get("/sources", Accept="text/html")
    assert [column["name"] for column in source["columns"]] == ["i"]
    assert source["pending"].endswith("This is its last known description.")
    assert b"This is its last known description." in page.body
    assert b'href="/download/busy0.csv"' in page.body


def test_a_locked_database_is_no_trouble_of_others(server):
    addresses = [f"/sources/busy{n % TABLES}" for n in range(40)]
    with ThreadPoolExecutor(len(addresses)) as clients, locked(server):
        waiting = [clients.submit(server.get, address) for address in addresses]
        for address in ("/files/files/", "/sources/fine0", "/download/fine0.csv"):
            began_s = time.monotonic()
            assert server.get(address).status == 200
            assert time.monotonic() - began_s < SOON_S
        assert not all(each.done() for each in waiting)
    # Those that had waited for the lock for too long are refused, the others are answered.
    assert {each.result().status for each in waiting} <= {200, 503}
