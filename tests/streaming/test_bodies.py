from __future__ import annotations

import logging
from collections import Counter

import pytest

from journal import (
    ByteReader,
    Complete,
    DiskJournal,
    Failed,
    JournalFailed,
    MemoryJournal,
    ReaderLeft,
)
from streaming.bodies import StreamedBody


@pytest.fixture
def journal():
    made = MemoryJournal(1 << 20)
    made.append(b"0123456789")
    return made


@pytest.fixture(autouse=True)
def presence_is_asked_often(monkeypatch):
    monkeypatch.setattr("journal.reader.PRESENCE_CHECK_S", 0.01)


@pytest.fixture
def closed():
    """The readers that have been closed."""
    return []


@pytest.fixture
def reader(journal, closed):
    return lambda start=0, stop=None, **how: ByteReader(
        journal, start, stop, on_close=closed.append, **how
    )


@pytest.fixture
def endings(caplog):
    """endings(): how the transfers so far have ended, as the log says."""
    caplog.set_level(logging.INFO, logger="streaming.bodies")
    return lambda: [record.getMessage().split(" ending=")[1] for record in caplog.records]


def test_pieces_come_in_order(reader, closed):
    body = StreamedBody("test", [b"head ", reader(2, 4), b" and ", reader(7, 9), b" tail"])
    assert b"".join(body) == b"head 23 and 78 tail"
    body.close()
    assert len(closed) == 2


def test_what_is_read_stays_in_use_from_the_first_piece_to_the_last(reader, closed):
    readers = [reader(start, start + 1) for start in range(3)]
    body = StreamedBody("test", readers)
    for want in (b"0", b"1", b"2"):
        assert next(body) == want
        assert closed == []
    assert list(body) == []
    body.close()
    assert closed == readers


def test_the_first_chunk_is_pulled_at_once(reader):
    pulled = reader()
    body = StreamedBody("test", [pulled])
    assert pulled.position == 10
    assert next(body) == b"0123456789"
    body.close()


def test_what_fails_early_is_raised_before_there_is_a_body(journal, reader):
    journal.finish(Failed("source_failed", "the database stopped"))
    with pytest.raises(JournalFailed):
        StreamedBody("test", [reader(10)])


@pytest.mark.parametrize("why", ["failed", "left"])
def test_what_fails_early_leaves_no_reader(journal, reader, closed, endings, why):
    if why == "failed":
        journal.finish(Failed("source_failed", "the database stopped"))
    with pytest.raises((JournalFailed, ReaderLeft)):
        StreamedBody("test", [reader(10, has_left=lambda: True), b"between", reader(0, 4)])
    assert len(closed) == 2
    assert len(endings()) == 1
    assert endings()[0].startswith("failed (")


def test_what_cannot_be_opened_leaves_no_reader(tmp_path, closed):
    """As when there is no descriptor left: an OSError, which is no JournalError."""
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    journal = DiskJournal(tmp_path / "loop", size=10, end=Complete())
    with pytest.raises(OSError, match="loop"):
        StreamedBody("test", [ByteReader(journal, on_close=closed.append)])
    assert len(closed) == 1


def test_one_that_is_finished(journal, reader, closed, endings):
    journal.finish(Complete())
    body = StreamedBody("test", [reader()])
    assert list(body) == [b"0123456789"]
    body.close()
    assert len(closed) == 1
    assert endings() == ["finished"]


def test_one_that_the_client_cuts(reader, closed, endings):
    body = StreamedBody("test", [reader()])
    assert next(body) == b"0123456789"
    body.close()
    assert len(closed) == 1
    assert endings() == ["cut by the client"]


class Killed(BaseException):
    """What ends a greenlet, as greenlet.GreenletExit does."""


def write(body, error):
    """Do as the server whose write of the first chunk raises error."""
    try:
        next(body)
        raise error
    finally:
        body.close()


@pytest.mark.parametrize(
    ("error", "ending"),
    [(Killed, "cut by the server"), (BrokenPipeError, "cut by the client")],
)
def test_one_that_is_cut_while_it_is_written(reader, endings, error, ending):
    with pytest.raises(error):
        write(StreamedBody("test", [reader()]), error)
    assert endings() == [ending]


def test_what_is_sent_is_counted_as_it_goes(reader):
    sent = Counter(kind=5)
    body = StreamedBody("test", [b"abc", reader(0, 4)], sent, "kind")
    assert sent == {"kind": 5}
    next(body)
    assert sent == {"kind": 8}
    next(body)
    body.close()
    assert sent == {"kind": 12}


def test_one_that_fails_is_raised_after_its_bytes(journal, reader, closed, endings):
    journal.finish(Failed("source_failed", "the database stopped"))
    body = StreamedBody("test", [reader()])
    assert next(body) == b"0123456789"
    with pytest.raises(ConnectionResetError, match="the database stopped"):
        next(body)
    body.close()
    assert len(closed) == 1
    assert endings() == ["failed (the database stopped)"]


def test_one_whose_client_left_while_there_was_nothing_to_send(reader, closed):
    body = StreamedBody("test", [reader(has_left=lambda: True)])
    next(body)
    with pytest.raises(ConnectionResetError, match="the client has left"):
        next(body)
    body.close()
    assert len(closed) == 1


def test_one_that_was_never_read(reader, closed, endings):
    StreamedBody("test", [reader()]).close()
    assert len(closed) == 1
    assert endings() == ["cut by the client"]


def test_closing_again_changes_nothing(reader, closed, endings):
    body = StreamedBody("test", [reader()])
    body.close()
    body.close()
    assert len(closed) == 1
    assert len(endings()) == 1


def test_an_empty_one(journal, endings):
    journal.finish(Complete())
    body = StreamedBody("test", [ByteReader(journal, 10)])
    assert b"".join(body) == b""
    body.close()
    assert endings() == ["finished"]


def test_the_log_counts_what_was_sent(reader, caplog):
    caplog.set_level(logging.INFO, logger="streaming.bodies")
    body = StreamedBody("export=x", [b"abc", reader(0, 4)])
    assert b"".join(body) == b"abc0123"
    body.close()
    assert "transfer export=x bytes=7 seconds=0." in caplog.text
