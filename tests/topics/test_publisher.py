"""Publishing: ids, receipts, group commit, and what a full disk leaves."""

import json
import os
import threading
from functools import partial

import pytest

from journal import EVENTS, DiskLog, JournalFull
from tests.topics.world import AMPLE, full_disk, ids_of
from topics import KeyReused, NotReady, NotWritable, Publication, Rule, Topics, UnknownTopic
from wire.cursors import parse_cursor, topic_mark
from wire.events import NewEvent

BOTH = pytest.mark.parametrize("topic", ["memory/a", "disk/a"])


def read_all(world, topic):
    records = world.topics.get(topic).records
    return [json.loads(line) for line in records.read(records.bounds().first, 1 << 30)]


def data_of(world, topic):
    return [event["data"] for event in read_all(world, topic)]


@BOTH
def test_an_event_is_what_the_docs_say(world, topic, clock):
    clock.now_s += 0.25
    receipt = world.publish(topic, {"n": 1})
    assert read_all(world, topic) == [
        {"id": receipt.id, "topic": topic, "name": "message", "data": {"n": 1},
         "time": 1764000000.25}
    ]  # fmt: skip
    assert (receipt.topic, receipt.count) == (topic, 1)
    assert parse_cursor(receipt.id)[1:] == (1, 1, topic_mark(topic))


@BOTH
def test_many_at_once_are_in_order_and_the_receipt_is_of_the_last(world, topic):
    world.publish(topic, "a")
    receipt = world.publish(topic, "b", "c", "d")
    events = read_all(world, topic)
    assert [event["data"] for event in events] == ["a", "b", "c", "d"]
    assert [event["id"] for event in events[1:]] == ids_of(receipt)
    assert receipt.count == 3
    assert [parse_cursor(event["id"]).ordinal for event in events] == [1, 2, 3, 4]


def test_ids_are_of_one_order_over_all_topics(world):
    ids = [world.publish(topic, 1).id for topic in ("memory/a", "disk/a", "memory/b", "memory/a")]
    assert ids == sorted(ids)
    assert [parse_cursor(each).position for each in ids] == [1, 2, 3, 4]


@BOTH
def test_time_does_not_go_back_with_the_clock(world, topic, clock):
    for later_s in (0, -100, 50):
        clock.now_s += later_s
        world.publish(topic, later_s)
    times = [event["time"] for event in read_all(world, topic)]
    assert times == [1764000000.0] * 3


def test_nor_does_it_after_a_restart(world, clock):
    world.publish("disk/a", 1)
    clock.now_s -= 1000
    world.restart()
    world.publish("disk/a", 2)
    assert [event["time"] for event in read_all(world, "disk/a")] == [1764000000.0] * 2


def test_who_may_publish(world):
    with pytest.raises(NotWritable):
        world.publish("own", 1)
    assert world.publish("own", 1, by_client=False).count == 1
    with pytest.raises(NotWritable):
        world.publish("own", 1)
    with pytest.raises(UnknownTopic):
        world.publish("nobody/s", 1)


# Receipts


@BOTH
def test_a_retry_has_the_same_receipt_and_adds_nothing(world, topic):
    receipt = world.publish(topic, "a", "b", key="k")
    world.publish(topic, "c")
    assert world.publish(topic, "a", "b", key="k") == receipt
    assert data_of(world, topic) == ["a", "b", "c"]


OTHERS = {
    "other data": ["a", "c"],
    "fewer": ["a"],
    "more": ["a", "b", "b"],
    "another order": ["b", "a"],
    "a number for a text": ["a", 1],
}


@BOTH
@pytest.mark.parametrize("data", OTHERS.values(), ids=OTHERS.keys())
def test_the_key_of_something_else_is_refused(world, topic, data):
    world.publish(topic, "a", "b", key="k")
    with pytest.raises(KeyReused):
        world.publish(topic, *data, key="k")
    assert data_of(world, topic) == ["a", "b"]


def test_the_key_of_another_name_is_refused(world):
    world.publish("memory/a", 1, key="k")
    with pytest.raises(KeyReused):
        world.topics.publish("memory/a", Publication([NewEvent("other", "1")], "k"))


def test_a_key_is_of_its_topic(world):
    first, second = (world.publish(topic, 1, key="k") for topic in ("memory/a", "memory/b"))
    assert first.id != second.id


def test_a_retry_after_a_restart_adds_nothing(world):
    receipt = world.publish("disk/a", 1, 2, key="k")
    world.restart()
    assert world.publish("disk/a", 1, 2, key="k") == receipt
    with pytest.raises(KeyReused):
        world.publish("disk/a", 3, key="k")
    assert data_of(world, "disk/a") == [1, 2]


def test_a_retry_of_what_is_no_longer_kept_adds_nothing(world, clock):
    receipt = world.publish("disk/a", 1, key="k")
    world.topics.get("disk/a").records.expire(clock.now_s + 2e9)
    world.restart()
    assert world.publish("disk/a", 1, key="k") == receipt
    assert data_of(world, "disk/a") == []


def test_a_retry_of_what_a_crash_has_cut_off_is_new(world):
    """The receipt came to the disk, its event did not."""
    world.publish("disk/a", 1)
    receipt = world.publish("disk/a", 2, key="k")
    world.topics.stop()
    (journal,) = (world.folder / "disk,a").glob("*.ndjson")
    os.truncate(journal, journal.stat().st_size - 10)
    world.open()
    again = world.publish("disk/a", 2, key="k")
    assert again.id > receipt.id
    assert data_of(world, "disk/a") == [1, 2]


# A full disk


def test_a_full_disk_keeps_nothing_and_says_so(world):
    world.publish("disk/a", 1)
    with full_disk(), pytest.raises(JournalFull):
        world.publish("disk/a", 2, key="k")
    assert data_of(world, "disk/a") == [1]
    receipt = world.publish("disk/a", 2, key="k")
    assert data_of(world, "disk/a") == [1, 2]
    assert parse_cursor(receipt.id).ordinal == 2


class NoRoomFor:
    """As run_here, on a disk that has no room for what is appended to one kind of file."""

    def __init__(self, monkeypatch):
        self.is_full = False
        monkeypatch.setattr(os, "pwrite", self.pwrite)

    def pwrite(self, fd, data, offset, write=os.pwrite):
        if self.is_full:
            raise OSError(28, "No space left on device")
        return write(fd, data, offset)


def test_a_receipt_of_what_could_not_be_kept_is_not_believed_after_a_restart(world, monkeypatch):
    """The disk took the receipt and not the event; then others came, and the server went."""
    disk = NoRoomFor(monkeypatch)
    world.publish("disk/a", 1)
    disk.is_full = True
    with pytest.raises(JournalFull, match="No space left"):
        world.publish("disk/a", 2, key="k")
    disk.is_full = False
    world.publish("disk/a", 3)
    world.restart()
    world.publish("disk/a", 2, key="k")
    assert data_of(world, "disk/a") == [1, 3, 2]


def test_what_is_larger_than_all_that_is_kept_is_refused_by_itself(make_world):
    """Who publishes too much at the same time must not cost the others theirs."""
    rule = Rule("disk/*", True, AMPLE._replace(max_bytes=1000))
    world = make_world([rule])
    world.publish("disk/a", "first")
    outcomes = {}
    for data in ("before", "x" * 2000, "behind"):
        world.hub.spawn(
            lambda data=data: outcomes.update({data: world.try_publish("disk/a", data)})
        )
    world.settle()
    assert isinstance(outcomes.pop("x" * 2000), JournalFull)
    assert data_of(world, "disk/a") == ["first", "before", "behind"]
    assert [parse_cursor(receipt.id).ordinal for receipt in outcomes.values()] == [2, 3]


# Many at once


def publish_together(world, *data, key=None):
    """Publish each by itself, while a first one is on its way: they are one group."""
    outcomes = {}

    def publish(each):
        outcomes[each] = world.try_publish("disk/a", each, key=key if each in data else None)

    for each in ("leader", *data):
        world.hub.spawn(partial(publish, each))
    # The leader waits for the disk when the others come.
    for thread in world.hub.ready():
        world.hub.turn(thread)
    return outcomes


def test_a_group_is_written_at_once_and_in_order(world):
    world.publish("disk/a", "first")
    outcomes = publish_together(world, *"abcdef")
    world.settle()
    assert data_of(world, "disk/a") == ["first", "leader", *"abcdef"]
    ids = [outcome.id for outcome in outcomes.values()]
    assert ids == sorted(ids) == world.published["disk/a"][1:]


def test_the_same_key_twice_in_a_group_is_one_event(world):
    world.publish("disk/a", "first")
    outcomes = publish_together(world, "a", "b", key="k")
    world.settle()
    assert data_of(world, "disk/a") == ["first", "leader", "a"]
    assert isinstance(outcomes["b"], KeyReused)


def test_a_full_disk_fails_the_group_and_then_takes_the_next(world):
    world.publish("disk/a", "first")
    outcomes = publish_together(world, "a", "b")
    world.hub.is_full = True
    world.settle()
    assert {type(outcome) for outcome in outcomes.values()} == {JournalFull}
    world.hub.is_full = False
    world.publish("disk/a", "after")
    world.restart()
    assert data_of(world, "disk/a") == ["first", "after"]


def test_who_waits_when_the_server_stops_is_told_so_and_nothing_is_written(world, monkeypatch):
    monkeypatch.setattr("journal.memory_log.STOP_S", 0)
    world.publish("disk/a", "first")
    outcomes = publish_together(world, "a", "b")
    world.topics.stop()
    world.settle()
    assert isinstance(outcomes["a"], NotReady)
    assert isinstance(outcomes["b"], NotReady)


@pytest.fixture
def counting(monkeypatch):
    """How often the data of a file was synced; each takes its time."""
    syncs = []
    is_slow = threading.Event()

    def sync(fd, fdatasync=os.fdatasync):
        syncs.append(fd)
        is_slow.wait(0.002)
        fdatasync(fd)

    monkeypatch.setattr(os, "fdatasync", sync)
    return syncs


def test_many_threads_share_writes_and_every_receipt_is_of_what_is_on_the_disk(tmp_path, counting):
    rule = Rule("disk/*", True, AMPLE)
    topics = Topics(DiskLog(tmp_path, EVENTS), [rule])
    topics.start()
    receipts = []

    def publish(worker):
        for n in range(20):
            data = f'"{worker}/{n}"'
            receipts.append((data, topics.publish("disk/a", Publication([NewEvent("m", data)]))))

    topics.publish("disk/a", Publication([NewEvent("m", "0")]))
    threads = [threading.Thread(target=publish, args=(worker,)) for worker in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    topics.stop()
    lines = b"".join(path.read_bytes() for path in sorted(tmp_path.glob("disk,a/*.ndjson")))
    on_disk = {event["id"]: event["data"] for event in map(json.loads, lines.splitlines())}
    assert list(on_disk) == sorted(on_disk)
    assert len(receipts) == 160
    assert all(on_disk[receipt.id] == json.loads(data) for data, receipt in receipts)
    assert len(counting) < 160


def test_a_publication_is_not_made_twice_by_two_threads(tmp_path, counting):
    """All retry at once, as after a time-out: one event, and everybody has its receipt."""
    topics = Topics(DiskLog(tmp_path, EVENTS), [Rule("disk/*", True, AMPLE)])
    topics.start()
    receipts = []

    def publish():
        receipts.append(topics.publish("disk/a", Publication([NewEvent("m", "1")], "k")))

    threads = [threading.Thread(target=publish) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(set(receipts)) == 1
    assert len(receipts) == 8
    assert topics.get("disk/a").records.bounds().last == 1
    topics.stop()


def test_a_closed_publisher_keeps_nothing(world):
    world.publish("disk/a", 1)
    kept = world.topics.get("disk/a").records
    kept.close()
    with pytest.raises(NotReady):
        kept.append([Publication([NewEvent("m", "1")])])
