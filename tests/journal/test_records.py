"""The one contract suite, run on every kind of journal of records."""

import sys
import tempfile
import threading
import tracemalloc
from itertools import accumulate
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from journal import DiskRecords, JournalFull, Layout, MemoryRecords, Retention

BLOCK_BYTES = 64 * 1024
AMPLE = Retention(max_records=1_000_000, max_age_s=1e9, max_bytes=1 << 30)


def id_of(line):
    if line[8:9] != b" ":
        raise ValueError("no record")
    return line[:8]


LAYOUT = Layout(id_of, lambda line: float(line[9:18]))


def record(number, time_s=0.0, size=20):
    """A line of size bytes, at least 20; its id is even, so that there are ids between."""
    return b"%08d %09.3f " % (2 * number, time_s) + b"\r" * (size - 20) + b"\n"


def records_of(numbers, **how):
    return [record(number, **how) for number in numbers]


@pytest.fixture(params=["memory", "disk"])
def make(request, tmp_path):
    """make(**retention): a journal of each kind; it is closed afterwards."""
    made = []

    def make(**changes):
        retention = AMPLE._replace(**changes)
        if request.param == "memory":
            made.append(MemoryRecords(LAYOUT, retention))
        else:
            made.append(DiskRecords(tmp_path / f"{len(made)}", LAYOUT, retention))
        return made[-1]

    yield make
    for journal in made:
        journal.close()


def read_all(journal, start, max_bytes=1 << 16):
    got = []
    while lines := journal.read(start + len(got), max_bytes):
        got += lines
    return got


def test_an_empty_journal(make):
    journal = make()
    assert (journal.first, journal.last, journal.size_bytes) == (1, 0, 0)
    assert journal.read(1, 100) == journal.read(0, 100) == []
    assert journal.after(b"") == journal.since(0) == 1
    assert journal.expire(1e12) == 0
    assert journal.append([]) == 0


def test_ordinals_go_on_from_1(make):
    journal = make()
    assert journal.append(records_of([1, 2, 3])) == 3
    assert journal.append([record(4)]) == 4
    assert (journal.first, journal.last, journal.size_bytes) == (1, 4, 80)
    assert journal.read(1, 1000) == records_of([1, 2, 3, 4])
    assert journal.read(4, 1000) == [record(4)]
    assert journal.read(5, 1000) == journal.read(0, 1000) == journal.read(-1, 1000) == []


SIZES = [20, 100, 5_000, 70_000, 20, 20, 40_000, 40_000, 4_096, 200_000, 20] * 3


@pytest.mark.parametrize("max_bytes", [1, 20, 41, 4_096, 64 * 1024, 256 * 1024, 1 << 30])
def test_a_read_is_within_its_bound_or_one_record(make, max_bytes):
    journal = make()
    written = [record(n, size=size) for n, size in enumerate(SIZES)]
    journal.append(written[:7])
    journal.append(written[7:])
    got = []
    while lines := journal.read(1 + len(got), max_bytes):
        assert len(lines) == 1 or sum(map(len, lines)) <= max_bytes
        got += lines
    assert got == written


def test_a_read_is_not_much_less_than_asked_for(make):
    journal = make()
    journal.append(records_of(range(10_000), size=200))
    assert [len(journal.read(start, 64 * 1024)) for start in (1, 328, 9_000)] == [327] * 3


def test_any_record_can_be_read_from(make):
    journal = make()
    written = [record(n, size=size) for n, size in enumerate(SIZES)]
    journal.append(written)
    for start in (*range(1, len(SIZES) + 1), *range(len(SIZES), 0, -1)):
        assert journal.read(start, 1)[0] == written[start - 1]


def test_after_is_the_first_with_a_greater_id(make):
    journal = make()
    journal.append(records_of(range(1, 1001), size=700))
    for number in range(1, 1001):
        assert journal.after(b"%08d" % (2 * number - 1)) == number
        assert journal.after(b"%08d" % (2 * number)) == number + 1
    assert journal.after(b"") == 1
    assert journal.after(b"~") == 1001


def test_since_is_the_first_of_that_time_or_later(make):
    journal = make()
    journal.append([record(n, time_s=n // 300 * 10, size=700) for n in range(1, 1001)])
    assert [journal.since(time_s) for time_s in (-1, 0, 0.001, 10, 10.001, 20, 30, 30.1)] == [
        *(1, 1, 300, 300, 600, 600, 900, 1001)
    ]


def test_the_oldest_are_let_go_of_by_count_exactly(make):
    journal = make(max_records=10)
    for number in range(1, 26):
        journal.append([record(number)])
    journal.expire(0)
    assert (journal.first, journal.last) == (16, 25)
    assert journal.read(15, 1000) == []
    assert journal.read(16, 1000) == records_of(range(16, 26))


def test_the_oldest_are_let_go_of_by_age_exactly(make):
    journal = make(max_age_s=10)
    journal.append([record(n, time_s=n, size=1000) for n in range(1, 501)])
    assert journal.expire(11) == 0
    assert journal.expire(100.5) == 90
    assert journal.first == journal.after(b"") == journal.since(0) == 91
    assert journal.expire(100.5) == 0
    assert read_all(journal, 91) == [record(n, time_s=n, size=1000) for n in range(91, 501)]


def test_the_oldest_are_let_go_of_by_bytes(make):
    journal = make(max_bytes=1_000_000)
    for number in range(0, 4_000, 50):
        journal.append(records_of(range(number, number + 50), size=1_000))
        journal.expire(0)
        kept_bytes = 1_000 * (journal.last + 1 - journal.first)
        assert min(journal.last * 1_000, 1_000_000) <= kept_bytes <= 1_000_000 + BLOCK_BYTES
        assert abs(journal.size_bytes - kept_bytes) <= BLOCK_BYTES
    kept = records_of(range(journal.first - 1, 4_000), size=1_000)
    assert read_all(journal, journal.first) == kept


def test_all_can_be_let_go_of_and_ordinals_go_on(make):
    journal = make(max_age_s=10)
    journal.append(records_of([1, 2, 3]))
    assert journal.expire(100) == 3
    assert (journal.first, journal.last, journal.size_bytes) == (4, 3, 0)
    assert journal.read(3, 100) == journal.read(4, 100) == []
    assert journal.after(b"") == journal.since(0) == 4
    assert journal.append([record(4, time_s=100)]) == 4
    assert journal.read(4, 100) == [record(4, time_s=100)]


def test_the_newest_that_was_let_go_of_is_known(make):
    journal = make(max_records=3)
    journal.append(records_of(range(1, 4)))
    journal.expire(0.0)
    assert journal.evicted == b""
    journal.append(records_of(range(4, 9)))
    journal.expire(0.0)
    assert journal.evicted == id_of(record(5))


def test_what_could_never_be_kept_is_refused_whole(make):
    journal = make(max_bytes=1_000)
    journal.append([record(1)])
    with pytest.raises(JournalFull):
        journal.append([record(2), record(3, size=1_001)])
    assert journal.append([record(4, size=1_000)]) == 2
    journal.expire(0)
    assert journal.read(2, 1) == [record(4, size=1_000)]


def test_memory_does_not_grow_with_what_there_has_been(make):
    journal = make(max_records=1_000)
    tracemalloc.start()
    try:
        for number in range(0, 30_000, 100):
            journal.append(records_of(range(number, number + 100), size=1_000))
            journal.expire(0)
        assert tracemalloc.get_traced_memory()[0] < 1_500_000
    finally:
        tracemalloc.stop()


def follow(journal, got, is_done):
    """Read from 1 on as a client does, noting (ordinal, line)."""
    place = 1
    while not (is_done() and place > journal.last):
        place = max(place, journal.first)
        lines = journal.read(place, 3_000)
        got += enumerate(lines, place)
        place += len(lines)


@pytest.fixture
def restless_threads():
    """Threads take turns every 10 us instead of every 5 ms: races have more chances."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


def test_readers_see_what_is_right_while_it_grows_and_shrinks(make, restless_threads):
    journal = make(max_records=300, max_bytes=600_000)
    is_done = threading.Event()
    got = [[] for _ in range(2)]
    threads = [threading.Thread(target=follow, args=(journal, g, is_done.is_set)) for g in got]
    for thread in threads:
        thread.start()
    for number in range(1, 3_000, 10):
        journal.append(records_of(range(number, number + 10), size=1_000))
        journal.expire(0)
    is_done.set()
    for thread in threads:
        thread.join(20)
    for mine in got:
        assert mine == sorted(mine)
        assert all(line == record(ordinal, size=1_000) for ordinal, line in mine)
        assert mine[-1][0] == 3_000


MODEL = Retention(max_records=60, max_age_s=50, max_bytes=1_000_000)


class MemoryMachine(RuleBasedStateMachine):
    """Does with a journal what a topic does, with a list of all lines ever beside it."""

    def __init__(self):
        super().__init__()
        self.lines, self.now_s, self.first = [], 0.0, 1
        self.folder = tempfile.TemporaryDirectory()
        self.journal = self.open()

    def open(self):
        return MemoryRecords(LAYOUT, MODEL)

    def first_by_bytes(self):
        sizes = accumulate(map(len, reversed(self.lines)))
        return len(self.lines) + 1 - sum(size <= MODEL.max_bytes for size in sizes)

    def first_by_time(self, time_s):
        return 1 + sum(LAYOUT.time_s_of(line) < time_s for line in self.lines)

    def check_let_go(self, *bounds):
        self.first = max(self.first, self.first_by_bytes(), *bounds)
        assert self.journal.first == self.first

    @rule(sizes=st.lists(st.integers(20, 60_000), max_size=40), dt_s=st.sampled_from([0, 1, 20]))
    def append(self, sizes, dt_s):
        self.now_s += dt_s
        numbers = range(len(self.lines) + 1, len(self.lines) + 1 + len(sizes))
        new = [record(n, self.now_s, size) for n, size in zip(numbers, sizes, strict=True)]
        self.lines += new
        assert self.journal.append(new) == self.journal.last == len(self.lines)
        self.check_append()

    def check_append(self):
        self.check_let_go(len(self.lines) + 1 - MODEL.max_records)

    @rule(dt_s=st.sampled_from([0, 10, 60]))
    def expire(self, dt_s):
        self.now_s += dt_s
        before = self.journal.first
        assert self.journal.expire(self.now_s) == self.journal.first - before
        by_count = len(self.lines) + 1 - MODEL.max_records
        self.check_let_go(by_count, self.first_by_time(self.now_s - MODEL.max_age_s))

    @rule(data=st.data(), max_bytes=st.sampled_from([1, 5_000, 100_000, 1 << 20]))
    def read(self, data, max_bytes):
        start = data.draw(st.integers(0, len(self.lines) + 1))
        lines = self.journal.read(start, max_bytes)
        assert bool(lines) == (self.first <= start <= len(self.lines))
        assert lines == self.lines[start - 1 :][: len(lines)] or not lines

    @rule(data=st.data(), between=st.integers(0, 1))
    def seek(self, data, between):
        number = data.draw(st.integers(0, len(self.lines)))
        assert self.journal.after(b"%08d" % (2 * number + between)) == max(self.first, number + 1)
        time_s = data.draw(st.integers(0, int(self.now_s) + 1))
        assert self.journal.since(time_s) == max(self.first, self.first_by_time(time_s))

    @invariant()
    def counts_its_bytes(self):
        kept_bytes = sum(map(len, self.lines[self.first - 1 :]))
        assert 0 <= self.journal.size_bytes - kept_bytes <= self.slack_bytes

    slack_bytes = 0

    def teardown(self):
        self.journal.close()
        self.folder.cleanup()


class DiskMachine(MemoryMachine):
    """The same on disk: bytes are let go of in blocks, and it is opened again now and then."""

    slack_bytes = BLOCK_BYTES

    def open(self):
        return DiskRecords(Path(self.folder.name), LAYOUT, MODEL)

    def check_append(self):
        assert self.journal.first == self.first

    def check_let_go(self, *bounds):
        exactly, by_bytes = max(self.first, *bounds), self.first_by_bytes()
        self.first = self.journal.first
        assert exactly <= self.first <= max(exactly, by_bytes)
        too_many = self.lines[self.first - 1 : max(0, by_bytes - 1)]
        assert sum(map(len, too_many)) <= BLOCK_BYTES

    @rule(torn=st.sampled_from([b"", b"0", b"no record\n", record(1), record(10**7)[:-1]]))
    def open_again(self, torn):
        self.journal.close()
        newest = max(Path(self.folder.name).glob("*.ndjson"), default=None)
        if newest is not None and newest.stat().st_size:
            newest.write_bytes(newest.read_bytes() + torn)
        self.journal = self.open()
        assert self.journal.first <= self.first
        self.first = self.journal.first
        assert self.journal.last == len(self.lines)


for machine in (MemoryMachine, DiskMachine):
    machine.TestCase.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
TestMemoryMachine = MemoryMachine.TestCase
TestDiskMachine = DiskMachine.TestCase
