"""What only the journal of records on disk does: files, crashes, full disks, damage."""

import errno
import gc
import os
import random
import resource
import subprocess
import sys
import tracemalloc
from itertools import pairwise
from pathlib import Path

import pytest

from journal import DiskRecords, JournalFailed, JournalFull, Layout, Retention

PROJECT = Path(__file__).parent.parent.parent

BLOCK_BYTES = 64 * 1024
AMPLE = Retention(max_records=1_000_000, max_age_s=1e9, max_bytes=1 << 30)

# Segments are at most an eighth of max_bytes: these are of 64 KiB or little more.
SMALL = AMPLE._replace(max_bytes=8 * BLOCK_BYTES)


def id_of(line):
    if line[8:9] != b" ":
        raise ValueError("no record")
    return line[:8]


LAYOUT = Layout(id_of, lambda line: float(line[9:18]))


def record(number, size=1_000):
    """A line of size bytes; its id is the number, and so is its time."""
    return b"%08d %09.3f " % (number, number) + b"x" * (size - 20) + b"\n"


def records(start, stop, size=1_000):
    return [record(number, size) for number in range(start, stop)]


@pytest.fixture
def open_journal(tmp_path):
    """open_journal(retention, run_native=...): the journal in tmp_path/topic, opened (again)."""
    opened = []

    def open_it(retention=AMPLE, **how):
        while opened:
            opened.pop().close()
        opened.append(DiskRecords(tmp_path / "topic", LAYOUT, retention, **how))
        return opened[-1]

    yield open_it
    while opened:
        opened.pop().close()


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "topic"


@pytest.fixture
def three_segments(open_journal, folder):
    """Three files of 70, 70 and 10 records; returns their paths."""
    journal = open_journal(SMALL)
    for start, stop in ((1, 71), (71, 141), (141, 151)):
        journal.append(records(start, stop))
    journal.close()
    return sorted(folder.iterdir())


def read_all(journal, start=1):
    got = []
    while lines := journal.read(start + len(got), 10_000):
        got += lines
    return got


def open_files():
    """The numbers of this process's descriptors; some may be closed by now."""
    return [int(path.name) for path in Path("/proc/self/fd").iterdir()]


def path_of(fd):
    return Path(f"/proc/self/fd/{fd}").resolve()


def errors_in(caplog):
    return [record.getMessage() for record in caplog.records]


# Files.


def test_the_files_hold_the_lines_and_nothing_else(three_segments):
    assert [path.name for path in three_segments] == [
        "00000000000000000001.ndjson",
        "00000000000000000071.ndjson",
        "00000000000000000141.ndjson",
    ]
    assert b"".join(path.read_bytes() for path in three_segments) == b"".join(records(1, 151))


def test_a_gigabyte_is_in_files_of_8_mib(open_journal, folder):
    journal = open_journal()
    for start in range(0, 20_000, 1_000):
        journal.append(records(start, start + 1_000))
    assert [path.stat().st_size for path in sorted(folder.iterdir())] == [9_000_000] * 2 + [
        2_000_000
    ]


def test_what_was_written_earlier_is_read_again(open_journal, three_segments):
    journal = open_journal(SMALL)
    assert (journal.first, journal.last, journal.size_bytes) == (1, 150, 150_000)
    assert journal.after(b"%08d" % 70) == journal.since(70.001) == 71
    assert journal.after(b"%08d" % 100) == journal.since(101) == 101
    assert journal.read(71, 1) == [record(71)]
    assert read_all(journal) == records(1, 151)
    assert journal.append([record(151)]) == 151


@pytest.mark.parametrize("size", [BLOCK_BYTES - 1, BLOCK_BYTES, BLOCK_BYTES + 1, 500_000])
def test_long_lines_are_read_again(open_journal, folder, size):
    written = [record(n, size) if n % 3 == 0 else record(n) for n in range(1, 21)]
    journal = open_journal(SMALL._replace(max_bytes=1 << 23))
    for line in written:
        journal.append([line])
    assert len(list(folder.iterdir())) == 1 or size == 500_000
    journal = open_journal(SMALL)
    assert read_all(journal) == written
    assert [journal.after(b"%08d" % number) for number in range(21)] == [*range(1, 22)]


def test_ordinals_survive_that_all_has_expired(open_journal, folder):
    journal = open_journal(AMPLE._replace(max_age_s=10))
    journal.append(records(1, 8))
    journal.expire(1_000)
    assert [path.stat().st_size for path in folder.iterdir()] == [0]
    journal = open_journal()
    assert (journal.first, journal.last, journal.size_bytes) == (8, 7, 0)
    assert journal.append([record(8)]) == 8
    assert open_journal().read(8, 100) == [record(8)]


def test_files_without_a_kept_record_are_removed(open_journal, folder):
    # What tests before this one have left open is not meant.
    gc.collect()
    journal = open_journal(SMALL)
    for start in range(0, 10_000, 10):
        journal.append(records(start, start + 10))
        journal.expire(0)
        assert journal.read(journal.first, 1)
        assert not any(f"{path_of(fd)}".endswith("ndjson (deleted)") for fd in open_files())
        on_disk = sum(path.stat().st_size for path in folder.iterdir())
        assert on_disk <= SMALL.max_bytes * 10 / 8 + BLOCK_BYTES
    assert journal.read(journal.first, 1) == [record(journal.first - 1)]


def test_files_of_others_are_left_alone(open_journal, folder, caplog):
    names = ["1.ndjson", "00000000000000000000.ndjson", "0000000000000000000x.ndjson", "receipts"]
    (folder / "00000000000000000009.ndjson").mkdir(parents=True)
    for name in names:
        (folder / name).write_bytes(b"mine\n")
    journal = open_journal()
    journal.append([record(1)])
    assert all((folder / name).read_bytes() == b"mine\n" for name in names)
    assert journal.read(1, 100) == [record(1)]
    assert len([message for message in errors_in(caplog) if "error=foreign" in message]) == 4


NO_RECORDS = {
    "the same id": [record(5)],
    "a smaller id": [record(4)],
    "the same id twice": [record(6), record(6)],
    "no id": [b"no record\n"],
    "no time": [b"00000006 0000x.000 \n"],
    "no line": [record(6)[:-1]],
    "two lines": [record(6) + record(7)],
    "nothing": [record(6), b""],
}


@pytest.mark.parametrize("lines", NO_RECORDS.values(), ids=NO_RECORDS.keys())
def test_what_could_not_be_read_again_is_not_taken(open_journal, lines):
    journal = open_journal()
    journal.append([record(5)])
    journal.append([])
    with pytest.raises(ValueError, match="a greater id"):
        journal.append(lines)
    assert journal.append([record(6)]) == 2
    assert read_all(journal) == [record(5), record(6)]


# What a crash leaves.


def test_an_append_that_was_cut_off_anywhere_is_cut_away(open_journal, folder, caplog):
    open_journal().append(records(1, 4, size=60))
    (path,) = folder.iterdir()
    for cut in range(60):
        path.write_bytes(b"".join(records(1, 4, size=60)) + record(4, size=60)[:cut])
        caplog.clear()
        journal = open_journal()
        assert (journal.first, journal.last, journal.size_bytes) == (1, 3, 180)
        assert [f"torn_bytes={cut}" in message for message in errors_in(caplog)] == [True] * (
            cut > 0
        )
        assert path.stat().st_size == 180
        assert journal.append([record(4, size=60)]) == 4
        assert read_all(journal) == records(1, 5, size=60)


TORN = {
    "no record": b"\0" * 100 + b"\n",
    "no record, and more of it": b"nothing\nat all\n",
    "no time": b"00000004 0000x.000 \n",
    "the same id again": record(3),
    "a smaller id": record(2),
    "a smaller id, then a part": record(2) + record(4)[:-1],
}


@pytest.mark.parametrize("torn", TORN.values(), ids=TORN.keys())
def test_what_cannot_be_a_record_is_cut_away(open_journal, folder, torn):
    open_journal().append(records(1, 4))
    (path,) = folder.iterdir()
    with path.open("ab") as file:
        file.write(torn)
    journal = open_journal()
    assert journal.last == 3
    assert [p.read_bytes() for p in folder.iterdir()] == [b"".join(records(1, 4))]
    assert journal.append([record(4)]) == 4


def test_records_behind_damage_are_put_aside(open_journal, folder, caplog):
    open_journal().append(records(1, 200))
    (path,) = folder.iterdir()
    lines = records(1, 200)
    lines[149] = b"\0" * 999 + b"\n"
    path.write_bytes(b"".join(lines))
    journal = open_journal()
    assert read_all(journal) == records(1, 150)
    assert (folder / f"{150:020}.damaged").read_bytes() == b"".join(lines[149:])
    assert any("error=damaged" in message for message in errors_in(caplog))
    assert journal.append([record(300)]) == 150


def test_an_empty_newest_file_is_gone_on_with(open_journal, three_segments, folder):
    (folder / f"{151:020}.ndjson").touch()
    journal = open_journal(SMALL)
    assert journal.last == 150
    assert journal.after(b"%08d" % 150) == 151
    assert journal.append([record(151)]) == 151
    assert read_all(journal) == records(1, 152)


# Files that are not as they were left.


def test_a_hole_is_a_failure_that_after_leads_over(open_journal, three_segments, caplog):
    three_segments[1].unlink()
    journal = open_journal(SMALL)
    assert journal.after(b"%08d" % 69) == 70
    assert journal.read(70, 10_000) == [record(70)]
    for start in (71, 140):
        with pytest.raises(JournalFailed, match="missing"):
            journal.read(start, 100)
    assert journal.after(b"%08d" % 70) == journal.since(100) == 141
    assert read_all(journal, 141) == records(141, 151)
    assert len([message for message in errors_in(caplog) if "error=missing" in message]) == 1
    assert journal.expire(0) == 0


def test_a_file_that_is_removed_while_it_is_used(open_journal, three_segments):
    journal = open_journal(SMALL)
    assert journal.since(0) == 1
    three_segments[0].unlink()
    with pytest.raises(JournalFailed):
        journal.read(10, 100)
    assert journal.after(b"") == 71
    assert read_all(journal, 71) == records(71, 151)


def test_a_file_that_is_cut_short_while_it_is_used(open_journal, three_segments):
    journal = open_journal(SMALL)
    assert journal.read(10, 1) == [record(10)]
    os.truncate(three_segments[0], 20_500)
    with pytest.raises(JournalFailed, match="truncated"):
        journal.read(50, 100)
    assert journal.read(1, 100_000) == records(1, 21)
    with pytest.raises(JournalFailed, match="missing"):
        journal.read(21, 100)
    assert journal.after(b"%08d" % 20) == 71


def test_lines_beyond_the_next_files_name_are_not_read(open_journal, three_segments, caplog):
    with three_segments[0].open("ab") as file:
        file.write(b"".join(records(71, 80)))
    journal = open_journal(SMALL)
    assert read_all(journal) == records(1, 151)
    assert journal.read(65, 10_000) == records(65, 71)
    assert [journal.after(b"%08d" % n) for n in (69, 70, 71)] == [70, 71, 72]
    assert any("error=overlap" in message for message in errors_in(caplog))


@pytest.mark.parametrize("damaged", [[1], [30], [60, 61], range(1, 68), range(65, 71)])
def test_a_damaged_line_keeps_its_place(open_journal, three_segments, damaged):
    lines = records(1, 71)
    for number in damaged:
        lines[number - 1] = b"?%999d\n" % number
    three_segments[0].write_bytes(b"".join(lines))
    journal = open_journal(SMALL)
    for start in (70, 10, 40):
        assert journal.read(start, 1) == [lines[start - 1]]
    assert read_all(journal) == lines + records(71, 151)
    whole = sorted({*range(1, 151)} - {*damaged})
    for before, number in pairwise(whole):
        assert before < journal.after(b"%08d" % before) <= number


def test_a_file_without_any_record_is_as_good_as_gone(open_journal, three_segments, caplog):
    three_segments[0].write_bytes(b"?\n" * 70)
    journal = open_journal(SMALL)
    with pytest.raises(JournalFailed, match="missing"):
        journal.read(1, 100)
    assert journal.after(b"") == 71
    assert any("missing from=1 to=70" in message for message in errors_in(caplog))


def test_the_newest_file_is_cut_short_and_publishing_goes_on(open_journal, three_segments):
    journal = open_journal(SMALL)
    journal.read(141, 100)
    os.truncate(three_segments[2], 5_000)
    for _ in range(2):
        with pytest.raises(JournalFailed, match="truncated"):
            journal.read(145, 1_000)
    assert journal.last == 150
    assert journal.append([record(151)]) == 151
    assert journal.read(151, 100) == [record(151)]


def test_the_newest_file_is_removed_and_publishing_goes_on(open_journal, folder, caplog):
    journal = open_journal()
    journal.append(records(1, 4))
    (folder / f"{1:020}.ndjson").unlink()
    assert journal.append([record(4)]) == 4
    assert any("error=changed_by_others" in message for message in errors_in(caplog))
    assert open_journal().read(4, 100) == [record(4)]


def test_an_empty_newest_file_is_removed_and_made_again(open_journal, folder):
    journal = open_journal(AMPLE._replace(max_age_s=10))
    journal.append(records(1, 8))
    journal.expire(1_000)
    (path,) = folder.iterdir()
    path.unlink()
    journal.append([record(1_000)])
    journal.expire(1_000)
    assert open_journal().read(8, 100) == [record(1_000)]


def test_a_folder_that_cannot_be_is_a_failure(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(JournalFailed) as caught:
        DiskRecords(tmp_path / "file" / "topic", LAYOUT, AMPLE)
    assert caught.value.code == "unreadable"


def test_a_folder_has_one_journal_at_a_time(open_journal, folder):
    open_journal().append([record(1)])
    with pytest.raises(JournalFailed) as caught:
        DiskRecords(folder, LAYOUT, AMPLE)
    assert caught.value.code == "in_use"
    del caught
    assert open_journal().append([record(2)]) == 2


# A disk that does not take it.


@pytest.fixture
def small_disk():
    """Every file of this process ends at 100,000 bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_keeps_what_was_appended_before(open_journal, folder, small_disk):
    journal = open_journal()
    journal.append(records(1, 91))
    for _ in range(2):
        with pytest.raises(JournalFull):
            journal.append(records(91, 111))
        assert journal.last == 90
        assert next(folder.iterdir()).stat().st_size == 90_000
    assert journal.append(records(91, 101)) == 100
    assert read_all(journal) == read_all(open_journal()) == records(1, 101)


def fail(*_):
    raise OSError(errno.EIO, "broken")


def test_what_cannot_be_cut_off_stops_appends_only(open_journal, folder, small_disk, monkeypatch):
    journal = open_journal()
    journal.append(records(1, 91))
    with monkeypatch.context() as patched:
        patched.setattr(os, "ftruncate", fail)
        for number in (91, 101):
            with pytest.raises(JournalFull):
                journal.append(records(number, number + 20))
        with pytest.raises(JournalFull):
            journal.append([record(121)])
        assert next(folder.iterdir()).stat().st_size == 100_000
        assert read_all(journal) == records(1, 91)
    assert journal.append([record(121)]) == 91
    assert read_all(journal) == read_all(open_journal()) == [*records(1, 91), record(121)]


def test_an_append_is_synced_before_it_is_seen(open_journal, folder, monkeypatch):
    journal, synced = open_journal(), []

    def note(fd, sync=os.fdatasync):
        synced.append((journal.last, path_of(fd).read_bytes()))
        sync(fd)

    monkeypatch.setattr(os, "fdatasync", note)
    journal.append([record(1), record(2)])
    journal.append([record(3)])
    assert synced == [(0, record(1) + record(2)), (2, b"".join(records(1, 4)))]


def test_a_new_file_and_its_folder_are_synced(open_journal, folder, monkeypatch):
    synced = []

    def note(fd, sync=os.fsync):
        synced.append((path_of(fd), len(list(folder.iterdir()))))
        sync(fd)

    monkeypatch.setattr(os, "fsync", note)
    journal = open_journal(SMALL)
    for start in (0, 100, 200):
        journal.append(records(start, start + 100))
    assert synced == [(folder.parent, 0), (folder, 1), (folder, 2), (folder, 3)]


def test_what_a_killed_process_wrote_is_synced_before_it_is_read(open_journal, folder, monkeypatch):
    open_journal().append([record(1)])
    (path,) = folder.iterdir()
    synced = []
    monkeypatch.setattr(os, "fsync", lambda fd: synced.append(path_of(fd)))
    open_journal()
    assert synced == [path]


def test_a_sync_that_fails_keeps_nothing(open_journal, folder, monkeypatch):
    journal = open_journal()
    journal.append([record(1)])

    with monkeypatch.context() as patched:
        patched.setattr(os, "fdatasync", fail)
        with pytest.raises(JournalFull, match="broken"):
            journal.append([record(2)])
    assert journal.last == 1
    assert journal.append([record(3)]) == 2
    assert read_all(journal) == read_all(open_journal()) == [record(1), record(3)]


# Where work is run.


class Natively:
    """Runs natively here, and counts; `before` is called first, once."""

    def __init__(self):
        self.count = 0
        self.before = lambda: None

    def __call__(self, work):
        self.count += 1
        before, self.before = self.before, lambda: None
        before()
        return work()


@pytest.fixture
def native():
    return Natively()


def test_an_append_is_one_native_call(open_journal, native):
    journal = open_journal(SMALL, run_native=native)
    for start in range(1, 1_001, 100):
        journal.append(records(start, start + 100))
    assert native.count == 10


def test_cached_bytes_are_read_at_once_and_others_natively(open_journal, folder, native):
    journal = open_journal(run_native=native)
    journal.append(records(1, 1_001))
    journal.read(1, 100)
    (path,) = folder.iterdir()
    before = native.count
    assert read_all(journal) == records(1, 1_001)
    assert native.count == before
    fd = os.open(path, os.O_RDONLY)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(fd)
    assert read_all(journal) == records(1, 1_001)
    assert native.count > before


@pytest.fixture(params=["never read", "read and closed"])
def twenty_segments(request, open_journal, native):
    """A journal of 20 files of 70 records; what is 100 s old is let go of by `expire`."""
    journal = open_journal(SMALL)
    for start in range(1, 1_400, 70):
        journal.append(records(start, start + 70))
    journal = open_journal(SMALL._replace(max_age_s=100), run_native=native)
    if request.param == "read and closed":
        for start in range(1, 1_400, 70):
            journal.read(start, 1)
    return journal


def test_reading_on_reads_no_byte_twice(open_journal, monkeypatch):
    journal, lengths = open_journal(), []
    journal.append(records(1, 1_001))

    def note(fd, buffers, *rest, read=os.preadv):
        lengths.append(len(buffers[0]))
        return read(fd, buffers, *rest)

    monkeypatch.setattr(os, "preadv", note)
    assert read_all(journal) == records(1, 1_001)
    for start in range(1_001, 1_100, 2):
        journal.append([record(start)])
        journal.append([record(start + 1)])
        assert journal.read(start + 1, 10_000) == [record(start + 1)]
    assert sum(lengths) == 1_000_000 + 50_000


def test_what_expires_while_it_is_read_is_not_there(twenty_segments, native, caplog):
    journal = twenty_segments
    native.before = lambda: journal.expire(1_400)
    assert journal.read(11, 100) == []
    assert journal.first == 1_300
    assert errors_in(caplog) == []


@pytest.mark.parametrize("seek", [lambda j: j.after(b"%08d" % 75), lambda j: j.since(76)])
def test_what_expires_while_it_is_looked_for_is_passed_over(twenty_segments, native, seek, caplog):
    journal = twenty_segments
    native.before = lambda: journal.expire(1_400)
    assert seek(journal) == journal.first == 1_300
    assert errors_in(caplog) == []


def test_an_append_whose_caller_is_killed_is_kept_or_not_but_whole(open_journal):
    left = []

    def run_native(work):
        left.append(work)
        raise KeyboardInterrupt

    journal = open_journal(run_native=run_native)
    with pytest.raises(KeyboardInterrupt):
        journal.append(records(1, 4))
    with pytest.raises(JournalFull, match="in progress"):
        journal.append([record(4)])
    assert journal.expire(0) == journal.last == 0
    left.pop()()
    assert journal.last == 3
    with pytest.raises(KeyboardInterrupt):
        journal.append([record(4)])
    left.pop()()
    assert open_journal().last == 4


# What it takes.


def test_descriptors_are_few_and_are_given_back(open_journal, folder):
    before = len(open_files())
    journal = open_journal(SMALL)
    for start in range(1, 3_000, 70):
        journal.append(records(start, start + 70))
    assert len(list(folder.iterdir())) > 40
    assert read_all(journal) == records(1, journal.last + 1)
    assert [journal.read(start, 1) for start in (2_000, 1_000, 1)]
    assert len(open_files()) - before <= 10
    journal.close()
    assert len(open_files()) == before


def test_descriptors_are_not_inherited(open_journal, folder):
    journal = open_journal()
    journal.append([record(1)])
    journal.read(1, 100)
    fds = [fd for fd in open_files() if folder in (path_of(fd), path_of(fd).parent)]
    assert len(fds) == 3
    assert not any(os.get_inheritable(fd) for fd in fds)


def test_memory_is_less_than_a_hundredth(open_journal, folder):
    open_journal().append(records(1, 100_001, size=100))
    tracemalloc.start()
    try:
        journal = open_journal()
        assert journal.after(b"%08d" % 50_000) == 50_001
        assert len(journal.read(1, 100_000)) == 1_000
        for start in range(1, 20_000):
            journal.read(start, 1)
        assert tracemalloc.get_traced_memory()[0] < 100_000
    finally:
        tracemalloc.stop()


# kill -9

# Appends one to 60 records at a time, lets go of what is too much, and says which is the last kept.
PUBLISHER = """
import random, sys
from pathlib import Path
from journal import DiskRecords, Layout, Retention

layout = Layout(lambda line: line[:8], lambda line: float(line[9:18]))
journal = DiskRecords(Path(sys.argv[1]), layout, Retention(10**9, 1e9, 1 << 20))
while True:
    numbers = range(journal.last + 1, journal.last + random.randint(2, 61))
    lines = [b"%08d %09.3f " % (n, n) + b"x" * (n * 7919 % 5_000) + b"\\n" for n in numbers]
    print(journal.append(lines), flush=True)
    journal.expire(0)
"""


def publish_until_killed(folder, acknowledgements):
    """Run PUBLISHER, kill it when it has said so much; return the last that it acknowledged."""
    command = [sys.executable, "-c", PUBLISHER, str(folder)]
    with subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE) as process:
        said = [process.stdout.readline() for _ in range(acknowledgements)]
        process.kill()
        said += process.stdout.readlines()
    return int([line for line in said if line.endswith(b"\n")][-1])


def published(number):
    return b"%08d %09.3f " % (number, number) + b"x" * (number * 7919 % 5_000) + b"\n"


def test_what_was_acknowledged_survives_kill_9(open_journal, folder):
    acknowledged = 0
    for _ in range(12):
        before = acknowledged
        acknowledged = publish_until_killed(folder, random.randint(1, 40))
        journal = open_journal(SMALL._replace(max_bytes=1 << 20))
        assert before < acknowledged <= journal.last
        kept = range(journal.first, journal.last + 1)
        assert read_all(journal, journal.first) == [published(number) for number in kept]
        assert sum(map(len, read_all(journal, journal.first))) >= min(1 << 20, 2_500 * before)
        journal.close()
