"""Pushing: framed once, written in one go, and nobody held up by another."""

import logging

import pytest

from journal import EVENTS, DiskLog
from tests.topics.world import RULES, Client, publish_each
from topics import ConnectionWriter, Patterns, Publication, Topics
from topics.dispatcher import MAX_REST_S, REST_SHARE, TURN_S
from wire.events import NewEvent
from wire.framing import NDJSON, Ndjson
from wire.since import Now


class CountingNdjson(Ndjson):
    """How often lines were framed, and how many at a time."""

    def __init__(self):
        self.framed = []

    def events(self, lines):
        self.framed.append(len(lines))
        return super().events(lines)


def test_events_are_framed_once_for_all_of_a_framing(world):
    framings = [CountingNdjson(), CountingNdjson()]
    followers = [world.follow("memory/a", framing=framings[n % 2]) for n in range(10)]
    world.settle()
    publish_each(world, "memory/a", 1, 2, 3)
    world.settle()
    assert [framing.framed for framing in framings] == [[3], [3]]
    assert all(follower.data == [1, 2, 3] for follower in followers)
    assert world.topics.dispatcher.delivered == 30


def test_a_reader_that_has_read_a_part_by_itself_is_pushed_the_rest(world):
    framing = CountingNdjson()
    publish_each(world, "memory/a", 0)
    early = world.follow("memory/a", framing=framing)
    world.settle()
    publish_each(world, "memory/a", 1, 2)
    late = world.follow("memory/a", "all", framing=framing)
    world.hub.run()
    assert late.data == [0, 1, 2]
    publish_each(world, "memory/a", 3)
    world.settle()
    assert (early.data, late.data) == ([1, 2, 3], [0, 1, 2, 3])
    assert framing.framed == [3, 3, 1]


def test_what_came_since_the_last_round_is_one_write(world):
    follower = world.follow("memory/a")
    world.settle()
    writes = []
    follower.writer._send_now = lambda data: writes.append(data) or len(data)
    publish_each(world, "memory/a", *range(50))
    world.topics.dispatcher.flush()
    assert [write.count(b"\n") for write in writes] == [50]


def test_a_full_reader_reads_by_itself_and_delays_no_other(world):
    full, other = world.follow("memory/a", room=0), world.follow("memory/a")
    world.settle()
    for number in range(3):
        world.publish("memory/a", number)
        world.topics.dispatcher.flush()
    assert (full.data, other.data) == ([], [0, 1, 2])
    assert not full.reader.live
    full.line.room = 1 << 20
    world.settle()
    assert full.data == [0, 1, 2]
    assert full.reader.live


def test_who_is_gone_does_not_disturb_the_others(world):
    followers = [world.follow("memory/a") for _ in range(3)]
    world.settle()
    followers[1].line.is_cut = True
    publish_each(world, "memory/a", 1)
    world.settle()
    assert [follower.data for follower in followers] == [[1], [], [1]]
    assert followers[1].writer.gone


def test_who_leaves_while_others_are_pushed_to_gets_nothing_more(world):
    """One connection may go on when one of its subscriptions has ended."""
    publish_each(world, "memory/a", 0)
    first, second = world.follow("memory/a"), world.follow("memory/a")
    world.settle()
    send = first.line.send
    first.writer._send_now = lambda data: world.topics.leave(second.reader) or send(data)
    publish_each(world, "memory/a", 1)
    world.settle()
    assert (first.data, second.data) == ([1], [])


def test_a_long_round_lets_the_others_go_on(world, monkeypatch):
    slept = []
    monkeypatch.setattr("topics.dispatcher.TURN_S", -1)
    monkeypatch.setattr("topics.dispatcher.time.sleep", slept.append)
    for _ in range(100):
        world.follow("memory/a")
    world.settle()
    publish_each(world, "memory/a", 1)
    world.settle()
    assert slept == [0, 0, 0, 0]


class Machine:
    """A clock that only work moves on: a write takes 1 ms, a turn of the others what they say.

    others: called when they have their turn; returns the seconds that they take.
    """

    def __init__(self, world, monkeypatch, readers=50):
        self.now_s, self.turns, self.published, self.writes = 1000.0, 0, 0, []
        self.others = self.idle
        self.world = world
        world.topics.dispatcher._stopped = False
        self.followers = [world.follow("memory/a") for _ in range(readers)]
        world.settle()
        monkeypatch.setattr("topics.dispatcher.time.monotonic", lambda: self.now_s)
        monkeypatch.setattr("topics.dispatcher.time.sleep", self.sleep)
        monkeypatch.setattr("topics.dispatcher.WRITES_A_LOOK", 1)
        for follower in self.followers:
            follower.writer._send_now = self.written(follower.writer._send_now)

    def written(self, send):
        def write(data):
            self.now_s += 0.001
            self.writes.append(data.count(b"\n"))
            return send(data)

        return write

    def sleep(self, seconds):
        assert seconds == 0
        self.turns += 1
        self.now_s += self.others()

    def idle(self):
        return 0.000003

    def compute(self):
        return 0.0005

    def publish(self):
        self.world.publish("memory/a", self.published)
        self.published += 1
        return 0.0005

    def data(self):
        self.world.hub.run()
        return [follower.data for follower in self.followers]


@pytest.fixture
def machine(world, monkeypatch):
    return Machine(world, monkeypatch)


def test_publishing_gets_as_much_of_a_round_as_pushing(machine):
    """A request takes several turns of the hub: with one for 4 ms of pushing it took 12."""
    machine.publish()
    machine.others = machine.publish
    began_s = machine.now_s
    machine.world.topics.dispatcher._round()
    pushed_s = len(machine.followers) * 0.001
    assert (machine.published - 1) * 0.0005 >= 0.85 * pushed_s
    assert machine.now_s - began_s <= 2 * pushed_s + TURN_S


def test_what_is_published_during_a_round_and_its_rest_is_one_write(machine):
    machine.publish()
    machine.others = machine.publish
    machine.world.topics.dispatcher.turn()
    published, machine.others = machine.published - 1, machine.idle
    assert published > 50
    machine.writes.clear()
    machine.world.topics.dispatcher.turn()
    assert machine.writes == [published] * len(machine.followers)
    assert machine.data() == [[*range(machine.published)]] * len(machine.followers)


def test_a_rest_ends_when_nobody_has_anything_to_do(machine):
    machine.publish()
    machine.others = lambda: machine.publish() if machine.published < 4 else machine.idle()
    machine.world.topics.dispatcher.turn()
    assert machine.published == 4
    assert machine.world.topics.dispatcher._bell.is_set(), "the next round begins at once"
    turns, began_s = machine.turns, machine.now_s
    machine.world.topics.dispatcher.turn()
    assert machine.now_s - began_s < len(machine.followers) * 0.001 + 0.0001
    assert machine.turns - turns < 15, "one for each 4 ms"


@pytest.mark.parametrize(("others", "share"), [("publish", REST_SHARE), ("compute", 1)])
def test_a_rest_has_a_bound(machine, others, share):
    machine.publish()
    machine.others = getattr(machine, others)
    pushed_s = machine.world.topics.dispatcher._round()
    began_s = machine.now_s
    machine.world.topics.dispatcher._rest(pushed_s)
    rested_s = machine.now_s - began_s
    assert rested_s == pytest.approx(min(share * pushed_s, MAX_REST_S), abs=0.001)


def test_a_small_round_has_a_small_rest(world, monkeypatch):
    machine = Machine(world, monkeypatch, readers=1)
    machine.publish()
    machine.others = machine.publish
    began_s = machine.now_s
    world.topics.dispatcher.turn()
    assert machine.now_s - began_s <= 0.001 * (1 + REST_SHARE) + 0.001


def test_rounds_to_many_topics_let_the_others_go_on(world, monkeypatch):
    machine = Machine(world, monkeypatch, readers=0)
    for number in range(40):
        follower = world.follow(f"memory/{number}")
        world.settle()
        follower.writer._send_now = machine.written(follower.writer._send_now)
    for number in range(40):
        world.publish(f"memory/{number}", number)
    world.topics.dispatcher.flush()
    assert machine.turns >= 7, "after each 4 ms of 40"


class Broken(Ndjson):
    """A mistake of ours."""

    def events(self, lines):
        raise ZeroDivisionError("framing")


@pytest.fixture
def pushing(tmp_path, until):
    """Topics that push by themselves, in a thread."""
    topics = Topics(DiskLog(tmp_path / "pushing", EVENTS), RULES)
    topics.start()
    until(lambda: topics.dispatcher)
    yield topics
    topics.stop()


def follow(topics, hub, line, framing):
    """A follower of memory/a that is up to date."""
    reader = topics.reader(Patterns.parse("memory/a"), Now(), "c", framing)
    reader.writer = ConnectionWriter(Client(hub, line), lambda: None)
    topics.follow(reader)
    hub.run()
    return reader


def test_what_is_published_is_pushed_by_the_dispatchers_thread(pushing, world, until):
    line = world.line()
    follow(pushing, world.hub, line, NDJSON)
    pushing.publish("memory/a", Publication([NewEvent("m", "1")]))
    until(lambda: b'"data":1' in line.got)


def test_one_mistake_does_not_end_the_deliveries(pushing, world, until, caplog):
    caplog.set_level(logging.ERROR)
    broken = follow(pushing, world.hub, world.line(), Broken())
    pushing.publish("memory/a", Publication([NewEvent("m", "1")]))
    until(lambda: "push failed topic=memory/a" in caplog.text)
    pushing.leave(broken)
    line = world.line()
    follow(pushing, world.hub, line, NDJSON)
    pushing.publish("memory/a", Publication([NewEvent("m", "2")]))
    until(lambda: b'"data":2' in line.got)


def test_nothing_is_pushed_after_the_stop(pushing, world, until):
    line = world.line()
    follow(pushing, world.hub, line, NDJSON)
    pushing.dispatcher.stop()
    pushing.publish("memory/a", Publication([NewEvent("m", "1")]))
    pushing.stop()
    assert line.got == b""
