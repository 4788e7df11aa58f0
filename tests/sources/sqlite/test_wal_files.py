"""What opening a database for reading leaves and takes, with as many users as it takes.

A user is a forked process, as locks and users are. As root there are several, else only our own.
"""

from __future__ import annotations

import multiprocessing
import os
import shutil
import sqlite3
import stat
import struct
import tempfile
from contextlib import closing
from pathlib import Path

import apsw
import pytest

from sources.errors import SourceUnavailable
from sources.sqlite.wal_files import open_safely

# Users and groups that no machine knows; and one of every machine, who is in no group of ours.
APPLICATION, SERVER, SHARED, KNOWN = 64401, 64402, 64400, 1
WAIT_S = 20.0
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root has processes of other users")

_open: list = []


class User:
    """A process of a user: `do(function, …)` runs in it and gives its result or raises."""

    def __init__(self, uid, gid, *groups):
        fork = multiprocessing.get_context("fork")
        self._near, far = fork.Pipe()
        self._process = fork.Process(target=self._serve, args=(far, uid, gid, groups))
        self._process.start()
        far.close()

    def _serve(self, pipe, uid, gid, groups):
        self._near.close()
        os.umask(0o077)
        if os.geteuid() == 0:
            os.setgroups(groups)
            os.setresgid(gid, gid, gid)
            os.setresuid(uid, uid, uid)
        while True:
            try:
                function, args = pipe.recv()
            except EOFError:
                os._exit(0)
            try:
                answer = function(*args)
            except (SourceUnavailable, sqlite3.Error) as error:
                answer = error
            except apsw.Error as error:
                answer = RuntimeError(str(error))
            pipe.send(answer)

    def begin(self, function, *args):
        self._near.send((function, args))

    def end(self):
        assert self._near.poll(WAIT_S)
        answer = self._near.recv()
        if isinstance(answer, Exception):
            raise answer
        return answer

    def do(self, function, *args):
        self.begin(function, *args)
        return self.end()

    def kill(self):
        self._process.kill()
        self._process.join()
        self._near.close()


# What users do.


def write(database, statement="insert into t values (1)"):
    with closing(sqlite3.connect(database, timeout=WAIT_S)) as connection, connection:
        connection.execute(statement)


def write_and_stay(database, statement="insert into t values (1)"):
    _open.append(connection := sqlite3.connect(database, timeout=WAIT_S, isolation_level=None))
    connection.execute(statement)


def read_and_stay(database, before=lambda: None):
    def connect():
        before()
        flags = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
        connection = apsw.Connection(f"file:{database}?mode=ro", flags=flags)
        try:
            connection.set_busy_timeout(round(WAIT_S * 1000))
            connection.execute("select count(*) from sqlite_schema").fetchall()
        except apsw.Error:
            connection.close()
            raise
        return connection

    _open.append(open_safely(database, connect, WAIT_S))
    return count()


def count():
    return _open[-1].execute("select count(*) from t").fetchall()[0][0]


def close():
    _open.pop().close()


def read(database):
    try:
        return read_and_stay(database)
    finally:
        while _open:
            close()


def fall_in_a_transaction(database):
    """Write more than the cache holds: the journal is safe, and the database is half written."""
    _open.append(connection := sqlite3.connect(database, isolation_level=None))
    connection.execute("pragma cache_size = 2")
    connection.execute("begin")
    connection.execute("create table u as select randomblob(5000) from t, t, t")


def do_often(function, database, times):
    return [function(database) for _ in range(times)]


# Where they do it.


@pytest.fixture
def folder():
    """A folder that every user finds; pytest's are closed to others."""
    root = Path(tempfile.mkdtemp(prefix="headwater-"))
    root.chmod(0o755)
    folder = root / "data"
    folder.mkdir()
    yield folder
    shutil.rmtree(root)


@pytest.fixture
def as_user():
    """as_user(uid, gid, *groups): a process of that user."""
    started = []

    def start(*ids):
        started.append(User(*ids))
        return started[-1]

    yield start
    for user in started:
        user.kill()


@pytest.fixture
def server(as_user):
    return as_user(SERVER, SERVER, SHARED)


def lay(folder, user, *, mode=0o644, folder_mode=0o2775, gids=(SHARED, SHARED), mode_of="wal"):
    """Make a database of a user with ten rows, of a group and in a folder of a group."""
    database = folder / "shop.db"
    write(database, f"pragma journal_mode = {mode_of}")
    write(database, "create table t as select value from json_each('[0,1,2,3,4,5,6,7,8,9]')")
    if os.geteuid() == 0:
        os.chown(database, user, gids[0])
        os.chown(folder, user, gids[1])
    database.chmod(mode)
    folder.chmod(folder_mode)
    assert [path.name for path in folder.iterdir()] == [database.name]
    return database


def look(folder):
    """Return the owner, group and mode of the files beside the database."""
    found = {path.name.removeprefix("shop.db"): path.stat() for path in folder.iterdir()}
    found.pop("")
    return {name: (s.st_uid, s.st_gid, stat.S_IMODE(s.st_mode)) for name, s in found.items()}


def both(*rights):
    return {"-wal": rights, "-shm": rights}


# A user alone.


def test_what_is_no_wal_is_left_alone(folder, as_user):
    database = lay(folder, SERVER, mode_of="delete")
    assert as_user(SERVER, SERVER).do(read, database) == 10
    assert look(folder) == {}


def test_what_is_not_there_is_sqlites_to_say(tmp_path, as_user):
    with pytest.raises(RuntimeError, match="unable to open database file"):
        as_user(os.geteuid(), os.getegid()).do(read, tmp_path / "missing.db")
    assert list(tmp_path.iterdir()) == []


def test_through_a_link(folder, as_user):
    database = lay(folder, SERVER)
    link = database.with_name("link.db")
    link.symlink_to(database)
    assert as_user(SERVER, SERVER).do(read, link) == 10
    assert not list(folder.glob("link.db-*"))


def test_a_log_beside_an_empty_database_is_kept(folder):
    """SQLite takes the database for a new one and removes the log, also when it may only read."""
    log = folder / "shop.db-wal"
    log.write_bytes(b"rows that somebody may want to rescue")
    log.with_name("shop.db").touch()
    with pytest.raises(SourceUnavailable, match=r"shop\.db is empty, and shop\.db-wal is not"):
        read(log.with_name("shop.db"))
    assert log.read_bytes() == b"rows that somebody may want to rescue"


def test_a_transaction_that_was_not_ended(folder, as_user):
    database = lay(folder, SERVER, mode_of="delete")
    writer, reader = as_user(SERVER, SERVER), as_user(SERVER, SERVER)
    writer.do(fall_in_a_transaction, database)
    writer.kill()
    with pytest.raises(
        SourceUnavailable, match=r"ended in the middle of a transaction on shop\.db"
    ):
        reader.do(read, database)
    as_user(SERVER, SERVER).do(write, database)
    assert reader.do(read, database) == 11


def test_a_writer_that_does_not_end_is_told(folder, as_user):
    database = lay(folder, SERVER, mode_of="delete")
    as_user(SERVER, SERVER).do(write_and_stay, database, "begin exclusive")
    with pytest.raises(SourceUnavailable, match=r"shop\.db is locked by a writer"):
        as_user(SERVER, SERVER).do(open_at_once, database)


def open_at_once(database):
    open_safely(database, lambda: pytest.fail("it was opened"), wait_s=0)


def test_locks_outlive_other_connections_of_the_process(folder, as_user):
    database = lay(folder, SERVER)
    reader, other = as_user(SERVER, SERVER), as_user(SERVER, SERVER)
    reader.do(read_and_stay, database)
    reader.do(read_again, database)
    other.do(write, database)
    # The last one to close removes the log, unless a lock of the reader says that it is there.
    assert (folder / "shop.db-wal").stat().st_size > 0
    assert reader.do(count) == 11


def read_again(database):
    read_and_stay(database)
    close()


# An application and the server, each its own user.


@needs_root
def test_the_application_writes_while_and_after_it_is_read(folder, as_user, server):
    database, application = lay(folder, APPLICATION), as_user(APPLICATION, SHARED)
    assert server.do(read_and_stay, database) == 10
    assert look(folder) == both(SERVER, SHARED, 0o664)
    application.do(write, database)
    assert server.do(count) == 11
    application.do(write_and_stay, database)
    server.do(close)
    application.do(write, database)
    application.do(close)
    # The last one that may write has removed them.
    assert look(folder) == {}
    assert server.do(read, database) == 13


@needs_root
def test_the_application_writes_after_the_server_was_killed(folder, as_user, server):
    database, application = lay(folder, APPLICATION), as_user(APPLICATION, SHARED)
    server.do(read_and_stay, database)
    server.kill()
    application.do(write, database)
    assert look(folder) == {}
    assert application.do(read, database) == 11


@needs_root
@pytest.mark.parametrize("mode", [0o2775, 0o2755], ids=["shared folder", "closed folder"])
def test_the_log_of_an_application_that_was_killed_is_read(folder, as_user, server, mode):
    database = lay(folder, APPLICATION, folder_mode=mode)
    application = as_user(APPLICATION, SHARED)
    application.do(write_and_stay, database)
    application.kill()
    left = both(APPLICATION, SHARED, 0o644)
    assert look(folder) == left
    assert server.do(read_and_stay, database) == 11
    again = as_user(APPLICATION, SHARED)
    again.do(write_and_stay, database)
    assert server.do(count) == 12
    assert look(folder) == left


@needs_root
@pytest.mark.parametrize("suffix", ["-wal", "-shm"])
def test_one_of_the_two_is_there(folder, as_user, server, suffix):
    database, application = lay(folder, APPLICATION), as_user(APPLICATION, SHARED)
    application.do(write_and_stay, database)
    application.kill()
    folder.joinpath("shop.db" + suffix).unlink()
    assert server.do(read, database) == (10 if suffix == "-wal" else 11)
    again = as_user(APPLICATION, SHARED)
    again.do(write, database)
    assert again.do(read, database) == (11 if suffix == "-wal" else 12)


@needs_root
def test_readers_and_a_writer_that_come_and_go(folder, as_user, server):
    database, application = lay(folder, APPLICATION), as_user(APPLICATION, SHARED)
    readers = [server, as_user(SERVER, SERVER, SHARED)]
    application.begin(do_often, write, database, 100)
    for reader in readers:
        reader.begin(do_often, read, database, 200)
    # None of the writes is refused, and nobody reads back.
    assert application.end() == [None] * 100
    for reader in readers:
        counts = reader.end()
        assert counts == sorted(counts)
    assert server.do(read, database) == 110
    assert set(look(folder).values()) <= {
        (SERVER, SHARED, 0o664), (APPLICATION, SHARED, 0o644)
    }  # fmt: skip


@needs_root
def test_an_application_that_ends_just_before_the_server_opens(folder, as_user, server):
    """Nobody can remove what was created before SQLite has opened it."""
    database, application = lay(folder, APPLICATION), as_user(APPLICATION, SHARED)
    # Who opens a FIFO waits for the other end.
    came, may_go = (folder.with_name(name) for name in ("came", "may_go"))
    for fifo in (came, may_go):
        os.mkfifo(fifo)
        fifo.chmod(0o666)
    server.begin(read_at_gate, database, came, may_go)
    came.read_text()
    application.do(write, database)
    assert look(folder) == both(SERVER, SHARED, 0o664)
    may_go.write_text("")
    assert server.end() == 11
    application.do(write, database)


def read_at_gate(database, came, may_go):
    def wait():
        came.write_text("")
        may_go.read_text()

    try:
        return read_and_stay(database, wait)
    finally:
        close()


@needs_root
def test_files_that_an_earlier_version_has_left(folder, as_user, server):
    database, application = lay(folder, APPLICATION), as_user(APPLICATION, SHARED)
    server.do(read_unprepared, database)
    with pytest.raises(sqlite3.Error, match="readonly"):
        application.do(write, database)
    assert server.do(read, database) == 10
    application.do(write, database)


def read_unprepared(database):
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        connection.execute("select count(*) from t").fetchall()


@needs_root
def test_a_log_that_a_checkpoint_has_emptied(folder, as_user, server):
    """SQLite takes rights from an empty log of its own user."""
    database, application = lay(folder, APPLICATION), as_user(APPLICATION, SHARED)
    server.do(read_and_stay, database)
    application.do(write_and_stay, database)
    application.do(write, database, "pragma wal_checkpoint(truncate)")
    assert folder.joinpath("shop.db-wal").stat().st_size == 0
    assert server.do(read_and_stay, database) == 11
    as_user(APPLICATION, SHARED).do(write, database)
    assert server.do(count) == 12


@needs_root
def test_a_file_from_elsewhere_keeps_its_rights(folder, as_user, server):
    """One who may write in the folder gives a file of the server's another name there."""
    database = lay(folder, APPLICATION)
    secret = folder.with_name("secret")
    secret.touch(0o600)
    os.chown(secret, SERVER, SERVER)
    folder.joinpath("shop.db-wal").hardlink_to(secret)
    server.do(read, database)
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600


@needs_root
def test_a_file_system_without_nameless_files(folder, as_user, monkeypatch):
    # Such a kernel opens the folder instead, which it does not for writing.
    monkeypatch.setattr(os, "O_TMPFILE", 0)
    database = lay(folder, APPLICATION)
    assert as_user(SERVER, SERVER, SHARED).do(read, database) == 10
    assert look(folder) == both(SERVER, SHARED, 0o664)
    as_user(APPLICATION, SHARED).do(write, database)


@needs_root
def test_root_gives_them_to_the_owner(folder, as_user):
    database = lay(folder, APPLICATION, folder_mode=0o755, gids=(APPLICATION, APPLICATION))
    assert as_user(0, 0).do(read, database) == 10
    assert look(folder) == both(APPLICATION, APPLICATION, 0o644)
    as_user(APPLICATION, APPLICATION).do(write, database)


@needs_root
def test_the_owner_leaves_them_to_the_group_of_the_database(folder, as_user):
    """The server is the owner, and the application one of the group that may write."""
    database = lay(folder, SERVER, mode=0o664, folder_mode=0o775)
    server = as_user(SERVER, SERVER, SHARED)
    assert server.do(read, database) == 10
    assert look(folder) == both(SERVER, SHARED, 0o664)
    as_user(APPLICATION, APPLICATION, SHARED).do(write, database)


@needs_root
def test_an_access_control_list_names_the_owner(folder, as_user):
    database = lay(folder, APPLICATION, folder_mode=0o755, gids=(APPLICATION, APPLICATION))
    try:
        os.setxattr(folder, "system.posix_acl_access", acl(SERVER, 7))
    except OSError:
        pytest.skip("the file system has no access control lists")
    server = as_user(SERVER, SERVER)
    with pytest.raises(SourceUnavailable, match="its folder is not writable for a group"):
        server.do(read, database)
    os.setxattr(folder, "system.posix_acl_default", acl(APPLICATION, 6))
    assert server.do(read, database) == 10
    as_user(APPLICATION, APPLICATION).do(write, database)


def acl(uid, bits):
    """Return what a user may, besides the owner; group and others may look."""
    entries = [(1, 7, -1), (2, bits, uid), (4, 5, -1), (0x10, 7, -1), (0x20, 5, -1)]
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHi", *entry) for entry in entries)


REFUSED = {
    "a folder of the application alone": (
        {"folder_mode": 0o755},
        r"cannot create files in its folder \(Permission denied\)",
    ),
    "a sticky folder": ({"folder_mode": 0o1777}, "its folder has the sticky bit"),
    "an owner who is not in the group": (
        {"user": KNOWN},
        "the owner of the database is not in the group of the folder",
    ),
    "a database of another group": (
        {"gids": (APPLICATION, SHARED)},
        "the owner of the database is not in the group of the folder",
    ),
    "a group of the database that is not the server's": (
        {"mode": 0o664, "gids": (APPLICATION, SHARED)},
        "the server is not in the group",
    ),
}


@needs_root
@pytest.mark.parametrize(("laid", "want"), REFUSED.values(), ids=REFUSED)
def test_what_would_do_harm_is_refused(folder, as_user, server, laid, want):
    user = {"user": APPLICATION, **laid}
    database = lay(folder, **user)
    application = as_user(user["user"], SHARED)
    with pytest.raises(SourceUnavailable, match=want) as caught:
        server.do(read, database)
    assert "docs/deploy.md" in str(caught.value)
    assert str(folder) not in str(caught.value)
    assert look(folder) == {}
    # An application that has it open makes them itself.
    application.do(write_and_stay, database)
    assert server.do(read, database) == 11


@needs_root
def test_a_log_that_may_not_be_read(folder, as_user, server):
    database, application = lay(folder, APPLICATION), as_user(APPLICATION, SHARED)
    application.do(write_and_stay, database)
    folder.joinpath("shop.db-wal").chmod(0o600)
    with pytest.raises(SourceUnavailable, match=r"the server may not read shop\.db-wal"):
        server.do(read, database)


@needs_root
def test_users_of_one_database_are_all_served(folder, as_user):
    """Readers of other users, at the same time: nobody takes from another what SQLite made."""
    database = lay(folder, APPLICATION)
    readers = [as_user(SERVER + more, SERVER, SHARED) for more in range(3)]
    for reader in readers:
        reader.begin(do_often, read, database, 100)
    assert [set(reader.end()) for reader in readers] == [{10}] * 3
    as_user(APPLICATION, SHARED).do(write, database)
