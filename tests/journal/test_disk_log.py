"""What a disk adds to the contract of an event log: it is there again, whatever happened."""

import os
import random
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from journal import (
    Condition,
    DiskLog,
    JournalFailed,
    JournalFull,
    NotReady,
    Publication,
    Receipt,
    Retention,
    SequenceConflict,
    StaleProducer,
    TopicClosed,
)
from tests.journal.event_logs import BARE, EVENTS, Disk, data_of, payloads_of, publication, read_all
from tests.topics.world import full_disk
from wire.cursors import parse_cursor
from wire.events import id_of

PROJECT = Path(__file__).parent.parent.parent


@pytest.fixture
def kind(tmp_path):
    return Disk(tmp_path / "log")


@pytest.fixture
def reopen(kind):
    """reopen(layout): the log on the same folder, opened anew, and what is kept of its topic a."""
    made = []

    def open_it(layout=EVENTS):
        for log in made:
            log.close()
        made.append(kind.make(layout))
        assert made[-1].try_open()
        return made[-1], made[-1].declare("a", kind.policy())

    yield open_it
    for log in made:
        log.close()


def append(log, *data, **how):
    (result,) = log.append("a", [publication(*data, **how)])
    return result


def segment_of(kind):
    (path,) = (kind.folder / "a").glob("*.ndjson")
    return path


def test_events_receipts_and_the_maker_are_there_again(kind, reopen):
    log, _ = reopen()
    log.declare("b", kind.policy(), maker="ann é")
    log.append("b", [publication(1)])
    receipt = append(log, 1, 2, key="k")
    append(log, 3)
    log, kept = reopen()
    assert log.topics() == ["a", "b"]
    assert append(log, 1, 2, key="k") == receipt
    assert data_of(kept) == [1, 2, 3]
    assert append(log, 4).id > receipt.id
    made = []
    log.subscribe(lambda news: None, lambda *topic: made.append(topic[:2]))
    log.declare("b", kind.policy(), maker="ben")
    assert made == [("b", "ann é")]


def test_bare_bytes_are_there_again(reopen):
    log, _ = reopen(BARE)
    log.append("a", [Publication([b"\n\\", b"\xff\0"])])
    log, kept = reopen(BARE)
    log.append("a", [Publication([b"third"])])
    assert payloads_of(kept) == [b"\n\\", b"\xff\0", b"third"]


def test_conditions_hold_over_a_restart(kind, reopen):
    log, _ = reopen()
    append(log, 1, condition=Condition(producer="p", epoch=3))
    append(log, 2, condition=Condition(producer="q", epoch=1))
    log, _ = reopen()
    assert isinstance(append(log, 3, condition=Condition(producer="p", epoch=2)), StaleProducer)
    assert isinstance(append(log, 3, condition=Condition(expected=1)), SequenceConflict)
    assert isinstance(
        append(log, 3, condition=Condition(producer="q", closes=True, epoch=1)), Receipt
    )
    for _ in range(2):
        log, kept = reopen()
        assert isinstance(append(log, 4), TopicClosed)
    assert data_of(kept) == [1, 2, 3]


def test_a_close_whose_event_a_crash_has_cut_off_closes_nothing(kind, reopen):
    """The fence came to the disk, its event did not."""
    log, _ = reopen()
    append(log, 1)
    append(log, 2, condition=Condition(producer="p", epoch=9, closes=True))
    log.close()
    path = segment_of(kind)
    os.truncate(path, path.stat().st_size - 10)
    log, kept = reopen()
    assert isinstance(append(log, 2, condition=Condition(producer="p", epoch=1)), Receipt)
    assert data_of(kept) == [1, 2]


@pytest.mark.parametrize("torn_bytes", [1, 10, 100])
def test_a_torn_tail_is_cut_off_and_its_retry_is_new(kind, reopen, torn_bytes):
    log, _ = reopen()
    append(log, 1)
    lost = append(log, "x" * 200, key="k")
    log.close()
    path = segment_of(kind)
    os.truncate(path, path.stat().st_size - torn_bytes)
    log, kept = reopen()
    assert data_of(kept) == [1]
    again = append(log, "x" * 200, key="k")
    assert again.id > lost.id
    assert parse_cursor(again.id).ordinal == 2
    assert kept.bounds().last == 2


def test_a_full_disk_keeps_nothing_says_so_and_takes_the_next(reopen):
    log, kept = reopen()
    append(log, 1)
    told, before = [], log.used()
    log.subscribe(told.append, lambda *topic: None)
    closing = Condition(producer="p", epoch=9, closes=True)
    with full_disk(), pytest.raises(JournalFull):
        append(log, 2, key="k", condition=closing)
    assert log.used() == before
    # Readers of several topics have waited for it.
    assert [(news.first, news.lines) for news in told] == [(2, [])]
    assert isinstance(append(log, 2, key="k"), Receipt)
    log, kept = reopen()
    assert data_of(kept) == [1, 2]
    assert isinstance(append(log, 3), Receipt)


def test_what_is_forgotten_is_there_again_when_it_is_declared(kind, reopen):
    log, _ = reopen()
    append(log, 1)
    log.forget("a")
    with pytest.raises(NotReady):
        append(log, 2)
    assert log.topics() == ["a"]
    kept = log.declare("a", kind.policy())
    append(log, 2)
    assert data_of(kept) == [1, 2]


def test_what_was_evicted_is_not_there_again(kind):
    policy = kind.policy(retention=Retention(max_records=2, max_bytes=2**20, max_age_s=3600))
    for numbers in ([1, 2, 3, 4], []):
        log = kind.make(EVENTS)
        assert log.try_open()
        kept = log.declare("a", policy)
        for number in numbers:
            append(log, number)
        if numbers:
            kept.expire(time.time())
        assert data_of(kept) == [3, 4]
        log.close()


def test_a_topic_that_finds_no_room_leaves_no_folder(kind):
    log = kind.make(EVENTS)
    assert log.try_open()
    with full_disk(), pytest.raises(JournalFull):
        log.declare("b", kind.policy(), "its maker")
    assert log.topics() == []
    log.declare("b", kind.policy(), "its maker")
    assert log.topics() == ["b"]
    log.close()


class HeldPublisher:
    """One event for a topic of an open log, held up before the disk from start until go_on."""

    def __init__(self, folder, topic):
        self.receipts = []
        self._waits, self._may_go_on = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._publish, args=(topic,))
        self.log = DiskLog(folder, EVENTS, run_native=self._run_native)
        self.log.try_open()

    def _publish(self, topic):
        self.receipts.extend(self.log.append(topic, [publication(1)]))

    def _run_native(self, work):
        if threading.current_thread() is self._thread:
            self._waits.set()
            assert self._may_go_on.wait(20)
        return work()

    def start(self):
        self._thread.start()
        assert self._waits.wait(20)

    def go_on(self):
        self._may_go_on.set()
        self._thread.join(20)


def test_nothing_that_waits_for_the_disk_is_behind_the_horizon(kind):
    """In real threads: the topic b has an event that is not on the disk yet."""
    held = HeldPublisher(kind.folder, "b")
    log = held.log
    for topic in "ab":
        log.declare(topic, kind.policy())
    before = append(log, 0)
    held.start()
    behind = append(log, 2)
    horizon, now = log.horizon(["a", "b"]), log.now()
    assert log.horizon(["a"]) > behind.id.encode()
    held.go_on()
    assert before.id.encode() < horizon < held.receipts[0].id.encode() < behind.id.encode()
    assert before.id < now < held.receipts[0].id
    assert log.horizon(["a", "b"]) > behind.id.encode()
    log.close()


def test_what_is_in_flight_is_waited_for_by_a_close(kind):
    held = HeldPublisher(kind.folder, "a")
    log = held.log
    kept = log.declare("a", kind.policy())
    held.start()
    closing = threading.Thread(target=log.close)
    closing.start()
    held.go_on()
    closing.join(20)
    assert held.receipts[0].count == 1
    assert kept.bounds().last == 1


def test_a_folder_is_of_one_log_at_a_time(kind, reopen):
    log, _ = reopen()
    other = DiskLog(kind.folder, EVENTS)
    assert not other.try_open()
    assert other.epoch == 0
    log.close()
    assert other.try_open()
    assert other.epoch > log.epoch
    other.close()


def test_who_was_closed_does_not_take_the_folder(kind, reopen):
    late = DiskLog(kind.folder, EVENTS)
    late.close()
    assert not late.try_open()
    reopen()


def test_one_that_is_closed_while_it_takes_the_folder_gives_it_back(kind, reopen):
    def run_native(work):
        done = work()
        late.close()
        return done

    late = DiskLog(kind.folder, EVENTS, run_native=run_native)
    assert not late.try_open()
    reopen()


def test_a_topic_that_cannot_be_read_is_an_error_and_holds_nothing(kind, reopen):
    log, _ = reopen()
    (kind.folder / "b" / "receipts").mkdir(parents=True)
    with pytest.raises(JournalFailed):
        log.declare("b", kind.policy())
    (kind.folder / "b" / "receipts").rmdir()
    log.declare("b", kind.policy())


# kill -9

APPENDER = """
import random, sys
from pathlib import Path
from journal import DiskLog
from tests.journal.event_logs import EVENTS, Disk, publication

kind = Disk(Path(sys.argv[1]))
log = kind.make()
assert log.try_open()
last = log.declare("a", kind.policy()).bounds().last
while True:
    numbers = range(last + 1, last + random.randint(2, 40))
    last = numbers[-1]
    group = [publication(n, "x" * (n * 7919 % 2_000), key=str(n)) for n in numbers]
    for number, receipt in zip(numbers, log.append("a", group)):
        print(number, receipt.id, flush=True)
"""


def append_until_killed(folder, acknowledgements):
    """Run APPENDER, kill it when it has said so much; return the receipts that it has said."""
    command = [sys.executable, "-c", APPENDER, str(folder)]
    with subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE) as process:
        said = [process.stdout.readline() for _ in range(acknowledgements)]
        process.kill()
        said += process.stdout.readlines()
    return dict(line.split() for line in said if line.endswith(b"\n"))


def test_what_has_a_receipt_survives_kill_9_and_its_retry_adds_nothing(kind, reopen):
    receipts = {}
    for _ in range(6):
        new = append_until_killed(kind.folder, random.randint(1, 120))
        assert not receipts.keys() & new.keys()
        receipts |= new
        log, kept = reopen()
        ids = [id_of(line) for line in read_all(kept)]
        assert ids == sorted(set(ids))
        assert set(receipts.values()) <= set(ids)
        for number, event_id in random.sample(sorted(receipts.items()), 1):
            n = int(number)
            again = append(log, n, "x" * (n * 7919 % 2_000), key=str(n))
            assert again.id == event_id.decode()
        log.close()
