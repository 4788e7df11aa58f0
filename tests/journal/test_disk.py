import os
import resource
from pathlib import Path

import pytest

from journal import Complete, DiskJournal, JournalFailed, JournalFull


def test_it_follows_another_writer(tmp_path):
    path = tmp_path / "data"
    path.write_bytes(b"0123456789")
    journal = DiskJournal(path)
    assert journal.read(0, 10) == b""
    journal.advance(4)
    assert journal.read(0, 10) == b"0123"
    journal.advance(2)
    assert journal.size == 4


def test_one_written_earlier_is_read_again(tmp_path):
    (tmp_path / "data").write_bytes(b"whole")
    journal = DiskJournal(tmp_path / "data", size=5, end=Complete("00"))
    assert journal.wait(5, 0)
    assert journal.read(0, 10) == b"whole"


def test_a_file_that_was_cut_short_is_a_failure_not_an_end(tmp_path):
    (tmp_path / "data").write_bytes(b"half")
    journal = DiskJournal(tmp_path / "data", size=8, end=Complete("00"))
    assert journal.read(0, 10) == b"half"
    with pytest.raises(JournalFailed, match="truncated"):
        journal.read(4, 10)


def test_a_file_that_was_removed_is_a_failure(tmp_path):
    with pytest.raises(JournalFailed, match="removed"):
        DiskJournal(tmp_path / "data", size=8, end=Complete("00")).read(0, 10)


@pytest.fixture
def small_disk():
    """Every file of this process ends at 10,000 bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_keeps_what_was_appended_before(tmp_path, small_disk):
    journal = DiskJournal(tmp_path / "data")
    journal.append(b"a" * 9_000)
    with pytest.raises(JournalFull):
        journal.append(b"b" * 2_000)
    assert journal.size == (tmp_path / "data").stat().st_size == 9_000
    journal.append(b"c" * 1_000)
    assert journal.read(8_999, 10) == b"a" + b"c" * 9


def test_it_is_opened_elsewhere_once_for_all_its_readers(tmp_path):
    """Both find it closed while the disk is waited for."""
    path = tmp_path / "data"
    path.write_bytes(b"abc")
    second = []

    def run_native(work):
        if not second:
            second.append(True)
            second.append(journal.read(1, 1))
        return work()

    journal = DiskJournal(path, size=3, end=Complete(), run_native=run_native)
    before = len([*Path("/proc/self/fd").iterdir()])
    assert journal.read(0, 1) + second[1] + journal.read(2, 1) == b"abc"
    assert len([*Path("/proc/self/fd").iterdir()]) == before + 1
    journal.close()


def test_bytes_that_are_not_cached_are_read_elsewhere(tmp_path):
    asked = []

    def run_native(read):
        asked.append(True)
        return read()

    path = tmp_path / "data"
    path.write_bytes(os.urandom(1 << 20))
    fd = os.open(path, os.O_RDONLY)
    os.fsync(fd)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(fd)
    journal = DiskJournal(path, size=1 << 20, end=Complete(), run_native=run_native)
    whole = b""
    while len(whole) < journal.size:
        whole += journal.read(len(whole), 1 << 20)
    assert asked
    assert whole == path.read_bytes()
