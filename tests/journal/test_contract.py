"""The one contract suite, run on every kind of journal."""

import threading

import pytest

from journal import (
    ByteReader,
    Complete,
    DiskJournal,
    Failed,
    JournalEnded,
    JournalFailed,
    MemoryJournal,
)
from journal.errors import JournalFull, ReaderLeft


@pytest.fixture(params=["memory", "disk"])
def journal(request, tmp_path):
    made = MemoryJournal(1 << 20) if request.param == "memory" else DiskJournal(tmp_path / "data")
    yield made
    made.finish(Failed("test", "the test is over"))
    made.close()


def in_background(function):
    thread = threading.Thread(target=function)
    thread.start()
    return thread


def test_positions_and_bytes(journal):
    assert journal.append(b"abc") == 3
    assert journal.append(memoryview(b"defg")) == 7
    assert journal.read(0, 100) == b"abcdefg"
    assert journal.read(2, 3) == b"cde"
    assert journal.read(7, 3) == b""
    assert journal.end is None


def test_a_byte_once_readable_stays(journal):
    journal.append(b"first")
    before = journal.read(0, 5)
    journal.append(b"second")
    assert journal.read(0, 5) == before == b"first"


def test_wait_returns_at_once_when_there_is_more(journal):
    journal.append(b"x")
    assert journal.wait(0, 0)


def test_wait_says_that_nothing_came(journal):
    journal.append(b"x")
    assert not journal.wait(1, 0.01)


def test_wait_wakes_on_append_and_on_end(journal):
    woken = []
    thread = in_background(lambda: woken.append(journal.wait(0, 10)))
    journal.append(b"x")
    thread.join(10)
    thread = in_background(lambda: woken.append(journal.wait(1, 10)))
    journal.finish(Complete())
    thread.join(10)
    assert woken == [True, True]


def test_the_first_end_counts(journal):
    journal.finish(Complete("00"))
    journal.finish(Failed("late", "too late"))
    assert journal.end == Complete("00")


def test_nothing_is_appended_after_the_end(journal):
    journal.finish(Complete())
    with pytest.raises(JournalEnded):
        journal.append(b"x")


def test_close_frees_and_reading_goes_on(journal):
    journal.append(b"abc")
    assert journal.read(0, 1) == b"a"
    journal.close()
    assert journal.read(1, 2) == b"bc"


def test_a_reader_follows_to_the_end(journal):
    got = []
    thread = in_background(lambda: got.extend(ByteReader(journal)))
    for piece in (b"one", b"two", b"three"):
        journal.append(piece)
    journal.finish(Complete())
    thread.join(10)
    assert b"".join(got) == b"onetwothree"


def test_a_reader_reads_its_span_only(journal):
    journal.append(b"0123456789")
    assert b"".join(ByteReader(journal, 2, 5)) == b"234"


def test_a_reader_of_a_failed_journal_gets_its_bytes_then_the_failure(journal):
    journal.append(b"half")
    journal.finish(Failed("source_failed", "the database went away"))
    reader = ByteReader(journal)
    assert next(reader) == b"half"
    with pytest.raises(JournalFailed, match="the database went away") as caught:
        next(reader)
    assert caught.value.code == "source_failed"


def test_a_reader_that_nobody_reads_for_ends(journal):
    with pytest.raises(ReaderLeft):
        next(ByteReader(journal, has_left=lambda: True))


def test_a_reader_says_once_that_it_is_closed(journal):
    closed = []
    reader = ByteReader(journal, on_close=closed.append)
    reader.close()
    reader.close()
    assert closed == [reader]


def test_fifty_readers_see_the_same_bytes(journal):
    got = [[] for _ in range(50)]
    threads = [in_background(lambda mine=mine: mine.extend(ByteReader(journal))) for mine in got]
    pieces = [bytes([i]) * 1000 for i in range(100)]
    for piece in pieces:
        journal.append(piece)
    journal.finish(Complete())
    for thread in threads:
        thread.join(10)
    assert {b"".join(mine) for mine in got} == {b"".join(pieces)}


def test_a_full_memory_journal_keeps_what_it_has():
    journal = MemoryJournal(4)
    journal.append(b"abc")
    with pytest.raises(JournalFull):
        journal.append(b"de")
    assert journal.append(b"d") == 4
    assert journal.read(0, 9) == b"abcd"
