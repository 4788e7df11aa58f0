"""The writer is a process of its own: POSIX locks are per process, and so is what SQLite shares."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import time
from contextlib import closing

import pytest

from sources.grain import COARSE_S, TICK_S
from sources.sqlite.fingerprint import SYNC_S, database_fingerprint

WRITER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute(f"pragma journal_mode = {sys.argv[2]}")
connection.execute("create table if not exists t (x)")
print("ready", flush=True)
for statement in sys.stdin:
    connection.execute(statement)
    print("done", flush=True)
"""

# The clock of a day hence: whatever was written is settled.
LATER_S = time.time() + 86_400


def fingerprint(path):
    return database_fingerprint(path, now_s=LATER_S)


@pytest.fixture
def start_writer(tmp_path):
    """start_writer(mode): a function that runs one statement in another process, and its end."""
    started = []

    def start(mode, path=tmp_path / "data.db"):
        command = [sys.executable, "-c", WRITER, str(path), mode]
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        started.append(process)
        assert process.stdout.readline() == "ready\n"

        def execute(statement):
            process.stdin.write(statement + "\n")
            process.stdin.flush()
            assert process.stdout.readline() == "done\n"

        return execute

    yield start
    for process in started:
        process.stdin.close()
        process.stdout.close()
        assert process.wait(timeout=10) == 0


@pytest.fixture
def database(tmp_path):
    return tmp_path / "data.db"


MODES = ["delete", "truncate", "persist", "wal"]
COMMITS = [
    "insert into t values (1)",
    "insert into t values (1)",
    "update t set x = 2",
    "delete from t where rowid = 1",
    "create table other (y)",
    "insert into t values (zeroblob(100000))",
    "vacuum",
]


def tick():
    """Wait until the file system's clock has gone on: two writes in one tick have one time."""
    start_ns = time.monotonic_ns()
    while time.monotonic_ns() - start_ns < 12_000_000:
        pass


@pytest.mark.parametrize("mode", MODES)
def test_it_differs_after_every_commit(start_writer, database, mode):
    execute = start_writer(mode)
    seen = [fingerprint(database)]
    for statement in COMMITS:
        tick()
        execute(statement)
        seen.append(fingerprint(database))
    assert None not in seen
    assert len(set(seen)) == len(seen)


@pytest.mark.parametrize("mode", MODES)
def test_it_stays_while_nothing_is_committed(start_writer, database, mode):
    execute = start_writer(mode)
    execute("insert into t values (1)")
    before = fingerprint(database)
    execute("select count(*) from t")
    execute("begin immediate")
    execute("rollback")
    with closing(sqlite3.connect(database)) as reader:
        assert reader.execute("select x from t").fetchall() == [(1,)]
    assert fingerprint(database) == before


def test_a_commit_that_is_only_in_the_log_counts(start_writer, database):
    execute = start_writer("wal")
    execute("pragma wal_checkpoint(truncate)")
    of_the_file, before = database.stat(), fingerprint(database)
    execute("insert into t values (1)")
    assert database.stat().st_mtime_ns == of_the_file.st_mtime_ns
    assert fingerprint(database) != before


def test_a_commit_is_seen_through_a_symbolic_link(start_writer, database, tmp_path):
    execute = start_writer("wal")
    (tmp_path / "elsewhere").mkdir()
    link = tmp_path / "elsewhere" / "link.db"
    link.symlink_to(database)
    execute("insert into t values (1)")
    before = fingerprint(link)
    tick()
    execute("insert into t values (2)")
    assert fingerprint(link) != before


def test_what_was_written_just_now_has_none(start_writer, database):
    start_writer("delete")("insert into t values (1)")
    written_s = database.stat().st_mtime
    assert database_fingerprint(database, now_s=written_s) is None
    assert database_fingerprint(database, now_s=written_s + TICK_S * 0.9) is None
    assert database_fingerprint(database, now_s=written_s + TICK_S * 1.1) is not None


def test_a_log_takes_longer_to_settle(start_writer, database, tmp_path):
    """It is written before the commit can be seen, which waits for the disk."""
    start_writer("wal")("insert into t values (1)")
    os.utime(database, (1, 1))
    written_s = (tmp_path / "data.db-wal").stat().st_mtime
    assert database_fingerprint(database, now_s=written_s) is None
    assert database_fingerprint(database, now_s=written_s + SYNC_S * 0.9) is None
    assert database_fingerprint(database, now_s=written_s + SYNC_S + TICK_S * 1.1) is not None


@pytest.mark.parametrize(("name", "lag_s"), [("data.db", 0), ("data.db-wal", SYNC_S)])
def test_whole_seconds_take_longer_to_settle(start_writer, database, tmp_path, name, lag_s):
    """As a file system writes them that knows no others: a commit half a second later has them."""
    start_writer("wal")("insert into t values (1)")
    os.utime(database, (1, 1))
    os.utime(tmp_path / name, (1_800_000_000, 1_800_000_000))
    settled_s = 1_800_000_000 + COARSE_S + lag_s
    assert database_fingerprint(database, now_s=settled_s - 0.1) is None
    assert database_fingerprint(database, now_s=settled_s + 0.1) is not None


def test_a_clock_that_was_set_back_gives_none(start_writer, database):
    start_writer("delete")
    assert database_fingerprint(database, now_s=time.time() - 3600) is None


def test_now_is_the_default(start_writer, database):
    start_writer("delete")
    os.utime(database)
    assert database_fingerprint(database) is None
    os.utime(database, (1, 1))
    assert database_fingerprint(database) == database_fingerprint(database) is not None


def test_an_empty_log_is_as_none(start_writer, database, tmp_path):
    """A program that only opens a database in WAL mode makes one."""
    start_writer("delete")
    before = fingerprint(database)
    (tmp_path / "data.db-wal").touch()
    assert fingerprint(database) == before


def test_another_file_in_its_place_differs(start_writer, database, tmp_path):
    start_writer("delete")
    before, status = fingerprint(database), database.stat()
    (tmp_path / "copy.db").write_bytes(database.read_bytes())
    os.utime(tmp_path / "copy.db", ns=(status.st_atime_ns, status.st_mtime_ns))
    (tmp_path / "copy.db").replace(database)
    assert fingerprint(database) != before


def test_no_database_has_none(tmp_path):
    assert fingerprint(tmp_path / "missing.db") is None
    (tmp_path / "file").touch()
    assert fingerprint(tmp_path / "file" / "below.db") is None


def test_no_file_is_opened(start_writer, database):
    """To close a descriptor would drop the locks that this process holds on the database."""
    execute = start_writer("delete")
    execute("insert into t values (1)")
    with closing(sqlite3.connect(database, isolation_level=None, timeout=0)) as reader:
        reader.execute("begin")
        reader.execute("select * from t").fetchall()
        fingerprint(database)
        program = (
            "import sqlite3, sys; c = sqlite3.connect(sys.argv[1], timeout=0);"
            " c.execute('insert into t values (1)'); c.commit()"
        )
        other = subprocess.run([sys.executable, "-c", program, database], stderr=subprocess.PIPE)
        assert b"locked" in other.stderr


def test_a_file_that_is_put_in_its_place_with_its_time_is_another(tmp_path):
    database = tmp_path / "data.db"
    database.write_bytes(b"old")
    os.utime(database, ns=(10**18 + 1, 10**18 + 1))
    before = database_fingerprint(database)
    ticks(database)
    database.write_bytes(b"new")
    os.utime(database, ns=(10**18 + 1, 10**18 + 1))
    assert None not in (before, database_fingerprint(database))
    assert database_fingerprint(database) != before


def ticks(path):
    """Wait until the file system's clock has gone on."""
    changed = path.stat().st_ctime_ns
    while path.stat().st_ctime_ns == changed:
        path.chmod(0o600)
