"""What the tests share: databases, export specs of their rows, and export runners that are stopped.

A fixture is a noun (`numbers`) or does a verb (`until`, `make_database`, `start_exports`).
"""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import hypothesis
import psutil
import pytest
from flask import Flask

from app import create_app
from exports.disk_store import DiskStore
from exports.export import Export
from exports.exports import Exports
from exports.spec import ExportSpec
from journal import EVENTS, DiskLog, run_here
from settings import Settings
from sources.database import QuerySource, TableSource
from sources.selection import parse_selection
from sources.sqlite.database import SqliteDatabase
from sources.sqlite.sql import selection_sql
from state import State
from topics import Rule, Topics

# A busy machine makes an example slow; it does not make it wrong.
hypothesis.settings.register_profile("headwater", deadline=None)
hypothesis.settings.load_profile("headwater")

# Long enough that only what never happens comes so late.
DEADLINE_S = 20.0


def wait_until(condition: Callable[[], Any], timeout_s: float = DEADLINE_S) -> Any:
    deadline_s = time.monotonic() + timeout_s
    while not (found := condition()):
        assert time.monotonic() < deadline_s, "what was waited for did not come"
        time.sleep(0.002)
    return found


@pytest.fixture(scope="session")
def until():
    """until(condition): wait for it to be true, fail when it is not in time; return its value."""
    return wait_until


def settle(database: Path) -> None:
    """Make the last change look ten seconds old, so that the database has a fingerprint."""
    then_s = time.time() - 10
    os.utime(database, (then_s, then_s))


def write(database: Path, *statements: str) -> Path:
    """Run and commit the statements, and let the database look settled."""
    with closing(sqlite3.connect(database)) as connection, connection:
        for statement in statements:
            connection.execute(statement)
    settle(database)
    return database


@pytest.fixture(scope="session")
def change():
    """change(database, *statements): commit them; the database looks settled afterwards."""
    return write


@pytest.fixture
def make_database(tmp_path):
    """make_database(*statements, name=...): a settled SQLite file with what they make."""

    def make(*statements: str, name: str = "data.db") -> Path:
        return write(tmp_path / name, *statements)

    return make


@pytest.fixture
def numbers(make_database):
    """A table of 1,000 rows: id 1 to 1000, and a name."""
    database = make_database(
        "create table numbers (id integer primary key, name text)",
        "with recursive n(i) as (select 1 union all select i + 1 from n limit 1000)"
        " insert into numbers select i, 'number ' || i from n",
        name="numbers.db",
    )
    return TableSource("numbers", SqliteDatabase(database), "numbers")


NUMBERS_CSV = b"id,name\n" + b"".join(b"%d,number %d\n" % (i, i) for i in range(1, 1001))


@pytest.fixture(scope="session")
def numbers_csv():
    """What the table `numbers` is as CSV."""
    return NUMBERS_CSV


_COUNT = "with recursive n(i) as (select 1 union all select i + 1 from n) select "
QUERIES = {
    # Gives rows for ever.
    "endless": _COUNT + "i, 'and so on' as text from n",
    # Looks for a row for ever.
    "silent": _COUNT + "i from n where i < 0",
    # Fails after 100,000 rows.
    "failing": _COUNT + "iif(i > 100000, json('no'), i) as i from n",
    # Fails at the first row.
    "hopeless": "select json('no') as i",
}


@pytest.fixture
def query(make_database):
    """query(name): the source of one of QUERIES, or of other SQL, on a database of its own."""

    def make(name: str, parameters: tuple[Any, ...] = ()) -> QuerySource:
        database = make_database("create table if not exists t (x)", name="queries.db")
        return QuerySource("query", SqliteDatabase(database), QUERIES.get(name, name), parameters)

    return make


def make_spec(
    source: TableSource | QuerySource,
    extension: str = "csv",
    words: Iterable[Any] = (),
    attributes: Mapping[str, str] | None = None,
) -> ExportSpec:
    description = source.database.describe(source)
    parameters = source.parameters if isinstance(source, QuerySource) else ()
    selection = parse_selection(words, description.columns, parameters)
    sql, bound = selection_sql(source, selection, description.columns, attributes or {})
    by_name = {column.name: column for column in description.columns}
    columns = [by_name[name] for name in selection.names(description.columns)]
    return ExportSpec(
        source=source.name,
        extension=extension,
        selection=selection.canonical(),
        excel=selection.excel,
        query=source.database.query(sql, bound, columns),
        rows_estimate=description.rows_estimate,
        fingerprint=source.database.fingerprint,
        visibility_key=source.where.visibility_key(source.name, attributes or {})
        if source.where
        else "",
    )


@pytest.fixture(scope="session")
def spec():
    """spec(source, extension, words, attributes): the export spec of its rows."""
    return make_spec


def run_exports(folder: Path) -> Iterator[Callable[..., Exports]]:
    """Yield a function that starts export runners; stop them all afterwards."""
    started = []

    def start(**changes: Any) -> Exports:
        usual = {"running": 2, "queued": 10, "max_bytes": 1 << 30, "abandon_grace_s": 60.0}
        run_native = changes.pop("run_native", run_here)
        recordings = changes.pop("folder", folder)
        store = DiskStore(recordings, State(recordings.absolute().parent), run_native)
        exports = Exports(store, **{**usual, **changes})
        started.append(exports)
        exports.start()
        return exports

    yield start
    for exports in started:
        exports.stop()


@pytest.fixture
def start_exports(tmp_path):
    """start_exports(running=..., ...): a started runner, by default in tmp_path/recordings."""
    yield from run_exports(tmp_path / "recordings")


@pytest.fixture(scope="module")
def exports(tmp_path_factory):
    """A runner that the tests of a module share; each has a database of its own."""
    starting = run_exports(tmp_path_factory.mktemp("shared") / "recordings")
    # Many do not wait for theirs: that the queue is bounded is asked of runners of their own.
    yield next(starting)(queued=1000)
    for _ in starting:
        pass


def all_exports(exports: Exports) -> list[Export]:
    """Return every export that is remembered, newest first."""
    found = exports._registry.index.by_id.values()
    return sorted(found, key=lambda export: export.requested_s, reverse=True)


@pytest.fixture(scope="session")
def newest_recorder(until):
    """newest_recorder(): the process of the fork server that was started last."""

    def is_recorder(process: psutil.Process) -> bool:
        # One that has just ended has no command.
        with suppress(psutil.ZombieProcess):
            return "exports.recorder" in process.cmdline()
        return False

    def find() -> psutil.Process | None:
        children = filter(is_recorder, psutil.Process().children())
        return max(children, key=lambda p: (p.create_time(), p.pid), default=None)

    return lambda: until(find)


@pytest.fixture(scope="session")
def read_all():
    """read_all(exports, export): all bytes of an export, followed to its end."""

    def read(exports: Exports, export: Any) -> bytes:
        with closing(exports.read(export)) as reader:
            return b"".join(reader)

    return read


@pytest.fixture(scope="session")
def hub_report(tmp_path_factory):
    """The file where each real server tells what holds its hub (tests/system/watched.py)."""
    path = tmp_path_factory.mktemp("watchdog") / "report"
    path.touch()
    os.environ["HUB_REPORT"] = str(path)
    with open(path) as report:
        yield report
        told = what_held(report.read())
    del os.environ["HUB_REPORT"]
    assert not told, f"after the last test: {told}"


def what_held(report: str) -> str:
    """Return a report as text, without what the test's own applications have done on the hub."""
    texts = []
    for told in map(json.loads, report.splitlines()):
        if not told["is_the_tests_own"]:
            texts += [told["what"], *told["stacks"]]
    return "\n".join(texts)


@pytest.fixture
def run_topics(tmp_path: Path) -> Iterator[Callable[[Sequence[Rule]], Topics]]:
    """A verb: run_topics(rules) returns started topics, on the disk where a rule is durable."""
    made: list[Topics] = []

    def run(rules: Sequence[Rule]) -> Topics:
        made.append(Topics(DiskLog(tmp_path / "topics", EVENTS), rules))
        made[-1].start()
        return made[-1]

    yield run
    for topics in made:
        topics.stop()


CATALOGUE = """
[sources.numbers]
database = "sqlite:///data.db"
table = "numbers"

[sources.empty]
database = "sqlite:///data.db"
table = "empty"

[sources.users]
generate = "users"
rows = 100

[sources.above]
database = "sqlite:///data.db"
query = "select * from numbers where id > :least"
parameters.least = { type = "int", default = 990 }

[sources.needs]
database = "sqlite:///data.db"
query = "select :word as word"
parameters.word = { type = "text" }
"""


def make_site(folder: Path) -> Path:
    """Make a database and a catalogue of it in folder; return the catalogue's path."""
    write(
        folder / "data.db",
        "create table numbers (id integer primary key, name text)",
        f"insert into numbers {_COUNT} i, 'number ' || i from n limit 1000",
        "create table empty (x integer)",
    )
    text = CATALOGUE
    for name, sql in QUERIES.items():
        text += f"[sources.{name}]\ndatabase = 'sqlite:///data.db'\nquery = '''{sql}'''\n"
    catalogue = folder / "headwater.toml"
    catalogue.write_text(text)
    return catalogue


@pytest.fixture(scope="session")
def lay_site():
    """lay_site(folder): a database and a catalogue of it there; the catalogue's path."""
    return make_site


def run_site(folder: Path, **changes: Any) -> Iterator[Flask]:
    """Yield an app whose exports are started, for the catalogue of make_site; stop them."""
    usual = {"exports_running": 4, "resume_wait_s": 0.2}
    settings = Settings(
        catalogue=make_site(folder), instance=folder / "instance", **{**usual, **changes}
    )
    app = create_app(settings)
    exports = app.extensions["headwater"].exports
    exports.start()
    yield app
    exports.stop()


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """An app with its exports started, shared by the tests of a module; `site.data` is its data."""
    folder = tmp_path_factory.mktemp("site")
    for app in run_site(folder):
        app.data = folder / "data.db"
        yield app


@pytest.fixture
def own_site(tmp_path):
    """As `site`, for one test; exports of it do not overtake."""
    for app in run_site(tmp_path, exports_open=4):
        app.data = tmp_path / "data.db"
        yield app


@pytest.fixture
def client(site):
    with site.test_client() as client:
        yield client


class Clock:
    """The time, as the test wants it."""

    def __init__(self, now_s):
        self.now_s = now_s

    def time(self):
        return self.now_s

    def time_ns(self):
        return int(self.now_s * 1e9)


@pytest.fixture
def clock(monkeypatch):
    """The wall clock, which stands still: clock.now_s sets it."""
    made = Clock(1_764_000_000.0)
    monkeypatch.setattr(time, "time", made.time)
    monkeypatch.setattr(time, "time_ns", made.time_ns)
    return made
