"""All topics: opening, two processes, stopping, heartbeats, bounds."""

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from journal import EVENTS, DiskLog
from tests.topics.world import AMPLE, RULES, Follower, World, full_disk, publish_each
from topics import NotReady, Patterns, Publication, Rule, TooManyTopics, Topics
from topics.notices import HEARTBEAT_S, RECONNECT_MS, beat
from topics.quota import MAX_TOPICS
from wire.cursors import parse_cursor
from wire.events import NewEvent
from wire.framing import NDJSON, WHOLE_SSE
from wire.since import All, Now

PROJECT = Path(__file__).parent.parent.parent


@pytest.fixture
def open_topics(tmp_path):
    """open_topics(): topics on the same folder each time, started; all are stopped afterwards."""
    opened = []

    def open_it(folder=tmp_path / "shared"):
        opened.append(Topics(DiskLog(folder, EVENTS), RULES))
        opened[-1].start()
        return opened[-1]

    yield open_it
    for topics in opened:
        topics.stop()


def publish(topics, name, *data):
    return topics.publish(name, Publication([NewEvent("m", json.dumps(each)) for each in data]))


def read_all(topics, name):
    reader = topics.reader(Patterns.parse(name), All(), "c", NDJSON)
    lines = b"".join(iter(reader.more, None)).splitlines()
    return [json.loads(line)["data"] for line in lines]


# Opening


def test_nothing_happens_before_the_start(tmp_path):
    topics = Topics(DiskLog(tmp_path / "topics", EVENTS), RULES)
    with pytest.raises(NotReady):
        publish(topics, "memory/a", 1)
    with pytest.raises(NotReady):
        topics.reader(Patterns.parse("*"), Now(), "c", NDJSON)
    assert not (tmp_path / "topics").exists()
    topics.stop()
    assert not (tmp_path / "topics").exists()


NAMES = ["a", "lock", "epoch", "@lock"[1:], "a/b/c", "a%2Fb".replace("%", "-"), "a" * 100, "~.-_"]
DEEP = "/".join("a" * 100)


@pytest.mark.parametrize("name", [*NAMES, DEEP])
def test_a_durable_topic_may_have_any_name(make_world, name):
    """199 characters of which half are slashes have to be one name of a file."""
    world = make_world([Rule(name, True, AMPLE)])
    receipt = world.publish(name, 1)
    world.restart()
    assert world.topics.get(name).newest == receipt.id
    publish_each(world, name, 2)
    follower = world.follow(name, "all")
    world.settle()
    assert follower.data == [1, 2]


def test_topics_that_the_catalogue_no_longer_names_stay_on_the_disk(make_world):
    world = make_world()
    world.publish("disk/a", 1)
    world.close()
    other = make_world([Rule("other", True, AMPLE)])
    assert other.topics.all() == []
    other.close()
    assert [topic.name for topic in make_world().topics.all()] == ["disk/a"]


def test_what_is_no_longer_durable_is_not_opened(make_world):
    world = make_world()
    world.publish("disk/a", 1)
    world.close()
    assert make_world([Rule("disk/*", False, AMPLE)]).topics.all() == []


def test_one_topic_that_cannot_be_opened_hides_no_other(make_world, caplog):
    world = make_world()
    for name in ("disk/a", "disk/b"):
        world.publish(name, 1)
    world.close()
    (journal,) = (world.folder / "disk,a").glob("*.ndjson")
    journal.unlink()
    journal.mkdir()
    journal.with_name(f"{2:020}.ndjson").mkdir()
    (world.folder / "disk,a" / "receipts").mkdir()
    world = make_world()
    assert "disk/b" in [topic.name for topic in world.topics.all()]
    assert "cannot open topic=disk/a" in caplog.text


def test_strangers_in_the_folder_are_left_alone(make_world):
    world = make_world()
    world.close()
    for name in ("notes.txt", "nobody,s", ".hidden"):
        (world.folder / name).mkdir()
    assert make_world().topics.all() == []


# Two processes


def test_a_second_process_waits_for_the_first_and_goes_on_with_what_that_wrote(open_topics, until):
    first, second = open_topics(), open_topics()
    publish(first, "disk/a", 1, 2)
    with pytest.raises(NotReady):
        publish(second, "disk/a", 3)
    with pytest.raises(NotReady):
        second.reader(Patterns.parse("disk/a"), Now(), "c", NDJSON)
    first.stop()
    until(lambda: second.get("disk/a"))
    receipt = publish(second, "disk/a", 3)
    assert read_all(second, "disk/a") == [1, 2, 3]
    assert parse_cursor(receipt.id).ordinal == 3
    with pytest.raises(NotReady):
        publish(first, "disk/a", 4)


def test_who_never_gets_the_folder_stops_all_the_same(open_topics):
    open_topics()
    second = open_topics()
    second.stop()
    second.stop()


HOLDER = """
import sys, time
from pathlib import Path
from journal import EVENTS, DiskLog
from tests.topics.world import RULES
from topics import Publication, Topics
from wire.events import NewEvent

topics = Topics(DiskLog(Path(sys.argv[1]), EVENTS), RULES)
topics.start()
topics.publish("disk/a", Publication([NewEvent("m", "1")], "key"))
print("ready", flush=True)
sys.stdin.read()
topics.publish("disk/a", Publication([NewEvent("m", "2")], "another"))
print("published", flush=True)
time.sleep(60)
"""


def test_what_a_killed_process_has_acknowledged_is_there(tmp_path, open_topics, until):
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path / "shared")],
        cwd=PROJECT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    with holder:
        assert holder.stdout.readline() == "ready\n"
        second = open_topics()
        with pytest.raises(NotReady):
            publish(second, "disk/a", 3)
        holder.stdin.close()
        assert holder.stdout.readline() == "published\n"
        holder.kill()
    until(lambda: second.get("disk/a"))
    second.publish("disk/a", Publication([NewEvent("m", "2")], "another"))
    assert read_all(second, "disk/a") == [1, 2]


# Stopping


def test_everybody_is_told_to_come_back_each_at_another_moment(world):
    followers = [world.follow("memory/*", connection=f"{n}") for n in range(100)]
    world.settle()
    publish_each(world, "memory/a", 1)
    world.topics.drain()
    world.hub.run()
    assert all(follower.data == [1] for follower in followers)
    told = [follower.items[-1] for follower in followers]
    assert {item["name"] for item in told} == {"reconnect"}
    times = {item["data"]["after_ms"] for item in told}
    assert len(times) == 100
    assert times <= set(RECONNECT_MS)
    assert max(times) - min(times) > 4000
    assert all(follower.ended for follower in followers)


def test_more_readers_than_moments_are_told_too(world, monkeypatch):
    monkeypatch.setattr("topics.notices.RECONNECT_MS", range(500, 503))
    followers = [world.follow("memory/a", connection=f"{n}") for n in range(7)]
    world.settle()
    world.topics.drain()
    assert [each.items[-1]["data"]["after_ms"] for each in followers] == [
        500, 500, 500, 501, 501, 502, 502,
    ]  # fmt: skip


def test_a_connection_with_several_readers_is_told_once(world):
    followers = [world.follow(text, connection="one") for text in ("memory/a", "memory/b", "*")]
    other = world.follow("memory/a", connection="other")
    world.settle()
    world.topics.drain()
    world.hub.run()
    told = [item["name"] for follower in followers for item in follower.items]
    assert told == ["reconnect"]
    assert [item["name"] for item in other.items] == ["reconnect"]
    assert all(follower.reader.is_over for follower in followers)


def test_a_drain_of_nobody(world):
    world.topics.drain()
    with pytest.raises(NotReady):
        world.publish("memory/a", 1)


@pytest.mark.parametrize("text", ["disk/a", "*"])
def test_who_was_behind_when_the_server_stopped_comes_back_to_what_is_missing(world, text):
    """The id that the reader keeps is that of the notice."""
    publish_each(world, "disk/a", 0)
    follower = world.follow(text, room=0)
    world.settle()
    for number in range(1, 5):
        world.publish("disk/a", number)
        world.topics.dispatcher.flush()
        world.hub.run()
    world.topics.drain()
    follower.line.room = 1 << 20
    world.settle()
    last = follower.items[-1]
    assert last["name"] == "reconnect"
    assert follower.data != [1, 2, 3, 4]
    world.open()
    second = world.follow(text, last["id"])
    world.settle()
    assert follower.data + second.data == [1, 2, 3, 4]


def test_who_is_read_to_when_the_server_stops_gets_nothing_twice(world, monkeypatch):
    """The reader's next events are on their way from the disk when its last words are said."""
    monkeypatch.setattr("journal.segments.read_cached", lambda fd, start, length: b"")
    publish_each(world, "disk/a", 1, 2)
    follower = world.follow("disk/a", "all")
    (pump,) = world.hub.ready()
    world.hub.turn(pump)
    world.topics.drain()
    world.settle()
    world.open()
    second = world.follow("disk/a", follower.last_id)
    world.settle()
    assert follower.data + second.data == [1, 2]


def test_what_is_on_its_way_to_the_disk_is_waited_for(tmp_path, until):
    """In real threads: the stop comes while a publisher waits for its sync."""
    may_go_on, waits = threading.Event(), threading.Event()
    receipts = []

    def run_native(work):
        if threading.current_thread() is publisher:
            waits.set()
            may_go_on.wait(20)
        return work()

    publisher = threading.Thread(target=lambda: receipts.append(publish(topics, "disk/a", 1)))
    topics = Topics(DiskLog(tmp_path / "topics", EVENTS, run_native=run_native), RULES)
    topics.start()
    publish(topics, "disk/a", 0)
    publisher.start()
    assert waits.wait(20)
    stopping = threading.Thread(target=topics.drain)
    stopping.start()
    until(topics._stopped.is_set)
    assert stopping.is_alive()
    may_go_on.set()
    publisher.join(20)
    stopping.join(20)
    assert receipts[0].count == 1
    again = Topics(DiskLog(tmp_path / "topics", EVENTS), RULES)
    again.start()
    assert read_all(again, "disk/a") == [0, 1]
    again.stop()


def test_a_topic_that_is_opened_when_the_server_stops_is_closed_again(world):
    """Or the process that comes next could not open it."""
    outcomes = []
    world.hub.spawn(lambda: outcomes.append(world.try_publish("disk/a", 1)))
    world.hub.turn(world.hub.ready()[0])
    world.topics.stop()
    world.settle()
    assert isinstance(outcomes[0], NotReady)
    world.open()
    assert world.publish("disk/a", 1).count == 1


def test_a_stop_does_not_wait_for_ever(world, monkeypatch):
    monkeypatch.setattr("journal.memory_log.STOP_S", 0.01)
    world.publish("disk/a", 1)
    world.hub.spawn(lambda: world.try_publish("disk/a", 2))
    world.hub.turn(world.hub.ready()[0])
    world.topics.stop()


# Heartbeats


@pytest.mark.parametrize("text", ["memory/a", "disk/a", "*"])
def test_a_heartbeat_has_the_id_of_what_was_told_last(world, text):
    topic = "disk/a" if text == "disk/a" else "memory/a"
    publish_each(world, topic, 1)
    follower = world.follow(text)
    world.settle()
    world.beat()
    (event_id,) = publish_each(world, topic, 2)
    # Published, and not pushed yet.
    world.beat()
    world.settle()
    world.beat()
    ids = [item["id"] for item in follower.items]
    assert ids == [follower.start, follower.start, event_id, event_id]


def test_a_heartbeat_is_for_who_is_up_to_date_and_takes_it(world):
    publish_each(world, "memory/a", 1)
    behind, live = world.follow("memory/a", "all", room=0), world.follow("memory/a")
    world.settle()
    world.beat()
    assert [item["name"] for item in live.items] == ["heartbeat"]
    behind.line.room = 1 << 20
    world.settle()
    assert [item["name"] for item in behind.items] == ["message"]


def test_everybody_has_one_in_fifteen_seconds(world):
    followers = [world.follow("memory/a") for _ in range(200)]
    world.settle()
    counts = []
    for second in range(7, 7 + HEARTBEAT_S):
        beat(world.topics.readers, second)
        counts.append(sum(len(follower.items) for follower in followers))
    assert counts[-1] == 200
    assert all(len(follower.items) == 1 for follower in followers)
    assert counts[HEARTBEAT_S // 2] < 200


def test_who_is_dead_is_dropped(world):
    follower = world.follow("memory/a")
    follower.reader.is_dead = lambda: True
    world.settle()
    world.beat()
    assert follower.writer.gone


def test_the_house_is_kept_by_itself(make_world, monkeypatch, until):
    monkeypatch.setattr("topics.topics.HOUSEKEEPING_S", 0.01)
    world = make_world([Rule("few", True, AMPLE._replace(max_records=2))])
    publish_each(world, "few", *range(10))
    follower = Follower(world, "few")
    world.hub.run()
    until(lambda: world.topics.get("few").records.bounds().first == 9)
    until(lambda: follower.items)
    assert follower.items[0]["name"] == "heartbeat"


def test_one_mistake_does_not_end_the_housekeeping(make_world, monkeypatch, until, caplog):
    monkeypatch.setattr("topics.topics.HOUSEKEEPING_S", 0.01)
    world = make_world()
    mistakes = [ZeroDivisionError("ours")]

    def is_dead():
        if mistakes:
            raise mistakes.pop()
        return True

    follower = Follower(world, "memory/a")
    follower.reader.is_dead = is_dead
    until(lambda: follower.writer.gone)
    assert "housekeeping failed" in caplog.text


# What is let go of


def test_expiring_during_a_publication_costs_nothing(make_world, clock):
    """All is too old: a new file is begun, which waits for the disk; a publisher comes then."""
    world = make_world([Rule("disk/*", True, AMPLE._replace(max_age_s=10))])
    world.publish("disk/a", 1)
    clock.now_s += 100
    world.hub.spawn(world.expire)
    (housekeeping,) = world.hub.ready()
    world.hub.turn(housekeeping)
    outcomes = []
    world.hub.spawn(lambda: outcomes.append(world.try_publish("disk/a", 2)))
    for thread in world.hub.ready()[::-1]:
        world.hub.turn(thread)
    world.settle()
    assert [outcome.count for outcome in outcomes] == [1]
    follower = world.follow("disk/a", "all")
    world.settle()
    assert follower.data == [2]


def test_a_full_disk_does_not_stop_what_is_in_memory(world):
    publish_each(world, "disk/a", 1)
    with full_disk():
        assert world.publish("memory/a", 1).count == 1


# Bounds


def test_there_are_so_many_topics_at_most(world, monkeypatch):
    assert MAX_TOPICS == 1000
    monkeypatch.setattr("topics.quota.MAX_TOPICS", 3)
    for name in "abc":
        world.publish(f"memory/{name}", 1)
    with pytest.raises(TooManyTopics):
        world.publish("memory/d", 1)
    world.publish("memory/a", 2)


def test_the_servers_own_topics_have_room_whatever_clients_make(world, monkeypatch):
    monkeypatch.setattr("topics.quota.MAX_TOPICS", 3)
    for name in "abc":
        world.publish(f"disk/{name}", 1)
    world.publish("own", 1, by_client=False)
    world.restart()
    assert len(world.topics.all()) == 3
    world.publish("own", 1, by_client=False)


def test_nothing_stays_of_who_has_left(world):
    for _ in range(50):
        for text in ("memory/a", "*"):
            follower = world.follow(text)
            publish_each(world, "memory/a", 1)
            world.settle()
            follower.cut()
    del follower
    topics = world.topics
    assert (topics.readers, topics.get("memory/a").readers) == ({}, {})
    assert len(topics.subscriptions.made) == 0
    assert topics.subscriptions.connections() == {}


def test_who_leaves_twice_is_counted_once(world):
    follower = world.follow("memory/a")
    publish_each(world, "memory/a", 1)
    world.settle()
    world.topics.leave(follower.reader)
    world.topics.leave(follower.reader)
    assert world.topics.subscriptions.sent_bytes() == len(follower.line.got) > 0


def test_what_is_counted(world):
    followers = [world.follow("memory/a"), world.follow("memory/a", framing=WHOLE_SSE)]
    publish_each(world, "memory/a", 1, 2, 3)
    world.settle()
    assert world.topics.subscriptions.connections() == {"ndjson": 1, "sse": 1}
    assert world.topics.published == 3
    assert world.topics.subscriptions.sent_bytes() == sum(len(each.line.got) for each in followers)


# Closing one


@pytest.mark.parametrize("is_there", [True, False])
def test_the_servers_own_is_pushed_to_and_is_no_client(world, is_there):
    if is_there:
        world.publish("memory/a", 0)
    own = world.follow("memory/a", is_own=True)
    world.settle()
    world.publish("memory/a", 1)
    world.settle()
    assert own.data == [1]
    assert world.topics.subscriptions.connections() == {}
    world.topics.leave(own.reader)
    world.publish("memory/a", 2)
    world.settle()
    assert own.data == [1]


def test_a_topic_in_memory_that_is_closed_is_gone(world):
    publish_each(world, "memory/a", 1)
    assert world.topics.close("memory/a")
    assert world.topics.close("memory/a")
    assert world.topics.get("memory/a") is None
    follower = world.follow("memory/a", "all")
    world.settle()
    assert follower.items == []


def test_a_topic_on_the_disk_is_not_closed(world):
    publish_each(world, "disk/a", 1)
    assert not world.topics.close("disk/a")
    assert world.topics.get("disk/a")


def test_a_topic_whose_readers_have_had_everything_is_closed_and_may_come_back(world):
    """Somebody who follows everything must not keep every topic that ever was."""
    publish_each(world, "memory/a", 1)
    follower = world.follow("*", "all")
    world.settle()
    # Also if it has had it by itself, and the push is still to come.
    world.publish("memory/b", 2)
    world.settle()
    world.publish("memory/a", 3)
    follower.writer.wake()
    world.hub.run()
    assert world.topics.close("memory/a")
    assert world.topics.get("memory/a") is None
    world.publish("memory/b", 4)
    world.publish("memory/a", 5)
    world.settle()
    assert follower.data == [1, 2, 3, 4, 5]


def test_a_topic_is_not_closed_before_its_readers_have_had_everything(world):
    publish_each(world, "memory/a", 1)
    follower = world.follow("*", "all", room=0)
    assert not world.topics.close("memory/a")
    assert world.topics.get("memory/a")
    follower.line.room = 1 << 20
    world.settle()
    assert follower.data == [1]


def test_the_first_publishers_of_a_topic_make_one(open_topics):
    topics = open_topics()
    threads = [
        threading.Thread(target=publish, args=(topics, "disk/new", number)) for number in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert sorted(read_all(topics, "disk/new")) == list(range(8))


def test_no_descriptor_is_left(tmp_path):
    def count():
        return len(os.listdir("/proc/self/fd"))  # noqa: PTH208

    world = World(tmp_path / "topics")
    world.publish("disk/a", 1)
    world.close()
    before = count()
    for _ in range(5):
        world = World(tmp_path / "topics")
        world.follow("disk/a", "all")
        world.settle()
        world.publish("disk/a", 1)
        world.close()
    del world
    assert count() <= before


def test_a_topic_that_is_closed_meanwhile_does_not_end_the_housekeeping(world):
    publish_each(world, "few/a", 1, 2, 3)
    kept = world.topics.get("few/a").records
    kept.expire(time.time())
    assert world.topics.close("few/a")
    kept.expire(time.time())


def test_who_has_nothing_to_catch_up_with_is_live_at_once_and_starts_no_thread(world):
    publish_each(world, "memory/a", 1, 2)
    new, late = world.follow("memory/a"), world.follow("memory/a", "all")
    assert (new.reader.live, late.reader.live) == (True, False)
    assert len(world.hub.threads) == 1
    publish_each(world, "memory/a", 3)
    world.settle()
    assert (new.data, late.data) == ([3], [1, 2, 3])
