"""The export runner with real recording processes."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import signal
import socket
import sqlite3
import subprocess
import threading
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from exports import exports as exports_module
from exports import runner as runner_module
from exports.errors import OwnerQueueFull, QueueFull, RecordingGone
from exports.state_records import StateRecords
from journal import JournalFailed
from sources.database import QuerySource, TableSource
from sources.sqlite.database import SqliteDatabase
from sources.sqlite.filters import read_filter
from state import State
from tests.conftest import QUERIES, all_exports
from wire.ranges import IntRange, SuffixRange


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
            return not exports._runner._underway

    def wait(exports):
        until(lambda: is_settled(exports))
        exports._store.wait()

    return wait


@pytest.fixture
def blocked(start_exports, query, spec):
    """A runner of one at a time whose one place is taken by `blocker`, until that is cancelled."""
    runner = start_exports(running=1, queued=3)
    runner.blocker = runner.submit(spec(query("silent")), background=True)
    return runner


# Recording


def test_an_export_is_whole(exports, spec, numbers, numbers_csv, read_all, ended):
    export = exports.submit(spec(numbers), background=False)
    assert read_all(exports, export) == numbers_csv
    assert (ended(export).state, export.rows) == ("complete", 1000)
    assert export.sha256 == hashlib.sha256(numbers_csv).hexdigest()
    assert export.journal.size == len(numbers_csv)


def test_a_reader_reads_while_it_is_recorded(exports, spec, query, until):
    export = exports.submit(spec(query("endless")), background=False)
    with closing(exports.read(export)) as reader:
        assert next(reader).startswith(b"i,text\n1,and so on\n")
        assert export.state == "running"
        exports.cancel(export)


def test_a_span_is_read(exports, spec, numbers, numbers_csv, ended):
    export = ended(exports.submit(spec(numbers), background=True))
    with closing(exports.read(export, 5, 25)) as reader:
        assert b"".join(reader) == numbers_csv[5:25]


def test_a_failing_source_says_why_after_what_it_gave(exports, spec, query, ended):
    export = exports.submit(spec(query("failing")), background=True)
    with closing(exports.read(export)) as reader:
        with pytest.raises(JournalFailed, match="malformed JSON") as caught:
            for _ in reader:
                pass
        assert reader.position > 0
    assert caught.value.code == "source_failed"
    assert (ended(export).state, export.error.code, export.retained) == (
        "failed", "source_failed", False,
    )  # fmt: skip


# Sharing


def test_the_same_spec_is_one_export(exports, spec, numbers):
    first = exports.submit(spec(numbers), background=False)
    assert exports.find(spec(numbers)) is first
    assert exports.submit(spec(numbers), background=False) is first


def test_a_complete_export_is_shared(exports, spec, numbers, ended):
    first = ended(exports.submit(spec(numbers), background=False))
    assert exports.submit(spec(numbers), background=False) is first


def test_sharing_prepares_for_both(exports, spec, numbers):
    export = exports.submit(spec(numbers), background=False)
    exports.submit(spec(numbers), background=True)
    exports.submit(spec(numbers), background=False)
    assert export.background


OTHER_SPECS = {
    "another format": ("tsv", ()),
    "another compression": ("csv.gz", ()),
    "another selection": ("csv", [("limit", "10")]),
    "another value": ("csv", [("id__gt", "10")]),
    "for excel": ("csv", [("excel", "1")]),
}


@pytest.mark.parametrize(("extension", "words"), OTHER_SPECS.values(), ids=OTHER_SPECS.keys())
def test_what_is_not_the_same_is_not_shared(exports, spec, numbers, extension, words):
    first = exports.submit(spec(numbers), background=True)
    assert exports.submit(spec(numbers, extension, words), background=True) is not first


def test_a_change_ends_sharing(exports, spec, numbers, change, read_all):
    first = exports.submit(spec(numbers), background=True)
    change(numbers.database.path, "insert into numbers values (2000, 'later')")
    second = exports.submit(spec(numbers), background=True)
    assert second is not first
    assert read_all(exports, second).endswith(b"2000,later\n")


def test_what_was_written_just_now_is_not_shared(exports, spec, numbers):
    def write():
        with closing(sqlite3.connect(numbers.database.path)) as connection, connection:
            connection.execute("update numbers set name = name || '!'")

    write()
    first = exports.submit(spec(numbers), background=True)
    write()
    assert exports.submit(spec(numbers), background=True) is not first


def test_a_commit_between_the_spec_and_the_snapshot_ends_sharing(
    blocked, spec, numbers, change, ended, read_all
):
    export = blocked.submit(spec(numbers), background=True)
    change(numbers.database.path, "insert into numbers values (2000, 'later')")
    blocked.cancel(blocked.blocker)
    assert read_all(blocked, ended(export)).endswith(b"2000,later\n")
    assert export.fingerprint is None
    assert blocked.submit(spec(numbers), background=True) is not export


def test_what_was_cancelled_is_not_shared(exports, spec, numbers):
    first = exports.submit(spec(numbers), background=True)
    exports.cancel(first)
    assert exports.submit(spec(numbers), background=True) is not first


def test_made_at_finds_every_production_of_an_address(start_exports, spec, numbers, change, ended):
    exports = start_exports()
    first = ended(exports.submit(spec(numbers), background=True))
    change(numbers.database.path, "alter table numbers add column more")
    second = ended(exports.submit(spec(numbers), background=True))
    exports.cancel(first)
    assert exports.made_at(spec(numbers).address()) == [second, first]
    assert first.identity != second.identity
    assert exports.made_at(spec(numbers, "tsv").address()) == []


def test_made_at_leaves_out_what_nobody_can_have_bytes_of(blocked, spec, numbers):
    export = blocked.submit(spec(numbers), background=True)
    assert blocked.made_at(export.address) == []


def test_two_sources_of_the_same_sql_are_not_shared(exports, spec, numbers):
    """Each has an address of its own, and what is remembered is remembered of an address."""
    first = exports.submit(spec(numbers), background=True)
    alias = exports.submit(spec(replace(numbers, name="alias")), background=True)
    assert alias is not first
    assert (alias.source, alias.address != first.address) == ("alias", True)


# Going on with a bare Range


REST, PIECE, END = [IntRange(500, None)], [IntRange(500, 600)], [SuffixRange(5)]
LATER = "insert into numbers values (2000, 'later')"
OTHER = "update numbers set name = 'other' where id = 1"
LAST = "update numbers set name = 'other' where id = 1000"

# What happens between two exports, and which ranges the second is proven to be right for.
CHANGES = {
    "nothing": ([], [REST, PIECE, END]),
    "rows are appended": ([LATER], [REST, PIECE, END]),
    "a row far behind is another": ([LAST], [REST]),
    "the first row is another": ([OTHER], []),
}


@pytest.fixture
def made(start_exports, spec, numbers, change, ended, settled):
    """made(*statements): two exports with these between them, the first without its bytes."""
    exports = start_exports()

    def submit():
        export = ended(exports.submit(spec(numbers), background=True, delivers=True))
        settled(exports)
        return export

    def make(*statements):
        first = submit()
        exports.cancel(first)
        change(numbers.database.path, *statements)
        return exports, first, submit()

    return make


@pytest.mark.parametrize(("statements", "right"), CHANGES.values(), ids=CHANGES.keys())
def test_a_bare_range_goes_on_where_the_bytes_are_proven(made, statements, right):
    exports, first, second = made(*statements)
    for specs in (REST, PIECE, END):
        want = second if specs in right else None
        assert exports.resumable(first.address, specs) is want
        assert exports.undecided(first.address, specs) is None


def test_a_bare_range_goes_on_at_the_end_of_what_was_appended_to(made):
    exports, first, second = made(LATER)
    assert exports.resumable(first.address, [IntRange(first.journal.size, None)]) is second
    assert exports.resumable(first.address, [IntRange(first.journal.size - 1, None)]) is second


def test_a_bounded_range_is_a_piece_also_where_it_ends_with_the_export(made):
    """The client may have pieces of the first, further on than the second has bytes at all."""
    exports, first, second = made("delete from numbers where id > 600", LAST)
    assert first.journal.size > second.journal.size
    assert exports.resumable(first.address, [IntRange(500, None)]) is second
    for last in (second.journal.size - 2, second.journal.size - 1, second.journal.size + 9):
        assert exports.resumable(first.address, [IntRange(500, last)]) is None


@pytest.mark.parametrize("specs", [REST, PIECE])
def test_what_is_proven_is_so_after_a_restart(made, start_exports, crash, specs):
    _, first, second = made(LATER)
    again = start_exports(folder=crash())
    assert again.resumable(first.address, specs) is again.get(second.id)
    assert again.get(second.id).beginning() == second.beginning()
    assert again.get(first.id).beginning() == first.beginning()


def test_records_without_a_chain_prove_what_their_sha256_does(made, start_exports, crash):
    _, first, second = made(LATER)
    folder = crash()
    for export in (first, second):
        remove_from_record(folder, export.id, "digest", "links")
    again = start_exports(folder=folder)
    assert again.resumable(first.address, REST) is None
    assert again.get(first.id).beginning().size == first.journal.size


def test_what_was_cancelled_is_compared_as_far_as_it_came(start_exports, spec, query, until):
    exports = start_exports()
    source = query("endless")

    def begin():
        export = exports.submit(spec(source), background=True, delivers=True)
        until(lambda: export.journal.size > 100_000)
        return export

    first = begin()
    exports.cancel(first)
    second = begin()
    at_the_end = [IntRange(first.journal.size, None)]
    until(lambda: exports.resumable(first.address, at_the_end) is second)
    assert exports.resumable(first.address, PIECE) is second
    beyond = [IntRange(1 << 40, None)]
    assert exports.resumable(first.address, beyond) is None
    assert exports.undecided(first.address, beyond) is None
    exports.cancel(second)


def test_what_has_not_come_so_far_is_undecided(start_exports, spec, numbers, query, ended, settled):
    exports = start_exports(running=1)
    first = ended(exports.submit(spec(numbers), background=True, delivers=True))
    exports.cancel(first)
    settled(exports)
    blocker = exports.submit(spec(query("silent")), background=True)
    second = exports.submit(spec(numbers), background=True, delivers=True)
    for specs in (REST, PIECE):
        assert exports.resumable(first.address, specs) is None
        assert exports.undecided(first.address, specs) is second
    exports.cancel(blocker)
    ended(second)
    for specs in (REST, PIECE):
        assert exports.resumable(first.address, specs) is second


def test_what_nobody_was_given_is_nobodys_beginning(
    start_exports, spec, numbers, change, ended, read_all
):
    exports = start_exports()
    first = ended(exports.submit(spec(numbers), background=True, delivers=True))
    change(numbers.database.path, OTHER)
    second = ended(exports.submit(spec(numbers), background=True))
    assert exports.resumable(first.address, REST) is first
    read_all(exports, second)
    assert exports.resumable(first.address, REST) is None


def test_a_chain_is_written_down_while_it_grows(start_exports, spec, query, until, monkeypatch):
    monkeypatch.setattr(runner_module, "FIRST_SAVED_BYTES", 1000)
    exports = start_exports()
    export = exports.submit(spec(query("endless")), background=True)
    until(lambda: json.loads(exports._store.records.read(export.id))["links"])
    exports.cancel(export)


# Audiences


@pytest.fixture
def own(numbers):
    """The table `numbers`, of which each principal sees the rows up to its own number."""
    row_filter, problems = read_filter("id <= :principal.most and name <> :principal.name")
    assert problems == []
    return replace(numbers, where=row_filter)


def attributes_of(most):
    return {"most": str(most), "name": "number 2"}


def test_what_is_recorded_is_what_one_may_see(exports, spec, own, read_all):
    for most, want in {3: b"1,number 1\n3,number 3\n", "x": b"", "1' or 1": b""}.items():
        export = exports.submit(spec(own, attributes=attributes_of(most)), background=False)
        assert read_all(exports, export) == b"id,name\n" + want


def test_audiences_share_nothing(start_exports, spec, own, ended, read_all):
    exports = start_exports()
    one, other = (spec(own, attributes=attributes_of(most)) for most in (3, 4))
    export = ended(exports.submit(one, background=True))
    assert exports.find(other) is None
    assert exports.made_at(other.address()) == []
    assert exports.submit(other, background=True) is not export
    assert exports.find(one) is exports.submit(one, background=True) is export


def test_another_expression_is_another_audience(start_exports, spec, own, numbers, ended):
    """Else what was recorded under a wider one could be had after a restart."""
    exports = start_exports()
    wide, narrow = (read_filter(f"{n} and name > :principal.name")[0] for n in ("id < 9", "id < 8"))
    first = spec(replace(own, where=wide), attributes=attributes_of(3))
    second = spec(replace(own, where=narrow), attributes=attributes_of(3))
    ended(exports.submit(first, background=True))
    assert exports.made_at(second.address()) == exports.made_at(spec(numbers).address()) == []


def test_audience_and_owner_are_known_again_and_told_to_nobody(
    start_exports, spec, own, ended, settled, crash
):
    exports = start_exports()
    wanted = spec(own, attributes=attributes_of(7777))
    export = ended(exports.submit(wanted, background=True, owner="alice"))
    settled(exports)
    again = start_exports(folder=crash()).get(export.id)
    assert (again.visibility_key, again.owner) == (wanted.visibility_key, "alice")
    told = json.dumps(again.payload(None))
    assert all(word not in told for word in ("audience", "owner", "alice", "7777"))


def test_an_older_record_is_of_everybody(start_exports, spec, numbers, ended, settled, crash):
    exports = start_exports()
    export = ended(exports.submit(spec(numbers), background=True, owner="alice"))
    settled(exports)
    folder = crash()
    remove_from_record(folder, export.id, "audience", "owner")
    again = start_exports(folder=folder).get(export.id)
    assert (again.state, again.visibility_key, again.owner) == ("complete", "", "")


# The queue


def test_the_queue_is_bounded_and_in_order(blocked, spec, numbers, ended):
    words = [[("limit", str(n))] for n in range(1, 5)]
    queue = [blocked.submit(spec(numbers, "csv", each), background=True) for each in words[:3]]
    assert blocked._runner.waiting() == queue
    with pytest.raises(QueueFull) as caught:
        blocked.submit(spec(numbers, "csv", words[3]), background=True)
    assert caught.value.waiting == 3
    blocked.cancel(blocked.blocker)
    started = [ended(export).started_s for export in queue]
    assert [export.state for export in queue] == ["complete"] * 3
    assert started == sorted(started)


def test_what_is_shared_needs_no_place(blocked, spec, numbers):
    words = [[("limit", str(n))] for n in range(1, 4)]
    queue = [blocked.submit(spec(numbers, "csv", each), background=True) for each in words]
    assert blocked.submit(spec(numbers, "csv", words[0]), background=True) is queue[0]


@pytest.fixture
def ask(spec, numbers):
    """ask(exports, owner, n): submit the nth spec, each of other rows, for this owner."""

    def submit(exports, owner, n):
        return exports.submit(
            spec(numbers, "csv", [("limit", str(n))]), background=True, owner=owner
        )

    return submit


def places(exports, *owned):
    return [exports.queue_position(export) for export in owned]


def test_a_flood_holds_up_its_owner_only(start_exports, spec, query, ask, ended):
    exports = start_exports(running=1, queued=100)
    blocker = exports.submit(spec(query("silent")), background=True, owner="flood")
    flood = [ask(exports, "flood", n) for n in range(10)]
    others = [ask(exports, owner, n) for n, owner in ((20, "a"), (21, "a"), (22, "b"))]
    assert exports._runner.waiting() == [*(others[0], others[2], flood[0], others[1]), *flood[1:]]
    assert places(exports, *others, *flood[:3]) == [1, 4, 2, 3, 5, 6]
    foretold = exports._runner.waiting()
    exports.cancel(blocker)
    started = [ended(export).started_s for export in foretold]
    assert started == sorted(started)


def test_the_next_is_of_who_has_the_fewest_running(start_exports, spec, query, ask, until):
    exports = start_exports(running=3, queued=100)
    running = [
        exports.submit(spec(query("silent"), each), background=True, owner=owner)
        for each, owner in (("csv", "a"), ("tsv", "a"), ("json", "b"))
    ]
    slow = [
        exports.submit(spec(query("silent"), f"csv.{each}"), background=True, owner=owner)
        for each, owner in (("gz", "a"), ("zst", "b"))
    ]
    exports.cancel(running[0])
    until(lambda: [export.state for export in slow].count("running") == 1)
    assert slow[0].state == "running", "both have one, and its owner's latest turn is longer ago"
    exports.cancel(running[2])
    until(lambda: slow[1].state == "running")


def test_who_asks_for_what_waits_in_a_flood_does_not_wait_for_it(blocked, ask):
    blocked._max_queued = 10
    flood = [ask(blocked, "flood", n) for n in range(4)]
    assert ask(blocked, "a", 3) is flood[3]
    assert (flood[3].owner, places(blocked, *flood)) == ("flood", [1, 3, 4, 2])


def test_one_owner_may_have_so_many_waiting(start_exports, spec, query, ask):
    exports = start_exports(running=1, queued=5, queued_per_owner=2)
    exports.submit(spec(query("silent")), background=True, owner="a")
    first, _ = (ask(exports, "a", n) for n in range(2))
    with pytest.raises(OwnerQueueFull) as caught:
        ask(exports, "a", 2)
    assert (caught.value.waiting, str(caught.value)[:9]) == (2, "2 of your")
    assert ask(exports, "a", 0) is first, "what is shared needs no place"
    assert ask(exports, "b", 2).state == "queued"
    exports.cancel(first)
    assert ask(exports, "a", 3).state == "queued"


def test_all_owners_together_may_have_so_many_waiting(start_exports, spec, query, ask):
    exports = start_exports(running=1, queued=2, queued_per_owner=2)
    exports.submit(spec(query("silent")), background=True, owner="a")
    for n, owner in enumerate("ab"):
        ask(exports, owner, n)
    with pytest.raises(QueueFull):
        ask(exports, "c", 2)


def test_what_can_start_at_once_needs_no_place(start_exports, ask, ended):
    exports = start_exports(running=1, queued=0, queued_per_owner=0)
    assert ended(ask(exports, "a", 1)).state == "complete"


def test_a_queue_of_none_still_runs_what_can_run_at_once(start_exports, spec, numbers, ended):
    exports = start_exports(running=1, queued=0)
    assert ended(exports.submit(spec(numbers), background=True)).state == "complete"


def test_all_is_newest_first(exports, spec, numbers):
    made = [exports.submit(spec(numbers, each), background=True) for each in ("csv", "tsv", "json")]
    assert all_exports(exports)[:3] == made[::-1]


# Overtaking


@pytest.fixture
def crowded(start_exports, query, spec):
    """A runner whose one place is taken by `blocker`, of the owner a, which blocks writers."""
    runner = start_exports(running=1, most_open=6, queued=10)
    runner.blocker = runner.submit(spec(query("silent")), background=True, owner="a")
    return runner


@pytest.fixture
def in_wal(make_database):
    """in_wal(sql): the source of a query on a database in WAL mode, where no reader blocks."""
    database = make_database("create table t (x)", name="wal.db")
    keeps_the_log = sqlite3.connect(database)
    keeps_the_log.execute("pragma journal_mode = wal")
    keeps_the_log.execute("insert into t values (1)")
    keeps_the_log.commit()
    yield lambda sql: QuerySource("query", SqliteDatabase(database), QUERIES.get(sql, sql), ())
    keeps_the_log.close()


@pytest.fixture
def paused(crowded, spec, in_wal, until):
    """An export of the owner b that has begun and was paused, as `crowded` has no place for it."""
    export = crowded.submit(spec(in_wal("endless")), background=True, owner="b")
    until(lambda: export.paused)
    return export


@pytest.fixture
def process_status(until):
    """process_status(export, status): wait until its process has this status; return it."""

    def wait(export, status):
        process = until(lambda: process_of(export))
        until(lambda: process.status() == status)
        return process

    return wait


@pytest.mark.parametrize("owner", ["a", "b"])
@pytest.mark.parametrize("extension", ["csv", "parquet", "json.gz"])
def test_a_short_export_overtakes_a_long_one(
    crowded, spec, numbers, ended, read_all, owner, extension
):
    export = crowded.submit(spec(numbers, extension), background=True, owner=owner)
    assert (ended(export).state, export.rows) == ("complete", 1000)
    assert (crowded.blocker.state, crowded.blocker.paused) == ("running", False)
    assert hashlib.sha256(read_all(crowded, export)).hexdigest() == export.sha256


def test_a_short_export_fails_with_what_is_wrong(crowded, spec, query, ended):
    export = ended(crowded.submit(spec(query("hopeless")), background=True, owner="a"))
    assert (export.state, export.error.code) == ("failed", "source_failed")


@pytest.mark.parametrize("extension", ["csv", "parquet"])
def test_what_is_long_and_blocks_writers_waits_without_a_trace(
    crowded, spec, query, until, newest_recorder, extension
):
    recorder = newest_recorder()
    export = crowded.submit(spec(query("endless"), extension), background=True, owner="b")
    until(lambda: not crowded._runner.schedule._works[export.id].tries_left)
    assert (export.state, export.journal.size, export.started_s) == ("queued", 0, None)
    assert not export.journal.path.exists()
    until(lambda: len(recorder.children()) == 2, timeout_s=5)  # the blocker and the spare
    crowded.cancel(crowded.blocker)
    until(lambda: export.state == "running" and export.rows > 1000)
    crowded.cancel(export)


def test_a_short_export_that_has_waited_for_a_lock_is_tried_again(
    crowded, spec, make_database, ended, until
):
    database = SqliteDatabase(make_database("create table l (x)", name="l.db"))
    wanted = spec(TableSource("locked", database, "l"))
    with closing(sqlite3.connect(database.path, isolation_level=None)) as writer:
        writer.execute("begin exclusive")
        export = crowded.submit(wanted, background=True, owner="b")
        work = crowded._runner.schedule._works[export.id]
        work.tries_left = 100  # a busy machine may use up three before the lock is free
        until(lambda: work.tries_left < 100)
    assert ended(export).state == "complete"
    assert crowded.blocker.state == "running"


def test_what_is_cancelled_while_it_is_tried_is_cancelled(crowded, spec, query, settled, until):
    export = crowded.submit(spec(query("endless")), background=True, owner="b")
    crowded.cancel(export)
    crowded.cancel(crowded.blocker)
    settled(crowded)
    assert (export.state, export.error.code) == ("cancelled", "cancelled")
    assert not export.journal.path.exists()


def test_a_recorder_that_dies_while_it_is_tried_costs_nothing(
    crowded, spec, query, in_wal, ended, settled, newest_recorder
):
    export = crowded.submit(spec(query("silent"), "tsv"), background=True, owner="b")
    newest_recorder().kill()
    assert ended(crowded.blocker).error.code == "recorder_lost"
    short = crowded.submit(spec(in_wal("select 1 as i")), background=True, owner="a")
    assert ended(short).state == "complete"
    assert export.state in ("queued", "running")
    crowded.cancel(export)
    settled(crowded)


def test_what_is_paused_holds_its_snapshot_and_blocks_no_writer(
    crowded, paused, process_status, in_wal, change, until
):
    process_status(paused, psutil.STATUS_STOPPED)
    assert (paused.state, paused.journal.size > 0) == ("running", True)
    assert paused.payload(None)["paused"] is True
    change(in_wal("endless").database.path, "insert into t values (2)")
    size = paused.journal.size
    crowded.cancel(crowded.blocker)
    until(lambda: paused.journal.size > size)
    assert (paused.state, paused.paused) == ("running", False)
    crowded.cancel(paused)


def test_what_is_paused_can_be_cancelled(crowded, paused, process_status, settled):
    process = process_status(paused, psutil.STATUS_STOPPED)
    crowded.cancel(paused)
    psutil.wait_procs([process], timeout=5)
    assert not process.is_running()
    assert (paused.state, paused.payload(None)["paused"]) == ("cancelled", False)
    crowded.cancel(crowded.blocker)
    settled(crowded)
    assert not paused.journal.path.exists()


def test_a_paused_recorder_that_dies_fails_its_export(crowded, paused, process_status, ended):
    process_status(paused, psutil.STATUS_STOPPED).kill()
    assert (ended(paused).state, paused.error.code) == ("failed", "recorder_lost")
    assert crowded.blocker.state == "running"


def test_a_killed_fork_server_takes_what_is_paused(
    crowded, paused, process_status, ended, newest_recorder
):
    process = process_status(paused, psutil.STATUS_STOPPED)
    newest_recorder().kill()
    assert ended(paused).error.code == "recorder_lost"
    psutil.wait_procs([process], timeout=5)
    assert not process.is_running()


def test_stop_ends_what_is_paused(crowded, paused, process_status):
    process = process_status(paused, psutil.STATUS_STOPPED)
    crowded.stop()
    psutil.wait_procs([process], timeout=5)
    assert not process.is_running()
    assert paused.error.code == "interrupted"


def test_what_is_paused_is_torn_by_a_crash(crowded, paused, start_exports, crash):
    again = start_exports(folder=crash()).get(paused.id)
    assert (again.state, again.error.code, again.paused) == ("failed", "interrupted", False)
    assert again.journal.size > 0


@pytest.mark.usefixtures("quick_house")
def test_what_is_paused_and_read_by_nobody_is_given_up(
    start_exports, spec, query, in_wal, until, ended
):
    runner = start_exports(running=1, most_open=6, abandon_grace_s=0.5)
    runner.submit(spec(query("silent")), background=True, owner="a")
    export = runner.submit(spec(in_wal("endless")), background=False, owner="b")
    assert ended(export).error.code == "abandoned"


def test_a_locked_database_holds_up_its_own_exports_only(
    start_exports, spec, query, numbers, make_database, until, ended
):
    exports = start_exports(running=2, most_open=12)
    locked = TableSource(
        "locked", SqliteDatabase(make_database("create table l (x)", name="l.db")), "l"
    )
    wanted = [spec(locked, each) for each in ("csv", "tsv", "json", "ndjson")]
    long, short = spec(query("endless")), spec(numbers)
    with closing(sqlite3.connect(locked.database.path, isolation_level=None)) as writer:
        writer.execute("begin exclusive")
        waiting = [exports.submit(each, background=True, owner="a") for each in wanted]
        other = exports.submit(long, background=True, owner="a")
        small = exports.submit(short, background=True, owner="a")
        # The first would give up its place after 5 s.
        until(lambda: (other.journal.size and not small.is_open) or not waiting[0].is_open)
        assert (waiting[0].is_open, other.state, small.state) == (True, "running", "complete")
        writer.execute("rollback")
    until(lambda: not any(each.is_open for each in waiting))
    exports.cancel(other)


# Cancelling and leaving


def test_cancelling_what_waits(blocked, spec, numbers):
    export = blocked.submit(spec(numbers), background=True)
    blocked.cancel(export)
    assert (export.state, export.error.code) == ("cancelled", "cancelled")
    assert blocked._runner.waiting() == []
    with pytest.raises(RecordingGone):
        blocked.read(export)


def test_cancelling_what_runs_frees_process_and_file(exports, spec, query, until):
    export = exports.submit(spec(query("endless")), background=True)
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


def test_a_cancelled_place_is_free_again(blocked, spec, numbers, ended):
    export = blocked.submit(spec(numbers), background=True)
    blocked.cancel(blocked.blocker)
    assert ended(export).state == "complete"


def test_cancelling_what_is_complete_takes_its_bytes(exports, spec, numbers, ended, settled):
    export = ended(exports.submit(spec(numbers), background=True))
    settled(exports)
    exports.cancel(export)
    assert (export.state, export.retained) == ("complete", False)
    assert not export.journal.path.exists()
    with pytest.raises(RecordingGone, match=r"they were discarded$"):
        exports.read(export)


def test_who_reads_a_complete_export_reads_it_to_its_end(
    exports, spec, numbers, numbers_csv, ended
):
    export = ended(exports.submit(spec(numbers), background=True))
    with closing(exports.read(export)) as reader:
        exports.cancel(export)
        assert b"".join(reader) == numbers_csv
    assert not export.journal.path.exists()


def test_cancelling_before_the_file_is_made_leaves_none(
    start_exports, spec, numbers, until, settled, newest_recorder
):
    """The recording process lives on for a moment after `cancel`, and may make its file then."""
    exports = start_exports()
    recorder = newest_recorder()
    until(recorder.children)
    wanted = spec(numbers)  # asks the database, which is locked then
    with closing(sqlite3.connect(numbers.database.path, isolation_level=None)) as writer:
        writer.execute("begin exclusive")
        export = exports.submit(wanted, background=True)
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
    start_exports, spec, query, numbers, until, newest_recorder
):
    exports = start_exports(running=1)
    recorder = newest_recorder()
    (process,) = until(recorder.children)  # the spare, which is given the job
    with exports._lock:
        export = exports.submit(spec(query("hopeless")), background=True)
        waiting = exports.submit(spec(numbers), background=True)
        until(lambda: not process.is_running())
        exports.cancel(export)
    until(lambda: waiting.state == "complete")
    assert (export.state, export.error.code) == ("cancelled", "cancelled")


@pytest.fixture
def quick_house(monkeypatch):
    """The housekeeping comes round often."""
    monkeypatch.setattr(exports_module, "HOUSEKEEPING_S", 0.02)


@pytest.mark.usefixtures("quick_house")
def test_nobody_reads_it(start_exports, spec, query, ended):
    exports = start_exports(abandon_grace_s=0.05)
    export = ended(exports.submit(spec(query("silent")), background=False))
    assert (export.state, export.error.code) == ("cancelled", "abandoned")


@pytest.mark.usefixtures("quick_house")
def test_nobody_waits_for_it(start_exports, spec, query, numbers, ended):
    exports = start_exports(running=1, abandon_grace_s=0.05)
    exports.submit(spec(query("silent")), background=True)
    assert ended(exports.submit(spec(numbers), background=False)).error.code == "abandoned"


@pytest.mark.usefixtures("quick_house")
def test_what_is_read_or_prepared_is_not_abandoned(start_exports, spec, query, ended):
    exports = start_exports(running=4, abandon_grace_s=0.05)
    # To describe a query takes a while.
    csv, *others = [spec(query("silent"), each) for each in ("csv", "tsv", "json", "ndjson")]
    read = exports.submit(csv, background=False)
    with closing(exports.read(read)):
        prepared = exports.submit(others[0], background=True)
        for other in others[1:]:  # two rounds of the housekeeping
            ended(exports.submit(other, background=False))
        assert (read.state, prepared.state) == ("running", "running")
    assert ended(read).error.code == "abandoned"
    assert prepared.state == "running"


def test_one_that_waits_is_one():
    assert str(QueueFull(1)) == "1 export is waiting already"
    assert str(QueueFull(2)) == "2 exports are waiting already"
    assert str(OwnerQueueFull(1)).startswith("1 of your exports is waiting already; ")


# What is kept


@pytest.fixture
def three_sizes(start_exports, spec, numbers, numbers_csv, ended, settled):
    """A runner with room for two and a half exports, and one that makes the nth."""
    exports = start_exports(max_bytes=len(numbers_csv) * 5 // 2)

    def make(n):
        export = ended(exports.submit(spec(numbers, "csv", [("id__gt", str(-n))]), background=True))
        settled(exports)
        return export

    return exports, make


def test_the_oldest_unread_goes_first(three_sizes, read_all):
    exports, make = three_sizes
    first, second = make(1), make(2)
    read_all(exports, first)
    third = make(3)
    assert [each.retained for each in (first, second, third)] == [True, False, True]
    assert not second.journal.path.exists()
    with pytest.raises(RecordingGone, match=r"they made room for newer ones$"):
        exports.read(second)


def test_what_is_read_never_goes(three_sizes):
    exports, make = three_sizes
    first = make(1)
    with closing(exports.read(first)):
        second, third = make(2), make(3)
        assert [each.retained for each in (first, second, third)] == [True, False, True]


def test_no_room(start_exports, spec, query, ended, settled):
    exports = start_exports(max_bytes=1 << 20)
    export = ended(exports.submit(spec(query("endless")), background=True))
    assert (export.state, export.error.code) == ("failed", "no_room")
    settled(exports)
    assert not export.journal.path.exists()


def test_a_full_disk_ends_that_export_only(
    start_exports, spec, numbers, query, ended, until, newest_recorder
):
    exports = start_exports()
    recorder = newest_recorder()
    until(lambda: recorder.children())
    for process in (recorder, *recorder.children()):
        _, most = process.rlimit(psutil.RLIMIT_FSIZE)
        process.rlimit(psutil.RLIMIT_FSIZE, (1 << 20, most))
    large = exports.submit(spec(query("endless")), background=True)
    small = exports.submit(spec(numbers), background=True)
    assert (ended(large).state, large.error.code) == ("failed", "disk_full")
    assert ended(small).state == "complete"


# Processes that die


def test_a_killed_recording_fails_and_gives_its_place(start_exports, spec, query, numbers, until):
    exports = start_exports(running=1)
    export = exports.submit(spec(query("endless")), background=True)
    waiting = exports.submit(spec(numbers), background=True)
    os.kill(until(lambda: process_of(export)).pid, signal.SIGKILL)
    until(lambda: waiting.state == "complete")
    assert (export.state, export.error.code) == ("failed", "recorder_lost")
    assert not export.journal.path.exists()


def test_a_killed_fork_server_fails_what_runs_and_another_takes_over(
    start_exports, spec, query, numbers, ended, newest_recorder
):
    exports = start_exports()
    running = [exports.submit(spec(query("endless"), e), background=True) for e in ("csv", "tsv")]
    lost = newest_recorder()
    lost.kill()
    assert [ended(export).error.code for export in running] == ["recorder_lost"] * 2
    assert ended(exports.submit(spec(numbers), background=True)).state == "complete"
    assert newest_recorder() != lost


def test_a_killed_fork_server_costs_nothing_that_waits(
    blocked, spec, numbers, ended, newest_recorder
):
    extensions = ("csv", "tsv", "json")
    queue = [blocked.submit(spec(numbers, each), background=True) for each in extensions]
    newest_recorder().kill()
    assert ended(blocked.blocker).error.code == "recorder_lost"
    assert [ended(export).state for export in queue] == ["complete"] * 3


def no_descriptor(*args):
    raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))


def test_what_cannot_be_started_fails_and_costs_nothing_later(
    start_exports, spec, query, numbers, ended, newest_recorder, monkeypatch
):
    exports = start_exports(running=2)
    running = [exports.submit(spec(query("silent"), e), background=True) for e in ("csv", "tsv")]
    queue = [exports.submit(spec(numbers, e), background=True) for e in ("csv", "tsv", "json")]
    with monkeypatch.context() as patch:
        patch.setattr(socket, "socketpair", no_descriptor)
        newest_recorder().kill()
        assert [ended(export).error.code for export in queue] == ["not_started"] * 3
        assert [ended(each).error.code for each in running] == ["recorder_lost"] * 2
    assert ended(exports.submit(spec(numbers), background=True)).state == "complete"


def test_stop_leaves_no_process_and_says_so(start_exports, spec, query, newest_recorder):
    exports = start_exports(running=1)
    recorder = newest_recorder()
    running = exports.submit(spec(query("endless")), background=True)
    waiting = exports.submit(spec(query("endless"), "tsv"), background=True)
    processes = [recorder, *recorder.children()]
    exports.stop()
    psutil.wait_procs(processes, timeout=5)
    assert not any(process.is_running() for process in processes)
    assert [each.error.code for each in (running, waiting)] == ["interrupted"] * 2


# Specs and reports that are too large for a datagram


def test_a_very_wide_table(start_exports, make_database, spec, ended):
    names = [
        f"column {i:04} with a rather long name that says what it is all about" for i in range(1900)
    ]
    columns = ", ".join(f'"{name}" integer' for name in names)
    source = TableSource(
        "wide", SqliteDatabase(make_database(f"create table wide ({columns})")), "wide"
    )
    export = ended(start_exports().submit(spec(source), background=True), timeout_s=3)
    assert export.state == "complete"


def test_a_very_long_failure(start_exports, make_database, spec, numbers, ended):
    name = "a" * 50_000
    database = make_database(
        f"create table long ({name} text)", "insert into long values (cast(x'ff' as text))"
    )
    exports = start_exports()
    failing = exports.submit(
        spec(TableSource("long", SqliteDatabase(database), "long")), background=True
    )
    assert ended(failing).error.code == "cannot_encode"
    assert ended(exports.submit(spec(numbers), background=True)).state == "complete"


# A restart


@pytest.fixture
def crash(tmp_path):
    """crash(): a copy of recordings/ and state.db as they are, which a SIGKILL would leave."""

    def crash():
        copy = tmp_path / "after the crash"
        copy.mkdir()
        # By another process: SQLite's locks here go when this one closes the file.
        files = [tmp_path / "recordings", *tmp_path.glob("state.db*")]
        subprocess.run(["cp", "-r", *files, copy], check=True)
        return copy / "recordings"

    return crash


def remove_from_record(folder, export_id, *names):
    """Make a record one of an earlier version, which has no such fields."""
    records = StateRecords(State(folder.parent), lambda work: work())
    record = json.loads(records.read(export_id))
    for name in names:
        del record[name]
    records.write(export_id, json.dumps(record))


def test_what_is_submitted_has_its_record_at_once(blocked, spec, numbers):
    """Else nothing would be known of what a crash has torn, nor that somebody has its bytes."""
    waiting = blocked.submit(spec(numbers), background=True)
    for export, state in ((blocked.blocker, "running"), (waiting, "queued")):
        record = json.loads(blocked._store.records.read(export.id))
        assert (record["state"], record["address"]) == (state, export.address)


def test_nobody_waits_for_the_disk_of_another(start_exports, spec, numbers, until):
    """What is written of an export is written without the lock, which every other call needs."""
    begun, go_on = threading.Event(), threading.Event()

    def run_native(work):
        begun.set()
        go_on.wait(20)
        return work()

    exports = start_exports(run_native=run_native)
    wanted = spec(numbers)
    asking = threading.Thread(target=lambda: exports.submit(wanted, background=True))
    asking.start()
    until(begun.is_set)
    is_free = exports._lock.acquire(timeout=2)
    if is_free:
        exports._lock.release()
    go_on.set()
    asking.join()
    assert is_free


def test_who_was_cut_or_has_prepared_is_awaited(exports, spec, numbers, ended, read_all):
    export = ended(exports.submit(spec(numbers), background=True))
    assert export.is_awaited
    read_all(exports, export)
    assert not export.is_awaited
    with closing(exports.read(export)) as reader:
        next(reader)
    assert not export.is_awaited, "a small one has come whole"
    with closing(exports.read(export, 0, 100)) as reader:
        next(reader)
    assert export.is_awaited


def test_a_restart_keeps_what_is_complete(
    start_exports, spec, numbers, numbers_csv, ended, settled, crash, read_all
):
    exports = start_exports()
    export = ended(exports.submit(spec(numbers), background=True))
    settled(exports)
    again = start_exports(folder=crash())
    kept = again.submit(spec(numbers), background=False)
    assert (kept.id, kept.state, kept.rows) == (export.id, "complete", 1000)
    assert kept.sha256 == hashlib.sha256(numbers_csv).hexdigest()
    assert read_all(again, kept) == numbers_csv


def test_a_restart_removes_what_is_torn(start_exports, spec, query, until, crash):
    exports = start_exports()
    export = exports.submit(spec(query("endless")), background=True)
    until(lambda: export.journal.size)
    folder = crash()
    again = start_exports(folder=folder).get(export.id)
    assert (again.state, again.error.code, again.retained) == ("failed", "interrupted", False)
    assert again.journal.size > 0, "that it had bytes is known, so nothing is added to them"
    assert again.address == export.address
    assert list(folder.glob("*.data")) == []


def test_a_restart_knows_what_has_failed(start_exports, spec, query, ended, settled, crash):
    exports = start_exports()
    export = ended(exports.submit(spec(query("hopeless")), background=True))
    settled(exports)
    again = start_exports(folder=crash()).get(export.id)
    assert (again.state, again.error) == ("failed", export.error)


def test_a_relative_folder_is_the_servers(
    start_exports, spec, numbers, ended, monkeypatch, tmp_path
):
    monkeypatch.chdir(tmp_path)
    folder = Path(f"relative to {tmp_path.name}")
    export = ended(start_exports(folder=folder).submit(spec(numbers), background=True))
    assert (export.state, export.journal.path.exists()) == ("complete", True)


def test_a_query_of_no_table(exports, spec, query, read_all):
    source = query("select 'a:b' as \"x:y\", 1 as n")
    assert isinstance(source, QuerySource)
    export = exports.submit(spec(source), background=False)
    assert read_all(exports, export) == b"x:y,n\na:b,1\n"
