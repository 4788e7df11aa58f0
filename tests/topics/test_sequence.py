"""Ids in one order, and what is in flight between them."""

import pytest

from journal import MemoryRecords
from tests.topics.world import AMPLE
from topics import Rule
from topics.sequence import Sequence
from topics.topic import Topic
from topics.topics import LAYOUT
from wire.cursors import Cursor, format_cursor, parse_cursor


@pytest.fixture
def order(tmp_path, clock):
    order = Sequence()
    order.begin(tmp_path / "epoch")
    return order


@pytest.fixture
def topics():
    rule = Rule("*", True, AMPLE)
    return [Topic(name, rule, MemoryRecords(LAYOUT, AMPLE), 1) for name in "abc"]


def begin_again(tmp_path):
    order = Sequence()
    order.begin(tmp_path / "epoch")
    return order.epoch


def test_a_life_is_known_by_its_start(order, clock, tmp_path):
    assert order.epoch == 1_764_000_000_000
    assert (tmp_path / "epoch").read_text() == "1764000000000"


@pytest.mark.parametrize("later_s", [0, 0.0004, 1, -1, -1e6])
def test_every_life_comes_after_all_before_it_whatever_the_clock(order, clock, tmp_path, later_s):
    clock.now_s += later_s
    second = begin_again(tmp_path)
    clock.now_s -= 2 * later_s
    third = begin_again(tmp_path)
    assert order.epoch < second < third


def test_a_start_that_was_cut_off_changes_nothing(order, tmp_path, clock):
    (tmp_path / "epoch.new").write_text("17")
    clock.now_s -= 100
    assert begin_again(tmp_path) == order.epoch + 1


def test_ids_increase_and_say_whose_they_are(order, topics):
    one, other = order.next(topics[0], 1), order.next(topics[1], 7)
    assert one < other
    assert parse_cursor(one) == (order.epoch, 1, 1, topics[0].mark)
    assert parse_cursor(other) == (order.epoch, 2, 7, topics[1].mark)
    assert order.position == 2


def test_now_is_before_what_is_in_flight_and_after_all_else(order, topics):
    landed = order.next(topics[0], 1)
    assert order.now() > landed
    order.take_off(topics[1])
    flying = order.next(topics[1], 1)
    order.next(topics[0], 2)
    assert landed < order.now() < flying
    order.land(topics[1])
    assert order.now() > flying


def test_now_is_of_the_first_of_all_that_is_in_flight(order, topics):
    nows = []
    for topic in topics:
        order.take_off(topic)
        order.next(topic, 1)
        nows.append(order.now())
    assert len(set(nows)) == 1
    order.land(topics[0])
    assert order.now() > nows[0]


def test_first_to_come_is_in_flight_or_not_there_yet(order, topics):
    here, flying, _ = topics
    given = order.next(here, 1)
    assert given.encode() < order.first_to_come(topics)
    order.take_off(flying)
    id_in_flight = order.next(flying, 1)
    later = order.next(here, 2)
    assert given.encode() < order.first_to_come(topics) < id_in_flight.encode()
    assert order.first_to_come([here]) > later.encode()


def test_quiet_is_when_all_have_landed(order, topics):
    assert order.is_quiet()
    order.take_off(topics[0])
    order.take_off(topics[1])
    order.land(topics[0])
    assert not order.is_quiet()
    order.land(topics[1])
    assert order.is_quiet()


@pytest.mark.parametrize(
    ("epoch", "position", "want"), [(0, 0, False), (0, 1, True), (-1, 99, False), (1, 0, True)]
)
def test_ahead_is_what_was_not_given_out(order, epoch, position, want):
    assert order.is_ahead(Cursor(order.epoch + epoch, position, 5, 5)) == want


def test_now_is_not_ahead(order, topics):
    order.next(topics[0], 1)
    assert not order.is_ahead(parse_cursor(order.now()))
    assert format_cursor(parse_cursor(order.now())) == order.now()
