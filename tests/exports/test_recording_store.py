"""What every recording store promises, on each kind."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from exports.disk_store import DiskStore
from exports.recording import WRITERS
from exports.recording_store import Found, RecordingStore, RecordingTarget
from journal import ByteReader, Complete, Failed, run_here
from state import State

# Each opens the same store again, as the next start of a server does. A kind more is one more row.
MAKERS: dict[str, Callable[[Path], RecordingStore]] = {
    "disk": lambda folder: DiskStore(folder / "recordings", State(folder), run_here),
}


@pytest.fixture(params=MAKERS)
def open_store(request, tmp_path) -> Iterator[Callable[[], RecordingStore]]:
    """open_store(): the store, started; each time as another process has it."""
    opened = []

    def start() -> RecordingStore:
        store = MAKERS[request.param](tmp_path)
        store.start()
        opened.append(store)
        return store

    yield start
    for store in opened:
        store.stop(20)


@pytest.fixture
def store(open_store):
    return open_store()


@pytest.fixture
def write():
    """write(store, id, data): what a recorder does with the target; the journal, not yet ended."""

    def append(store, export_id, data):
        target = RecordingTarget(*json.loads(json.dumps(store.target(export_id))))
        journal = WRITERS[target.kind](target)
        journal.append(data)
        return journal

    return append


# Bytes


def test_what_is_written_elsewhere_is_read_here(store, write):
    recording = store.open("one")
    journal = write(store, "one", b"first")
    assert (recording.size, recording.end, recording.read(0, 9)) == (0, None, b"")
    recording.advance(5)
    assert recording.read(1, 3) == b"irs"
    journal.append(b", second")
    journal.finish(Complete("5a"))
    recording.advance(13)
    recording.finish(Complete("5a"))
    with closing(recording):
        assert b"".join(ByteReader(recording)) == b"first, second"


def test_a_reader_waits_for_what_comes(store, write):
    recording = store.open("one")
    assert not recording.wait(0, 0.01)
    write(store, "one", b"x").finish(Complete())
    recording.advance(1)
    assert recording.wait(0, 20)


def test_what_was_written_is_found_again(open_store, write):
    write(open_store(), "one", b"x" * 10).finish(Complete())
    store = open_store()
    assert (list(store.ids()), store.find("one")) == (["one"], Found(10, is_being_written=False))
    with closing(store.open("one", size=10, end=Complete())) as recording:
        assert recording.read(0, 99) == b"x" * 10
    assert store.find("other") is None


def test_what_is_being_written_is_told(open_store, write):
    store = open_store()
    journal = write(store, "one", b"half")
    assert store.find("one") == open_store().find("one") == Found(4, is_being_written=True)
    journal.finish(Failed("test", "over"))
    assert store.find("one") == Found(4, is_being_written=False)


def test_what_is_removed_is_read_to_its_end_by_those_who_have_it(store, write, caplog):
    write(store, "one", b"bytes").finish(Complete())
    with closing(store.open("one", size=5, end=Complete())) as recording:
        assert recording.read(0, 1) == b"b"
        for _ in range(2):  # what is not there is removed, too
            store.remove("one")
        store.wait()
        assert recording.read(1, 9) == b"ytes"
    assert (list(store.ids()), store.find("one"), caplog.text) == ([], None, "")


def test_a_target_has_room_for_rows_that_wait(store):
    assert Path(store.target("one").scratch).is_dir()


# Records


def test_the_newest_record_is_known_again(open_store):
    store = open_store()
    for text in ("{}", '{"a": "é"}'):
        store.records.write("one", text)
    store.wait()
    records = open_store().records
    assert list(records.ids()) == ["one"]
    assert json.loads(records.read("one")) == {"a": "é"}


def test_records_are_those_written_the_longest_ago_first(open_store):
    store = open_store()
    for export_id in ("b", "a", "c", "b"):
        store.records.write(export_id, export_id)
        store.wait()
    assert list(open_store().records.ids()) == ["a", "c", "b"]


def test_a_record_that_is_removed_is_gone_even_if_it_waits(open_store):
    store = open_store()
    store.records.write("one", "1")
    store.wait()
    store.records.write("one", "2")
    store.records.write("two", "2")
    for export_id in ("one", "two", "none"):
        store.records.remove(export_id)
    store.wait()
    assert (list(store.records.ids()), store.records.read("one")) == ([], b"")


def test_a_record_needs_no_bytes_and_bytes_no_record(open_store, write):
    store = open_store()
    store.records.write("one", "1")
    write(store, "two", b"x").finish(Complete())
    store.wait()
    store = open_store()
    assert (list(store.records.ids()), list(store.ids())) == (["one"], ["two"])


def test_what_is_forgotten_stays_so(open_store):
    store = open_store()
    assert list(store.records.forgotten()) == []
    for stem in ("1234abcd", "0000ffff"):
        store.records.note_forgotten(stem)
    store.wait()
    assert sorted(open_store().records.forgotten()) == ["0000ffff", "1234abcd"]
