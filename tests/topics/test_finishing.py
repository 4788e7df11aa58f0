"""What WebSockets need of a ConnectionWriter besides taking events."""

import threading

import pytest

from topics.connection_writer import MAX_CONTROL_BYTES, TURN_S, ConnectionWriter


class Line:
    """A client's connection that takes what it is given, or stands still until it may go on."""

    def __init__(self):
        self.socket = self
        self.sent = []
        self.refusals = []
        self.goes_on = threading.Event()
        self.goes_on.set()

    def setsockopt(self, level, option, value):
        pass

    def send_now(self, data):
        if not self.goes_on.is_set():
            raise BlockingIOError
        self.sent.append(bytes(data))
        return len(data)

    def sendall(self, data):
        assert self.goes_on.wait(10)
        self.sent.append(bytes(data))

    def spawn(self, work):
        threading.Thread(target=work).start()

    def failed(self, error):
        pass

    def refused(self, code):
        self.refusals.append(code)


@pytest.fixture
def line():
    return Line()


@pytest.fixture
def told():
    return []


@pytest.fixture
def writer(line, told):
    writer = ConnectionWriter(line, lambda: told.append("gone"))
    yield writer
    line.goes_on.set()


class Endless:
    def __init__(self):
        self.asked = 0

    def more(self):
        self.asked += 1
        return b"event"


def test_the_last_is_said_and_then_nothing(writer, line, told):
    writer.finish(b"last", lambda: told.append("finished"))
    assert writer.gone
    assert not writer.try_send(b"event")
    assert not writer.send_control(b"ping")
    assert line.sent == [b"last"]
    assert told == ["finished"]


def test_the_last_waits_for_what_is_being_written(writer, line, told, until):
    line.goes_on.clear()
    source = Endless()
    assert writer.send_control(b"ping")
    writer.feed_from(source)
    writer.finish(b"last", lambda: told.append("finished"))
    assert (told, writer.gone) == ([], True)
    line.goes_on.set()
    until(lambda: told)
    assert line.sent == [b"ping", b"last"]
    assert told == ["finished"]
    assert source.asked == 0


def test_a_last_word_that_is_not_taken(writer, line, told):
    line.goes_on.clear()
    writer.send_control(b"ping")
    writer.finish(b"last", lambda: told.append("finished"))
    writer.close()
    assert told == ["gone"]


def test_who_is_cut_off_is_counted(writer, line, told):
    line.goes_on.clear()
    writer.send_control(b"ping")
    assert line.refusals == []
    assert not writer.send_control(bytes(MAX_CONTROL_BYTES + 1))
    assert line.refusals == ["unread"]
    assert told == ["gone"]


def test_a_quick_client_leaves_the_others_their_turn(writer, line, monkeypatch, until):
    pauses = []
    monkeypatch.setattr("topics.connection_writer.sleep", pauses.append)
    source = Endless()
    writer.feed_from(source)
    until(lambda: len(pauses) > 2)
    writer.close()
    assert set(pauses) == {0}
    assert TURN_S <= 0.005
