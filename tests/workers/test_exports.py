"""The export runner with real recording processes."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import signal
import socket
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from journal import JournalFailed
from sources.catalogue import QuerySource, TableSource
from workers import exports as exports_module
from workers.errors import QueueFull, RecordingGone
from workers.export import record_path


def process_of(export):
    """The process that has the export's file open, None while there is none."""
    for process in psutil.Process().children(recursive=True):
        try:
            if str(export.journal.path) in [file.path for file in process.open_files()]:
                return process
        except psutil.NoSuchProcess:
            continue
    return None


@pytest.fixture
def ended(until):
    """ended(export): wait until it has come to a final state, and return it."""

    def wait(export, timeout_s=20):
        until(lambda: not export.is_open, timeout_s)
        return export

    return wait


@pytest.fixture
def settled(until):
    """settled(exports): wait until no process of it runs any more; what it keeps is on the disk."""

    def is_settled(exports):
        with exports._lock:
            return not exports._underway

    return lambda exports: until(lambda: is_settled(exports))


@pytest.fixture
def blocked(start_exports, query, order):
    """A runner of one at a time whose one place is taken by `blocker`, until that is cancelled."""
    runner = start_exports(running=1, queued=3)
    runner.blocker = runner.submit(order(query("silent")), prepared=True)
    return runner


# Recording


def test_an_export_is_whole(exports, order, numbers, numbers_csv, read_all, ended):
    export = exports.submit(order(numbers), prepared=False)
    assert read_all(exports, export) == numbers_csv
    assert (ended(export).state, export.rows) == ("complete", 1000)
    assert export.sha256 == hashlib.sha256(numbers_csv).hexdigest()
    assert export.journal.size == len(numbers_csv)


def test_a_reader_reads_while_it_is_recorded(exports, order, query, until):
    export = exports.submit(order(query("endless")), prepared=False)
    with closing(exports.read(export)) as reader:
        assert next(reader).startswith(b"i,text\n1,and so on\n2,")
        assert export.state == "running"
        exports.cancel(export)


def test_a_span_is_read(exports, order, numbers, numbers_csv, ended):
    export = ended(exports.submit(order(numbers), prepared=True))
    with closing(exports.read(export, 5, 25)) as reader:
        assert b"".join(reader) == numbers_csv[5:25]


def test_a_failing_source_says_why_after_what_it_gave(exports, order, query, ended):
    export = exports.submit(order(query("failing")), prepared=True)
    with closing(exports.read(export)) as reader:
        with pytest.raises(JournalFailed, match="malformed JSON") as caught:
            for _ in reader:
                pass
        assert reader.position > 0
    assert caught.value.code == "source_failed"
    assert (ended(export).state, export.error.code, export.kept) == (
        "failed", "source_failed", False,
    )  # fmt: skip


# Sharing


def test_the_same_order_is_one_export(exports, order, numbers):
    first = exports.submit(order(numbers), prepared=False)
    assert exports.find(order(numbers)) is first
    assert exports.submit(order(numbers), prepared=False) is first


def test_a_complete_export_is_shared(exports, order, numbers, ended):
    first = ended(exports.submit(order(numbers), prepared=False))
    assert exports.submit(order(numbers), prepared=False) is first


def test_sharing_prepares_for_both(exports, order, numbers):
    export = exports.submit(order(numbers), prepared=False)
    exports.submit(order(numbers), prepared=True)
    exports.submit(order(numbers), prepared=False)
    assert export.prepared


OTHER_ORDERS = {
    "another format": ("tsv", ()),
    "another compression": ("csv.gz", ()),
    "another selection": ("csv", [("limit", "10")]),
    "another value": ("csv", [("id__gt", "10")]),
    "for excel": ("csv", [("excel", "1")]),
}


@pytest.mark.parametrize(("extension", "words"), OTHER_ORDERS.values(), ids=OTHER_ORDERS.keys())
def test_what_is_not_the_same_is_not_shared(exports, order, numbers, extension, words):
    first = exports.submit(order(numbers), prepared=True)
    assert exports.submit(order(numbers, extension, words), prepared=True) is not first


def test_a_change_ends_sharing(exports, order, numbers, change, read_all):
    first = exports.submit(order(numbers), prepared=True)
    change(numbers.database, "insert into numbers values (2000, 'later')")
    second = exports.submit(order(numbers), prepared=True)
    assert second is not first
    assert read_all(exports, second).endswith(b"2000,later\n")


def test_what_was_written_just_now_is_not_shared(exports, order, numbers):
    def write():
        with closing(sqlite3.connect(numbers.database)) as connection, connection:
            connection.execute("update numbers set name = name || '!'")

    write()
    first = exports.submit(order(numbers), prepared=True)
    write()
    assert exports.submit(order(numbers), prepared=True) is not first


def test_a_commit_between_the_order_and_the_snapshot_ends_sharing(
    blocked, order, numbers, change, ended, read_all
):
    export = blocked.submit(order(numbers), prepared=True)
    change(numbers.database, "insert into numbers values (2000, 'later')")
    blocked.cancel(blocked.blocker)
    assert read_all(blocked, ended(export)).endswith(b"2000,later\n")
    assert export.fingerprint is None
    assert blocked.submit(order(numbers), prepared=True) is not export


def test_what_was_cancelled_is_not_shared(exports, order, numbers):
    first = exports.submit(order(numbers), prepared=True)
    exports.cancel(first)
    assert exports.submit(order(numbers), prepared=True) is not first


def test_made_at_finds_every_production_of_an_address(start_exports, order, numbers, change, ended):
    exports = start_exports()
    first = ended(exports.submit(order(numbers), prepared=True))
    change(numbers.database, "alter table numbers add column more")
    second = ended(exports.submit(order(numbers), prepared=True))
    exports.cancel(first)
    assert exports.made_at(order(numbers).address()) == [first, second]
    assert first.identity != second.identity
    assert exports.made_at(order(numbers, "tsv").address()) == []


def test_made_at_leaves_out_what_nobody_can_have_bytes_of(blocked, order, numbers):
    export = blocked.submit(order(numbers), prepared=True)
    assert blocked.made_at(export.address) == []


def test_two_sources_of_the_same_sql_are_not_shared(exports, order, numbers):
    """Each has an address of its own, and what is remembered is remembered of an address."""
    first = exports.submit(order(numbers), prepared=True)
    alias = exports.submit(order(replace(numbers, name="alias")), prepared=True)
    assert alias is not first
    assert (alias.source, alias.address != first.address) == ("alias", True)


# The queue


def test_the_queue_is_bounded_and_in_order(blocked, order, numbers, ended):
    words = [[("limit", str(n))] for n in range(1, 5)]
    queue = [blocked.submit(order(numbers, "csv", each), prepared=True) for each in words[:3]]
    assert blocked.waiting() == queue
    with pytest.raises(QueueFull) as caught:
        blocked.submit(order(numbers, "csv", words[3]), prepared=True)
    assert caught.value.waiting == 3
    blocked.cancel(blocked.blocker)
    started = [ended(export).started_s for export in queue]
    assert [export.state for export in queue] == ["complete"] * 3
    assert started == sorted(started)


def test_what_is_shared_needs_no_place(blocked, order, numbers):
    words = [[("limit", str(n))] for n in range(1, 4)]
    queue = [blocked.submit(order(numbers, "csv", each), prepared=True) for each in words]
    assert blocked.submit(order(numbers, "csv", words[0]), prepared=True) is queue[0]


def test_a_queue_of_none_still_runs_what_can_run_at_once(start_exports, order, numbers, ended):
    exports = start_exports(running=1, queued=0)
    assert ended(exports.submit(order(numbers), prepared=True)).state == "complete"


def test_all_is_newest_first(exports, order, numbers):
    made = [exports.submit(order(numbers, each), prepared=True) for each in ("csv", "tsv", "json")]
    assert exports.all()[:3] == made[::-1]


# Cancelling and leaving


def test_cancelling_what_waits(blocked, order, numbers):
    export = blocked.submit(order(numbers), prepared=True)
    blocked.cancel(export)
    assert (export.state, export.error.code) == ("cancelled", "cancelled")
    assert blocked.waiting() == []
    with pytest.raises(RecordingGone):
        blocked.read(export)


def test_cancelling_what_runs_frees_process_and_file(exports, order, query, until):
    export = exports.submit(order(query("endless")), prepared=True)
    reader = exports.read(export)
    process = until(lambda: process_of(export))
    exports.cancel(export)
    until(lambda: not process.is_running(), timeout_s=1)
    with pytest.raises(JournalFailed) as caught:
        for _ in reader:
            pass
    assert caught.value.code == "cancelled"
    reader.close()
    assert not export.journal.path.exists()


def test_a_cancelled_place_is_free_again(blocked, order, numbers, ended):
    export = blocked.submit(order(numbers), prepared=True)
    blocked.cancel(blocked.blocker)
    assert ended(export).state == "complete"


def test_cancelling_what_is_complete_takes_its_bytes(exports, order, numbers, ended, settled):
    export = ended(exports.submit(order(numbers), prepared=True))
    settled(exports)
    exports.cancel(export)
    assert (export.state, export.kept) == ("complete", False)
    assert not export.journal.path.exists()


def test_who_reads_a_complete_export_reads_it_to_its_end(
    exports, order, numbers, numbers_csv, ended
):
    export = ended(exports.submit(order(numbers), prepared=True))
    with closing(exports.read(export)) as reader:
        exports.cancel(export)
        assert b"".join(reader) == numbers_csv
    assert not export.journal.path.exists()


def test_cancelling_before_the_file_is_made_leaves_none(
    start_exports, order, numbers, until, settled, newest_recorder
):
    """The recording process lives on for a moment after `cancel`, and may make its file then."""
    exports = start_exports()
    recorder = newest_recorder()
    until(recorder.children)
    wanted = order(numbers)  # asks the database, which is locked then
    with closing(sqlite3.connect(numbers.database, isolation_level=None)) as writer:
        writer.execute("begin exclusive")
        export = exports.submit(wanted, prepared=True)
        # The spare that is forked ahead says that the job has been handed over.
        until(lambda: len(recorder.children()) == 2)
        recorder.suspend()
        exports.cancel(export)
        writer.execute("rollback")
    until(export.journal.path.exists)
    recorder.resume()
    settled(exports)
    assert not export.journal.path.exists()


def test_a_failure_that_was_under_way_while_it_was_cancelled_changes_nothing(
    start_exports, order, query, numbers, until, newest_recorder
):
    exports = start_exports(running=1)
    recorder = newest_recorder()
    (process,) = until(recorder.children)  # the spare, which is given the job
    with exports._lock:
        export = exports.submit(order(query("hopeless")), prepared=True)
        waiting = exports.submit(order(numbers), prepared=True)
        until(lambda: not process.is_running())
        exports.cancel(export)
    until(lambda: waiting.state == "complete")
    assert (export.state, export.error.code) == ("cancelled", "cancelled")


@pytest.fixture
def quick_house(monkeypatch):
    """The housekeeping comes round often."""
    monkeypatch.setattr(exports_module, "HOUSEKEEPING_S", 0.02)


@pytest.mark.usefixtures("quick_house")
def test_nobody_reads_it(start_exports, order, query, ended):
    exports = start_exports(abandon_grace_s=0.05)
    export = ended(exports.submit(order(query("silent")), prepared=False))
    assert (export.state, export.error.code) == ("cancelled", "abandoned")


@pytest.mark.usefixtures("quick_house")
def test_nobody_waits_for_it(start_exports, order, query, numbers, ended):
    exports = start_exports(running=1, abandon_grace_s=0.05)
    exports.submit(order(query("silent")), prepared=True)
    assert ended(exports.submit(order(numbers), prepared=False)).error.code == "abandoned"


@pytest.mark.usefixtures("quick_house")
def test_what_is_read_or_prepared_is_not_abandoned(start_exports, order, query, ended):
    exports = start_exports(running=4, abandon_grace_s=0.05)
    read = exports.submit(order(query("silent")), prepared=False)
    prepared = exports.submit(order(query("silent"), "tsv"), prepared=True)
    with closing(exports.read(read)):
        for extension in ("json", "ndjson"):  # two rounds of the housekeeping
            ended(exports.submit(order(query("silent"), extension), prepared=False))
        assert (read.state, prepared.state) == ("running", "running")
    assert ended(read).error.code == "abandoned"
    assert prepared.state == "running"


# What is kept


@pytest.fixture
def three_sizes(start_exports, order, numbers, numbers_csv, ended, settled):
    """A runner with room for two and a half exports, and one that makes the nth."""
    exports = start_exports(max_bytes=len(numbers_csv) * 5 // 2)

    def make(n):
        export = ended(exports.submit(order(numbers, "csv", [("id__gt", str(-n))]), prepared=True))
        settled(exports)
        return export

    return exports, make


def test_the_oldest_unread_goes_first(three_sizes, read_all):
    exports, make = three_sizes
    first, second = make(1), make(2)
    read_all(exports, first)
    third = make(3)
    assert [each.kept for each in (first, second, third)] == [True, False, True]
    assert not second.journal.path.exists()
    with pytest.raises(RecordingGone):
        exports.read(second)


def test_what_is_read_never_goes(three_sizes):
    exports, make = three_sizes
    first = make(1)
    with closing(exports.read(first)):
        second, third = make(2), make(3)
        assert [each.kept for each in (first, second, third)] == [True, False, True]


def test_no_room(start_exports, order, query, ended, settled):
    exports = start_exports(max_bytes=1 << 20)
    export = ended(exports.submit(order(query("endless")), prepared=True))
    assert (export.state, export.error.code) == ("failed", "no_room")
    settled(exports)
    assert not export.journal.path.exists()


def test_a_full_disk_ends_that_export_only(
    start_exports, order, numbers, query, ended, until, newest_recorder
):
    exports = start_exports()
    recorder = newest_recorder()
    until(lambda: recorder.children())
    for process in (recorder, *recorder.children()):
        _, most = process.rlimit(psutil.RLIMIT_FSIZE)
        process.rlimit(psutil.RLIMIT_FSIZE, (1 << 20, most))
    large = exports.submit(order(query("endless")), prepared=True)
    small = exports.submit(order(numbers), prepared=True)
    assert (ended(large).state, large.error.code) == ("failed", "disk_full")
    assert ended(small).state == "complete"


# Processes that die


def test_a_killed_recording_fails_and_gives_its_place(start_exports, order, query, numbers, until):
    exports = start_exports(running=1)
    export = exports.submit(order(query("endless")), prepared=True)
    waiting = exports.submit(order(numbers), prepared=True)
    os.kill(until(lambda: process_of(export)).pid, signal.SIGKILL)
    until(lambda: waiting.state == "complete")
    assert (export.state, export.error.code) == ("failed", "recorder_lost")
    assert not export.journal.path.exists()


def test_a_killed_fork_server_fails_what_runs_and_another_takes_over(
    start_exports, order, query, numbers, ended, newest_recorder
):
    exports = start_exports()
    running = [exports.submit(order(query("endless"), e), prepared=True) for e in ("csv", "tsv")]
    lost = newest_recorder()
    lost.kill()
    assert [ended(export).error.code for export in running] == ["recorder_lost"] * 2
    assert ended(exports.submit(order(numbers), prepared=True)).state == "complete"
    assert newest_recorder() != lost


def test_a_killed_fork_server_costs_nothing_that_waits(
    blocked, order, numbers, ended, newest_recorder
):
    extensions = ("csv", "tsv", "json")
    queue = [blocked.submit(order(numbers, each), prepared=True) for each in extensions]
    newest_recorder().kill()
    assert ended(blocked.blocker).error.code == "recorder_lost"
    assert [ended(export).state for export in queue] == ["complete"] * 3


def no_descriptor(*args):
    raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))


def test_what_cannot_be_started_fails_and_costs_nothing_later(
    start_exports, order, query, numbers, ended, newest_recorder, monkeypatch
):
    exports = start_exports(running=2)
    running = [exports.submit(order(query("silent"), e), prepared=True) for e in ("csv", "tsv")]
    queue = [exports.submit(order(numbers, e), prepared=True) for e in ("csv", "tsv", "json")]
    with monkeypatch.context() as patch:
        patch.setattr(socket, "socketpair", no_descriptor)
        newest_recorder().kill()
        assert [ended(export).error.code for export in queue] == ["not_started"] * 3
        assert [ended(each).error.code for each in running] == ["recorder_lost"] * 2
    assert ended(exports.submit(order(numbers), prepared=True)).state == "complete"


def test_stop_leaves_no_process_and_says_so(start_exports, order, query, newest_recorder):
    exports = start_exports(running=1)
    recorder = newest_recorder()
    running = exports.submit(order(query("endless")), prepared=True)
    waiting = exports.submit(order(query("endless"), "tsv"), prepared=True)
    processes = [recorder, *recorder.children()]
    exports.stop()
    psutil.wait_procs(processes, timeout=5)
    assert not any(process.is_running() for process in processes)
    assert [each.error.code for each in (running, waiting)] == ["interrupted"] * 2


# Orders and reports that are too large for a datagram


def test_a_very_wide_table(start_exports, make_database, order, ended):
    names = [
        f"column {i:04} with a rather long name that says what it is all about" for i in range(1900)
    ]
    columns = ", ".join(f'"{name}" integer' for name in names)
    source = TableSource("wide", make_database(f"create table wide ({columns})"), "wide")
    export = ended(start_exports().submit(order(source), prepared=True), timeout_s=3)
    assert export.state == "complete"


def test_a_very_long_failure(start_exports, make_database, order, numbers, ended):
    name = "a" * 50_000
    database = make_database(
        f"create table long ({name} text)", "insert into long values (cast(x'ff' as text))"
    )
    exports = start_exports()
    failing = exports.submit(order(TableSource("long", database, "long")), prepared=True)
    assert ended(failing).error.code == "cannot_encode"
    assert ended(exports.submit(order(numbers), prepared=True)).state == "complete"


# A restart


@pytest.fixture
def crash(tmp_path):
    """crash(exports): a copy of its folder as it is now, which is what a SIGKILL would leave."""
    return lambda: shutil.copytree(tmp_path / "recordings", tmp_path / "after the crash")


def test_what_is_submitted_has_its_record_at_once(blocked, order, numbers):
    """Else nothing would be known of what a crash has torn, nor that somebody has its bytes."""
    waiting = blocked.submit(order(numbers), prepared=True)
    for export, state in ((blocked.blocker, "running"), (waiting, "queued")):
        record = json.loads(record_path(export.journal.path).read_text())
        assert (record["state"], record["address"]) == (state, export.address)


def test_a_restart_keeps_what_is_complete(
    start_exports, order, numbers, numbers_csv, ended, settled, crash, read_all
):
    exports = start_exports()
    export = ended(exports.submit(order(numbers), prepared=True))
    settled(exports)
    again = start_exports(folder=crash())
    kept = again.submit(order(numbers), prepared=False)
    assert (kept.id, kept.state, kept.rows) == (export.id, "complete", 1000)
    assert kept.sha256 == hashlib.sha256(numbers_csv).hexdigest()
    assert read_all(again, kept) == numbers_csv


def test_a_restart_removes_what_is_torn(start_exports, order, query, until, crash):
    exports = start_exports()
    export = exports.submit(order(query("endless")), prepared=True)
    until(lambda: export.journal.size)
    folder = crash()
    again = start_exports(folder=folder).get(export.id)
    assert (again.state, again.error.code, again.kept) == ("failed", "interrupted", False)
    assert again.journal.size > 0, "that it had bytes is known, so nothing is added to them"
    assert again.address == export.address
    assert list(folder.glob("*.data")) == []


def test_a_restart_knows_what_has_failed(start_exports, order, query, ended, settled, crash):
    exports = start_exports()
    export = ended(exports.submit(order(query("hopeless")), prepared=True))
    settled(exports)
    again = start_exports(folder=crash()).get(export.id)
    assert (again.state, again.error) == ("failed", export.error)


def test_a_relative_folder_is_the_servers(
    start_exports, order, numbers, ended, monkeypatch, tmp_path
):
    monkeypatch.chdir(tmp_path)
    folder = Path(f"relative to {tmp_path.name}")
    export = ended(start_exports(folder=folder).submit(order(numbers), prepared=True))
    assert (export.state, export.journal.path.exists()) == ("complete", True)


def test_a_query_of_no_table(exports, order, query, read_all):
    source = query("select 'a:b' as \"x:y\", 1 as n")
    assert isinstance(source, QuerySource)
    export = exports.submit(order(source), prepared=False)
    assert read_all(exports, export) == b"x:y,n\na:b,1\n"
