"""How many topics clients make, and how many bytes all topics keep."""

import time

import pytest

from journal import JournalFull, Retention
from journal.receipts import RECEIPT_BYTES, Receipts, StoredReceipt
from tests.topics.world import AMPLE, Limits, publish_each
from topics import KeyReused, Rule, TooManyTopics, TopicQuota, TopicsFull
from wire.since import All

SMALL = Retention(1_000_000, 1e9, 10_000)
RULES = [
    Rule("memory/*", durable=False, retention=AMPLE),
    Rule("disk/*", durable=True, retention=AMPLE),
    Rule("small/*", durable=False, retention=SMALL),
    Rule("named", durable=False, retention=AMPLE),
    Rule("named-on-disk", durable=True, retention=AMPLE),
    Rule("own/*", durable=False, retention=AMPLE, writable=False),
]
KILOBYTE = "x" * 1000


@pytest.fixture
def few_world(make_world):
    """Two topics a principal of a pattern."""
    return make_world(RULES, limits=Limits(per_owner=2))


@pytest.fixture
def full_world(make_world):
    """All topics keep 20,000 bytes in memory and as many on the disk; demo topics have them all."""
    world = make_world(RULES, limits=Limits(memory_bytes=20_000, disk_bytes=20_000))
    for name in ("memory/a", "disk/a"):
        while not isinstance(error := world.try_publish(name, KILOBYTE), TopicsFull):
            assert not isinstance(error, Exception)
    return world


# How many


@pytest.mark.parametrize("pattern", ["memory", "disk"])
def test_a_principal_makes_so_many_topics_of_a_pattern(few_world, pattern):
    for name in "ab":
        few_world.publish(f"{pattern}/{name}", 1, owner="ann")
    with pytest.raises(TopicQuota, match=rf"at most 2 topics of {pattern}/\*"):
        few_world.publish(f"{pattern}/c", 1, owner="ann")
    few_world.publish(f"{pattern}/a", 2, owner="ann")
    few_world.publish(f"{pattern}/c", 1, owner="ben")
    few_world.publish("small/a", 1, owner="ann")


def test_a_restart_gives_nobody_another_share(few_world):
    for name in "ab":
        few_world.publish(f"disk/{name}", 1, owner="ann é")
    few_world.restart()
    with pytest.raises(TopicQuota):
        few_world.publish("disk/c", 1, owner="ann é")
    few_world.publish("disk/c", 1, owner="ben")


def test_the_quota_holds_for_those_who_come_at_once(few_world):
    outcomes = []
    for number in range(5):
        few_world.hub.spawn(
            lambda n=number: outcomes.append(few_world.try_publish(f"disk/{n}", 1, owner="ann"))
        )
    few_world.settle()
    assert sum(isinstance(outcome, TopicQuota) for outcome in outcomes) == 3


@pytest.mark.parametrize("name", ["named", "named-on-disk"])
def test_what_the_catalogue_names_has_its_place(make_world, monkeypatch, name):
    monkeypatch.setattr("topics.quota.MAX_TOPICS", 3)
    world = make_world(RULES)
    for letter in "abc":
        world.publish(f"disk/{letter}", 1)
    with pytest.raises(TooManyTopics):
        world.publish("disk/d", 1)
    world.publish(name, 1)
    world.restart()
    world.publish("named", 2)
    world.publish("own/a", 1, by_client=False)
    with pytest.raises(TooManyTopics):
        world.publish("disk/d", 1)


def test_a_topic_without_an_event_has_no_place_after_a_restart(make_world):
    """Reading made them once, hundreds of them."""
    world = make_world(RULES, limits=Limits(per_owner=1))
    world.publish("disk/a", 1)
    (world.folder / "disk,empty").mkdir()
    world.restart()
    assert [topic.name for topic in world.topics.all()] == ["disk/a"]


# How many bytes


@pytest.mark.parametrize("name", ["memory/a", "memory/b", "disk/a", "disk/b", "small/a"])
def test_topics_of_patterns_do_not_grow_beyond_what_all_may_have(full_world, name):
    with pytest.raises(TopicsFull, match="20000 bytes"):
        full_world.publish(name, KILOBYTE * 2)
    room = full_world.topics.log.used()
    assert 18_000 < room.memory_bytes <= 20_000
    assert 18_000 < room.disk_bytes <= 20_000


@pytest.mark.parametrize("name", ["named", "named-on-disk"])
def test_what_the_catalogue_names_goes_on(full_world, name):
    assert full_world.publish(name, KILOBYTE).count == 1
    assert full_world.publish("own/a", KILOBYTE, by_client=False).count == 1


def test_one_refused_refuses_no_other_of_its_group(make_world):
    full_world = make_world(RULES, limits=Limits(disk_bytes=2_000))
    full_world.publish("disk/a", 0)
    outcomes = []
    for data in (KILOBYTE * 2, 1, KILOBYTE * 2):
        full_world.hub.spawn(lambda d=data: outcomes.append(full_world.try_publish("disk/a", d)))
    full_world.settle()
    kinds = [type(outcome).__name__ for outcome in outcomes]
    assert sorted(kinds) == ["Receipt", "TopicsFull", "TopicsFull"]


def test_a_topic_that_lets_go_of_as_much_as_it_takes_goes_on(make_world):
    world = make_world(RULES, limits=Limits(memory_bytes=12_000))
    for _ in range(30):
        world.publish("small/a", KILOBYTE)
    assert world.topics.log.used().memory_bytes <= 10_000


def test_what_expires_makes_room(make_world, clock):
    rules = [Rule("memory/*", durable=False, retention=AMPLE._replace(max_age_s=10))]
    world = make_world(rules, limits=Limits(memory_bytes=2_000))
    world.publish("memory/a", KILOBYTE)
    assert isinstance(world.try_publish("memory/b", KILOBYTE), TopicsFull)
    clock.now_s += 11
    world.expire()
    world.publish("memory/b", KILOBYTE)


def test_a_closed_topic_makes_room(make_world):
    world = make_world(RULES, limits=Limits(memory_bytes=2_000))
    world.publish("memory/a", KILOBYTE)
    assert world.topics.close("memory/a")
    assert world.topics.log.used().memory_bytes == 0
    world.publish("memory/b", KILOBYTE)


def test_receipts_take_room(make_world):
    world = make_world(RULES, limits=Limits(memory_bytes=10_000))
    outcomes = [world.try_publish("disk/a", 1, key=f"{n}") for n in range(20)]
    assert isinstance(outcomes[-1], TopicsFull)
    assert len([each for each in outcomes if not isinstance(each, Exception)]) == 16


def test_what_is_on_the_disk_is_counted_after_a_restart(full_world):
    before = full_world.topics.log.used().disk_bytes
    full_world.restart()
    assert full_world.topics.log.used().disk_bytes == before
    assert isinstance(full_world.try_publish("disk/b", KILOBYTE * 2), TopicsFull)


def test_what_cannot_be_kept_takes_no_room(make_world):
    world = make_world(RULES)
    world.publish("disk/a", 1)
    before = world.topics.log.used().disk_bytes
    world.hub.is_full = True
    assert isinstance(world.try_publish("disk/a", KILOBYTE, key="k"), JournalFull)
    assert world.topics.log.used().disk_bytes == before


def test_receipts_that_are_forgotten_take_none(monkeypatch):
    monkeypatch.setattr("journal.receipts.MAX_RECEIPTS", 3)
    receipts = Receipts(None)
    for number in range(9):
        receipts.add([StoredReceipt(f"{number}", "digest", "id", 1, "ann")])
    receipts.add([StoredReceipt("8", "digest", "id", 1, "ann")])
    assert receipts.memory_bytes == 3 * (RECEIPT_BYTES + 4)


# Keys of principals


@pytest.mark.parametrize("name", ["memory/a", "disk/a"])
def test_a_key_belongs_to_who_sends_it(make_world, name):
    world = make_world(RULES)
    first = world.publish(name, 1, key="k", owner="ann")
    second = world.publish(name, 1, key="k", owner="ben")
    assert first.id < second.id
    assert isinstance(world.try_publish(name, 2, key="k", owner="ann"), KeyReused)
    if name == "disk/a":
        world.restart()
    assert world.publish(name, 1, key="k", owner="ann") == first
    assert world.publish(name, 1, key="k", owner="ben") == second
    follower = world.follow(name, "all")
    world.settle()
    assert follower.data == [1, 1]


# Closed while others go on


def test_a_topic_that_is_closed_while_others_are_expired(world):
    """Expiring another one waits for the disk."""
    publish_each(world, "disk/a", 1)
    publish_each(world, "memory/a", 1)
    closed = world.topics.get("memory/a").records
    assert world.topics.close("memory/a")
    closed.expire(time.time())


def test_a_topic_that_is_closed_while_a_reader_looks_for_its_place(world, monkeypatch):
    """The disk of the one before is waited for."""
    publish_each(world, "disk/a", 1)
    publish_each(world, "memory/a", *range(3))
    seek = type(world.topics.get("disk/a")).seek

    def seek_and_close(topic, since, now_s):
        world.topics.close("memory/a")
        return seek(topic, since, now_s)

    monkeypatch.setattr("topics.topic.Topic.seek", seek_and_close)
    follower = world.follow("*", "5m")
    world.settle()
    assert follower.data == [1]
    publish_each(world, "memory/a", 4)
    world.settle()
    assert follower.data == [1, 4]


def test_who_has_a_closed_topic_finds_it_empty(world):
    publish_each(world, "memory/a", *range(3))
    topic = world.topics.get("memory/a")
    world.topics.close("memory/a")
    assert topic.seek(All(), 0.0) == (4, None)
    assert topic.records.since(0.0) == topic.records.after(b"") == 4
    assert topic.records.read(1, 1000) == []
    assert topic.start_from(1)[0] == 4
