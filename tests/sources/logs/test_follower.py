"""The follower of a log: lines become events, once, whatever happens to the server."""

from __future__ import annotations

import json
import logging
import os
import threading

import pytest

from journal import EVENTS, DiskLog, JournalFailed, JournalFull, Retention
from sources.catalogue.logs import LogEntry
from sources.logs.folder_watch import FolderWatch
from sources.logs.follower import LogFollowers
from sources.logs.position import load_position
from state import State
from tests.sources.logs.log import Log
from topics import Patterns, Rule, Topics
from wire.framing import NDJSON
from wire.since import All

AMPLE = Retention(10**6, 1e9, 1 << 30)


class House:
    """The topics of a server that follows app.log, and may be started again."""

    def __init__(self, folder, retention=AMPLE):
        self.folder, self.retention = folder, retention
        self.log = Log(folder)
        self.start()

    def start(self):
        rule = Rule("logs/app", True, self.retention, writable=False)
        self.topics = Topics(DiskLog(self.folder / "topics", EVENTS), [rule])
        entry = LogEntry("app", self.log.path, *map(int, self.retention))
        self.state = State(self.folder / "instance")
        self.logs = LogFollowers([entry], self.state, self.topics, lambda work: work())
        self.topics.start()
        self.logs.start()

    def stop(self):
        self.logs.stop()
        self.topics.stop()

    def restart(self):
        self.stop()
        self.start()

    def events(self):
        reader = self.topics.reader(Patterns.parse("logs/app"), All(), "c", NDJSON)
        return [json.loads(line) for line in b"".join(iter(reader.more, None)).splitlines()]

    def lines(self):
        return [event["data"]["line"] for event in self.events() if event["name"] == "line"]


@pytest.fixture
def make_house(tmp_path, monkeypatch):
    """make_house(retention): a house; it is stopped afterwards."""
    monkeypatch.setattr("sources.logs.follower.LOOK_EVERY_S", 0.05)
    monkeypatch.setattr("sources.logs.follower.NOTE_EVERY_S", 0.0)
    made = []

    def make(**how):
        made.append(House(tmp_path, **how))
        return made[-1]

    yield make
    for house in made:
        house.stop()
        house.log.close()


@pytest.fixture
def house(make_house):
    return make_house()


def test_lines_become_events(house, until):
    house.log.write("one", 'a "two"')
    until(lambda: len(house.lines()) == 2)
    first, second = house.events()
    assert (first["topic"], first["name"]) == ("logs/app", "line")
    assert first["data"] == {"line": "one", "file": 1, "end": 4}
    assert second["data"] == {"line": 'a "two"', "file": 1, "end": 12}


def test_it_waits_until_the_topics_are_ready(tmp_path, make_house, until):
    first = make_house()
    first.log.write("one")
    until(lambda: first.lines() == ["one"])
    second = House(tmp_path)
    second.log.write("two")
    first.stop()
    until(lambda: second.topics.get("logs/app") and second.lines() == ["one", "two"])
    second.stop()
    second.log.close()


def test_after_a_restart_it_goes_on(house, until):
    house.log.write("one")
    until(lambda: house.lines() == ["one"])
    house.stop()
    house.log.write("two")
    house.log.rename()
    house.log.write("three")
    house.start()
    until(lambda: house.lines() == ["one", "two", "three"])


def test_what_was_published_and_not_written_down_is_not_read_again(house, until, monkeypatch):
    monkeypatch.setattr("sources.logs.follower.NOTE_EVERY_S", 3600.0)
    for n in range(20):
        house.log.write(f"{n}")
        until(lambda n=n: len(house.lines()) == n + 1)
    assert load_position(house.state, "app").end == 0
    house.restart()
    house.log.write("last")
    until(lambda: house.lines() == [*map(str, range(20)), "last"])


def test_where_it_is_is_known_when_all_its_events_are_gone(make_house, until):
    house = make_house(retention=Retention(10**6, 0.05, 1 << 30))
    house.log.write("one", "two")
    until(lambda: (noted := load_position(house.state, "app")) and noted.end)
    until(lambda: (house.topics.get("logs/app").records.expire(1e12), house.lines() == [])[1])
    house.restart()
    house.log.write("three")
    until(lambda: house.topics.get("logs/app") and house.topics.get("logs/app").last == 3)


def test_when_what_was_written_down_is_lost_the_newest_event_tells(house, until):
    house.log.write("one", "two")
    until(lambda: len(house.lines()) == 2)
    house.stop()
    with house.state.writing() as execute:
        execute("delete from log_positions")
    house.log.write("three")
    house.start()
    until(lambda: house.lines() == ["one", "two", "three"])


def test_what_cannot_be_kept_is_tried_again(house, until, monkeypatch, caplog):
    monkeypatch.setattr("sources.logs.follower.RETRY_S", 0.01)
    publish, left = house.topics.publish, [3]

    def fail_at_first(*args, **how):
        left[0] -= 1
        if left[0] >= 0:
            raise JournalFull("no space left")
        return publish(*args, **how)

    monkeypatch.setattr(house.topics, "publish", fail_at_first)
    house.log.write("one", "two")
    until(lambda: house.lines() == ["one", "two"])
    assert caplog.text.count("cannot be kept") == 1


def test_where_it_is_cannot_be_written_down(make_house, until, monkeypatch, caplog, tmp_path):
    monkeypatch.setattr("sources.logs.follower.RETRY_S", 0.01)
    (tmp_path / "instance").write_text("in the way")
    house = make_house()
    house.log.write("one", "two")
    until(lambda: "File exists" in caplog.text)
    assert house.lines() == []
    (tmp_path / "instance").unlink()
    house.log.write("three")
    until(lambda: house.lines() == ["one", "two", "three"])
    assert caplog.text.count("File exists") == 1


def start_without_its_log(house, until):
    house.stop()
    until(lambda: "logs/app" not in [thread.name for thread in threading.enumerate()])
    house.log.path.unlink()
    house.start()


def test_a_log_that_is_not_written_yet_is_told_once_and_is_no_trouble(house, until, caplog):
    caplog.set_level(logging.INFO, logger="sources.logs.follower")
    start_without_its_log(house, until)
    until(lambda: "not there yet" in caplog.text)
    house.log.reopen()
    house.log.write("one")
    until(lambda: house.lines() == ["one"])
    assert [record.levelname for record in caplog.records] == ["INFO"]


def test_a_log_that_is_gone_is_told_once(house, until, caplog):
    house.log.write("one")
    until(lambda: house.lines() == ["one"])
    start_without_its_log(house, until)
    until(lambda: "No such file" in caplog.text)
    house.log.reopen()
    house.log.write("two")
    until(lambda: house.lines() == ["one", "two"])
    assert caplog.text.count("No such file") == 1


def test_what_was_lost_while_it_was_away_is_a_gap_told_once(house, until):
    house.log.write("one")
    until(lambda: house.lines() == ["one"])
    house.stop()
    house.log.write("two")
    house.log.path.rename(house.folder / "elsewhere")
    (house.folder / "elsewhere").write_text("it was moved and changed\n")
    house.log.reopen()
    house.log.write("three")
    house.start()
    until(lambda: house.lines() == ["one", "three"])
    house.restart()
    house.log.write("four")
    until(lambda: house.lines() == ["one", "three", "four"])
    one, gap, *_ = house.events()
    assert [event["name"] for event in house.events()] == ["line", "gap", "line", "line"]
    want = {"from": one["id"], "to": None, "lost": None, "reason": "rotated"}
    assert gap["data"] == {**want, "refetch": "/events/logs/app?since=all"}


def test_a_gap_that_was_not_kept_is_told_after_a_restart(house, until, monkeypatch):
    house.log.write("one")
    until(lambda: house.lines() == ["one"])
    house.stop()
    house.log.path.unlink()
    house.log.reopen()
    house.log.write("two")
    with monkeypatch.context() as patch:
        patch.setattr(Topics, "publish", fail_with(JournalFailed("unreadable", "no disk")))
        house.start()
        until(lambda: load_position(house.state, "app").is_after_loss)
        house.stop()
    house.start()
    until(lambda: house.lines() == ["one", "two"])
    assert [event["name"] for event in house.events()] == ["line", "gap", "line"]


def fail_with(error):
    def fail(*how, **more):
        raise error

    return fail


# Waiting.


@pytest.fixture
def watch(tmp_path):
    watch = FolderWatch(tmp_path / "app.log")
    yield watch
    watch.close()


# Far longer than any test may take: only what is told ends the wait.
LONG_S = 3600.0

CHANGES = {
    "it is made": lambda path: path.touch(),
    "it is made by a rename": lambda path: path.with_name("other").rename(path),
    "it is rotated": lambda path: path.with_name("app.log.1").touch(),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_a_change_ends_the_wait(tmp_path, watch, change):
    (tmp_path / "other").touch()
    watch.wait(0)
    change(tmp_path / "app.log")
    watch.wait(LONG_S)


def test_what_is_written_or_cut_ends_the_wait(tmp_path, watch):
    path = tmp_path / "app.log"
    path.write_text("one")
    watch.wait(0)
    with path.open("a") as file:
        file.write("two")
    watch.wait(LONG_S)
    os.truncate(path, 0)
    watch.wait(LONG_S)


def test_other_files_do_not_end_the_wait(tmp_path, watch, monkeypatch):
    watch.wait(0)
    (tmp_path / "other.log").write_text("x")
    looked = []
    has_changed = watch._has_changed
    monkeypatch.setattr(watch, "_has_changed", lambda it: looked.append(has_changed(it)))
    watch.wait(0.05)
    assert looked == [False]


def test_without_inotify_it_looks_often(tmp_path, monkeypatch):
    def refuse(**how):
        raise OSError(24, "Too many open files")

    monkeypatch.setattr("sources.logs.folder_watch.INotify", refuse)
    monkeypatch.setattr("sources.logs.folder_watch.POLL_S", 0.0)
    watch = FolderWatch(tmp_path / "app.log")
    watch.wait(LONG_S)
    watch.close()


def test_a_link_is_looked_at_often(tmp_path, watch, monkeypatch):
    monkeypatch.setattr("sources.logs.folder_watch.POLL_S", 0.0)
    (tmp_path / "app.log").symlink_to(tmp_path / "elsewhere.log")
    watch.wait(LONG_S)
