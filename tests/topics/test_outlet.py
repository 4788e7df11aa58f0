"""A client's end of a feed: what it holds, what it cuts off, and who is asked for more."""

import logging
import socket
import threading

import pytest

from tests.topics.world import Client, Hub, Line
from topics import Outlet
from topics.outlet import MAX_CONTROL_BYTES

MB = b"x" * (1 << 20)


class Source:
    """Has a list of what comes next. asked: how often it was asked; on_asked: done meanwhile."""

    def __init__(self, *data, on_asked=lambda: None):
        self.data, self.asked, self.on_asked = list(data), 0, on_asked

    def more(self):
        self.asked += 1
        self.on_asked()
        return self.data.pop(0) if self.data else None


@pytest.fixture
def hub():
    return Hub()


@pytest.fixture
def connect(hub):
    """connect(room): an outlet on a Line with so much room; outlet.client, .line, .ended."""

    class Connected(Outlet):
        __slots__ = ("client", "ended", "line")

    def make(room=1 << 40, *, is_tls=False):
        line = Line(hub, room)
        ended = []
        client = Client(hub, line, is_tls=is_tls)
        outlet = Connected(client, lambda: ended.append("gone"))
        outlet.client, outlet.line, outlet.ended = client, line, ended
        return outlet

    return make


TLS = pytest.mark.parametrize("is_tls", [False, True], ids=["plain", "tls"])


@TLS
def test_what_is_offered_is_sent(hub, connect, is_tls):
    outlet = connect(is_tls=is_tls)
    assert outlet.offer(b"one")
    hub.run()
    assert (outlet.line.got, outlet.busy, outlet.sent_bytes) == (b"one", False, 3)


@TLS
def test_what_is_taken_is_taken_whole_and_nothing_beside_it(hub, connect, is_tls):
    outlet = connect(room=4, is_tls=is_tls)
    assert outlet.offer(b"one two three")
    assert outlet.busy
    assert not outlet.offer(b"four")
    hub.run()
    assert outlet.line.got == b"one "
    outlet.line.room = 100
    hub.run()
    assert (outlet.line.got, outlet.busy) == (b"one two three", False)
    assert outlet.offer(b"four")


def test_a_client_that_takes_nothing_holds_one_chunk(hub, connect):
    outlet = connect(room=0)
    source = Source(*[b"y" * 1000] * 50)
    outlet.feed_from(source)
    assert outlet.offer(MB) is False
    hub.run()
    assert (source.asked, len(outlet._rest)) == (1, 0)
    for _ in range(10):
        outlet.wake()
        hub.run()
    assert (source.asked, len(hub.threads)) == (1, 1)


@TLS
def test_control_messages_go_out_before_what_was_not_begun(hub, connect, is_tls):
    outlet = connect(room=3, is_tls=is_tls)
    outlet.feed_from(Source(b"first ", b"second "))
    hub.run()
    assert outlet.say(b"ping ")
    assert outlet.say(b"pong ")
    outlet.line.room = 100
    hub.run()
    assert outlet.line.got == b"first ping pong second "


def test_control_messages_beyond_the_bound_cut_the_client_off(hub, connect, caplog):
    caplog.set_level(logging.WARNING)
    outlet = connect(room=0)
    outlet.offer(b"events")
    said = b"z" * (MAX_CONTROL_BYTES // 4)
    assert [outlet.say(said) for _ in range(5)] == [True, True, True, True, False]
    assert (outlet.gone, outlet.client.refusals, outlet.ended) == (True, ["unread"], ["gone"])
    assert "client cut off reason=unread_control" in caplog.text
    assert not outlet.say(b"") and not outlet.offer(b"")  # noqa: PT018 (both at once)


def test_what_was_taken_no_longer_counts(hub, connect):
    outlet = connect(room=0)
    outlet.offer(b"events")
    for _ in range(10):
        assert outlet.say(b"z" * (MAX_CONTROL_BYTES - 1))
        outlet.line.room = 1 << 20
        hub.run()
        outlet.line.room = 0
        outlet.offer(b"more")
    assert outlet.sent_bytes > 9 * MAX_CONTROL_BYTES


def test_a_source_is_asked_until_it_has_nothing(hub, connect):
    outlet = connect()
    source = Source(b"a", b"b", b"c")
    outlet.feed_from(source)
    hub.run()
    assert (outlet.line.got, source.asked) == (b"abc", 4)


def test_sources_take_turns(hub, connect):
    outlet = connect(room=1)
    outlet.feed_from(Source(*[b"a"] * 3))
    outlet.feed_from(Source(*[b"b"] * 3))
    outlet.line.room = 100
    hub.run()
    assert outlet.line.got == b"ababab"


def test_what_comes_when_the_pump_has_just_looked_is_not_left(hub, connect):
    """wake while the outlet is busy: it asks once more, for any caller."""
    outlet = connect()
    source = Source()
    waiting = Source(on_asked=hub.wait)
    outlet.feed_from(source)
    outlet.feed_from(waiting)
    (pump,) = hub.ready()
    hub.turn(pump)
    # The first was asked already; now something comes for it.
    source.data.append(b"late")
    outlet.wake()
    hub.run()
    assert outlet.line.got == b"late"
    assert not outlet.busy


def test_a_source_is_forgotten_at_once(hub, connect):
    outlet = connect(room=1)
    source = Source(b"aa", b"b")
    outlet.feed_from(source)
    hub.run()
    outlet.forget(source)
    outlet.forget(source)
    outlet.line.room = 100
    hub.run()
    assert (outlet.line.got, source.asked) == (b"aa", 1)


def test_who_is_forgotten_while_it_is_asked_keeps_no_other_from_its_turn(hub, connect):
    outlet = connect()
    first = Source(on_asked=lambda: outlet.forget(first))
    outlet.feed_from(first)
    outlet.feed_from(Source(b"second"))
    hub.run()
    assert outlet.line.got == b"second"
    assert not outlet.gone


def test_a_source_that_fails_ends_the_client_and_nobody_else(hub, connect, caplog):
    def fail():
        raise ZeroDivisionError

    outlet, other = connect(), connect()
    outlet.feed_from(Source(on_asked=fail))
    other.feed_from(Source(b"fine"))
    hub.run()
    assert (outlet.gone, outlet.ended, other.line.got) == (True, ["gone"], b"fine")
    assert "feeding a client failed" in caplog.text


@TLS
def test_a_connection_that_is_cut_is_told_once(hub, connect, is_tls):
    outlet = connect(is_tls=is_tls)
    outlet.line.is_cut = True
    outlet.offer(b"a")
    hub.run()
    outlet.offer(b"b")
    outlet.close()
    assert (outlet.ended, outlet.gone, outlet.busy) == (["gone"], True, False)


def test_a_cut_while_the_pump_waits_is_told_once(hub, connect):
    outlet = connect(room=1)
    outlet.offer(b"abc")
    hub.run()
    outlet.line.is_cut = True
    hub.run()
    assert (outlet.ended, outlet.busy, hub.threads) == (["gone"], False, {})


def test_finish_says_its_last_after_what_was_begun_and_nothing_more(hub, connect):
    outlet = connect(room=2)
    source = Source(b"event", b"never told")
    outlet.feed_from(source)
    hub.run()
    outlet.finish(b" last", lambda: outlet.ended.append("finished"))
    assert not outlet.offer(b"x")
    outlet.wake()
    assert outlet.ended == []
    outlet.line.room = 100
    hub.run()
    assert (outlet.line.got, outlet.ended) == (b"event last", ["finished"])


def test_finish_of_who_is_idle_is_at_once(hub, connect):
    outlet = connect()
    outlet.finish(b"last", lambda: outlet.ended.append("finished"))
    assert (outlet.line.got, outlet.ended) == (b"last", ["finished"])
    outlet.finish(b"again", lambda: outlet.ended.append("twice"))
    assert outlet.line.got == b"last"


def test_finish_of_who_is_cut_off_is_no_finish(hub, connect):
    outlet = connect(room=0)
    outlet.offer(b"event")
    outlet.finish(b"last", lambda: outlet.ended.append("finished"))
    outlet.line.is_cut = True
    hub.run()
    assert outlet.ended == ["gone"]


@pytest.fixture
def real(until):
    """A real connection of small buffers, its pump a real thread: real.outlet, real.peer."""

    class Real:
        def __init__(self):
            self.socket, self.peer = socket.socketpair()
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
            self.threads = []
            self.outlet = Outlet(self, lambda: None)

        def send_now(self, data):
            return self.socket.send(data, socket.MSG_DONTWAIT)

        def spawn(self, work):
            self.threads.append(threading.Thread(target=work))
            self.threads[-1].start()

        def take_over(self):
            pass

        def failed(self, error):
            pass

        def refused(self, code):
            pass

        def read(self, length):
            got = b""
            while len(got) < length:
                got += self.peer.recv(1 << 16)
            return got

    made = Real()
    yield made
    made.peer.close()
    for thread in made.threads:
        thread.join(20)
    made.socket.close()


def test_a_real_socket_takes_what_it_can_and_the_rest_later(real, until):
    assert real.outlet.offer(MB)
    assert real.outlet.busy
    assert 0 < real.outlet.sent_bytes < len(MB)
    assert not real.outlet.offer(b"more")
    assert real.outlet.say(b"said")
    assert real.read(len(MB) + 4) == MB + b"said"
    until(lambda: not real.outlet.busy)
    assert real.outlet.sent_bytes == len(MB) + 4


def test_a_real_socket_that_is_closed_is_gone(real, until):
    real.outlet.offer(MB)
    real.peer.close()
    until(lambda: real.outlet.gone)
    assert not real.outlet.offer(b"more")
