"""What a reader cannot be given: told, counted, and never behind what it has; and restarts."""

import fcntl
import json
import os

import pytest

from tests.topics.world import AMPLE, World, publish_each
from topics import FutureCursor, Rule
from wire.cursors import Cursor, MalformedCursor, format_cursor, parse_cursor, topic_mark
from wire.framing import NDJSON, chunked


@pytest.mark.parametrize("kind", ["few", "few-on-disk"])
def test_who_comes_back_too_late_is_told_how_many_are_gone(world, kind):
    ids = publish_each(world, f"{kind}/a", *range(12))
    world.expire()
    follower = world.follow(f"{kind}/a", ids[2])
    world.settle()
    (gap,) = follower.gaps
    assert gap == {
        "from": ids[2], "to": follower.items[0]["id"], "lost": 4, "reason": "expired",
        "refetch": f"/events/{kind}/a?since=all",
    }  # fmt: skip
    assert ids[6] < gap["to"] < ids[7]
    assert [item["name"] for item in follower.items] == ["gap", *["message"] * 5]
    assert follower.data == [7, 8, 9, 10, 11]


RETENTIONS = {
    "by count": {"max_records": 4},
    "by age": {"max_age_s": 39},
    "by bytes": {"max_bytes": 4 * 310},
}


@pytest.mark.parametrize("durable", [False, True], ids=["memory", "disk"])
@pytest.mark.parametrize("retention", RETENTIONS.values(), ids=RETENTIONS.keys())
def test_whatever_lets_go_the_gap_is_of_what_is_gone(make_world, clock, retention, durable):
    world = make_world([Rule("a", durable, AMPLE._replace(**retention))])
    for _ in range(400):
        world.publish("a", "x" * 200)
        clock.now_s += 10
    clock.now_s -= 10
    world.expire()
    world.restart() if durable else None
    world.expire()
    follower = world.follow("a", world.published["a"][0])
    world.settle()
    (gap,) = follower.gaps
    assert (gap["reason"], gap["lost"]) == ("expired", 399 - len(follower.events))
    # On a disk, bytes are let go of in blocks.
    is_exact = not (durable and "max_bytes" in retention)
    assert len(follower.events) == 4 if is_exact else 4 <= len(follower.events) < 220


def test_a_reader_that_stands_still_is_told_that_it_was_too_slow(world):
    publish_each(world, "few/a", 0)
    follower = world.follow("few/a", room=0)
    world.settle()
    for number in range(1, 20):
        world.publish("few/a", number)
        world.topics.dispatcher.flush()
    follower.line.room = 1 << 20
    world.settle()
    (gap,) = follower.gaps
    assert (gap["reason"], gap["lost"], gap["from"]) == ("too slow", 13, follower.items[0]["id"])
    assert follower.data == [1, 15, 16, 17, 18, 19]
    assert follower.reader.behind == "its connection is full"


def test_a_gap_that_grows_before_it_is_told_is_one(world):
    ids = publish_each(world, "few/a", *range(10))
    follower = world.follow("few/a", ids[1])
    publish_each(world, "few/a", *range(10, 14))
    world.settle()
    assert [(gap["from"], gap["lost"]) for gap in follower.gaps] == [(ids[1], 7)]
    assert follower.data == [9, 10, 11, 12, 13]


def test_what_is_let_go_of_while_it_is_read_is_a_gap(make_world, monkeypatch):
    monkeypatch.setattr("journal.segments.read_cached", lambda fd, start, length: b"")
    world = make_world([Rule("disk/*", True, AMPLE._replace(max_records=2))])
    publish_each(world, "disk/a", *range(8))
    follower = world.follow("disk/a", "all")
    (pump,) = world.hub.ready()
    world.hub.turn(pump)
    world.expire()
    world.settle()
    assert follower.data[-2:] == [6, 7]
    world.check_told(follower.patterns, follower.start, follower.items)


def test_the_end_of_a_gap_is_a_cursor_to_go_on_from(world):
    ids = publish_each(world, "few/a", *range(12))
    told = world.follow("few/a", ids[0])
    world.settle()
    follower = world.follow("few/a", told.gaps[0]["to"])
    world.settle()
    assert follower.items == told.items[1:]


def test_the_end_of_a_gap_of_one_topic_is_not_before_what_came_in_another(make_world):
    """Or who comes back from the gap would get that again."""
    # Two events fill a file.
    small = AMPLE._replace(max_records=5, max_bytes=512 * 1024)
    world = make_world([Rule("small", True, small), Rule("large", True, AMPLE)])
    publish_each(world, "large", *range(50))
    publish_each(world, "small", *["x" * 40_000] * 10)
    last = world.publish("large", "last").id
    publish_each(world, "small", *["y" * 40_000] * 5)
    world.expire()
    # Now nobody knows whether what was let go of came before `last` or after it.
    world.restart()
    told = world.follow("small,large", last)
    world.settle()
    (gap,) = told.gaps
    assert (gap["lost"], gap["to"] > last) == (None, True)
    follower = world.follow("small,large", gap["to"])
    world.settle()
    assert follower.items == told.items[1:]


def test_there_is_no_gap_behind_a_cursor_of_another_topic(world):
    publish_each(world, "few/a", *range(10))
    later = world.publish("memory/a", "later").id
    follower = world.follow("few/a,memory/a", later)
    world.topics.get("few/a").records.expire(2e12)
    second = world.follow("few/a,memory/a", later)
    world.settle()
    assert follower.items == second.items == []


def test_a_gap_that_was_not_told_yet_is_told_to_who_comes_back(world):
    """Of the one topic 1 2 3 are gone; 4 is of the other, and who was told it is behind them."""
    start = world.publish("memory/b", "start").id
    publish_each(world, "few/a", 1, 2, 3)
    world.publish("memory/b", 4)
    publish_each(world, "few/a", 5, 6, 7, 8, 9)
    whole = world.follow("few/a,memory/b", start)
    world.settle()
    # The reader is cut off after the first line, and comes back.
    first = whole.items[0]
    rest = world.follow("few/a,memory/b", first["id"])
    world.settle()
    assert "gap" in [item["name"] for item in (first, *rest.items)]


# The newest only


def test_who_fell_behind_gets_the_newest_of_each_key_and_no_gap(make_world):
    rule = Rule("latest/*", False, AMPLE._replace(max_records=20), latest=True)
    world = make_world([rule])
    follower = world.follow("latest/a", room=0)
    world.settle()
    world.publish("latest/a", "first", keys=["x"])
    world.topics.dispatcher.flush()
    for number in range(60):
        world.publish("latest/a", number, keys=[f"key {number % 3}"])
        world.topics.dispatcher.flush()
    follower.line.room = 1 << 20
    world.settle()
    assert follower.gaps == []
    assert follower.data == ["first", 57, 58, 59]
    world.publish("latest/a", "live", keys=["key 0"])
    world.settle()
    assert follower.data[-1] == "live"


def test_the_key_is_the_name_where_nobody_says_otherwise(world):
    follower = world.follow("latest/a", room=0)
    world.settle()
    for number in range(5):
        world.publish("latest/a", number)
        world.topics.dispatcher.flush()
    follower.line.room = 1 << 20
    world.settle()
    assert follower.data == [0, 4]


def test_who_was_never_up_to_date_gets_every_event_of_such_a_topic(world):
    publish_each(world, "latest/a", *range(5))
    follower = world.follow("latest/a", "all")
    world.settle()
    assert follower.data == [0, 1, 2, 3, 4]


def test_who_is_up_to_date_gets_every_event_of_such_a_topic(world):
    follower = world.follow("latest/a")
    world.settle()
    for number in range(5):
        world.publish("latest/a", number)
        world.settle()
    assert follower.data == [0, 1, 2, 3, 4]


def test_a_long_list_of_keys_is_more_than_one_write(world, monkeypatch):
    monkeypatch.setattr("topics.reader.CHUNK_BYTES", 1000)
    follower = world.follow("latest/a", room=0, framing=chunked(NDJSON))
    world.settle()
    for number in range(50):
        world.publish("latest/a", number, keys=[f"key {number}"])
        world.topics.dispatcher.flush()
    follower.line.room = 1 << 20
    world.settle()
    chunks = follower.line.got.split(b"\r\n")[1::2]
    assert max(map(len, chunks)) < 1400
    assert [json.loads(line)["data"] for chunk in chunks for line in chunk.splitlines()] == [
        *range(50)
    ]


# Restarts


def test_after_a_restart_the_same_events_have_the_same_ids(world):
    publish_each(world, "disk/a", 1, 2, 3)
    before = world.follow("disk/a", "all")
    world.settle()
    world.restart()
    after = world.follow("disk/a", "all")
    world.settle()
    assert after.items == before.items


def test_a_cursor_of_before_a_restart_goes_on(world, clock):
    ids = publish_each(world, "disk/a", 1, 2)
    clock.now_s -= 5000
    world.restart()
    new = world.publish("disk/a", 3).id
    assert parse_cursor(new).epoch == parse_cursor(ids[0]).epoch + 1
    follower = world.follow("disk/a", ids[0])
    world.settle()
    assert (follower.data, follower.gaps) == ([2, 3], [])


def test_what_was_in_memory_is_a_gap_after_a_restart(world):
    ids = publish_each(world, "memory/a", 1, 2)
    world.restart()
    follower = world.follow("memory/a", ids[0])
    world.settle()
    (gap,) = follower.gaps
    assert (gap["reason"], gap["lost"], gap["from"]) == ("restarted", None, ids[0])
    publish_each(world, "memory/a", 3)
    world.settle()
    assert follower.data == [3]
    again = world.follow("memory/a", gap["to"])
    world.settle()
    assert (again.data, again.gaps) == ([3], [])


def test_each_of_several_in_memory_is_a_gap_after_a_restart(world):
    """Also those whose event was not the last one that was told."""
    publish_each(world, "memory/a", 1)
    last = world.publish("memory/b", 2).id
    world.restart()
    follower = world.follow("memory/a,memory/b", last)
    world.settle()
    assert {item["topic"] for item in follower.items} == {"memory/a", "memory/b"}
    assert [gap["reason"] for gap in follower.gaps] == ["restarted"] * 2


def test_what_a_pattern_had_in_memory_is_a_gap_after_a_restart(world):
    last = world.publish("memory/a", 1).id
    world.publish("memory/a", 2)
    world.restart()
    follower = world.follow("memory/*", last)
    world.settle()
    assert [gap["reason"] for gap in follower.gaps] == ["restarted"]


FORGOTTEN = {
    "memory/x/*": ["memory/x/*"],
    "memory/x/*,memory/y/*,disk/*": ["memory/x/*", "memory/y/*"],
    "*": ["few/*", "latest/*", "memory/*"],
    "disk/*": [],
    "memory/a": ["memory/a"],
}


@pytest.mark.parametrize(("text", "names"), FORGOTTEN.items())
def test_each_pattern_in_memory_is_one_gap_and_told_once(world, text, names):
    last = publish_each(world, "disk/a", 0)[-1]
    world.publish("disk/a", 1)
    world.restart()
    follower = world.follow(text, last)
    world.settle()
    assert sorted(gap["topic"] for gap in gaps_of(follower)) == names
    assert {gap["reason"] for gap in follower.gaps} <= {"restarted"}
    for gap in gaps_of(follower):
        assert gap["data"]["refetch"] == f"/events/{gap['topic']}?since=all"
    publish_each(world, "disk/a", 2)
    publish_each(world, "memory/x/a", 3)
    publish_each(world, "memory/a", 4)
    world.settle()
    again = world.follow(text, follower.reader.cursor)
    world.settle()
    assert again.items == []


def gaps_of(follower):
    return [item for item in follower.items if item["name"] == "gap"]


def test_what_is_on_the_disk_is_no_gap_after_a_restart(world):
    publish_each(world, "disk/a", 1)
    last = world.publish("memory/a", 2).id
    world.restart()
    publish_each(world, "disk/a", 3)
    follower = world.follow("disk/a,memory/a", last)
    world.settle()
    assert [item["topic"] for item in follower.items if item["name"] == "gap"] == ["memory/a"]
    assert follower.data == [3]


# Cursors of elsewhere


def test_a_cursor_of_another_instance_that_began_earlier(tmp_path, world, clock):
    clock.now_s -= 100
    other = World(tmp_path / "other")
    foreign = [other.publish("disk/a", n).id for n in range(10)][-1]
    other.close()
    publish_each(world, "disk/a", 1, 2)
    follower = world.follow("disk/a", foreign)
    world.settle()
    assert [(gap["reason"], gap["lost"]) for gap in follower.gaps] == [("restarted", None)]
    assert follower.data == [1, 2]


FUTURE = {
    "one event ahead": Cursor(0, 2, 2, topic_mark("disk/a")),
    "of a later life": Cursor(1, 0),
    "the last of all": Cursor(2**42 - 1, 2**46 - 1, 2**46 - 1, 2**16 - 1),
}


@pytest.mark.parametrize("ahead", FUTURE.values(), ids=FUTURE.keys())
@pytest.mark.parametrize("text", ["disk/a", "*", "disk/none"])
def test_a_cursor_ahead_of_everything_is_refused(world, ahead, text):
    now = parse_cursor(world.publish("disk/a", 1).id)
    epoch = ahead.epoch if ahead.epoch > 1 else now.epoch + ahead.epoch
    with pytest.raises(FutureCursor):
        world.follow(text, format_cursor(ahead._replace(epoch=epoch)))


def test_a_malformed_cursor_is_refused(world):
    with pytest.raises(MalformedCursor):
        world.follow("disk/a", "yesterday")


@pytest.mark.parametrize("name", ["memory/new", "disk/new"])
@pytest.mark.parametrize("others", ["", ",memory/a"], ids=["alone", "with another"])
def test_a_cursor_of_a_topic_that_is_not_there_makes_none(world, name, others):
    """Its reader is told the gap, and then everything from the first event on."""
    world.publish("memory/a", 1)
    epoch = parse_cursor(world.follow("memory/a").start).epoch
    made_up = format_cursor(Cursor(epoch, 1, 2, topic_mark(name)))
    follower = world.follow(name + others, made_up)
    world.settle()
    assert [topic.name for topic in world.topics.all()] == ["memory/a"]
    assert [(gap["reason"], gap["lost"]) for gap in follower.gaps] == [("restarted", None)]
    assert follower.last_id == made_up
    publish_each(world, name, 2, 3)
    world.settle()
    assert follower.data == [2, 3]
    if not others:
        publish_each(world, name, 4)
        world.topics.dispatcher.flush()
        assert follower.data == [2, 3, 4], "it is pushed to as one that was always there"


def test_a_topic_that_comes_before_the_gap_is_told_is_followed_from_its_first(world):
    now = parse_cursor(world.publish("memory/a", 1).id)
    made_up = format_cursor(now._replace(mark=topic_mark("memory/new")))
    follower = world.follow("memory/new", made_up, room=0)
    publish_each(world, "memory/new", 1, 2)
    follower.line.room = 1 << 20
    world.settle()
    assert (len(follower.gaps), follower.data) == (1, [1, 2])


def test_a_topic_on_the_disk_that_could_not_be_opened_is_opened_by_its_reader(world):
    """Its events are there: no gap may say that they are lost."""
    ids = publish_each(world, "disk/a", 1, 2)
    world.topics.stop()
    lock = os.open(world.folder / "disk,a", os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    world.open()
    assert world.topics.all() == []
    os.close(lock)
    follower = world.follow("disk/a", ids[0])
    world.settle()
    assert (follower.data, follower.gaps) == ([2], [])
