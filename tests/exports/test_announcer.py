"""What becomes of exports, as events: every state, some of the progress."""

from __future__ import annotations

import json
from contextlib import closing

import pytest

from exports.announcer import MAX_FOLLOWED, PROGRESS_EVERY_S, Announcer
from exports.export import Export
from journal import EVENTS, DiskJournal, DiskLog
from topics import Patterns, Topics
from topics.rules import BUILT_IN
from wire.framing import NDJSON
from wire.since import All


@pytest.fixture
def clock(monkeypatch):
    """The monotonic clock, which stands still: clock.now_s sets it."""

    class Clock:
        now_s = 1000.0

    monkeypatch.setattr("exports.announcer.time.monotonic", lambda: Clock.now_s)
    return Clock


@pytest.fixture
def topics(run_topics):
    return run_topics(BUILT_IN)


@pytest.fixture
def announcer(topics):
    return Announcer(topics)


@pytest.fixture
def make_export(tmp_path):
    """make_export(id, state): an export of which nothing is recorded yet."""

    def make(export_id="one", state="queued"):
        journal = DiskJournal(tmp_path / export_id)
        words = ("address", "identity", "numbers", "csv", "")
        return Export(export_id, *words, journal, background=True, state=state)

    return make


def test_an_address_begins_where_the_application_is_mounted(topics, make_export):
    export = make_export(state="running")
    export.end("complete")
    Announcer(topics, "/stream").announce(export, None)
    assert events(topics, "exports")[0]["data"]["url"] == "/stream/exports/one/file"


def events(topics, name):
    reader = topics.reader(Patterns.parse(name), All(), "c", NDJSON)
    return [json.loads(line) for line in b"".join(iter(reader.more, None)).splitlines()]


def names(topics, name):
    return [event["name"] for event in events(topics, name)]


def test_every_state_is_an_event_of_both_topics(announcer, topics, make_export, clock):
    export = make_export()
    for state in ("queued", "running", "complete"):
        export.state = state
        announcer.announce(export, 3 if state == "queued" else None)
    assert names(topics, "exports") == names(topics, "exports/one") == [
        "queued", "running", "complete",
    ]  # fmt: skip


def test_an_event_is_what_clients_are_told_of_the_export(announcer, topics, make_export):
    export = make_export()
    announcer.announce(export, 3)
    (event,) = events(topics, "exports/one")
    assert event["data"] == json.loads(json.dumps(export.payload(3)))
    assert (event["data"]["id"], event["data"]["queue_position"]) == ("one", 3)


def test_progress_comes_five_times_a_second_at_most(announcer, topics, make_export, clock):
    assert PROGRESS_EVERY_S == 0.2
    export = make_export(state="running")
    announcer.announce(export, None)
    for _ in range(100):
        clock.now_s += 0.0201
        announcer.announce(export, None)
    assert names(topics, "exports/one") == ["running", *["progress"] * 10]


def test_a_state_never_waits_for_its_turn(announcer, topics, make_export, clock):
    export = make_export(state="running")
    announcer.announce(export, None)
    export.state = "failed"
    announcer.announce(export, None)
    assert names(topics, "exports/one") == ["running", "failed"]


def test_each_export_has_its_own_pace(announcer, topics, make_export, clock):
    one, other = make_export("one", "running"), make_export("other", "running")
    for _ in range(2):
        for export in (one, other):
            announcer.announce(export, None)
        clock.now_s += PROGRESS_EVERY_S
    assert names(topics, "exports") == ["running", "running", "progress", "progress"]


def test_who_fell_behind_gets_the_newest_of_each_export(announcer, topics, make_export, clock):
    for number in range(3):
        announcer.announce(make_export(f"e{number}"), None)
        clock.now_s += 1
    announcer.announce(make_export("e0", "running"), None)
    topic = topics.get("exports")
    assert topic.newest_from(1) == [2, 3, 4]


def test_while_nothing_can_be_published_nothing_fails(tmp_path, make_export):
    Announcer(Topics(DiskLog(tmp_path, EVENTS), BUILT_IN)).announce(make_export(), None)


def test_topics_of_exports_are_closed(announcer, topics, make_export):
    for number in range(MAX_FOLLOWED + 50):
        announcer.announce(make_export(f"e{number}"), None)
    left = [topic.name for topic in topics.all()]
    assert len(left) == MAX_FOLLOWED + 1
    assert "exports/e49" not in left
    assert "exports/e50" in left


def test_the_topic_of_a_running_export_is_not_closed(announcer, topics, make_export, clock):
    running = make_export("running", "running")
    for number in range(MAX_FOLLOWED + 50):
        clock.now_s += 1
        announcer.announce(running, None)
        announcer.announce(make_export(f"e{number}"), None)
    assert topics.get("exports/running")


class Follower:
    """A sink that takes nothing, or everything."""

    def __init__(self, topics, text, *, is_full):
        self.busy, self.gone = is_full, False
        self.reader = topics.reader(Patterns.parse(text), All(), "c", NDJSON)
        self.reader.writer = self
        topics.follow(self.reader)

    def feed_from(self, source, *, at_once=True):
        self.wake()

    def forget(self, source):
        pass

    def wake(self):
        while not self.busy and self.reader.more():
            pass

    def try_send(self, data):
        return not self.busy


def test_who_follows_every_export_keeps_none_of_them(announcer, topics, make_export, until):
    """A page that is left open must not fill the server with topics."""
    follower = Follower(topics, "exports/*", is_full=False)
    for number in range(MAX_FOLLOWED + 50):
        announcer.announce(make_export(f"e{number}"), None)
        until(lambda: follower.reader.live)
        follower.wake()
    assert len(topics.all()) <= MAX_FOLLOWED + 2
    assert len(follower.reader.places) <= MAX_FOLLOWED + 1


def test_what_somebody_has_not_had_yet_goes_later(announcer, topics, make_export):
    announcer.announce(make_export("slow"), None)
    follower = Follower(topics, "exports/slow", is_full=True)
    for number in range(MAX_FOLLOWED + 50):
        announcer.announce(make_export(f"e{number}"), None)
    assert topics.get("exports/slow")
    topics.leave(follower.reader)
    announcer.announce(make_export("last"), None)
    assert topics.get("exports/slow") is None
    assert len(topics.all()) == MAX_FOLLOWED + 1


# What the runner announces, with real recordings


@pytest.fixture
def announced():
    """What an export runner has announced: the id, the state, the place in the queue, the rows."""
    return []


@pytest.fixture
def start(start_exports, announced):
    """start(**changes): a runner that announces to `announced`."""

    def note(export, position):
        announced.append((export.id, export.state, position, export.rows))

    return lambda **changes: start_exports(announce=note, **changes)


def states(announced, export):
    """Its states, each once however often there was progress."""
    found = [state for export_id, state, _, _ in announced if export_id == export.id]
    return [state for number, state in enumerate(found) if state not in found[:number]]


def test_a_recording_announces_each_state(start, announced, spec, numbers, until):
    exports = start()
    export = exports.submit(spec(numbers), background=True)
    until(lambda: announced[-1][1] == "complete")
    assert states(announced, export) == ["queued", "running", "complete"]
    assert announced[0] == (export.id, "queued", 1, 0)
    assert announced[-1] == (export.id, "complete", None, 1000)


def test_a_waiting_export_is_announced_with_its_place(start, announced, spec, query, until):
    exports = start(running=1)
    specs = [spec(query("silent")), *(spec(query(f"select {n}")) for n in range(2))]
    first, second, third = (exports.submit(each, background=True) for each in specs)
    assert [(each[0], each[2]) for each in announced if each[1] == "queued"] == [
        (first.id, 1), (second.id, 1), (third.id, 2),
    ]  # fmt: skip
    exports.cancel(second)
    exports.cancel(first)
    until(lambda: states(announced, third)[-1] == "complete")
    assert states(announced, second) == ["queued", "cancelled"]
    assert states(announced, first)[-1] == "cancelled"


def test_a_failure_is_announced(start, announced, spec, query, until):
    export = start().submit(spec(query("hopeless")), background=True)
    until(lambda: states(announced, export)[-1] == "failed")


def test_what_runs_and_what_was_sent_is_counted(start, spec, numbers, query, read_all, until):
    exports = start()
    export = exports.submit(spec(numbers), background=True)
    sent = len(read_all(exports, export))
    assert exports.sent_bytes() == sent
    exports.submit(spec(query("silent")), background=True)
    until(lambda: exports.running() == 1)
    with closing(exports.read(export, 5, 25)) as reader:
        next(reader)
        assert exports.sent_bytes() == sent + 20
    assert exports.sent_bytes() == sent + 20
