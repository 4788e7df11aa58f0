"""A client's end of a feed: what it holds, what it cuts off, and who is asked for more."""

import logging
import socket
import threading

import pytest

from tests.topics.world import Client, Hub, Line
from topics import ConnectionWriter
from topics.connection_writer import MAX_CONTROL_BYTES

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
    """connect(room): a writer on a Line with so much room; writer.client, .line, .ended."""

    class Connected(ConnectionWriter):
        __slots__ = ("client", "ended", "line")

    def make(room=1 << 40, *, is_tls=False):
        line = Line(hub, room)
        ended = []
        client = Client(hub, line, is_tls=is_tls)
        writer = Connected(client, lambda: ended.append("gone"))
        writer.client, writer.line, writer.ended = client, line, ended
        return writer

    return make


TLS = pytest.mark.parametrize("is_tls", [False, True], ids=["plain", "tls"])


@TLS
def test_what_is_offered_is_sent(hub, connect, is_tls):
    writer = connect(is_tls=is_tls)
    assert writer.try_send(b"one")
    hub.run()
    assert (writer.line.got, writer.busy, writer.sent_bytes) == (b"one", False, 3)


@TLS
def test_what_is_taken_is_taken_whole_and_nothing_beside_it(hub, connect, is_tls):
    writer = connect(room=4, is_tls=is_tls)
    assert writer.try_send(b"one two three")
    assert writer.busy
    assert not writer.try_send(b"four")
    hub.run()
    assert writer.line.got == b"one "
    writer.line.room = 100
    hub.run()
    assert (writer.line.got, writer.busy) == (b"one two three", False)
    assert writer.try_send(b"four")


def test_a_client_that_takes_nothing_holds_one_chunk(hub, connect):
    writer = connect(room=0)
    source = Source(*[b"y" * 1000] * 50)
    writer.feed_from(source)
    assert writer.try_send(MB) is False
    hub.run()
    assert (source.asked, len(writer._rest)) == (1, 0)
    for _ in range(10):
        writer.wake()
        hub.run()
    assert (source.asked, len(hub.threads)) == (1, 1)


@TLS
def test_control_messages_go_out_before_what_was_not_begun(hub, connect, is_tls):
    writer = connect(room=3, is_tls=is_tls)
    writer.feed_from(Source(b"first ", b"second "))
    hub.run()
    assert writer.send_control(b"ping ")
    assert writer.send_control(b"pong ")
    writer.line.room = 100
    hub.run()
    assert writer.line.got == b"first ping pong second "


def test_control_messages_beyond_the_bound_cut_the_client_off(hub, connect, caplog):
    caplog.set_level(logging.WARNING)
    writer = connect(room=0)
    writer.try_send(b"events")
    said = b"z" * (MAX_CONTROL_BYTES // 4)
    assert [writer.send_control(said) for _ in range(5)] == [True, True, True, True, False]
    assert (writer.gone, writer.client.refusals, writer.ended) == (True, ["unread"], ["gone"])
    assert "client cut off reason=unread_control" in caplog.text
    assert not writer.send_control(b"") and not writer.try_send(b"")  # noqa: PT018 (both at once)


def test_what_was_taken_no_longer_counts(hub, connect):
    writer = connect(room=0)
    writer.try_send(b"events")
    for _ in range(10):
        assert writer.send_control(b"z" * (MAX_CONTROL_BYTES - 1))
        writer.line.room = 1 << 20
        hub.run()
        writer.line.room = 0
        writer.try_send(b"more")
    assert writer.sent_bytes > 9 * MAX_CONTROL_BYTES


def test_a_source_is_asked_until_it_has_nothing(hub, connect):
    writer = connect()
    source = Source(b"a", b"b", b"c")
    writer.feed_from(source)
    hub.run()
    assert (writer.line.got, source.asked) == (b"abc", 4)


def test_sources_take_turns(hub, connect):
    writer = connect(room=1)
    writer.feed_from(Source(*[b"a"] * 3))
    writer.feed_from(Source(*[b"b"] * 3))
    writer.line.room = 100
    hub.run()
    assert writer.line.got == b"ababab"


def test_what_comes_when_the_pump_has_just_looked_is_not_left(hub, connect):
    """wake while the writer is busy: it asks once more, for any caller."""
    writer = connect()
    source = Source()
    waiting = Source(on_asked=hub.wait)
    writer.feed_from(source)
    writer.feed_from(waiting)
    (pump,) = hub.ready()
    hub.turn(pump)
    # The first was asked already; now something comes for it.
    source.data.append(b"late")
    writer.wake()
    hub.run()
    assert writer.line.got == b"late"
    assert not writer.busy


def test_a_source_is_forgotten_at_once(hub, connect):
    writer = connect(room=1)
    source = Source(b"aa", b"b")
    writer.feed_from(source)
    hub.run()
    writer.forget(source)
    writer.forget(source)
    writer.line.room = 100
    hub.run()
    assert (writer.line.got, source.asked) == (b"aa", 1)


def test_who_is_forgotten_while_it_is_asked_keeps_no_other_from_its_turn(hub, connect):
    writer = connect()
    first = Source(on_asked=lambda: writer.forget(first))
    writer.feed_from(first)
    writer.feed_from(Source(b"second"))
    hub.run()
    assert writer.line.got == b"second"
    assert not writer.gone


def test_a_source_that_fails_ends_the_client_and_nobody_else(hub, connect, caplog):
    def fail():
        raise ZeroDivisionError

    writer, other = connect(), connect()
    writer.feed_from(Source(on_asked=fail))
    other.feed_from(Source(b"fine"))
    hub.run()
    assert (writer.gone, writer.ended, other.line.got) == (True, ["gone"], b"fine")
    assert "feeding a client failed" in caplog.text


@TLS
def test_a_connection_that_is_cut_is_told_once(hub, connect, is_tls):
    writer = connect(is_tls=is_tls)
    writer.line.is_cut = True
    writer.try_send(b"a")
    hub.run()
    writer.try_send(b"b")
    writer.close()
    assert (writer.ended, writer.gone, writer.busy) == (["gone"], True, False)


def test_a_cut_while_the_pump_waits_is_told_once(hub, connect):
    writer = connect(room=1)
    writer.try_send(b"abc")
    hub.run()
    writer.line.is_cut = True
    hub.run()
    assert (writer.ended, writer.busy, hub.threads) == (["gone"], False, {})


def test_finish_says_its_last_after_what_was_begun_and_nothing_more(hub, connect):
    writer = connect(room=2)
    source = Source(b"event", b"never told")
    writer.feed_from(source)
    hub.run()
    writer.finish(b" last", lambda: writer.ended.append("finished"))
    assert not writer.try_send(b"x")
    writer.wake()
    assert writer.ended == []
    writer.line.room = 100
    hub.run()
    assert (writer.line.got, writer.ended) == (b"event last", ["finished"])


def test_finish_of_who_is_idle_is_at_once(hub, connect):
    writer = connect()
    writer.finish(b"last", lambda: writer.ended.append("finished"))
    assert (writer.line.got, writer.ended) == (b"last", ["finished"])
    writer.finish(b"again", lambda: writer.ended.append("twice"))
    assert writer.line.got == b"last"


def test_finish_of_who_is_cut_off_is_no_finish(hub, connect):
    writer = connect(room=0)
    writer.try_send(b"event")
    writer.finish(b"last", lambda: writer.ended.append("finished"))
    writer.line.is_cut = True
    hub.run()
    assert writer.ended == ["gone"]


@pytest.fixture
def real(until):
    """A real connection of small buffers, its pump a real thread: real.writer, real.peer."""

    class Real:
        def __init__(self):
            self.socket, self.peer = socket.socketpair()
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
            self.threads = []
            self.writer = ConnectionWriter(self, lambda: None)

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
    assert real.writer.try_send(MB)
    assert real.writer.busy
    assert 0 < real.writer.sent_bytes < len(MB)
    assert not real.writer.try_send(b"more")
    assert real.writer.send_control(b"said")
    assert real.read(len(MB) + 4) == MB + b"said"
    until(lambda: not real.writer.busy)
    assert real.writer.sent_bytes == len(MB) + 4


def test_a_real_socket_that_is_closed_is_gone(real, until):
    real.writer.try_send(MB)
    real.peer.close()
    until(lambda: real.writer.gone)
    assert not real.writer.try_send(b"more")
