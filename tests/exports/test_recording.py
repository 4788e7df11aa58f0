"""Recording one export, in this process."""

from __future__ import annotations

import fcntl
import hashlib
import io
import threading

import openpyxl
import pyarrow as pa
import pytest

from exports.disk_store import DiskStore
from exports.job import Job
from exports.recording import BATCHES_AHEAD, read_ahead, record
from journal.disk import is_being_written
from sources.database import TableSource
from sources.sqlite.column_types import storage_of
from sources.sqlite.database import SqliteDatabase
from state import State


@pytest.fixture
def job(tmp_path, spec):
    """job(source, extension): the job for its rows; the file is tmp_path/recorded.data."""

    def make(source, extension="csv"):
        wanted = spec(source, extension)
        target = DiskStore(tmp_path, State(tmp_path)).target("recorded")
        return Job("the-id", target, extension, wanted.excel, wanted.query, wanted.source)

    return make


@pytest.fixture
def reports(job):
    """reports(source, extension): record it; all that is said about it."""

    def run(source, extension="csv"):
        said = []
        record(job(source, extension), said.append)
        return said

    return run


def links_of(reports):
    """The links that were said last."""
    return next(dict(each["links"]) for each in reversed(reports) if "links" in each)


def test_opened_then_progress_then_complete(reports, numbers, numbers_csv, tmp_path):
    first, *progress, last = reports(numbers)
    assert first == {"opened": True, "pausable": False}
    assert (last["complete"], last["rows"], last["bytes"]) == (True, 1000, len(numbers_csv))
    assert last["digest"] == hashlib.sha256(numbers_csv).hexdigest()
    assert all(each.keys() - {"links"} == {"rows", "bytes", "digest"} for each in progress)
    assert (tmp_path / "recorded.data").read_bytes() == numbers_csv


@pytest.mark.parametrize("extension", ["parquet", "arrow", "xlsx", "csv.gz", "json.zst"])
def test_what_is_said_is_what_is_in_the_file(reports, numbers, extension, tmp_path):
    *_, last = said = reports(numbers, extension)
    data = (tmp_path / "recorded.data").read_bytes()
    links = links_of(said)
    assert (last["complete"], last["rows"], last["bytes"]) == (True, 1000, len(data))
    assert last["digest"] == hashlib.sha256(data).hexdigest()
    assert links == {p: hashlib.sha256(data[:p]).hexdigest() for p in links}


@pytest.mark.parametrize("extension", ["csv", "parquet", "arrow", "xlsx"])
def test_that_rows_depend_on_the_clock_is_said_once(job, query, extension):
    asked = job(query("select date('now') as day from (values (1), (2))"), extension)
    said = []
    record(asked._replace(query=asked.query._replace(watches_clock=True)), said.append)
    assert said.count({"volatile": True}) == 1
    assert said[-1].get("rows") == 2


def test_a_sheet_is_named_after_its_source(reports, numbers, tmp_path):
    reports(numbers, "xlsx")
    sheet = openpyxl.load_workbook(io.BytesIO((tmp_path / "recorded.data").read_bytes())).active
    assert (sheet.title, sheet.max_row) == (numbers.name, 1001)


def test_progress_never_says_more_than_the_file_holds(job, query, tmp_path):
    path = tmp_path / "recorded.data"
    seen = []

    def report(said):
        if "bytes" in said:
            seen.append((said["bytes"], path.stat().st_size))
            begun = path.read_bytes()[: said["bytes"]]
            assert said["digest"] == hashlib.sha256(begun).hexdigest()

    record(job(query("failing")), report)
    assert seen
    assert all(said <= written for said, written in seen)
    assert seen == sorted(seen)


def test_links_are_at_marks_too(job, numbers, tmp_path):
    said = []
    record(job(numbers)._replace(marks=(5000, 77)), said.append)
    data = (tmp_path / "recorded.data").read_bytes()
    links = links_of(said)
    assert links.keys() == {77, 5000, *range(1024, len(data), 1024)}
    assert links[77] == hashlib.sha256(data[:77]).hexdigest()


FAILURES = {
    "at the first row": ("hopeless", "csv", "source_failed", "malformed JSON"),
    "at a later row": ("failing", "csv", "source_failed", "malformed JSON"),
    "while the types are looked for": ("failing", "parquet", "source_failed", "malformed JSON"),
    "an overflow in the query": (
        "select abs(-9223372036854775807 - 1) as x", "csv", "source_failed", "integer overflow",
    ),
    "a text that is no UTF-8": (
        "select cast(x'ff' as text) as x", "csv", "cannot_encode", "not valid UTF-8",
    ),
}  # fmt: skip


@pytest.mark.parametrize(
    ("sql", "extension", "code", "message"), FAILURES.values(), ids=FAILURES.keys()
)
def test_the_last_report_says_why_it_failed(reports, query, sql, extension, code, message):
    last = reports(query(sql), extension)[-1]
    assert last["failed"] == code
    assert message in last["message"]


def test_an_overflow_in_the_query_while_the_types_are_looked_for(reports, query):
    last = reports(query("select abs(-9223372036854775807 - 1) as x"), "parquet")[-1]
    assert last["failed"] == "source_failed"


def test_a_table_that_has_gone(job, make_database, change):
    source = TableSource("t", SqliteDatabase(make_database("create table t (x integer)")), "t")
    gone = job(source)
    change(source.database.path, "drop table t")
    said = []
    record(gone, said.append)
    assert said[-1]["failed"] == "source_failed"


def test_a_column_that_has_gone_is_not_its_own_name(job, make_database, change):
    database = make_database("create table t (a integer, b text)", "insert into t values (1, 'x')")
    gone = job(TableSource("t", SqliteDatabase(database), "t"))
    change(database, "alter table t drop column b")
    said = []
    record(gone, said.append)
    assert said[-1].get("failed") == "source_failed"


def test_a_folder_that_is_not_there(job, numbers, tmp_path):
    said = []
    record(
        job(numbers)._replace(
            target=DiskStore(tmp_path / "none", State(tmp_path / "none")).target("one")
        ),
        said.append,
    )
    assert said[-1]["failed"] == "not_written"


def test_the_file_is_locked_while_it_is_recorded(job, numbers, tmp_path):
    path = tmp_path / "recorded.data"
    seen = []

    def report(said):
        if said.get("bytes"):
            seen.append(is_being_written(path))

    record(job(numbers), report)
    assert seen
    assert all(seen)
    with path.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_a_job_crosses_as_json(job, numbers):
    sent = job(numbers)
    received = Job.from_json(sent.to_json())
    assert received == sent
    assert storage_of(received.query.columns[0]).affinity == "INTEGER"


# read_ahead


def batches(count):
    return (pa.record_batch({"x": [i]}) for i in range(count))


def test_read_ahead_gives_all_in_order():
    got = [batch.column(0)[0].as_py() for batch in read_ahead(batches(20), BATCHES_AHEAD)]
    assert got == list(range(20))


def test_read_ahead_raises_what_the_items_raise():
    def items():
        yield "one"
        raise ZeroDivisionError

    ahead = read_ahead(items(), 2)
    assert next(ahead) == "one"
    with pytest.raises(ZeroDivisionError):
        next(ahead)


def test_read_ahead_is_bounded(until):
    taken = []

    def items():
        for i in range(100):
            taken.append(i)
            yield i

    ahead = read_ahead(items(), 2)
    assert next(ahead) == 0
    until(lambda: len(taken) == 4)  # one handed out, two ready, one that waits for its place
    assert next(ahead) == 1
    until(lambda: len(taken) == 5)
    ahead.close()
    assert len(taken) < 10


def test_closing_read_ahead_ends_its_thread():
    before = threading.active_count()
    ahead = read_ahead(iter(range(10**9)), 2)
    next(ahead)
    assert threading.active_count() == before + 1
    ahead.close()
    assert threading.active_count() == before
