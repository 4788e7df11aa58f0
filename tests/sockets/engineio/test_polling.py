from concurrent.futures import ThreadPoolExecutor
from time import monotonic

import pytest

from sockets.engineio.polling import ANSWER_BYTES, HOLD_S, MAX_MAIL, MAX_MAIL_BYTES, PollWriter


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
def writer(lost):
    return PollWriter(lambda: lost.append(1))


@pytest.fixture
def wait(writer, until):
    """A verb: a poll that waits; its result() is what it is answered with."""
    with ThreadPoolExecutor(1) as pool:

        def wait():
            poll = pool.submit(writer.poll)
            until(lambda: not writer.busy or poll.done())
            return poll

        yield wait
        writer.close(b"6")


def test_without_a_poll_it_is_busy(writer):
    assert writer.busy
    assert not writer.try_send(b"4event")


def test_a_waiting_poll_takes_one_event(writer, wait):
    poll = wait()
    assert writer.try_send(b"4first")
    assert not writer.try_send(b"4second")
    assert poll.result(5) == b"4first"
    assert writer.busy
    assert writer.sent_bytes == 6


def test_what_is_said_waits_for_the_next_poll(writer):
    assert writer.send_control(b"4a")
    assert writer.send_control(b"2")
    assert writer.poll() == b"4a\x1e2"


def test_what_is_said_ends_a_poll(writer, wait):
    poll = wait()
    writer.send_control(b"2")
    assert poll.result(5) == b"2"


def test_a_poll_takes_mail_first_and_then_from_the_sources(writer):
    writer.feed_from(Tap(b"4one", b"4two"))
    writer.feed_from(Tap(b"4other"))
    writer.send_control(b"2")
    assert writer.poll() == b"2\x1e4one\x1e4other"
    assert writer.poll() == b"4two"


def test_an_answer_has_a_bound_and_sources_take_turns(writer):
    piece = b"4" + b"x" * ANSWER_BYTES
    writer.feed_from(Tap(piece, piece))
    writer.feed_from(Tap(b"4modest"))
    assert writer.poll() == piece
    assert writer.poll() == b"4modest\x1e" + piece


def test_some_clients_take_only_so_many_packets():
    writer = PollWriter(print, max_packets=2)
    writer.feed_from(Tap(b"4c\x1e4d\x1e4e"))
    writer.send_control(b"4a\x1e4b")
    assert writer.poll() == b"4a\x1e4b"
    writer.send_control(b"4f")
    assert [writer.poll(), writer.poll()] == [b"4c\x1e4d", b"4e"]
    assert writer.poll() == b"4f"


def test_nor_are_they_given_more_at_the_end():
    writer = PollWriter(print, max_packets=2)
    writer.send_control(b"4a")
    writer.send_control(b"4b")
    writer.close(b"1")
    assert writer.poll() == b"4a\x1e4b"
    assert not writer.is_over
    assert writer.poll() == b"1"
    assert writer.is_over


def test_what_an_answer_had_no_room_for_comes_before_the_end():
    writer = PollWriter(print, max_packets=2)
    writer.send_control(b"4a\x1e4b\x1e4c")
    assert writer.poll() == b"4a\x1e4b"
    writer.send_control(b"4d")
    writer.close(b"1")
    assert writer.poll() == b"4c"
    assert not writer.is_over
    assert writer.poll() == b"4d\x1e1"
    assert writer.is_over


def test_what_had_no_room_is_handed_over_first():
    writer = PollWriter(print, max_packets=1)
    writer.send_control(b"4a\x1e4b\x1e4c")
    assert writer.poll() == b"4a"
    writer.send_control(b"2")
    assert writer.hand_over(b"6") == [b"4b\x1e4c", b"2"]


def test_a_source_that_has_more_ends_a_poll(writer, wait):
    tap = Tap()
    writer.feed_from(tap)
    poll = wait()
    tap.pieces.append(b"4late")
    writer.wake()
    assert poll.result(5) == b"4late"


def test_a_source_is_forgotten(writer):
    tap = Tap(b"4no")
    writer.feed_from(tap)
    writer.forget(tap)
    writer.forget(tap)
    writer.send_control(b"2")
    assert writer.poll() == b"2"


OVERFLOWS = {"messages": (b"4", MAX_MAIL), "bytes": (b"4" * 1024, MAX_MAIL_BYTES // 1024)}


@pytest.mark.parametrize(("message", "most"), OVERFLOWS.values(), ids=OVERFLOWS.keys())
def test_a_client_that_fetches_no_messages_is_cut_off(writer, lost, message, most, caplog):
    assert all(writer.send_control(message) for _ in range(most))
    assert not lost
    assert not writer.send_control(message)
    assert not writer.send_control(message)
    assert writer.gone
    assert writer.overflowed
    assert lost == [1]
    assert caplog.text.count("client cut off reason=unfetched_mail") == 1


def test_the_mail_of_before_counts_no_longer(writer):
    for _ in range(3):
        assert all(writer.send_control(b"4" * 1024) for _ in range(200))
        while writer._mail:
            writer.poll()


def test_a_close_ends_a_poll_behind_the_mail(writer, wait, lost):
    poll = wait()
    writer.send_control(b"4last")
    writer.close(b"1")
    assert poll.result(5) in (b"4last\x1e1", b"4last")
    assert lost == [1]
    assert not writer.try_send(b"4")
    assert not writer.send_control(b"4")


def test_while_it_is_held_polls_get_nothing(writer, wait):
    poll = wait()
    writer.hold(b"6")
    assert poll.result(5) == b"6"
    writer.feed_from(Tap(b"4kept"))
    writer.send_control(b"2")
    began = monotonic()
    assert writer.poll() == b"6"
    assert monotonic() - began > HOLD_S / 2  # else a client that goes on polling spins
    writer.hold(None)
    assert writer.poll() == b"2\x1e4kept"


def test_what_is_handed_over_is_the_mail_in_order(writer, lost):
    writer.send_control(b"4a")
    writer.send_control(b"4b")
    assert writer.hand_over(b"6") == [b"4a", b"4b"]
    assert writer.gone
    assert not lost
    assert writer.poll() == b"6"
    assert not writer.send_control(b"4c")
