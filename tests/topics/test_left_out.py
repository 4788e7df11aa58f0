"""A framing that leaves events out: what is left out counts as told."""

from tests.topics.world import publish_each
from wire.events import HEARTBEAT
from wire.framing import NDJSON
from wire.log_framing import FilteredFraming


def is_even(line):
    return b'"data":2' in line or b'"data":4' in line


EVEN = FilteredFraming(NDJSON, is_even)


def test_what_is_left_out_is_told_as_nothing_and_the_reader_stays_live(world):
    follower = world.follow("memory/a", framing=EVEN)
    world.settle()
    publish_each(world, "memory/a", 1)
    world.settle()
    assert follower.reader.live
    assert follower.reader.behind == ""
    publish_each(world, "memory/a", 2, 3, 4)
    world.settle()
    assert follower.data == [2, 4]
    assert follower.reader.live


def test_where_it_is_moves_on_though_nothing_was_told(world):
    follower = world.follow("memory/a", framing=EVEN)
    world.settle()
    ids = publish_each(world, "memory/a", 1, 3)
    world.settle()
    assert follower.reader.cursor == ids[-1]
    world.beat()
    world.settle()
    assert [(item["name"], item["id"]) for item in follower.items] == [(HEARTBEAT, ids[-1])]


def test_a_history_with_long_stretches_of_nothing_is_told_to_its_end(world):
    for n in range(3000):
        world.publish("disk/a", "x" * 100 if n not in (7, 2999) else 2)
    follower = world.follow("disk/a", "all", framing=EVEN)
    world.settle()
    assert follower.data == [2, 2]
    assert follower.reader.live


def test_who_is_behind_and_finds_nothing_catches_up(world):
    follower = world.follow("memory/a", "all", framing=EVEN, room=0)
    world.settle()
    publish_each(world, "memory/a", 2, 1, 3)
    world.settle()
    assert not follower.reader.live or follower.writer.busy
    publish_each(world, "memory/a", *[1] * 50)
    world.settle()
    follower.line.room = 1 << 40
    publish_each(world, "memory/a", 4)
    world.settle()
    assert follower.data == [2, 4]
