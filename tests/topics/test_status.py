"""The pulse of the server: what it says, that it goes on, and that it ends."""

from __future__ import annotations

import json
import threading
import time

import psutil
import pytest

from journal import EVENTS, DiskLog, Retention
from topics import Patterns, Publication, Rule, Topics
from topics.rules import BUILT_IN
from topics.status import StatusClock
from wire.events import NewEvent
from wire.framing import NDJSON
from wire.since import All

ANY = Rule("a", False, Retention(100, 100, 1 << 20))


@pytest.fixture
def topics(tmp_path):
    topics = Topics(DiskLog(tmp_path / "topics", EVENTS), [*BUILT_IN, ANY])
    yield topics
    topics.stop()


@pytest.fixture
def make_clock(topics, monkeypatch):
    """make_clock(**asked): a clock whose second is 20 ms; it is stopped afterwards."""
    monkeypatch.setattr("topics.status.EVERY_S", 0.02)
    monkeypatch.setattr("topics.status.PROBE_S", 0.005)
    made = []

    def make(**asked):
        usual = {
            "connections": lambda: {"sse": 2}, "exports_running": lambda: 3, "sent_bytes": lambda: 0
        }  # fmt: skip
        made.append(StatusClock(topics, **{**usual, **asked}))
        return made[-1]

    yield make
    for clock in made:
        clock.stop()


def told(topics):
    reader = topics.reader(Patterns.parse("status"), All(), "c", NDJSON)
    return [json.loads(line) for line in b"".join(iter(reader.more, None)).splitlines()]


def test_status_is_what_the_docs_say(topics, make_clock, until):
    topics.start()
    make_clock().start()
    event = until(lambda: told(topics))[0]
    assert event["name"] == "status"
    status = event["data"]
    assert list(status) == [
        "time", "hub_lag_ms", "connections", "events_per_s", "bytes_per_s", "memory_bytes",
        "exports_running",
    ]  # fmt: skip
    assert abs(status["time"] - time.time()) < 20
    assert (status["connections"], status["exports_running"]) == ({"sse": 2}, 3)
    assert status["memory_bytes"] == pytest.approx(psutil.Process().memory_info().rss, rel=0.5)
    assert status["hub_lag_ms"] >= 0


def test_it_goes_on(topics, make_clock, until):
    topics.start()
    make_clock().start()
    until(lambda: len(told(topics)) > 5)
    times = [event["data"]["time"] for event in told(topics)]
    assert times == sorted(times)


def test_what_is_counted_is_of_one_second(topics, make_clock, until):
    topics.start()
    sent = [5000]
    make_clock(sent_bytes=lambda: sent[0]).start()
    until(lambda: told(topics))
    topics.publish("a", Publication([NewEvent("m", "1")] * 50))
    sent[0] += 700
    until(lambda: any(event["data"]["bytes_per_s"] == 700 for event in told(topics)))
    until(lambda: len(told(topics)) > 5)
    events = told(topics)
    # Its own event of the second before is one of them.
    assert sum(event["data"]["events_per_s"] > 40 for event in events) == 1
    assert sum(event["data"]["bytes_per_s"] for event in events) == 5700


def test_a_thread_that_is_held_up_shows(topics, make_clock, until, monkeypatch):
    monkeypatch.setattr("topics.status.time.sleep", threading.Event().wait)
    topics.start()
    late = [0.0]
    now = time.monotonic

    def monotonic():
        return now() + late[0]

    monkeypatch.setattr("topics.status.time.monotonic", monotonic)
    make_clock().start()
    until(lambda: told(topics))
    late[0] = 0.5
    until(lambda: any(event["data"]["hub_lag_ms"] > 400 for event in told(topics)))


def test_it_waits_until_topics_are_there(topics, make_clock, until):
    asked = []
    make_clock(exports_running=lambda: asked.append(1) or 0).start()
    until(lambda: len(asked) > 2)
    topics.start()
    until(lambda: told(topics))


def test_one_mistake_does_not_stop_it(topics, make_clock, until, caplog):
    mistakes = [ZeroDivisionError("ours")]

    def running():
        if mistakes:
            raise mistakes.pop()
        return 0

    topics.start()
    make_clock(exports_running=running).start()
    until(lambda: told(topics))
    assert "status failed" in caplog.text


def test_it_ends_when_it_is_stopped(topics, make_clock, until):
    topics.start()
    clock = make_clock()
    clock.start()
    until(lambda: told(topics))
    clock.stop()
    until(lambda: "status" not in [thread.name for thread in threading.enumerate()])
