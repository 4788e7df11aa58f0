"""Receipts on the disk: a retry after a crash, torn lines, what never came to be."""

import json
import os

import pytest

from journal import JournalFull, run_here
from journal.receipts import MAX_RECEIPTS, Receipts, StoredReceipt
from tests.topics.world import full_disk
from wire.cursors import Cursor, format_cursor


def kept(number, key=None):
    """The receipt of the how-manieth event of its topic."""
    event_id = format_cursor(Cursor(1, number, number, 7))
    return StoredReceipt(key or f"key {number}", f"digest {number}", event_id, 1)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "receipts"


@pytest.fixture
def opened(path):
    """opened(last): what is loaded from the file when the topic has so many events."""

    def open_it(last):
        receipts = Receipts(path)
        receipts.load(last)
        return receipts

    return open_it


def keep(receipts, *news):
    receipts.write(list(news), run_here)
    receipts.add(news)


def lines_of(path):
    return [json.loads(line)[0] for line in path.read_bytes().splitlines()]


def test_what_was_written_is_there_again(opened):
    first = opened(0)
    keep(first, kept(1), kept(2))
    keep(first, kept(3))
    for receipts in (first, opened(3)):
        assert [receipts.get("", f"key {n}") for n in (1, 2, 3)] == [kept(1), kept(2), kept(3)]
        assert receipts.get("", "key 4") is None


def test_a_receipt_whose_events_never_came_is_dropped_for_good(opened, path):
    """A crash between the two writes: the topic has one event, the file two receipts."""
    keep(opened(0), kept(1), kept(2))
    assert opened(1).get("", "key 2") is None
    assert lines_of(path) == ["key 1"]
    assert opened(9).get("", "key 2") is None


def test_all_are_known_when_their_events_are_no_longer_kept(opened):
    """The topic knows how many events it has had, though it has none."""
    keep(opened(0), kept(1), kept(2))
    assert opened(2).get("", "key 2") == kept(2)


TORN = {
    "in the last receipt": -10,
    "in its first character": -len(json.dumps(list(vars(kept(2)).values()))),
    "before its line feed": -1,
}


@pytest.mark.parametrize("length", TORN.values(), ids=TORN.keys())
def test_a_torn_last_line_costs_only_itself(opened, path, length):
    keep(opened(0), kept(1), kept(2))
    os.truncate(path, path.stat().st_size + length)
    receipts = opened(2)
    assert receipts.get("", "key 1") == kept(1)
    keep(receipts, kept(3))
    again = opened(3)
    assert (again.get("", "key 1"), again.get("", "key 3")) == (kept(1), kept(3))


JUNK = [
    b"\n",
    b"5\n",
    b"{}\n",
    b"null\n",
    b"[1,2,3,4]\n",
    b'["a"]\n',
    b"\xff\xfe\n",
    b'["a","b","c",1]\n',
]


@pytest.mark.parametrize("junk", JUNK)
def test_what_is_no_receipt_is_left_out(opened, path, junk):
    keep(opened(0), kept(1))
    path.write_bytes(junk + path.read_bytes())
    assert opened(1).get("", "key 1") == kept(1)
    assert lines_of(path) == ["key 1"]


def test_a_file_without_a_flaw_is_not_written_at_a_start(opened, path):
    keep(opened(0), kept(1))
    before = path.stat()
    opened(1)
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_a_full_disk_leaves_nothing_behind(opened, path):
    receipts = opened(0)
    keep(receipts, kept(1))
    with full_disk(), pytest.raises(JournalFull, match="File too large"):
        receipts.write([kept(2)], run_here)
    assert lines_of(path) == ["key 1"]


def test_a_sync_that_fails_leaves_nothing_behind(opened, path, monkeypatch):
    receipts = opened(0)
    keep(receipts, kept(1))

    def fail(fd):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fdatasync", fail)
    with pytest.raises(JournalFull, match="Input/output error"):
        receipts.write([kept(2)], run_here)
    assert lines_of(path) == ["key 1"]


def test_what_is_taken_back_was_never_there(opened, path):
    receipts = opened(0)
    keep(receipts, kept(1))
    receipts.write([kept(2), kept(3)], run_here)
    receipts.undo_write([kept(2), kept(3)], run_here)
    assert lines_of(path) == ["key 1"]
    keep(receipts, kept(2, "another key"))
    assert lines_of(path) == ["key 1", "another key"]


def test_nothing_is_taken_back_by_who_wrote_nothing(opened, path):
    receipts = opened(0)
    keep(receipts, kept(1))
    receipts.write([], run_here)
    receipts.undo_write([], run_here)
    assert lines_of(path) == ["key 1"]


def test_the_newest_are_remembered(opened, path, monkeypatch):
    assert MAX_RECEIPTS == 10_000
    monkeypatch.setattr("journal.receipts.MAX_RECEIPTS", 3)
    receipts = opened(0)
    for number in range(1, 21):
        keep(receipts, kept(number))
    for each in (receipts, opened(20)):
        assert [n for n in range(1, 21) if each.get("", f"key {n}")] == [18, 19, 20]
    assert len(lines_of(path)) <= 8


def test_the_file_is_bounded_while_it_grows(opened, path, monkeypatch):
    monkeypatch.setattr("journal.receipts.MAX_RECEIPTS", 3)
    receipts = opened(0)
    sizes = []
    for number in range(1, 31):
        keep(receipts, kept(number))
        sizes.append(len(lines_of(path)))
    assert max(sizes) <= 8


def test_in_memory_nothing_is_written(tmp_path):
    receipts = Receipts(None)
    receipts.load(5)
    keep(receipts, kept(1))
    receipts.undo_write([kept(1)], run_here)
    assert receipts.get("", "key 1") == kept(1)
    assert list(tmp_path.iterdir()) == []


def test_a_start_that_is_cut_off_loses_none(opened, path, monkeypatch):
    """The file is replaced by a whole one, or not at all."""
    keep(opened(0), kept(1), kept(2))

    def fail(fd):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="Input/output error"):
        opened(1)
    monkeypatch.undo()
    assert opened(2).get("", "key 2") == kept(2)
