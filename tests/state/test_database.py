"""state.db: what is acknowledged is on the disk, whatever happens to a process or to the file."""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path

import pytest

from state import State, StateBusy, StateFull, StateUnusable

ROOT = Path(__file__).parents[2]
ADD = "insert into ended_sessions values (?, 0)"
IDS = "select id from ended_sessions order by rowid"


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "instance"


@pytest.fixture
def state(folder):
    return State(folder)


def add(state, *ids):
    with state.writing() as execute:
        for each in ids:
            execute(ADD, (each,))


def ids_of(folder):
    """Return what another process would find there."""
    return [each for (each,) in State(folder).rows(IDS)]


@pytest.fixture
def run(folder):
    """run(program, *words): a process that runs it in `folder`, with `state`; killed at the end."""
    begin = "import sys, sqlite3\nfrom pathlib import Path\nfrom state import State\n"
    begin += "folder = Path(sys.argv[1])\nstate = State(folder)\n"
    running = []

    def run(program, *words):
        command = [sys.executable, "-c", begin + program, str(folder), *words]
        pipe = subprocess.PIPE
        running.append(subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, text=True))
        return running[-1]

    yield run
    for process in running:
        process.kill()
        process.communicate()


def test_what_was_written_is_there_for_all(state, folder):
    add(state, "a")
    add(state, "b", "c")
    assert [each for (each,) in state.rows(IDS)] == ids_of(folder) == ["a", "b", "c"]


def test_without_a_file_there_are_no_rows_and_reading_makes_none(state, folder):
    assert state.rows(IDS) == []
    assert not folder.exists()


def test_only_its_owner_may_read_it(state, folder):
    before = os.umask(0)
    try:
        add(state, "a")
    finally:
        os.umask(before)
    modes = {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()}
    assert modes == {"state.db": 0o600, "state.db-wal": 0o600, "state.db-shm": 0o600}
    assert folder.stat().st_mode & 0o777 == 0o700


def test_a_copy_that_others_may_read_becomes_private(state, folder):
    add(state, "a")
    state.close()
    state.path.chmod(0o644)
    other = State(folder)
    add(other, "b")
    assert {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()} == {
        "state.db": 0o600, "state.db-wal": 0o600, "state.db-shm": 0o600,
    }  # fmt: skip


def test_each_commit_is_synced(state):
    with state.writing() as execute:
        assert execute("pragma synchronous") == [(2,)]
        assert execute("pragma journal_mode") == [("wal",)]


def test_a_commit_that_need_not_be_synced_is_not(state):
    for is_synced in (False, True, False):
        with state.writing(is_synced=is_synced) as execute:
            assert execute("pragma synchronous") == [(2 if is_synced else 1,)]


class Refused(Exception):
    pass


def test_of_a_block_that_fails_nothing_is_kept(state, folder):
    add(state, "a")

    def fail():
        with state.writing() as execute:
            execute(ADD, ("b",))
            raise Refused

    with pytest.raises(Refused):
        fail()
    with pytest.raises(sqlite3.IntegrityError):
        add(state, "c", "a")
    add(state, "d")
    assert ids_of(folder) == ["a", "d"]


def test_a_closed_one_opens_again(state, folder):
    add(state, "a")
    state.close()
    assert [path.name for path in folder.iterdir()] == ["state.db"], "what it had is in one file"
    add(state, "b")
    assert ids_of(folder) == ["a", "b"]


def test_a_file_that_is_put_in_its_place_is_not_mixed_with_it(state, folder, tmp_path):
    add(state, "a")
    other = State(tmp_path / "other")
    add(other, "of the backup")
    other.close()
    other.path.rename(state.path)
    for attempt in (lambda: state.rows(IDS), lambda: add(state, "b")):
        with pytest.raises(StateUnusable, match="was replaced while it was open"):
            attempt()
    Path(f"{state.path}-wal").unlink()
    assert ids_of(folder) == ["of the backup"]


def test_what_is_left_of_a_file_that_is_gone_is_not_taken_for_another_ones(state, folder):
    add(state, "a")
    state.path.unlink()
    for each in (state, State(folder)):
        with pytest.raises(StateUnusable, match=r"state\.db is gone"):
            each.rows(IDS)
        with pytest.raises(StateUnusable, match=r"state\.db is gone"):
            add(each, "b")


def test_a_file_that_is_gone_is_missed(state, folder):
    add(state, "a")
    for path in folder.iterdir():
        path.unlink()
    for attempt in (lambda: state.rows(IDS), lambda: add(state, "b")):
        with pytest.raises(StateUnusable, match=r"state\.db is gone.* requests need none"):
            attempt()
    assert not state.path.exists()


def test_a_link_to_a_file_that_is_gone_is_no_missing_file(state, folder):
    folder.mkdir()
    state.path.symlink_to(folder / "unmounted")
    for attempt in (lambda: state.rows(IDS), lambda: add(state, "b")):
        with pytest.raises(StateUnusable, match=r"state\.db cannot be used"):
            attempt()


def replace_by_a_copy(path):
    shutil.copy(path, f"{path}.new")
    Path(f"{path}.new").replace(path)


@pytest.mark.parametrize("spoil", [Path.unlink, replace_by_a_copy])
def test_nothing_is_written_into_a_log_that_was_removed(state, folder, spoil):
    add(state, "a")
    spoil(Path(f"{state.path}-wal"))
    attempts = [
        lambda: state.rows(IDS),
        lambda: add(state, "b"),
        lambda: state.writing(is_synced=False).__enter__(),
    ]
    for attempt in attempts:
        with pytest.raises(StateUnusable, match="-wal was removed or replaced while it was open"):
            attempt()
    state.close()
    assert ids_of(folder) == ["a"]


def test_the_log_may_go_with_the_last_connection(state, folder):
    add(state, "a")
    with pytest.raises(sqlite3.OperationalError):
        state.rows("select * from nothing")
    assert not Path(f"{state.path}-wal").exists()
    add(state, "b")
    assert ids_of(folder) == ["a", "b"]


@pytest.fixture
def server_runs(folder, run):
    """A process that holds the lock as a server does, and has noted its state.db."""
    process = run(
        "import fcntl\nfrom state import holder\n"
        "identity = state.make()\nstate.close()\nlock = open(folder / 'lock', 'a')\n"
        "fcntl.flock(lock, fcntl.LOCK_EX)\nholder.note(lock, identity)\n"
        "print('holds', flush=True)\nsys.stdin.readline()\n"
    )
    assert process.stdout.readline() == "holds\n"
    return process


def test_another_file_than_a_running_server_uses_is_refused(state, folder, server_runs):
    add(state, "a")
    state.close()
    aside = state.path.rename(folder / "aside")
    for attempt in (lambda: State(folder).rows(IDS), lambda: add(State(folder), "b")):
        with pytest.raises(StateUnusable, match=r"state\.db is gone"):
            attempt()
    shutil.copy(aside, state.path)
    for attempt in (lambda: State(folder).rows(IDS), lambda: add(State(folder), "b")):
        with pytest.raises(StateUnusable, match="was replaced while it was open"):
            attempt()
    server_runs.communicate("stop\n")
    assert ids_of(folder) == ["a"], "no server uses another one"


def test_many_threads_and_processes_lose_nothing(state, folder, run):
    with state.writing() as execute:
        execute("insert into link_uses values ('all', 0, 0)")
    program = (
        "from concurrent.futures import ThreadPoolExecutor\n"
        "sys.stdin.readline()\n"
        "def add(number):\n"
        "    with state.writing() as execute:\n"
        "        ((uses,),) = execute('select uses from link_uses')\n"
        f"        execute({ADD!r}, (sys.argv[2] + str(number),))\n"
        "        execute('update link_uses set uses = ?', (uses + 1,))\n"
        "with ThreadPoolExecutor(4) as pool: list(pool.map(add, range(25)))\n"
    )
    processes = [run(program, name) for name in "ab"]
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    assert [process.wait(60) for process in processes] == [0, 0]
    assert {*ids_of(folder)} == {f"{name}{number}" for name in "ab" for number in range(25)}
    assert state.rows("select uses from link_uses") == [(50,)]


@pytest.mark.parametrize("is_synced", [True, False])
def test_what_was_acknowledged_survives_a_kill(folder, run, is_synced):
    program = (
        "for number in range(10**6):\n"
        f"    with state.writing(is_synced={is_synced}) as execute:\n"
        f"        execute({ADD!r}, (str(number),))\n"
        # One write: unbuffered, print has one for the line's end, which a kill may part.
        "    sys.stdout.write(f'{number}\\n')\n"
        "    sys.stdout.flush()\n"
    )
    for _ in range(3):
        writer = run(program)
        told = [writer.stdout.readline() for _ in range(20)]
        writer.send_signal(signal.SIGKILL)
        told += writer.stdout.readlines()
        there = ids_of(folder)
        assert there[: len(told)] == [line.strip() for line in told if line.endswith("\n")]
        assert len(there) <= len(told) + 1
        for path in folder.iterdir():
            path.unlink()


HOLD = (
    "connection = sqlite3.connect(folder / 'state.db')\n"
    "connection.execute('begin exclusive')\n"
    "connection.execute(\"insert into ended_sessions values ('half', 0)\")\n"
    "print('held', flush=True)\n"
    "sys.stdin.readline()\n"
    "connection.rollback()\n"
)


def test_another_process_that_writes_is_waited_for_so_long(state, folder, run, monkeypatch):
    monkeypatch.setattr("state.database.BUSY_S", 0.1)
    add(state, "a")
    state.close()
    holder = run(HOLD)
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(StateBusy, match=r"state\.db is locked by another process"):
        add(state, "b")
    assert state.rows(IDS) == [("a",)], "reading waits for nobody"
    holder.communicate("go on\n")
    add(state, "c")
    assert ids_of(folder) == ["a", "c"]


def test_a_thread_that_writes_is_waited_for_so_long(state, folder, monkeypatch):
    add(state, "a")
    with ThreadPoolExecutor(1) as pool:
        with monkeypatch.context() as patch:
            patch.setattr("state.database.BUSY_S", 0.05)
            with state.writing(), pytest.raises(StateBusy, match="is being written for too long"):
                pool.submit(add, state, "b").result()
        with state.writing() as execute:
            waiting = pool.submit(add, state, "d")
            execute(ADD, ("c",))
        waiting.result()
    assert ids_of(folder) == ["a", "c", "d"]


def foreign(path):
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("create table tokens (id)")


def newer(path):
    add(State(path.parent), "a")
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("pragma user_version = 2")


def older(path):
    newer(path)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("pragma user_version = 0")


def without_a_table(path):
    add(State(path.parent), "a")
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("drop table ended_sessions")


def torn(path, where, length):
    state = State(path.parent)
    add(state, *(f"session {number}" for number in range(1000)))
    state.close()
    with open(path, "r+b") as file:
        file.seek(where)
        file.write(b"\xff" * length)


def cut(path):
    torn(path, 0, 0)
    os.truncate(path, path.stat().st_size // 2)


UNUSABLE = {
    "empty": (lambda path: path.touch(), "is no state of Headwater: put a backup in its place"),
    "another file": (lambda path: path.write_text("tokens\n" * 1000), "file is not a database"),
    "of another program": (foreign, "is no state of Headwater: put a backup in its place"),
    "of a newer version": (newer, "was written by a newer version of Headwater"),
    "of no version": (older, "is no state of Headwater: put a backup in its place"),
    "a table is missing": (without_a_table, "cannot be used: no such table: ended_sessions"),
    "a folder": (lambda path: path.mkdir(), "cannot be used: unable to open database file"),
    "a torn head": (lambda path: torn(path, 0, 50), "file is not a database"),
    "a torn page": (lambda path: torn(path, 8192, 4096), "malformed|is damaged"),
    "cut": (cut, "malformed|is damaged"),
}


@pytest.mark.parametrize(("make", "why"), UNUSABLE.values(), ids=UNUSABLE.keys())
def test_a_file_that_is_no_good_is_told_and_left_as_it_is(state, folder, make, why):
    folder.mkdir()
    make(state.path)
    before = state.path.read_bytes() if state.path.is_file() else None
    for attempt in (lambda: state.rows(IDS), lambda: add(state, "a")):
        with pytest.raises(StateUnusable, match=f"{state.path}.*({why})"):
            attempt()
    assert before is None or state.path.read_bytes() == before


@pytest.fixture
def small_disk(folder):
    """`folder` is on a disk of 1 MiB; small_disk(size): a file in it of that size, or all room."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder]
    if os.getuid() or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("mounting a small disk needs root")

    def fill(size):
        with suppress(OSError), open(folder / "filler", "wb", buffering=0) as file:
            while file.tell() < size:
                file.write(bytes(4096))
        return folder / "filler"

    yield fill
    subprocess.run(["umount", "--lazy", folder], check=True)


def test_a_disk_that_is_full_loses_nothing(state, folder, small_disk):
    filler, added = small_disk(800_000), []

    def add_many():
        for number in range(10_000):
            add(state, f"{number}")
            added.append(f"{number}")

    with pytest.raises(StateFull, match="the disk is full"):
        add_many()
    assert added
    assert [each for (each,) in state.rows(IDS)] == added
    filler.unlink()
    add(state, "now there is room")
    state.close()
    assert ids_of(folder) == [*added, "now there is room"]


def test_a_disk_that_is_full_at_the_start_is_told(state, folder, small_disk):
    add(state, "a")
    state.close()
    filler = small_disk(1 << 30)
    for attempt in (state.rows, lambda _: add(state, "b"), State(folder).rows):
        with pytest.raises(StateFull, match="the disk is full"):
            attempt(IDS)
    filler.unlink()
    assert ids_of(folder) == ["a"]


def test_a_folder_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StateUnusable, match="cannot be used: File exists"):
        add(State(tmp_path / "file"), "a")


def test_what_another_user_owns_is_told(state, folder):
    add(state, "a")
    state.close()
    folder.chmod(0o500)
    state.path.chmod(0o400)
    is_root = os.geteuid() == 0
    try:
        if is_root:
            os.chown(folder, 65534, 65534)
            os.chown(state.path, 65534, 65534)
            folder.parent.chmod(0o711)
            os.seteuid(65534)
        with pytest.raises(StateUnusable, match=r"state\.db cannot be used"):
            add(state, "b")
    finally:
        if is_root:
            os.seteuid(0)
        folder.chmod(0o700)
    assert ids_of(folder) == ["a"]
