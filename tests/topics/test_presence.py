"""Who follows what, and what there is: as the docs show it."""

import json

import pytest

from tests.topics.world import publish_each
from topics import MalformedTopic, UnknownTopic
from topics.presence import show_readers, show_topics
from wire.framing import SSE


def shown(topics, name):
    return next(each for each in show_topics(topics) if each["topic"] == name)


@pytest.mark.parametrize("durable", [False, True], ids=["memory", "disk"])
def test_a_topic_shows_what_it_keeps(world, durable):
    name = "few-on-disk/a" if durable else "few/a"
    ids = publish_each(world, name, *range(8))
    world.expire()
    world.follow(name)
    topic = shown(world.topics, name)
    assert topic.pop("bytes") > 0
    assert topic == {
        "topic": name, "durable": durable, "latest": False, "writable": True, "events": 5,
        "first": ids[3], "newest": ids[7], "readers": 1,
    }  # fmt: skip


def test_a_topic_that_keeps_nothing_shows_that(world):
    ids = publish_each(world, "memory/a", 1)
    world.topics.get("memory/a").records.expire(1e12)
    topic = shown(world.topics, "memory/a")
    assert (topic["events"], topic["bytes"], topic["first"], topic["newest"]) == (
        0,
        0,
        None,
        ids[0],
    )


def test_patterns_are_shown_beside_what_there_is(world):
    world.publish("memory/a", 1)
    world.publish("own", 1, by_client=False)
    names = [each["topic"] for each in show_topics(world.topics)]
    assert names == [
        "memory/a", "own", "memory/*", "disk/*", "latest/*", "few/*", "few-on-disk/*",
    ]  # fmt: skip
    pattern = shown(world.topics, "latest/*")
    assert pattern == {"topic": "latest/*", "durable": False, "latest": True, "writable": True}
    assert not shown(world.topics, "own")["writable"]
    assert json.dumps(show_topics(world.topics))


def test_who_is_up_to_date_has_no_lag(world):
    world.publish("memory/a", 1)
    world.follow("memory/a")
    world.settle()
    assert show_readers(world.topics, "memory/a") == {
        "topic": "memory/a",
        "count": 1,
        "readers": [
            {"connection": "c", "transport": "ndjson", "lag_events": 0, "lag_s": 0.0,
             "behind": ""}
        ],
    }  # fmt: skip


def test_who_is_behind_is_shown_how_far_and_why(world, clock):
    follower = world.follow("memory/a", room=0, framing=SSE)
    world.settle()
    for _ in range(4):
        world.publish("memory/a", 1)
        world.topics.dispatcher.flush()
        clock.now_s += 2.5
    (reader,) = show_readers(world.topics, "memory/a")["readers"]
    # The first one was taken, as the rest of a write.
    assert (reader["lag_events"], reader["lag_s"]) == (3, 7.5)
    assert (reader["behind"], reader["transport"]) == ("its connection is full", "sse")
    follower.line.room = 1 << 20
    world.settle()
    (reader,) = show_readers(world.topics, "memory/a")["readers"]
    assert (reader["lag_events"], reader["behind"]) == (0, "its connection is full")


def test_the_lag_is_of_the_topic_that_was_asked_for(world):
    for topic in ("memory/a", "memory/b"):
        publish_each(world, topic, 1, 2)
    world.follow("memory/*", "all")
    counts = {name: show_readers(world.topics, name) for name in ("memory/a", "memory/*", "*")}
    assert [each["readers"][0]["lag_events"] for each in counts.values()] == [2, 4, 4]


WHO = {
    "the topic": ("memory/a", 3),
    "another": ("memory/b", 2),
    "a pattern": ("memory/*", 3),
    "everything": ("*", 4),
    "several": ("memory/b,disk/a", 3),
    "what nobody follows but by a pattern": ("few/a", 1),
}


@pytest.mark.parametrize(("name", "count"), WHO.values(), ids=WHO.keys())
def test_who_follows(world, name, count):
    for text in ("memory/a", "memory/*", "disk/a", "*"):
        world.follow(text)
    assert show_readers(world.topics, name)["count"] == count


def test_who_has_left_is_not_shown(world):
    follower = world.follow("memory/a")
    follower.cut()
    assert show_readers(world.topics, "memory/a") == {
        "topic": "memory/a", "count": 0, "readers": [],
    }  # fmt: skip


def test_what_is_no_topic_is_refused(world):
    with pytest.raises(UnknownTopic):
        show_readers(world.topics, "nobody/s")
    with pytest.raises(MalformedTopic):
        show_readers(world.topics, "")


@pytest.mark.parametrize(
    ("name", "lags"), [("memory/a", []), ("memory/*", [1, 1]), ("memory/a,memory/b", [1, 1])]
)
def test_a_hidden_topic_has_neither_readers_nor_lag(world, name, lags):
    publish_each(world, "memory/a", 1, 2)
    publish_each(world, "memory/b", 1)
    for text in ("memory/a", "memory/a,memory/b", "memory/*"):
        world.follow(text, "all")
    told = show_readers(world.topics, name, lambda topic: topic == "memory/a")
    assert [each["lag_events"] for each in told["readers"]] == lags
