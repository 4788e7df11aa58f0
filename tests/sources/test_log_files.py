"""A log is followed through whatever rotation does: every line once, and in order."""

from __future__ import annotations

import gzip
import os
import shutil
import tempfile
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from sources import log_file
from sources.log_bytes import GzippedFile, rotated_files
from sources.log_lines import MAX_LINE_BYTES, Half, LineCutter, LogLine
from sources.log_newest import Share, begin_unpacked
from sources.log_position import Position, load_position, save_position
from tests.sources.logs import Follower, Log


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    """Nobody writes to a renamed log any more."""
    monkeypatch.setattr(log_file, "QUIET_S", 0.0)


@pytest.fixture
def log(tmp_path):
    log = Log(tmp_path)
    yield log
    log.close()


@pytest.fixture
def follow(log):
    """follow(**how): a follower of the log."""
    made = []

    def follow(**how):
        made.append(Follower(log.path, **how))
        return made[-1]

    yield follow
    for follower in made:
        follower.close()


# Lines.


def test_lines_are_cut_where_they_end():
    cutter = LineCutter(10, Half(b"a"))
    assert cutter.feed(b"b\n\nc") == [LogLine(b"ab", 12), LogLine(b"", 13)]
    assert (cutter.at, cutter.half) == (14, Half(b"c"))
    assert cutter.finish() == [LogLine(b"c", 14)]
    assert cutter.finish() == []


@pytest.mark.parametrize("step", [1000, 10**9])
@pytest.mark.parametrize("size", [MAX_LINE_BYTES - 1, MAX_LINE_BYTES, MAX_LINE_BYTES + 1, 10**6])
def test_a_line_beyond_the_bound_is_cut_and_says_by_how_much(size, step):
    cutter, lines, data = LineCutter(0, Half()), [], b"x" * size + b"\nnext\n"
    for start in range(0, len(data), step):
        lines += cutter.feed(data[start : start + step])
        assert len(cutter.half.text) <= MAX_LINE_BYTES
    kept = min(size, MAX_LINE_BYTES)
    assert lines == [LogLine(b"x" * kept, size + 1, size - kept), LogLine(b"next", size + 6)]


@pytest.mark.parametrize("before", range(4))
@pytest.mark.parametrize("character", ["é", "€", "🌊"])
def test_no_character_is_cut(character, before):
    whole = b"x" * (MAX_LINE_BYTES - before) + character.encode() + b"y\n"
    (line,) = LineCutter(0, Half()).feed(whole)
    assert line.text.decode() == whole[: len(line.text)].decode()
    assert len(line.text) + line.cut == len(whole) - 1
    assert MAX_LINE_BYTES - 4 < len(line.text) <= MAX_LINE_BYTES


# What rotation leaves.

ORDERS = {
    "logrotate's numbers": ["l.3.gz", "l.2.gz", "l.1"],
    "ten is older than nine": ["l.10", "l.9", "l.1"],
    "logrotate's dateext": ["l-20240131.gz", "l-20240201.gz", "l-20240202"],
    "TimedRotatingFileHandler": ["l.2024-01-31_10", "l.2024-01-31_11", "l.2024-02-01_09"],
    "seconds": ["l.1700000000", "l.1700000060"],
    "one": ["l.old"],
}


@pytest.mark.parametrize("names", ORDERS.values(), ids=ORDERS.keys())
def test_what_was_rotated_is_found_oldest_first(tmp_path, names):
    others = ["l", "l.swp", "l2", "l.1.bak", "other.log.1", "l.1.xz"]
    for name in [*sorted(names), *others]:
        (tmp_path / name).write_text("x")
    (tmp_path / "l.7").mkdir()
    assert [found.path.name for found in rotated_files(tmp_path / "l")] == names


def test_what_is_being_compressed_counts_once(tmp_path):
    for name in ("l.1", "l.1.gz", "l.2.gz"):
        (tmp_path / name).write_text("x")
    assert [found.path.name for found in rotated_files(tmp_path / "l")] == ["l.2.gz", "l.1"]


def test_where_names_do_not_tell_the_last_write_does(tmp_path):
    for seconds, name in enumerate(["l.2", "l-20240101", "l.old"]):
        (tmp_path / name).write_text("x")
        os.utime(tmp_path / name, (seconds, seconds))
    names = [found.path.name for found in rotated_files(tmp_path / "l")]
    assert names == ["l.2", "l-20240101", "l.old"]


# Following.


def test_lines_come_when_they_have_ended(log, follow):
    follower = follow()
    log.put(b"one\ntw")
    assert follower.read() == ["one"]
    log.put(b"o\nthree\n")
    assert follower.read() == ["one", "two", "three"]
    assert follower.places == [(1, 4), (1, 8), (1, 14)]


def test_bytes_that_are_no_text_are_shown(log, follow):
    os.write(log.file, b"caf\xe9 \xff\x00\r\n" + "ü🌊\u2028\n".encode())
    assert follow().read() == ["caf\\xe9 \\xff\x00\r", "ü🌊\u2028"]


def test_a_renamed_log_is_read_to_its_end_and_then_the_next(log, follow):
    follower = follow()
    log.write("a")
    follower.read()
    log.rename(reopens=False)
    log.write("b")
    assert follower.read() == ["a", "b"]
    log.put(b"half")
    log.end_file()
    log.reopen()
    log.write("c")
    assert follower.read() == ["a", "b", "half", "c"]
    assert [number for number, _ in follower.places] == [1, 1, 1, 2]


def test_who_has_not_reopened_yet_is_waited_for(log, follow, monkeypatch):
    monkeypatch.setattr(log_file, "QUIET_S", 3600.0)
    follower = follow()
    log.write("a")
    follower.read()
    log.rename(reopens=False)
    other = Log(log.path.parent)
    other.write("later")
    assert follower.read() == ["a"]
    assert follower.log_file.is_waiting
    log.write("b")
    assert follower.read() == ["a", "b"]
    monkeypatch.setattr(log_file, "QUIET_S", 0.0)
    assert follower.read() == ["a", "b", "later"]
    other.close()


def test_who_never_reopens_is_not_waited_for_for_ever(log, follow, monkeypatch):
    monkeypatch.setattr(log_file, "QUIET_S", 3600.0)
    monkeypatch.setattr(log_file, "MOST_GRACE_S", 0.0)
    follower = follow()
    log.write("a")
    follower.read()
    log.rename(reopens=False)
    other = Log(log.path.parent)
    other.write("later")
    assert follower.read() == ["a", "later"]
    other.close()


def test_a_log_that_is_cut_goes_on_with_what_its_copy_has_more(log, follow):
    follower = follow()
    log.write("a")
    follower.read()
    log.write("b")
    log.put(b"ha")
    log.copy_and_cut()
    log.put(b"lf\nc\n")
    assert follower.read() == ["a", "b", "half", "c"]
    assert follower.places[-2:] == [(2, 3), (2, 5)]


def test_what_was_copied_before_anything_of_it_was_read(log, follow):
    follower = follow()
    log.write("a")
    follower.read()
    log.copy_and_cut()
    follower.read()
    for letter in "bcd":
        log.write(letter)
        log.copy_and_cut()
    log.write("e")
    assert follower.read() == list("abcde")


def test_files_that_begin_alike_are_told_apart(log, follow):
    follower = follow()
    banner = "x" * 2000
    log.write(banner, "a")
    follower.read()
    log.rename()
    log.write(banner, "b", "c")
    follower.restart()
    assert follower.read() == [banner, "a", banner, "b", "c"]


@pytest.mark.parametrize("keeps_times", [True, False])
def test_what_was_read_and_is_compressed_is_not_read_again(log, follow, keeps_times):
    follower = follow()
    log.write("a")
    follower.read()
    log.rename()
    log.write("b")
    log.compress(1)
    if not keeps_times:
        os.utime(f"{log.path}.1.gz")
    log.rename()
    log.write("c")
    assert follower.read() == ["a", "b", "c"]


def test_a_log_that_has_grown_past_where_it_was_cut(log, follow):
    follower = follow()
    log.write("a")
    follower.read()
    log.copy_and_cut()
    log.write(*(f"line {n}" for n in range(100)))
    assert follower.read() == log.lines


def test_a_log_that_is_cut_and_was_not_copied(log, follow):
    follower = follow()
    log.put(b"a\nha")
    follower.read()
    os.truncate(log.path, 0)
    os.write(log.file, b"b\n")
    assert follower.read() == ["a", "ha", "b"]


def test_what_was_read_after_the_copy_was_made_is_not_read_again(log, follow):
    follower = follow()
    log.write("a")
    follower.read()
    log.write("b")
    shutil.copyfile(log.path, f"{log.path}.1")
    log.put(b"c\nha")
    follower.read()
    os.truncate(log.path, 0)
    log.put(b"lf\nd\n")
    assert follower.read() == ["a", "b", "c", "half", "d"]


def test_a_hole_that_who_does_not_append_leaves(tmp_path):
    path = tmp_path / "app.log"
    with path.open("wb", buffering=0) as file:
        follower = Follower(path)
        file.write(b"x" * 100 + b"\n")
        follower.read()
        shutil.copyfile(path, f"{path}.1")
        os.truncate(path, 0)
        file.write(b"a\n")
        assert follower.read() == ["x" * 100, "a"]
        follower.restart()
        file.write(b"b\n")
        assert follower.read() == ["x" * 100, "a", "b"]
        follower.close()


def test_a_log_that_is_not_there_yet_or_is_something_else(tmp_path):
    path = tmp_path / "app.log"
    follower = Follower(path)
    assert follower.read() == []
    assert follower.log_file.trouble == "No such file or directory"
    path.mkdir()
    assert follower.read() == []
    assert follower.log_file.trouble
    path.rmdir()
    os.mkfifo(path)
    assert follower.read() == []
    path.unlink()
    path.write_text("a\n")
    assert follower.read() == ["a"]
    assert follower.log_file.trouble == ""
    follower.close()


def test_a_log_that_is_removed_and_made_again(log, follow):
    follower = follow()
    log.write("a")
    follower.read()
    log.path.unlink()
    log.write("b")
    assert follower.read() == ["a", "b"]
    log.reopen()
    log.write("c")
    assert follower.read() == ["a", "b", "c"]


def test_a_log_whose_place_a_folder_takes(log, follow):
    follower = follow()
    log.write("a")
    follower.read()
    log.path.unlink()
    log.path.mkdir()
    log.write("b")
    assert follower.read() == ["a", "b"]


@pytest.mark.parametrize("packed", [False, True])
def test_who_was_away_for_several_rotations(log, follow, packed):
    follower = follow()
    log.write("a", "b")
    follower.step()
    follower.note()
    for letter in "cdef":
        log.write(letter)
        if packed:
            log.copy_and_cut()
            log.compress(1)
        else:
            log.rename()
    log.write("g")
    follower.restart()
    assert follower.read() == list("abcdefg")


def test_who_was_away_and_finds_his_file_gone(log, follow):
    follower = follow()
    log.write("a")
    follower.read()
    log.rename()
    log.write("b")
    log.rename()
    log.write("c")
    Path(f"{log.path}.2").unlink()
    follower.restart()
    assert follower.read() == ["a", "b", "c"]
    assert follower.log_file.trouble


def test_a_damaged_compressed_file_costs_only_what_is_damaged(log, follow):
    follower = follow()
    log.write("a")
    follower.read()
    log.rename()
    log.write(*(os.urandom(20).hex() for _ in range(1000)))
    log.rename()
    log.compress(1)
    packed = Path(f"{log.path}.1.gz")
    packed.write_bytes(packed.read_bytes()[:-100])
    log.write("z")
    lines = follower.read()
    assert lines[0] == "a"
    assert lines[-1] == "z"


def test_what_came_within_the_second_of_the_last_look_is_read(log, follow):
    """On a file system of whole seconds its time is before that."""
    log.write("a")
    follower = follow()
    follower.read()
    log.rename()
    log.write("b")
    log.rename()
    log.write("c")
    # What was read last is gone.
    log.path.with_name(f"{log.path.name}.2").unlink()
    seen_s = int(follower.noted.seen_s)
    os.utime(f"{log.path}.1", (seen_s, seen_s))
    follower.restart()
    assert follower.read() == ["a", "b", "c"]


# The first start.


def test_only_the_newest_lines_are_imported(log, follow):
    log.write(*map(str, range(10_000)))
    assert follow(share=Share(10, 10**9)).read() == [str(n) for n in range(9990, 10_000)]
    assert follow(share=Share(10**9, 50)).read() == [str(n) for n in range(9990, 10_000)]
    assert follow(share=Share(10**9, 53)).read() == [str(n) for n in range(9990, 10_000)]


@pytest.mark.parametrize("share", [Share(250, 10**9), Share(10**9, 1000)])
def test_what_was_rotated_is_imported_too(log, follow, share):
    for first in range(0, 400, 100):
        log.write(*(f"{n:03}" for n in range(first, first + 100)))
        if first < 300:
            log.rename()
    log.compress(2)
    log.compress(3)
    follower = follow(share=share)
    assert follower.read() == [f"{n:03}" for n in range(150, 400)]
    assert [number for number, _ in follower.places] == [1] * 50 + [2] * 100 + [3] * 100


class CutMeanwhile(GzippedFile):
    """A compressed file that somebody cuts when it was read to its end."""

    def read(self, start, length):
        found = super().read(start, length)
        if not found:
            os.truncate(self.path, 0)
            self.is_cut = True
        return found


def test_a_compressed_file_that_is_cut_while_it_is_measured_is_an_end(tmp_path):
    lines = b"".join(b"%s\n" % os.urandom(30).hex().encode() for _ in range(20_000))
    path = tmp_path / "access.log.1.gz"
    path.write_bytes(gzip.compress(lines))
    file = CutMeanwhile(path)
    file.path = path
    assert begin_unpacked(file, Share(10, 10**9)) is None
    assert file.is_cut
    file.close()


def test_reading_is_bounded(log, follow):
    log.write(*["x"] * 5000)
    follower = follow()
    sizes = []
    while follower.step():
        sizes.append(len(follower.lines))
    assert max(b - a for a, b in pairwise([0, *sizes])) <= log_file.MAX_LINES


# What is written down.


def test_a_position_is_what_it_was(tmp_path):
    path = tmp_path / "notes" / "app.json"
    position = Position(3, 5, 1.5, Half(b"\xff\n", 7), (1, 2))
    save_position(path, position)
    assert load_position(path) == position
    assert [each.name for each in path.parent.iterdir()] == ["app.json"]


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"number": "x"}', "\xff"])
def test_what_is_no_position_counts_as_none(tmp_path, text):
    path = tmp_path / "app.json"
    assert load_position(path) is None
    path.write_text(text)
    assert load_position(path) is None


# All of it in any order.


class Life(RuleBasedStateMachine):
    """A log that is written, rotated in every way, and followed by who is restarted."""

    def __init__(self):
        super().__init__()
        self.folder = tempfile.mkdtemp()
        self.log = Log(Path(self.folder))
        self.follower = Follower(self.log.path)
        self.count = 0
        # Before that, nobody could tell whether rotation renames or copies.
        self.log.write(self.line())
        self.follower.read()

    @initialize(way=st.sampled_from(["copies", "renames", "renames, compresses"]))
    def rotate_so(self, way):
        """Who renames and compresses leaves no half lines here.

        When the log gets an inode that was free then, it looks as if it had been cut, and a half
        line as if it went on there.
        """
        self.way = way

    def line(self):
        self.count += 1
        return f"line {self.count}"

    @rule(lines=st.integers(1, 3))
    def write(self, lines):
        self.log.write(*(self.line() for _ in range(lines)))

    @precondition(lambda self: self.way != "renames, compresses")
    @rule()
    def write_half(self):
        self.log.put(self.line().encode())

    @precondition(lambda self: self.way != "copies")
    @rule(is_followed=st.booleans())
    def rename(self, is_followed):
        self.log.rename()
        if is_followed:
            self.follower.read()

    @precondition(lambda self: self.way == "copies")
    @rule()
    def copy_and_cut(self):
        self.log.copy_and_cut()

    @precondition(lambda self: self.plain())
    @rule(data=st.data())
    def compress(self, data):
        self.log.compress(data.draw(st.sampled_from(self.plain())))

    def plain(self):
        """Return the numbers of what can be compressed."""
        found = [each.path for each in self.rotated() if each.path.suffix != ".gz"]
        return [] if self.way == "renames" else [path.suffix[1:] for path in found]

    def rotated(self):
        return rotated_files(self.log.path)

    @rule()
    def step(self):
        self.follower.step()

    @rule()
    def read(self):
        self.follower.read()

    @rule()
    def note(self):
        self.follower.note()

    @rule()
    def restart(self):
        self.follower.restart()

    def teardown(self):
        try:
            self.log.write("the end")
            assert self.follower.read() == self.log.lines
        finally:
            self.log.close()
            self.follower.close()
            shutil.rmtree(self.folder)


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=100, stateful_step_count=25, deadline=None)


def test_a_compressed_file_is_read_as_what_is_in_it(tmp_path):
    (tmp_path / "app.log.1.gz").write_bytes(gzip.compress(b"a\nb\n"))
    (tmp_path / "app.log").write_text("c\n")
    follower = Follower(tmp_path / "app.log")
    assert follower.read() == ["a", "b", "c"]
    follower.close()
