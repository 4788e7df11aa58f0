"""What one reader is told: history, then live; what is missing; several topics; restarts."""

import json

import pytest

from journal import JournalFull
from tests.topics.world import publish_each
from topics import Patterns, UnknownTopic
from wire.framing import NDJSON
from wire.since import All

BOTH = pytest.mark.parametrize("topic", ["memory/a", "disk/a"])


# Where one begins


@BOTH
def test_now_is_what_comes_from_now_on(world, topic):
    publish_each(world, topic, 1, 2)
    follower = world.follow(topic)
    world.settle()
    assert follower.items == []
    publish_each(world, topic, 3, 4)
    world.settle()
    assert follower.data == [3, 4]


@BOTH
def test_all_is_everything_that_is_kept_and_what_comes(world, topic):
    publish_each(world, topic, 1, 2)
    follower = world.follow(topic, "all")
    publish_each(world, topic, 3)
    world.settle()
    publish_each(world, topic, 4)
    world.settle()
    assert follower.data == [1, 2, 3, 4]
    assert [event["id"] for event in follower.events] == world.published[topic]


@BOTH
def test_an_age_is_what_is_not_older(world, topic, clock):
    for data in range(5):
        world.publish(topic, data)
        clock.now_s += 60
    follower = world.follow(topic, "3m")
    world.settle()
    assert follower.data == [2, 3, 4]


@BOTH
def test_a_cursor_is_what_comes_right_after_it(world, topic):
    ids = publish_each(world, topic, 1, 2, 3)
    for number, event_id in enumerate(ids, 1):
        follower = world.follow(topic, event_id)
        world.settle()
        assert follower.data == [1, 2, 3][number:]


@pytest.mark.parametrize("since", [None, "all", "1h"])
@pytest.mark.parametrize("text", ["memory/a", "disk/a", "*", "memory/a,disk/a", "disk/none"])
def test_where_it_began_is_a_cursor_that_brings_the_same(world, text, since):
    """Who is cut off before the first event comes back with Headwater-Cursor and misses nothing."""
    publish_each(world, "memory/a", 1, 2)
    publish_each(world, "disk/a", 3, 4)
    first = world.follow(text, since)
    publish_each(world, "memory/a", 5)
    publish_each(world, "disk/a", 6)
    second = world.follow(text, first.start)
    world.settle()
    assert first.items == second.items
    assert all(first.start < item["id"] for item in first.items)


def test_what_is_acknowledged_later_is_told_though_the_disk_has_it(world):
    """Who follows from now on while an event is between the disk and its publisher gets it."""
    world.publish("disk/a", "before")
    world.hub.spawn(lambda: world.publish("disk/a", "on its way"))
    (thread,) = world.hub.ready()
    while world.topics.get("disk/a").records.bounds().last == 1:
        world.hub.turn(thread)
    follower = world.follow("disk/a")
    assert len(world.published["disk/a"]) == 1
    world.settle()
    assert follower.data == ["on its way"]
    assert follower.start < follower.events[0]["id"]


def test_nobody_follows_what_the_catalogue_does_not_name(world):
    with pytest.raises(UnknownTopic):
        world.follow("memory/a,nobody/s")


def test_a_pattern_of_nothing_yet_can_be_followed(world):
    follower = world.follow("nobody/*,memory/*")
    world.publish("memory/a", 1)
    world.settle()
    assert follower.data == [1]


def test_who_follows_a_pattern_gets_what_is_made_later_from_its_first_event(world):
    world.publish("memory/old", 0)
    follower = world.follow("memory/*")
    for name in "abc":
        publish_each(world, f"memory/{name}", 1, 2)
        world.settle()
    assert [(event["topic"], event["data"]) for event in follower.events] == [
        (f"memory/{name}", data) for name in "abc" for data in (1, 2)
    ]


@pytest.mark.parametrize("topic", ["memory/new", "disk/new"])
def test_what_is_made_between_the_head_of_an_answer_and_its_body_is_told(world, topic):
    world.hub.spawn(lambda: followers.append(world.follow("*")))
    followers = []
    (thread,) = world.hub.ready()
    world.hub.turn(thread)
    assert not followers
    publish_each(world, topic, 1, 2)
    world.settle()
    assert followers[0].data == [1, 2]


@pytest.mark.parametrize("topic", ["memory/b", "disk/b"])
def test_who_only_polls_gets_what_is_made_meanwhile(world, topic):
    """Or its events would be before the last id of the poll, and never be told."""
    publish_each(world, "memory/a", *range(400))
    reader = world.topics.reader(Patterns.parse("*"), All(), "c", NDJSON)
    told = [reader.more()]
    publish_each(world, topic, "new")
    publish_each(world, "memory/a", "newer")
    while data := reader.more():
        told.append(data)
    events = [json.loads(line) for line in b"".join(told).splitlines()]
    assert [event["data"] for event in events] == [*range(400), "new", "newer"]


# Several topics


def test_several_topics_are_one_order(world):
    topics = ("memory/a", "disk/a", "memory/b", "disk/b") * 5
    for number, topic in enumerate(topics):
        world.publish(topic, number)
    follower = world.follow("*", "all")
    world.settle()
    assert follower.data == list(range(20))


def test_a_long_history_of_several_topics_is_one_order(world, monkeypatch):
    monkeypatch.setattr("topics.reader.CHUNK_BYTES", 1000)
    for number in range(100):
        world.publish(f"memory/{'ab'[number % 7 == 0]}", number)
    follower = world.follow("memory/*", "all")
    world.settle()
    assert follower.data == list(range(100))


@pytest.mark.parametrize("text", ["disk/a,memory/a", "*"])
def test_what_is_in_flight_is_never_overtaken(world, text):
    publish_each(world, "disk/a", 1)
    follower = world.follow(text, "all")
    world.settle()
    world.hub.spawn(lambda: world.publish("disk/a", "slow"))
    (thread,) = world.hub.ready()
    world.hub.turn(thread)
    publish_each(world, "memory/a", "quick")
    world.topics.dispatcher.flush()
    for pump in [each for each in world.hub.ready() if each is not thread]:
        world.hub.turn(pump)
    assert follower.data == [1]
    world.settle()
    assert follower.data == [1, "slow", "quick"]


def test_who_follows_one_topic_does_not_wait_for_another(world):
    publish_each(world, "disk/a", 1)
    follower = world.follow("memory/a")
    world.settle()
    world.hub.spawn(lambda: world.publish("disk/a", "slow"))
    (thread,) = world.hub.ready()
    world.hub.turn(thread)
    publish_each(world, "memory/a", "quick")
    world.topics.dispatcher.flush()
    assert follower.data == ["quick"]


def test_what_waited_for_a_commit_that_failed_is_told(world):
    publish_each(world, "disk/a", 1)
    follower = world.follow("*")
    world.settle()
    world.hub.is_full = True
    outcomes = []
    world.hub.spawn(lambda: outcomes.append(world.try_publish("disk/a", "lost")))
    (thread,) = world.hub.ready()
    world.hub.turn(thread)
    publish_each(world, "memory/a", "held back")
    world.topics.dispatcher.flush()
    world.settle()
    assert isinstance(outcomes[0], JournalFull)
    assert follower.data == ["held back"]
    assert follower.reader.live


def test_what_comes_while_one_topic_is_read_waits_for_the_next_round(world, monkeypatch):
    """Of two topics the second must not be read past what has come to the first meanwhile."""
    monkeypatch.setattr("journal.segments.read_cached", lambda fd, start, length: b"")
    publish_each(world, "memory/b", 0)
    publish_each(world, "disk/a", 1)
    publish_each(world, "memory/c", 2)
    follower = world.follow("memory/b,disk/a,memory/c", "all")
    (pump,) = world.hub.ready()
    # Until it waits for the disk, memory/b being behind it.
    world.hub.turn(pump)
    publish_each(world, "memory/b", 3)
    publish_each(world, "memory/c", 4)
    world.settle()
    assert follower.data == [0, 1, 2, 3, 4]
