"""What no connection outlives: HEADWATER_CONNECTION_S, over every transport without another end."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from tests.sockets.clients import RawWebSocket
from tests.system.feeds import GAP, HEARTBEAT, READERS, RECONNECT, SERVICE_RESTART, Publisher

LONGEST_S = 1.2
# The server looks once a second.
LATE_S = 1.5
CONNECTIONS = 3
TRANSPORTS = ("ndjson", "sse", "websocket", "socket.io", "polling", "node")


@pytest.fixture(scope="module")
def brief(serve_all):
    return serve_all(HEADWATER_CONNECTION_S=str(LONGEST_S))


@pytest.fixture(scope="module")
def publishing(brief):
    """A topic to which the numbers 0, 1, 2 … are published all the time; and the first cursor."""
    topic, stopped = "demo/numbers", threading.Event()
    with closing(Publisher(brief.base)) as publisher:
        first = publisher.publish(topic, 0)

        def publish():
            number = 1
            while not stopped.wait(0.01):
                publisher.publish(topic, *range(number, number + 5))
                number += 5

        thread = threading.Thread(target=publish)
        thread.start()
        yield topic, first["id"]
        stopped.set()
        thread.join()


def follow_on(reader_of, base, topic, since):
    """Follow over CONNECTIONS connections, each from the cursor of the one before.

    Return what was told, and how long each has lasted. Fails when one is cut.
    """
    numbers, lasted_s = [], []
    for _ in range(CONNECTIONS):
        began_s, is_told = time.monotonic(), False
        with reader_of(base, topic, since) as reader:
            since = reader.cursor
            for told in reader:
                is_told = told.name == RECONNECT
                assert told.name != GAP
                if told.name not in (HEARTBEAT, RECONNECT):
                    since = told.id
                    numbers.append(told.data)
            lasted_s.append(time.monotonic() - began_s)
        assert is_told, "it is told that it ends, and that is the last"
    return numbers, lasted_s


def test_each_goes_on_where_the_one_before_has_ended(brief, publishing, javascript):
    """Over all transports at once: nothing is missed and nothing comes twice."""
    topic, since = publishing
    with ThreadPoolExecutor(len(TRANSPORTS)) as threads:
        following = {
            transport: threads.submit(follow_on, READERS[transport], brief.base, topic, since)
            for transport in TRANSPORTS
        }
    for transport, followed in following.items():
        numbers, lasted_s = followed.result()
        assert numbers == list(range(1, len(numbers) + 1)), transport
        assert len(numbers) > CONNECTIONS, transport
        assert max(lasted_s) < LONGEST_S + LATE_S + 1, transport


def sent_back_after_ms(reader):
    with reader:
        return next(told.data["after_ms"] for told in reader if told.name == RECONNECT)


def test_those_that_come_together_do_not_come_back_together(brief):
    with ThreadPoolExecutor(20) as threads:
        readers = [READERS["ndjson"](brief.base, "demo/quiet") for _ in range(20)]
        after_ms = list(threads.map(sent_back_after_ms, readers))
    assert len(set(after_ms)) > 10


def test_a_websocket_without_a_cursor_ends_too(brief):
    with closing(RawWebSocket(brief.port, "/ws/live/", seconds=20)) as client:
        assert client.close_code() == SERVICE_RESTART


def test_a_session_that_follows_nothing_ends_too(brief):
    path = "/socket.io/?EIO=4&transport=websocket"
    with closing(RawWebSocket(brief.port, path, seconds=20)) as client:
        assert client.close_code() == SERVICE_RESTART


def test_a_download_is_not_bound(brief):
    """It ends by itself, and a client that cannot resume would never have it."""
    began_s, size = time.monotonic(), 0
    answer = brief.open("/download/numbers.csv")
    while data := answer.read(64 * 1024):
        size += len(data)
        if time.monotonic() - began_s < LONGEST_S + LATE_S:
            time.sleep(0.1)
    assert answer.is_whole()
    assert time.monotonic() - began_s > LONGEST_S + LATE_S
    assert size > 5_000_000
