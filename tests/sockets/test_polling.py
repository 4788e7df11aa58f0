from concurrent.futures import ThreadPoolExecutor
from time import monotonic

import pytest

from sockets.polling import ANSWER_BYTES, HOLD_S, MAX_MAIL, PollOutlet
from topics.outlet import MAX_CONTROL_BYTES


class Tap:
    """A source of pieces."""

    def __init__(self, *pieces):
        self.pieces = list(pieces)

    def more(self):
        return self.pieces.pop(0) if self.pieces else None


@pytest.fixture
def lost():
    """How often the client was lost."""
    return []


@pytest.fixture
def outlet(lost):
    return PollOutlet(lambda: lost.append(1))


@pytest.fixture
def wait(outlet, until):
    """A verb: a poll that waits; its result() is what it is answered with."""
    with ThreadPoolExecutor(1) as pool:

        def wait():
            poll = pool.submit(outlet.poll)
            until(lambda: not outlet.busy or poll.done())
            return poll

        yield wait
        outlet.close(b"6")


def test_without_a_poll_it_is_busy(outlet):
    assert outlet.busy
    assert not outlet.offer(b"4event")


def test_a_waiting_poll_takes_one_event(outlet, wait):
    poll = wait()
    assert outlet.offer(b"4first")
    assert not outlet.offer(b"4second")
    assert poll.result(5) == b"4first"
    assert outlet.busy
    assert outlet.sent_bytes == 6


def test_what_is_said_waits_for_the_next_poll(outlet):
    assert outlet.say(b"4a")
    assert outlet.say(b"2")
    assert outlet.poll() == b"4a\x1e2"


def test_what_is_said_ends_a_poll(outlet, wait):
    poll = wait()
    outlet.say(b"2")
    assert poll.result(5) == b"2"


def test_a_poll_takes_mail_first_and_then_from_the_sources(outlet):
    outlet.feed_from(Tap(b"4one", b"4two"))
    outlet.feed_from(Tap(b"4other"))
    outlet.say(b"2")
    assert outlet.poll() == b"2\x1e4one\x1e4other"
    assert outlet.poll() == b"4two"


def test_an_answer_has_a_bound_and_sources_take_turns(outlet):
    piece = b"4" + b"x" * ANSWER_BYTES
    outlet.feed_from(Tap(piece, piece))
    outlet.feed_from(Tap(b"4modest"))
    assert outlet.poll() == piece
    assert outlet.poll() == b"4modest\x1e" + piece


def test_some_clients_take_only_so_many_packets():
    outlet = PollOutlet(print, max_packets=2)
    outlet.feed_from(Tap(b"4c\x1e4d\x1e4e"))
    outlet.say(b"4a\x1e4b")
    assert outlet.poll() == b"4a\x1e4b"
    outlet.say(b"4f")
    assert [outlet.poll(), outlet.poll()] == [b"4c\x1e4d", b"4e"]
    assert outlet.poll() == b"4f"


def test_nor_are_they_given_more_at_the_end():
    outlet = PollOutlet(print, max_packets=2)
    outlet.say(b"4a")
    outlet.say(b"4b")
    outlet.close(b"1")
    assert outlet.poll() == b"4a\x1e4b"
    assert not outlet.is_over
    assert outlet.poll() == b"1"
    assert outlet.is_over


def test_what_an_answer_had_no_room_for_comes_before_the_end():
    outlet = PollOutlet(print, max_packets=2)
    outlet.say(b"4a\x1e4b\x1e4c")
    assert outlet.poll() == b"4a\x1e4b"
    outlet.say(b"4d")
    outlet.close(b"1")
    assert outlet.poll() == b"4c"
    assert not outlet.is_over
    assert outlet.poll() == b"4d\x1e1"
    assert outlet.is_over


def test_what_had_no_room_is_handed_over_first():
    outlet = PollOutlet(print, max_packets=1)
    outlet.say(b"4a\x1e4b\x1e4c")
    assert outlet.poll() == b"4a"
    outlet.say(b"2")
    assert outlet.hand_over(b"6") == [b"4b\x1e4c", b"2"]


def test_a_source_that_has_more_ends_a_poll(outlet, wait):
    tap = Tap()
    outlet.feed_from(tap)
    poll = wait()
    tap.pieces.append(b"4late")
    outlet.wake()
    assert poll.result(5) == b"4late"


def test_a_source_is_forgotten(outlet):
    tap = Tap(b"4no")
    outlet.feed_from(tap)
    outlet.forget(tap)
    outlet.forget(tap)
    outlet.say(b"2")
    assert outlet.poll() == b"2"


OVERFLOWS = {"messages": (b"4", MAX_MAIL), "bytes": (b"4" * 1024, MAX_CONTROL_BYTES // 1024)}


@pytest.mark.parametrize(("message", "most"), OVERFLOWS.values(), ids=OVERFLOWS.keys())
def test_a_client_that_fetches_no_messages_is_cut_off(outlet, lost, message, most, caplog):
    assert all(outlet.say(message) for _ in range(most))
    assert not lost
    assert not outlet.say(message)
    assert not outlet.say(message)
    assert outlet.gone
    assert outlet.overflowed
    assert lost == [1]
    assert caplog.text.count("client cut off reason=unfetched_mail") == 1


def test_the_mail_of_before_counts_no_longer(outlet):
    for _ in range(3):
        assert all(outlet.say(b"4" * 1024) for _ in range(200))
        while outlet._mail:
            outlet.poll()


def test_a_close_ends_a_poll_behind_the_mail(outlet, wait, lost):
    poll = wait()
    outlet.say(b"4last")
    outlet.close(b"1")
    assert poll.result(5) in (b"4last\x1e1", b"4last")
    assert lost == [1]
    assert not outlet.offer(b"4")
    assert not outlet.say(b"4")


def test_while_it_is_held_polls_get_nothing(outlet, wait):
    poll = wait()
    outlet.hold(b"6")
    assert poll.result(5) == b"6"
    outlet.feed_from(Tap(b"4kept"))
    outlet.say(b"2")
    began = monotonic()
    assert outlet.poll() == b"6"
    assert monotonic() - began > HOLD_S / 2  # else a client that goes on polling spins
    outlet.hold(None)
    assert outlet.poll() == b"2\x1e4kept"


def test_what_is_handed_over_is_the_mail_in_order(outlet, lost):
    outlet.say(b"4a")
    outlet.say(b"4b")
    assert outlet.hand_over(b"6") == [b"4a", b"4b"]
    assert outlet.gone
    assert not lost
    assert outlet.poll() == b"6"
    assert not outlet.say(b"4c")
