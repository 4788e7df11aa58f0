"""A log is followed through whatever rotation does: every line once, and in order."""

from __future__ import annotations

import contextlib
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

from sources.logs import file as log_file
from sources.logs.bytes import (
    LEADS_OUT,
    NO_FILE,
    GzippedFile,
    Rotated,
    find_log,
    identity_of,
    likely_files,
    rotated_files,
)
from sources.logs.lines import MAX_LINE_BYTES, Half, LineCutter, LogLine
from sources.logs.newest import Share, begin_unpacked, find_newest
from sources.logs.position import Position, load_position, save_position
from state import State
from tests.sources.logs.log import Follower, Log


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


# Links.


@pytest.fixture
def secret(tmp_path):
    """A file that is not in the log's folder."""
    path = tmp_path.parent / f"{tmp_path.name}-secret"
    path.write_text("secret\n")
    yield path
    path.unlink()


def test_a_link_that_leads_out_is_not_followed(log, follow, secret):
    log.path.unlink()
    log.path.symlink_to(secret)
    follower = follow()
    assert follower.read() == []
    assert follower.log_file.trouble == LEADS_OUT
    assert find_log(log.path) is None


@pytest.mark.parametrize("is_known", [True, False], ids=["while it is read", "while nobody reads"])
def test_a_log_that_becomes_a_link_that_leads_out(log, follow, secret, is_known):
    follower = follow()
    log.write("a")
    follower.read()
    log.path.rename(f"{log.path}.1")
    log.path.symlink_to(secret)
    if not is_known:
        follower.restart()
    assert follower.read() == ["a"]
    assert follower.log_file.trouble == LEADS_OUT
    log.path.unlink()
    log.reopen()
    log.write("b")
    assert follower.read() == ["a", "b"]
    assert follower.log_file.trouble == ""


@pytest.mark.parametrize("name", ["app.log.1", "app.log.1.gz", "app.log.bak"])
def test_rotated_files_are_no_links_that_lead_out(log, secret, name):
    if name.endswith(".gz"):
        secret.write_bytes(gzip.compress(b"secret\n"))
    log.path.with_name(name).symlink_to(secret)
    assert rotated_files(log.path) == likely_files(log.path, NO_FILE) == []
    begun = find_newest([Rotated(log.path, log.path.stat())], Share(9, 99))
    assert begun[0].read(0, 99) == b""
    begun[0].close()


def test_what_becomes_a_link_after_it_was_looked_at_is_not_opened(log, secret):
    log.path.with_name("app.log.1").write_text("one\n")
    (rotated,) = rotated_files(log.path)
    rotated.path.unlink()
    rotated.path.symlink_to(secret)
    with pytest.raises(OSError, match="leads out"):
        rotated.open()


def test_a_link_within_its_folder_is_followed(log, follow):
    log.write("a")
    log.path.rename(log.path.with_name("today"))
    log.path.symlink_to("today")
    assert follow().read() == ["a"]


def test_a_link_that_the_catalogue_allows_is_followed(log, follow, secret):
    log.path.unlink()
    log.path.symlink_to(secret)
    assert follow(links=True).read() == ["secret"]
    assert find_log(log.path, links=True)
    log.path.with_name("app.log.1").symlink_to(secret)
    assert [each.open().read(0, 9) for each in rotated_files(log.path, links=True)] == [b"secret\n"]


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


ENDS = {
    "a carriage return before it": (b"a\r\nb\r\n", [b"a", b"b"]),
    "of both kinds": (b"a\r\nb\n\r\n\n", [b"a", b"b", b"", b""]),
    "only the last carriage return": (b"a\r\r\n", [b"a\r"]),
    "a carriage return inside": (b"10%\r20%\r\n\rx\n", [b"10%\r20%", b"\rx"]),
    "no end": (b"a\nb\r", [b"a", b"b\r"]),
    "a byte order mark": (b"\xef\xbb\xbf#F\r\n\xef\xbb\xbfb\n", [b"#F", b"\xef\xbb\xbfb"]),
    "nothing but a mark": (b"\xef\xbb\xbf\n", [b""]),
    "a mark and no end": (b"\xef\xbb\xbfa", [b"a"]),
    "part of a mark": (b"\xef\xbb\n", [b"\xef\xbb"]),
    "as long as may be": (b"x" * MAX_LINE_BYTES + b"\r\n", [b"x" * MAX_LINE_BYTES]),
}


@pytest.mark.parametrize("step", [1, 2, 10**6])
@pytest.mark.parametrize(("data", "texts"), ENDS.values(), ids=ENDS.keys())
def test_what_ends_a_line_and_a_mark_are_no_text(data, texts, step):
    cutter, lines = LineCutter(0, Half()), []
    for start in range(0, len(data), step):
        lines += cutter.feed(data[start : start + step])
    ends = [place + 1 for place, byte in enumerate(data) if byte == ord("\n")]
    assert [line.end for line in lines] == ends
    lines += cutter.finish()
    assert [line.text for line in lines] == texts
    assert {line.cut for line in lines} == {0}


def test_a_carriage_return_is_not_among_what_was_cut():
    (line,) = LineCutter(0, Half()).feed(b"x" * (MAX_LINE_BYTES + 5) + b"\r\n")
    assert (line.text, line.cut) == (b"x" * MAX_LINE_BYTES, 5)


@pytest.mark.parametrize("step", [1, 3, 10**6])
@pytest.mark.parametrize("utf16", ["utf-16-le", "utf-16-be"])
def test_utf16_becomes_utf8_and_offsets_are_those_of_the_file(utf16, step):
    # Each has a byte that is a line feed elsewhere.
    texts = ["one", "ਊ Ċ ഊ", "🌊\r", "x" * MAX_LINE_BYTES]
    data = "\ufeff".encode(utf16) + "".join(text + "\r\n" for text in texts).encode(utf16)
    cutter, lines = LineCutter(0, Half(), utf16), []
    for start in range(0, len(data), step):
        lines += cutter.feed(data[start : start + step])
    assert [line.text.decode() for line in lines] == texts
    assert [line.end for line in lines][-1] == len(data)
    assert all(data[: line.end].decode(utf16).endswith("\r\n") for line in lines)


# What rotation leaves.

ORDERS = {
    "logrotate's numbers": ["l.3.gz", "l.2.gz", "l.1"],
    "ten is older than nine": ["l.10", "l.9", "l.1"],
    "logrotate's dateext": ["l-20240131.gz", "l-20240201.gz", "l-20240202"],
    "TimedRotatingFileHandler": ["l.2024-01-31_10", "l.2024-01-31_11", "l.2024-02-01_09"],
    "seconds": ["l.1700000000", "l.1700000060"],
    "one": ["l.old"],
    "years": ["l.2023", "l.2024"],
}


@pytest.mark.parametrize("names", ORDERS.values(), ids=ORDERS.keys())
def test_what_was_rotated_is_found_oldest_first(tmp_path, names):
    others = ["l", "l.swp", "l2", "l.1.bak", "other.log.1", "l.1.xz"]
    for name in [*sorted(names), *others]:
        (tmp_path / name).write_text("x")
    (tmp_path / "l.7").mkdir()
    assert [found.path.name for found in rotated_files(tmp_path / "l")] == names


NAMES = {
    "logback": ["app.2024-01-31.0.log.gz", "app.2024-01-31.1.log.gz", "app.2024-02-01.0.log"],
    "log4j, by the hour": [
        "app-2024-01-31-22.log",
        "app-2024-01-31-23.log",
        "app-2024-02-01-00.log",
    ],
    "lumberjack": ["app-2016-11-04T18-30-00.000.log.gz", "app-2016-11-04T18-30-00.001.log"],
    "logrotate's extension": ["app-20240131.log.gz", "app-20240201.log"],
    "logrotate's dateformat -%s": ["app-1700000000.log", "app-1700000060.log"],
    "pm2": ["app__2024-01-31_00-00-00.log", "app__2024-02-01_00-00-00.log"],
    "months": ["app.2023-12.log", "app.2024-01.log"],
}
# What may be the log of another process.
STRANGERS = ["app.1.log", "app-2.log", "app-123456.log", "application-20240101.log", "app.log.bak"]
STRANGERS += ["app-errors.log", "app-errors-20240101.log", "other-20240101.log", "app-20240101.txt"]


@pytest.mark.parametrize("names", NAMES.values(), ids=NAMES.keys())
def test_a_date_may_stand_before_the_extension(tmp_path, names):
    for name in [*sorted(names), *STRANGERS, "app.log"]:
        (tmp_path / name).write_text("x")
    assert [found.path.name for found in rotated_files(tmp_path / "app.log")] == names


def test_days_before_years_are_in_the_order_of_their_times(tmp_path):
    names = ["app-31-12-2023-1.log", "app-01-01-2024-1.log", "app-01-02-2024-1.log"]
    for seconds, name in enumerate(names):
        (tmp_path / name).write_text("x")
        os.utime(tmp_path / name, (seconds, seconds))
    assert [found.path.name for found in rotated_files(tmp_path / "app.log")] == names


@pytest.mark.parametrize(
    "names", [["app.3.log", "app.2.log", "app.1.log"], ["app-8.log", "app-9.log"]]
)
def test_a_file_that_was_the_log_tells_how_others_are_named(tmp_path, names):
    for seconds, name in enumerate(names):
        (tmp_path / name).write_text("x")
        os.utime(tmp_path / name, (seconds, seconds))
    (tmp_path / "app-errors.log").write_text("x")
    (tmp_path / "app.log").write_text("x")
    known = identity_of((tmp_path / names[0]).stat())
    assert [found.path.name for found in rotated_files(tmp_path / "app.log", known)] == names


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
    assert follow().read() == ["caf\\xe9 \\xff\x00", "ü🌊\u2028"]


def test_each_file_has_its_byte_order_mark_and_carriage_returns(log, follow):
    follower = follow()
    log.put(b"\xef\xbb\xbf#Fields\r\na\r")
    assert follower.read() == ["#Fields"]
    follower.restart()
    log.put(b"\nb\r\n")
    assert follower.read() == ["#Fields", "a", "b"]
    log.rename()
    log.put(b"\xef\xbb\xbf#Fields\r\nc\r\n")
    log.compress(1)
    follower.restart()
    assert follower.read() == ["#Fields", "a", "b", "#Fields", "c"]
    assert follower.places[-1] == (2, log.path.stat().st_size)


def test_a_line_is_known_again_that_was_told_with_its_carriage_return(log, follow):
    follower = follow()
    log.put(b"a\r\n")
    follower.read()
    number, end, line = follower.last
    follower.last = (number, end, line + "\r")
    follower.restart()
    log.put(b"b\r\n")
    assert follower.read() == ["a", "b"]
    assert not follower.log_file.trouble


@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("utf16", ["utf-16-le", "utf-16-be"])
def test_a_log_in_utf16_is_decoded(log, follow, utf16, mark):
    follower = follow()
    os.write(log.file, (mark + "one\r\ntw").encode(utf16))
    assert follower.read() == ["one"]
    follower.restart()
    os.write(log.file, "o Ċ\r\n".encode(utf16))
    assert follower.read() == ["one", "two Ċ"]
    log.rename()
    log.compress(1)
    os.write(log.file, (mark + "three\r\n").encode(utf16))
    follower.restart()
    assert follower.read() == ["one", "two Ċ", "three"]
    assert follow().read() == ["one", "two Ċ", "three"]


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("utf16", ["utf-16-le", "utf-16-be"])
def test_the_newest_lines_of_a_log_in_utf16(log, follow, utf16, packed):
    lines = [f"{n:05} Ċ" for n in range(1000)]
    os.write(log.file, "".join(line + "\n" for line in lines).encode(utf16))
    if packed:
        log.rename()
        log.compress(1)
    assert follow(share=Share(10**9, 160)).read() == lines[-10:]
    assert follow(share=Share(10**9, 161)).read() == lines[-10:]


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


@pytest.mark.parametrize("looks", [1, 2, 3])
@pytest.mark.parametrize("is_read", [True, False])
def test_a_copy_that_is_compressed_between_two_steps_is_read(
    log, follow, monkeypatch, looks, is_read
):
    """It was listed under its name before, and is there under the other one when it is opened."""
    follower = follow()
    log.write("a")
    follower.read()
    if not is_read:
        log.copy_and_cut()
        follower.read()
    log.write("b", "c")
    log.copy_and_cut()
    log.write("d")
    scandir, listed = os.scandir, []

    def list_then_compress(path):
        with scandir(path) as found:
            entries = list(found)
        listed.append(path)
        if len(listed) == looks:
            log.compress(1)
        return contextlib.nullcontext(entries)

    monkeypatch.setattr(os, "scandir", list_then_compress)
    assert follower.read() == list("abcd")
    assert len(listed) >= looks


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


def test_a_log_that_has_grown_to_the_same_bytes_before_where_it_was_read(log, follow):
    follower = follow()
    lines = [f"{n} {'x' * 300}" for n in range(6)]
    log.write(*lines[:2])
    follower.read()
    log.copy_and_cut()
    log.write(*lines[2:])
    assert follower.read() == lines
    assert not follower.gaps


@pytest.mark.parametrize("packed", [False, True])
def test_a_copy_that_is_not_read_before_it_is_removed(log, follow, packed):
    follower = follow()
    log.write("a")
    follower.read()
    for letter in "bc":
        log.write(letter)
        log.copy_and_cut()
    log.path.with_name("app.log.2").unlink()
    if packed:
        log.compress(1)
    log.write("d")
    assert follower.read() == ["a", "c", "d"]
    assert follower.gaps == [1]


def test_a_copy_that_is_not_finished_is_not_read(log, follow):
    follower = follow()
    log.write("a")
    follower.read()
    log.copy_and_cut()
    log.write("b", "c")
    log.path.with_name("app.log.1").rename(log.path.with_name("app.log.2"))
    copy = log.path.with_name("app.log.1")
    copy.write_bytes(b"b\n")
    assert follower.read() == ["a", "b", "c"]
    log.write("d")
    shutil.copyfile(log.path, copy)
    os.truncate(log.path, 0)
    log.write("e")
    assert follower.read() == list("abcde")
    assert not follower.gaps


def test_a_log_that_is_cut_and_was_not_copied(log, follow):
    follower = follow()
    log.put(b"a\nha")
    follower.read()
    os.truncate(log.path, 0)
    os.write(log.file, b"b\n")
    assert follower.read() == ["a", "ha", "b"]
    # Nobody can tell what was written before.
    assert follower.gaps == [2]


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


RENAMED = [
    "app.2024-01-01.log",
    "app-20240101.log",
    "app.1.log",
    "app.old.log",
    "old app.log",
    "x-1",
]


@pytest.mark.parametrize("name", RENAMED)
def test_after_an_absence_the_file_is_found_under_any_name(log, follow, name):
    follower = follow()
    log.write("a")
    follower.read()
    log.write("b")
    log.path.rename(log.path.with_name(name))
    log.reopen()
    log.write("a")
    log.path.with_name("app-other.log").write_text("a\nz\n")
    follower.restart()
    assert follower.read() == ["a", "b", "a"]
    assert not follower.log_file.opened.is_after_loss


@pytest.mark.parametrize("name", ["app.{}.log", "app-{:03}.log", "{}.app", "app-2024-01-0{}.log"])
def test_who_was_away_for_several_rotations_to_such_names(log, follow, name):
    follower = follow()
    log.write("a")
    follower.read()
    for number, letter in enumerate("bcd", 1):
        log.write(letter)
        # Rotations are further apart than the clock of a file system ticks.
        os.utime(log.path, (number, number))
        log.path.rename(log.path.with_name(name.format(number)))
        log.reopen()
    log.write("e")
    follower.restart()
    assert follower.read() == list("abcde")


@pytest.mark.parametrize("packed", [False, True])
def test_who_was_away_finds_a_copy_by_its_content(log, follow, packed):
    follower = follow()
    log.write("x" * 1000)
    follower.read()
    log.write("a")
    content = log.path.read_bytes()
    name = "app.1.log.gz" if packed else "app copy.log"
    log.path.with_name(name).write_bytes(gzip.compress(content) if packed else content)
    log.path.unlink()
    log.reopen()
    log.write("b")
    follower.restart()
    assert follower.read()[1:] == ["a", "b"]


def test_a_file_that_only_begins_alike_is_not_taken(log, follow):
    follower = follow()
    log.write("started")
    follower.read()
    log.path.unlink()
    log.path.with_name("app-other.log").write_text("started\nother\n")
    log.reopen()
    log.write("b")
    follower.restart()
    assert follower.read() == ["started", "b"]
    assert follower.log_file.opened.is_after_loss


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


def test_after_an_absence_the_file_may_be_gone(log, follow):
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
    assert follower.gaps == [len(lines) - 1]


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


@pytest.fixture
def state(tmp_path):
    return State(tmp_path / "instance")


def test_a_position_is_what_it_was(state):
    position = Position(3, 5, 1.5, Half(b"\xff\n", 7, True), (1, 2), is_after_loss=True)
    save_position(state, "app", position._replace(end=4))
    save_position(state, "app", position)
    save_position(state, "other", position._replace(end=6))
    assert load_position(state, "app") == position


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"number": "x"}', "\xff"])
def test_what_is_no_position_counts_as_none(state, text):
    assert load_position(state, "app") is None
    with state.writing() as execute:
        execute("insert into log_positions values ('app', ?)", (text,))
    assert load_position(state, "app") is None


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
            assert not self.follower.gaps
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
