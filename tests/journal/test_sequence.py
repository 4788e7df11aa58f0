"""Ids in one order, and what is in flight between them."""

import pytest

from journal.epoch import begin_epoch
from journal.sequence import Sequence
from wire.cursors import Cursor, format_cursor, parse_cursor, topic_mark


@pytest.fixture
def order(tmp_path, clock):
    order = Sequence()
    order.epoch = begin_epoch(tmp_path / "epoch")
    return order


@pytest.fixture
def topics():
    return ["a", "b", "c"]


def begin_again(tmp_path):
    return begin_epoch(tmp_path / "epoch")


def next_id(order, topic, ordinal):
    (made,) = order.take(topic_mark(topic), ordinal, 1)
    return made


def test_an_incarnation_is_known_by_its_start(order, clock, tmp_path):
    assert order.epoch == 1_764_000_000_000
    assert (tmp_path / "epoch").read_text() == "1764000000000"


@pytest.mark.parametrize("later_s", [0, 0.0004, 1, -1, -1e6])
def test_every_incarnation_comes_after_all_before_it_whatever_the_clock(
    order, clock, tmp_path, later_s
):
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
    one, other = next_id(order, topics[0], 1), next_id(order, topics[1], 7)
    assert one < other
    assert parse_cursor(one) == (order.epoch, 1, 1, topic_mark(topics[0]))
    assert parse_cursor(other) == (order.epoch, 2, 7, topic_mark(topics[1]))
    assert order.position == 2


def test_now_is_before_what_is_in_flight_and_after_all_else(order, topics):
    landed = next_id(order, topics[0], 1)
    assert order.now() > landed
    order.begin(topics[1])
    flying = next_id(order, topics[1], 1)
    next_id(order, topics[0], 2)
    assert landed < order.now() < flying
    order.end(topics[1])
    assert order.now() > flying


def test_now_is_of_the_first_of_all_that_is_in_flight(order, topics):
    nows = []
    for topic in topics:
        order.begin(topic)
        next_id(order, topic, 1)
        nows.append(order.now())
    assert len(set(nows)) == 1
    order.end(topics[0])
    assert order.now() > nows[0]


def test_the_horizon_is_what_is_in_flight_or_not_there_yet(order, topics):
    here, flying, _ = topics
    given = next_id(order, here, 1)
    assert given.encode() < order.horizon(topics)
    order.begin(flying)
    id_in_flight = next_id(order, flying, 1)
    later = next_id(order, here, 2)
    assert given.encode() < order.horizon(topics) < id_in_flight.encode()
    assert order.horizon([here]) > later.encode()


def test_quiet_is_when_all_have_landed(order, topics):
    assert order.is_quiet()
    order.begin(topics[0])
    order.begin(topics[1])
    order.end(topics[0])
    assert not order.is_quiet()
    order.end(topics[1])
    assert order.is_quiet()


@pytest.mark.parametrize(
    ("epoch", "position", "want"), [(0, 0, False), (0, 1, True), (-1, 99, False), (1, 0, True)]
)
def test_ahead_is_what_was_not_given_out(order, epoch, position, want):
    assert order.is_ahead(Cursor(order.epoch + epoch, position, 5, 5)) == want


def test_now_is_not_ahead(order, topics):
    next_id(order, topics[0], 1)
    assert not order.is_ahead(parse_cursor(order.now()))
    assert format_cursor(parse_cursor(order.now())) == order.now()
