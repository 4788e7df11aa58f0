"""Every transport follows alike: where a feed begins, what is told in which order, what misses."""

import itertools
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import chain

import pytest

from tests.system.feeds import GAP, HEARTBEAT, READERS, Refused, Told, WholeSse
from tests.system.server import need, wait_until

each_transport = pytest.mark.parametrize("transport", READERS)


HEARTBEAT_S = 15


def parts(events):
    """Return what every transport tells of events."""
    return [(event["id"], event["name"], event["data"]) for event in events]


def told_parts(told):
    return [(each.id, each.name, each.data) for each in told]


# Where a feed begins.


@each_transport
def test_history_comes_first_then_what_is_live_without_a_seam(server, follow, topic, transport):
    server.publish(topic, *range(200))
    over = threading.Event()

    def publish():
        numbers = itertools.count(200)
        while not over.is_set():
            server.publish(topic, next(numbers), next(numbers))

    with ThreadPoolExecutor(1) as pool:
        publishing = pool.submit(publish)
        try:
            assert follow(server, transport, topic, "all").numbers(500) == list(range(500))
        finally:
            over.set()
        publishing.result()


@each_transport
def test_a_feed_tells_events_as_they_were_published(server, follow, topic, transport):
    data = [
        None,
        True,
        1.5,
        "",
        "a\nb\r\x85\u2028\u2029\x00",
        [1, [2]],
        {"Ünïcødé 🌊": '"\\'},
        "x" * 65_000,
    ]
    for name, each in zip("abcdefgh", data, strict=True):
        server.publish(topic, each, name=name)
    told = follow(server, transport, topic, "all").take(len(data))
    assert [each.data for each in told] == data
    assert told_parts(told) == parts(server.events(topic))


@each_transport
def test_since_nothing_is_from_now_on(server, follow, topic, transport):
    server.publish(topic, 1)
    reader = follow(server, transport, topic)
    server.publish(topic, 2)
    assert reader.numbers(1) == [2]


@each_transport
def test_since_a_cursor_is_right_after_it(server, follow, topic, transport):
    ids = [server.publish(topic, n)["id"] for n in range(5)]
    reader = follow(server, transport, topic, ids[2])
    assert reader.cursor == ids[2]
    assert told_parts(reader.take(2)) == [(ids[3], "number", 3), (ids[4], "number", 4)]


@pytest.fixture(scope="module")
def aged(server):
    """A topic for each transport, with an event that is five seconds old."""
    topics = {name: f"demo/aged-{name.replace('.', '-')}" for name in READERS}
    for name in topics.values():
        server.publish(name, 1)
    (newest,) = server.events(name)
    wait_until(lambda: time.time() > newest["time"] + 5, "it is old")
    return topics


@each_transport
def test_since_an_age(server, follow, aged, transport):
    topic = aged[transport]
    server.publish(topic, 2)
    assert follow(server, transport, topic, "4500ms").numbers(1) == [2]
    assert follow(server, transport, topic, "5m").numbers(2) == [1, 2]


@each_transport
def test_who_begins_now_can_come_back_before_the_first_event(server, follow, topic, transport):
    server.publish(topic, 1)
    with follow(server, transport, topic) as reader:
        cursor = reader.cursor
    server.publish(topic, 2)
    assert follow(server, transport, topic, cursor).numbers(1) == [2]


@pytest.mark.parametrize("transport", ["ndjson", "sse", "websocket"])
def test_last_event_id_wins_over_since(server, follow, topic, transport):
    ids = [server.publish(topic, n)["id"] for n in range(3)]
    headers = {"Last-Event-ID": ids[1]}
    reader = follow(server, transport, topic, "all", headers=headers)
    assert reader.numbers(1) == [2]


@pytest.mark.parametrize("transport", ["ndjson", "sse"])
def test_a_poll_ends_when_it_has_caught_up(server, follow, topic, transport):
    server.publish(topic, *range(3000))
    told = list(follow(server, transport, topic, "all", poll=1))
    assert told_parts(told) == parts(server.events(topic))
    assert len(told) == 3000
    again = follow(server, transport, topic, told[-1].id, poll=1)
    assert list(again) == []
    assert again.cursor == told[-1].id


# Several topics.


@pytest.mark.parametrize("transport", [name for name in READERS if name != "sse"])
def test_several_topics_come_in_one_order_with_one_cursor(server, follow, topic, transport):
    topics = [f"{topic}/{letter}" for letter in "abc"]
    ids = [server.publish(topics[n % 3], n)["id"] for n in range(60)]
    told = follow(server, transport, ",".join(topics), "all").take(60)
    assert [(each.id, each.data) for each in told] == list(zip(ids, range(60), strict=True))
    assert [each.topic for each in told[:3]] == topics
    again = follow(server, transport, ",".join(topics), ids[29])
    server.publish(topics[0], 60)
    assert again.numbers(31) == list(range(30, 61))


@each_transport
def test_many_publishers_to_many_topics_come_in_the_order_of_ids(server, follow, topic, transport):
    reader = follow(server, transport, f"{topic}/*,brief/{transport}")

    def publish(publisher):
        name = f"brief/{transport}" if publisher == 7 else f"{topic}/{publisher}"
        return [server.publish(name, [publisher, n])["id"] for n in range(25)]

    with ThreadPoolExecutor(8) as pool:
        ids = chain.from_iterable(pool.map(publish, range(8)))
    told = reader.take(200)
    assert [each.id for each in told] == sorted(ids)


@each_transport
def test_a_wildcard_stands_for_topics_that_are_born_later_too(server, follow, topic, transport):
    server.publish(f"{topic}/a", 1)
    reader = follow(server, transport, f"{topic}/*", "all")
    assert reader.numbers(1) == [1]
    server.publish(f"{topic}/b", 2)
    server.publish(f"{topic}/c/d", 3)
    server.publish("demo/another", 0)
    server.publish(f"{topic}/a", 4)
    assert reader.numbers(3) == [2, 3, 4]
    again = follow(server, transport, f"{topic}/*", reader.cursor)
    server.publish(f"{topic}/e", 5)
    assert again.numbers(1) == [5]


def test_whole_sse_says_of_which_topic(server, topic):
    server.publish(f"{topic}/a", 1, name="order")
    with WholeSse(server.base, f"{topic}/*", "all") as reader:
        (told,) = reader.take(1)
    assert told == Told(**server.events(f"{topic}/a")[0])


# What is missing.


@each_transport
@pytest.mark.parametrize("folder", ["short", "few"])
def test_what_was_let_go_of_is_a_gap(server, follow, transport, folder):
    name = f"{folder}/{transport}"
    cursor = server.publish(name, 0)["id"]
    for first in range(1, 101, 10):
        server.publish(name, *range(first, first + 10))
    wait_until(lambda: len(server.events(name)) == 20, "the oldest are gone")
    gap, *rest = follow(server, transport, name, cursor).take(21)
    assert [each.data for each in rest] == list(range(81, 101))
    told = {key: gap.data[key] for key in ("from", "to", "lost", "reason", "refetch")}
    refetch = f"/events/{name}?since=all"
    assert gap.name == GAP
    assert told == {
        "from": cursor,
        "to": gap.id,
        "lost": 80,
        "reason": "expired",
        "refetch": refetch,
    }
    assert cursor < gap.id < rest[0].id
    assert follow(server, transport, name, gap.id).take(20) == rest


@each_transport
def test_everything_that_is_kept_begins_with_no_gap(server, follow, transport):
    name = f"few/all-{transport}"
    for n in range(30):
        server.publish(name, n)
    assert follow(server, transport, name, "all").numbers(20) == list(range(10, 30))


@pytest.fixture(scope="module")
def restarted(serve_all):
    """A server that was killed, and the cursors that it gave out before, by topic."""
    server = serve_all()
    topics = [f"brief/{name}" for name in READERS]
    cursors = {name: server.publish(name, 1, 2)["id"] for name in topics}
    server.kill()
    server.start()
    for name in topics:
        server.publish(name, 3)
    return server, cursors


@each_transport
def test_a_topic_in_memory_says_that_it_was_restarted(restarted, follow, transport):
    server, cursors = restarted
    name = f"brief/{transport}"
    gap, event = follow(server, transport, name, cursors[name]).take(2)
    assert (gap.name, gap.data["reason"], gap.data["lost"]) == (GAP, "restarted", None)
    assert gap.data["from"] == cursors[name]
    assert event.data == 3
    assert follow(server, transport, name, gap.id).numbers(1) == [3]


# Cursors that cannot be.

WRONG_CURSORS = {
    "no cursor": ("yesterday", 400, "malformed_cursor"),
    "too short": ("0" * 29, 400, "malformed_cursor"),
    "a letter that is none of them": ("z" * 30, 400, "malformed_cursor"),
    "capitals": ("A" * 30, 400, "malformed_cursor"),
    "no unit": ("5", 400, "malformed_cursor"),
    "negative": ("-5m", 400, "malformed_cursor"),
    "ahead of everything": ("v" * 30, 409, "future_cursor"),
}


@pytest.mark.parametrize("transport", [name for name in READERS if name != "node"])
@pytest.mark.parametrize(
    ("since", "status", "error"), WRONG_CURSORS.values(), ids=WRONG_CURSORS.keys()
)
def test_a_wrong_cursor_is_refused(server, follow, topic, transport, since, status, error):
    with pytest.raises(Refused) as refused:
        follow(server, transport, topic, since)
    assert (refused.value.status, refused.value.told["error"]) == (status, error)
    assert set(refused.value.told) - {"ok"} == {"error", "message", "status", "detail"}


@pytest.fixture(scope="module")
def twins(serve_all):
    """Two servers, the second of which was started later."""
    return serve_all(), serve_all()


@each_transport
def test_a_cursor_of_another_instance(twins, follow, transport):
    older, newer = twins
    name = f"demo/{transport}"
    of_older = older.publish(name, *range(10))["id"]
    of_newer = newer.publish(name, 1, 2)["id"]
    gap, *events = follow(newer, transport, name, of_older).take(3)
    assert (gap.name, gap.data["reason"], gap.data["lost"]) == (GAP, "restarted", None)
    assert [each.data for each in events] == [1, 2]
    with pytest.raises(Refused) as refused:
        follow(older, transport, name, of_newer)
    assert refused.value.told["error"] == "future_cursor"


# Heartbeats.


def hear_heartbeat(reader):
    """Return the first heartbeat, and how long it took."""
    began_s = time.monotonic()
    told = next(each for each in reader if each.name == HEARTBEAT)
    return told, time.monotonic() - began_s


def raw_lines(server, path, accept):
    """Yield the lines of an answer as they come, as HTTP/1.0 has them."""
    client = server.send(f"GET {path} HTTP/1.0\r\nAccept: {accept}\r\n\r\n".encode())
    with client.makefile("rb") as lines:
        while lines.readline().strip():
            pass
        yield from lines


def hear_ping(server, topic):
    """Return what the first ping of a WebSocket carries."""
    fields = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    fields += "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    client = server.send(f"GET /ws/events/{topic} HTTP/1.1\r\nHost: localhost\r\n{fields}".encode())
    received = b""
    while len(ping := received.partition(b"\r\n\r\n")[2]) < 32:
        received += client.recv(4096)
    assert ping[:2] == b"\x89\x1e"
    return ping[2:32].decode()


def test_heartbeats_tell_the_newest_cursor_on_every_transport(server, follow, topic):
    newest = server.publish(topic, 1)["id"]
    readers = [follow(server, name, topic) for name in READERS if name != "sse"]
    readers.append(follow(server, "websocket", f"{topic},demo/quiet"))
    sse = raw_lines(server, f"/events/{topic}", "text/event-stream")
    ndjson = raw_lines(server, f"/events/{topic}", "application/x-ndjson")
    with WholeSse(server.base, topic) as whole, ThreadPoolExecutor(20) as pool:
        comment = pool.submit(lambda: next(line for line in sse if line.startswith(b":")))
        lines = pool.submit(lambda: (next(ndjson), next(ndjson)))
        ping = pool.submit(hear_ping, server, topic)
        told = list(pool.map(hear_heartbeat, [*readers, whole]))
    assert comment.result() == f": heartbeat {newest}\n".encode()
    assert ping.result() == newest
    blank, line = lines.result()
    assert (blank, json.loads(line)["name"], json.loads(line)["id"]) == (b"\n", HEARTBEAT, newest)
    for heartbeat, after_s in told:
        assert heartbeat.id == newest
        assert after_s < HEARTBEAT_S + 6


# As HTTP.


def test_an_sse_answer_begins_with_retry_and_an_id(server, topic):
    cursor = server.publish(topic, 1)["id"]
    lines = raw_lines(server, f"/events/{topic}", "text/event-stream")
    retry, event_id, blank = (next(lines) for _ in range(3))
    lines.close()
    assert retry.startswith(b"retry: ")
    assert int(retry[7:]) > 0
    assert (event_id, blank) == (f"id: {cursor}\n".encode(), b"\n")


class HastyClient:
    """It takes an id when its line comes, and an event when that ends, as some clients do."""

    def __init__(self):
        self.last_id = None
        self.data = []

    def read(self, stream):
        """Take what has come of an answer up to a cut; half a line is none."""
        data = None
        for line in stream.split(b"\n")[:-1]:
            field, _, value = line.partition(b": ")
            if field == b"id":
                self.last_id = value.decode()
            elif field == b"data":
                data = json.loads(value)
            elif not line and data is not None:
                self.data.append(data)
                data = None


@pytest.mark.parametrize(("topics", "whole"), [("few/a", 0), ("demo/hasty", 1)])
def test_who_takes_an_id_at_once_misses_nothing_of_a_cut_event(server, topics, whole):
    first = server.publish(topics, "first")["id"]
    server.publish(topics, *range(25))
    path = f"/events/{topics}?poll=1&whole={whole}&since={first}"
    whole_answer = server.get(path, Accept="text/event-stream").body
    uncut = HastyClient()
    uncut.read(whole_answer)
    assert len(uncut.data) == (21 if topics == "few/a" else 25)
    # The opening and two events, or the gap and an event.
    begin, one, two = (len(part) + 2 for part in whole_answer.split(b"\n\n")[:3])
    between_line_feeds = {begin + one - 1, begin + one + two - 1}
    for cut in range(begin + one + two + 1):
        client = HastyClient()
        stream = server.open(path, Accept="text/event-stream")
        client.read(stream.read(cut))
        stream.close()
        came_back = {"Last_Event_ID": client.last_id} if client.last_id else {}
        client.read(server.get(path, Accept="text/event-stream", **came_back).body)
        assert (client.data == uncut.data) is (cut not in between_line_feeds), (cut, client.data)


KINDS = {
    "application/x-ndjson": "application/x-ndjson",
    "text/event-stream": "text/event-stream",
    "*/*": "application/x-ndjson",
    "text/html, text/event-stream;q=0.5": "text/event-stream",
    "application/x-ndjson;q=0.1, text/event-stream": "text/event-stream",
}


@pytest.mark.parametrize(("accept", "kind"), KINDS.items())
def test_the_kind_is_as_accepted(server, topic, accept, kind):
    stream = server.open(f"/events/{topic}", Accept=accept)
    assert stream.status == 200
    assert stream.headers["Content-Type"].split(";")[0] == kind
    assert "no-store" in stream.headers["Cache-Control"]
    assert stream.headers["X-Accel-Buffering"] == "no"


@pytest.mark.parametrize("accept", ["application/x-ndjson", "text/event-stream"])
def test_a_client_of_http_1_0(server, topic, accept):
    server.publish(topic, 1)
    path = f"/events/{topic}?since=all"
    client = server.send(f"GET {path} HTTP/1.0\r\nAccept: {accept}\r\n\r\n".encode())
    wait_until(lambda: server.readers(topic), "it follows")
    server.publish(topic, 2)
    received = b""
    while received.count(b'"number"') + received.count(b": number\n") < 2:
        received += client.recv(65536)
    head, _, body = received.partition(b"\r\n\r\n")
    assert b"chunked" not in head.lower()
    assert body.startswith((b"{", b"retry: "))


def test_a_poll_of_http_1_0_ends_with_the_connection(server, topic):
    server.publish(topic, *range(5000))
    curl = server.curl(f"/events/{topic}?since=all&poll=1", "--http1.0")
    lines = curl.communicate(timeout=20)[0].splitlines()
    assert [json.loads(line)["data"] for line in lines] == list(range(5000))


def test_curl_publishes_and_follows(server, topic):
    need("curl")
    follower = server.curl(f"/events/{topic}", "-N")
    wait_until(lambda: server.readers(topic), "it follows")
    event = ["-H", "Content-Type: application/json", "-d", '{"name": "order", "data": {"n": 1}}']
    told, _ = server.curl(f"/events/{topic}", *event).communicate(timeout=10)
    line = json.loads(follower.stdout.readline())
    assert (line["id"], line["name"], line["data"]) == (json.loads(told)["id"], "order", {"n": 1})


def test_what_there_is_is_listed(server, topic):
    ids = [server.publish(topic, n)["id"] for n in range(3)]
    shown = {each["topic"]: each for each in server.get("/events").json()["topics"]}
    told = shown[topic]
    assert (told["first"], told["newest"], told["events"]) == (ids[0], ids[2], 3)
    assert told["durable"]
    assert {"status", "exports", "demo/*", "brief/*"} <= set(shown)
