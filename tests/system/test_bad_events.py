"""Bad input to the feeds: an error to who sent it, in the one shape or as a close code.

Never a 5xx. A reader of each transport follows through all of it, and notices nothing.
"""

import json
import re
from contextlib import suppress
from urllib.parse import quote

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.system.feeds import LAST, READERS, Refused, live_client
from tests.system.server import end_clients, wait_until
from tests.system.test_bad_input import check

JSON, NDJSON = "application/json", "application/x-ndjson"
WITNESS = "demo/witness"
WITNESSES = ["ndjson", "sse", "websocket", "socket.io"]


@pytest.fixture(scope="module")
def witnesses(server):
    """A reader of each transport that is there from the beginning."""
    readers = {name: READERS[name](server.base, WITNESS) for name in WITNESSES}
    yield readers
    end_clients(readers.values())


@pytest.fixture(scope="module", autouse=True)
def seen(server, witnesses):
    """The ids of what was published meanwhile, one for each test."""
    return []


@pytest.fixture(autouse=True)
def others(server, seen):
    """They are served after each test."""
    yield
    seen.append(server.publish(WITNESS, len(seen))["id"])


# What is published over HTTP: content type, body, status, error, what the message names.
A_BODY = b'{"data": 1}'
BODIES = {
    "nothing": (JSON, b"", 400, "malformed_event", "JSON"),
    "no JSON": (JSON, b"data=1", 400, "malformed_event", "JSON"),
    "half of it": (JSON, b'{"data": 1', 400, "malformed_event", "JSON"),
    "not UTF-8": (JSON, b'{"data": "\xff"}', 400, "malformed_event", "JSON"),
    "a list": (JSON, b'[{"data": 1}]', 400, "malformed_event", "object"),
    "a number": (JSON, b"1", 400, "malformed_event", "object"),
    "no data": (JSON, b'{"name": "order"}', 400, "malformed_event", "data"),
    "one field more": (JSON, b'{"data": 1, "nmae": "x"}', 400, "malformed_event", "nmae"),
    "NaN": (JSON, b'{"data": NaN}', 400, "malformed_event", "NaN"),
    "half of a pair": (JSON, b'{"data": "\\ud800"}', 400, "malformed_event", "surrogate"),
    "deep": (JSON, b'{"data": ' + b"[" * 30_000, 400, "malformed_event", "JSON"),
    "deep and closed": (
        JSON, b'{"data": ' + b"[" * 30_000 + b"]" * 30_000 + b"}", 400, "malformed_event", "JSON",
    ),
    "a long number": (JSON, b'{"data": ' + b"9" * 10_000 + b"}", 400, "malformed_event", "JSON"),
    "65 KiB": (JSON, b'{"data": "%s"}' % (b"x" * 65_536), 400, "malformed_event", "65536"),
    "65 KiB as it is kept": (
        JSON, b'{"data": [%s]}' % b",".join([b"1e1"] * 16_000), 400, "malformed_event", "65536",
    ),
    "name: a number": (JSON, b'{"name": 5, "data": 1}', 400, "malformed_event", "name"),
    "name: nothing": (JSON, b'{"name": "", "data": 1}', 400, "malformed_event", "name"),
    "name: null": (JSON, b'{"name": null, "data": 1}', 400, "malformed_event", "name"),
    "name: a line feed": (JSON, b'{"name": "a\\nb", "data": 1}', 400, "malformed_event", "name"),
    "name: a quote": (JSON, b'{"name": "a\\"b", "data": 1}', 400, "malformed_event", "name"),
    "name: U+2028": (JSON, b'{"name": "\\u2028", "data": 1}', 400, "malformed_event", "name"),
    "name: 101 letters": (
        JSON, b'{"name": "%s", "data": 1}' % (b"n" * 101), 400, "malformed_event", "name",
    ),
    "name: gap": (JSON, b'{"name": "gap", "data": 1}', 400, "malformed_event", "gap"),
    "name: heartbeat": (
        JSON, b'{"name": "heartbeat", "data": 1}', 400, "malformed_event",
        "reserved for the server",
    ),
    "name: reconnect": (
        JSON, b'{"name": "reconnect", "data": 1}', 400, "malformed_event",
        "reserved for the server",
    ),
    "no line": (NDJSON, b"\n\n \n", 400, "malformed_event", "no event"),
    "the second line": (NDJSON, b'{"data": 1}\nx\n', 400, "malformed_event", "event 2"),
    "10,001 lines": (NDJSON, (A_BODY + b"\n") * 10_001, 400, "malformed_event", "10000"),
    "4 MiB and one": (NDJSON, b" " * (4 * 1024**2 + 1), 413, "request_entity_too_large", ""),
    "a form": ("application/x-www-form-urlencoded", b"data=1", 415, "unsupported_media_type", JSON),
    "text": ("text/plain", A_BODY, 415, "unsupported_media_type", NDJSON),
    "no type": ("", A_BODY, 415, "unsupported_media_type", JSON),
}  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "body", "status", "error", "names"), BODIES.values(), ids=BODIES.keys()
)
def test_bodies(server, topic, kind, body, status, error, names):
    told = check(server.get(f"/events/{topic}", "POST", body, Content_Type=kind), status)
    assert told["error"] == error
    assert names in told["message"]
    assert server.events(topic) == []


KEYS = {"empty": "", "256 letters": "k" * 256, "a blank": "a b", "Latin-1": "\xe9"}


@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS.keys())
def test_keys(server, topic, key):
    headers = {"Content_Type": JSON, "Idempotency_Key": key}
    told = check(server.get(f"/events/{topic}", "POST", A_BODY, **headers), 400)
    assert told["error"] == "malformed_key"
    assert server.events(topic) == []


# Names that no topic can have, or that none has. As they are, and what they are answered.
NAMES = {
    "unknown": ("nope", 404, "unknown_topic"),
    "outside the pattern": ("demonstration/x", 404, "unknown_topic"),
    "the pattern's own folder": ("demo", 404, "unknown_topic"),
    "..": ("demo/../status", 400, "malformed_topic"),
    "dots only": ("..", 400, "malformed_topic"),
    "a dot": ("demo/./x", 400, "malformed_topic"),
    "NUL": ("demo/\x00", 400, "malformed_topic"),
    "a tab": ("demo/a\tb", 400, "malformed_topic"),
    "a blank": ("demo/a b", 400, "malformed_topic"),
    "not ASCII": ("demo/ü", 400, "malformed_topic"),
    "a backslash": ("demo/..\\x", 400, "malformed_topic"),
    "a slash at the end": ("demo/", 400, "malformed_topic"),
    "101 in a segment": ("demo/" + "x" * 101, 400, "malformed_topic"),
    "201 in all": ("demo/" + "/".join(["x" * 48] * 4) + "/", 400, "malformed_topic"),
    "5,000": ("demo/" + "x" * 5000, 400, "malformed_topic"),
    "a percent sign": ("demo/%2e", 400, "malformed_topic"),
}
# To follow only.
PATTERNS = {
    "a star within": ("demo/*/x", 400, "malformed_topic"),
    "a star in a segment": ("demo/a*", 400, "malformed_topic"),
    "two stars": ("demo/**", 400, "malformed_topic"),
    "nothing between commas": ("demo/a,,demo/b", 400, "malformed_topic"),
    "one of two is unknown": ("demo/a,nope", 404, "unknown_topic"),
    "65 topics": (",".join(f"demo/{n}" for n in range(65)), 409, "too_many_topics"),
}
# To publish only.
TARGETS = {
    "readers": ("demo/readers", 400, "malformed_topic"),
    "a pattern": ("demo/*", 400, "malformed_topic"),
    "two": ("demo/a,demo/b", 400, "malformed_topic"),
    "the server's own": ("status", 403, "not_writable"),
    "an export's": ("exports/0123", 403, "not_writable"),
}


def table(rows):
    return pytest.mark.parametrize(("name", "status", "error"), rows.values(), ids=rows.keys())


@table(NAMES | TARGETS)
@pytest.mark.parametrize("safe", ["/", ""], ids=["slashes", "encoded slashes"])
def test_names_to_publish_to(server, name, status, error, safe):
    path = f"/events/{quote(name, safe=safe)}"
    told = check(server.get(path, "POST", A_BODY, Content_Type=JSON), status)
    assert told["error"] == error


# httpx, which is the client of SSE, resolves dots by itself.
@table(NAMES | PATTERNS)
@pytest.mark.parametrize("transport", ["ndjson", "websocket", "socket.io"])
def test_names_to_follow(server, name, status, error, transport):
    with pytest.raises(Refused) as refused:
        READERS[transport](server.base, name).close()
    told = refused.value.told
    assert (told["status"], told["error"]) == (status, error)
    assert set(told) - {"ok"} == {"error", "message", "status", "detail"}


@pytest.mark.parametrize("transport", ["ndjson", "sse", "websocket"])
def test_a_word_of_the_query_that_is_misspelt(server, topic, transport):
    with pytest.raises(Refused) as refused:
        READERS[transport](server.base, topic, sicne="all").close()
    told = refused.value.told
    assert (told["status"], told["error"]) == (400, "malformed")
    assert told["message"] == "sicne: there is no such parameter; is it since?"


@table(NAMES | PATTERNS)
def test_names_of_whose_readers_are_asked_for(server, name, status, error):
    told = check(server.get(f"/events/{quote(name, safe='/')}/readers"), status)
    assert told["error"] == error


def test_a_topic_too_many(serve):
    server = serve(HEADWATER_TOPICS_PER_PRINCIPAL="1000")
    for n in range(1001):
        answer = server.get(f"/events/brief/{n}", "POST", A_BODY, Content_Type=JSON)
        if answer.status != 201:
            break
    assert check(answer, 409)["error"] == "too_many_topics"
    assert n >= 995
    assert server.publish("brief/0", 2)["count"] == 1


def test_a_topic_too_many_of_one_principal(serve):
    server = serve(HEADWATER_TOPICS_PER_PRINCIPAL="2")
    for n in range(2):
        server.publish(f"brief/{n}", 1)
    answer = server.get("/events/brief/2", "POST", A_BODY, Content_Type=JSON)
    assert check(answer, 403)["error"] == "topic_quota"
    assert server.publish("demo/0", 2)["count"] == 1


def test_more_bytes_than_all_topics_may_have(serve):
    server = serve(HEADWATER_TOPICS_MEMORY_MAX_BYTES=str(2**20))
    for n in range(100):
        body = json.dumps({"data": "x" * 60_000})
        answer = server.get(f"/events/brief/{n % 2}", "POST", body, Content_Type=JSON)
        if answer.status != 201:
            break
    assert check(answer, 507)["error"] == "topics_full"
    assert n == 17
    numbers = server.get("/metrics").body.decode()
    assert 'headwater_refusals_total{code="topics_full"} 1.0' in numbers
    kept = float(re.search("^headwater_topics_memory_bytes (.*)$", numbers, re.M)[1])
    assert kept > 2**20 - 61_000
    assert server.publish("demo/0", 2)["count"] == 1


ACCEPTS = {"text/css": 406, "image/*": 406, "application/json": 406, "*/*;q=0": 406}


@pytest.mark.parametrize(("accept", "status"), ACCEPTS.items())
def test_what_is_not_to_be_had(server, topic, accept, status):
    check(server.get(f"/events/{topic}", Accept=accept), status)


def test_a_browser_is_told_by_a_page(server, topic):
    answer = server.get(f"/events/{topic}", Accept="text/html")
    assert (answer.status, answer.headers["Content-Type"]) == (406, "text/html; charset=utf-8")
    assert b"events are sent as" in answer.body


METHODS = {
    "/events/demo/a": "PUT",
    "/events": "POST",
    "/events/demo/a/readers": "DELETE",
    "/broadcast/x": "GET",
    "/ws/live": "POST",
}


@pytest.mark.parametrize(("path", "method"), METHODS.items())
def test_methods(server, path, method):
    answer = server.get(path, method, Content_Type=JSON)
    check(answer, answer.status)
    assert answer.status in (404, 405)


def chunked(pieces):
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


def test_a_body_that_never_says_its_length_is_bounded(server, topic):
    line = b'{"data": "%s"}\n' % (b"x" * (1024 - 13))
    head = f"POST /events/{topic} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {NDJSON}\r\n"
    client = server.send(head.encode() + b"Transfer-Encoding: chunked\r\n\r\n")
    with suppress(OSError):
        client.sendall(chunked([line * 64] * 65))
    assert client.recv(4096).startswith(b"HTTP/1.1 413")
    assert server.events(topic) == []


def test_a_body_in_chunks(server, topic):
    head = f"POST /events/{topic} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {NDJSON}\r\n"
    head += "Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    client = server.send(head.encode() + chunked([b'{"da', b'ta": 1}\n{"data"', b": 2}"]))
    assert client.recv(4096).startswith(b"HTTP/1.1 201")
    assert [event["data"] for event in server.events(topic)] == [1, 2]


# WebSocket.


def ws_url(server, path):
    return server.url(path).replace("http", "ws", 1)


def close_code(client):
    """Return the code that the server closes with."""
    try:
        while True:
            client.recv(timeout=5)
    except ConnectionClosed as closed:
        return closed.rcvd and closed.rcvd.code


@pytest.mark.parametrize("message", ["hello", b"hello", "", "x" * 60_000], ids=len)
def test_who_speaks_on_a_feed_is_closed(server, topic, message):
    with connect(ws_url(server, f"/ws/events/{topic}"), proxy=None) as client:
        client.send(message)
        assert close_code(client) == 1008


# What is no message of RFC 6455, and the code that it is closed with.
FRAMES = {
    "not masked": (b"\x81\x01x", 1002),
    "an opcode that is not": (b"\x83\x80\0\0\0\0", 1002),
    "a reserved bit": (b"\xc1\x81\0\0\0\0x", 1002),
    "a long ping": (b"\x89\xfe\x00\x7e\0\0\0\0" + b"x" * 126, 1002),
    "a ping in parts": (b"\x09\x80\0\0\0\0", 1002),
    "goes on with nothing": (b"\x80\x80\0\0\0\0", 1002),
    "not UTF-8": (b"\x81\x81\0\0\0\0\xff", 1007),
    "a close code that is not": (b"\x88\x82\0\0\0\0\x03\xe7", 1002),
    "too long": (b"\x81\xff" + (2**62).to_bytes(8, "big") + b"\0" * 66 * 1024, 1009),
}


@pytest.mark.parametrize(("frame", "code"), FRAMES.values(), ids=FRAMES.keys())
@pytest.mark.parametrize("path", ["/ws/live", "/ws/events/demo/a"])
def test_frames(server, path, frame, code):
    head = (
        f"GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    )
    head += "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    client = server.send(head.encode())
    client.recv(4096)
    client.sendall(frame)
    answer = client.recv(4096)
    assert answer[:1] == b"\x88"
    assert int.from_bytes(answer[2:4], "big") == code
    assert client.recv(4096) == b""


@pytest.mark.parametrize("said", ["hello", "[1]", "5", "null", '"x"', "[" * 20_000, "{", ""])
def test_what_ws_live_does_not_understand(server, said):
    with connect(ws_url(server, "/ws/live"), proxy=None) as client:
        client.send(said)
        told = json.loads(client.recv(timeout=5))
        assert list(told) == ["error", "message", "status", "detail"]
        assert told["status"] == 400
        client.send('{"message": "x"}')
        assert json.loads(client.recv(timeout=5))["message"] == "Server received: x"


HANDSHAKES = {
    "no upgrade": ({}, 426),
    "another version": (
        {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "8"}, 426,
    ),
    "no key": (
        {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"}, 400,
    ),
    "another site": (
        {"Upgrade": "websocket", "Connection": "Upgrade", "Origin": "http://elsewhere"}, 403,
    ),
}  # fmt: skip


@pytest.mark.parametrize(("headers", "status"), HANDSHAKES.values(), ids=HANDSHAKES.keys())
@pytest.mark.parametrize("path", ["/ws/live", "/ws/events/demo/a"])
def test_handshakes(server, path, headers, status):
    check(server.get(path, **headers), status)


# /live.


@pytest.fixture
def live(server):
    with live_client(server.base) as client:
        yield client


def ask(live, event, *fields):
    """Emit an event and return its acknowledgement."""
    return live.call(event, *fields, namespace="/live", timeout=5)


HANDLERS = ["subscribe", "unsubscribe", "publish", "readers", "cancel"]
NO_OBJECTS = {
    "null": None,
    "a number": 5,
    "a text": "demo/a",
    "a list": ["demo/a"],
    "a list of one": [{"topic": "demo/a"}],
    "yes": True,
    "bytes": b"demo/a",
    "an empty object": {},
}
NO_TOPICS = [None, 5, 1.5, True, "", [], ["demo/a"], {}, {"topic": "demo/a"}, b"demo/a"]
NO_SINCE = [5, 1.5, True, [], {}, "yesterday", "v" * 30, b"all"]


def check_refusal(told, *statuses):
    assert list(told) == ["ok", "error", "message", "status", "detail"]
    assert told["ok"] is False
    assert told["status"] in (statuses or (400, 404))


@pytest.mark.parametrize("fields", NO_OBJECTS.values(), ids=NO_OBJECTS.keys())
@pytest.mark.parametrize("event", HANDLERS)
def test_what_is_no_object(live, event, fields):
    check_refusal(ask(live, event, fields))


@pytest.mark.parametrize("event", HANDLERS)
def test_other_than_one_argument(live, event):
    told = live.call(event, (), namespace="/live", timeout=5)
    check_refusal(told)
    told = live.call(event, ({"topic": "demo/a"}, 2), namespace="/live", timeout=5)
    check_refusal(told)


@pytest.mark.parametrize("topic", NO_TOPICS, ids=repr)
@pytest.mark.parametrize("event", ["subscribe", "unsubscribe", "readers"])
def test_topics_that_are_none(live, event, topic):
    check_refusal(ask(live, event, {"topic": topic}), 400)


@pytest.mark.parametrize(
    "topic",
    NO_TOPICS,
    ids=repr,
)
def test_topics_that_none_can_be_published_to(live, topic):
    check_refusal(ask(live, "publish", {"topic": topic, "data": 1}), 400)


@pytest.mark.parametrize("since", NO_SINCE, ids=repr)
def test_since_that_is_none(live, topic, since):
    check_refusal(ask(live, "subscribe", {"topic": topic, "since": since}), 400, 409)


NO_PUBLICATIONS = {
    "no data": {"name": "x"},
    "a field more": {"data": 1, "nmae": "x"},
    "name: a number": {"data": 1, "name": 5},
    "name: reserved": {"data": 1, "name": "gap"},
    "data: bytes": {"data": b"x"},
    "65 KiB": {"data": "x" * 65_536},
    "events: a number": {"events": 5},
    "events: none": {"events": []},
    "events: texts": {"events": ["x"]},
    "events: one is wrong": {"events": [{"data": 1}, {"nome": 1}]},
    "events: too many": {"events": [{"data": 1}] * 10_001},
    "events: an object": {"events": {"data": 1}},
    "key: a number": {"data": 1, "key": 5},
    "key: empty": {"data": 1, "key": ""},
    "key: 256 letters": {"data": 1, "key": "k" * 256},
    "key: a list": {"data": 1, "key": ["k"]},
}


@pytest.mark.parametrize("fields", NO_PUBLICATIONS.values(), ids=NO_PUBLICATIONS.keys())
def test_publications_that_are_none(server, live, topic, fields):
    check_refusal(ask(live, "publish", {"topic": topic, **fields}), 400)
    assert server.events(topic) == []


@table(NAMES | TARGETS)
def test_names_to_publish_to_over_live(live, name, status, error):
    told = ask(live, "publish", {"topic": name, "data": 1})
    check_refusal(told, status)
    assert told["error"] == error


def test_more_than_64_topics_on_a_connection(server, live, topic):
    for n in range(4):
        names = ",".join(f"{topic}/{n}-{m}" for m in range(16))
        assert ask(live, "subscribe", {"topic": names})["ok"]
    told = ask(live, "subscribe", {"topic": topic})
    check_refusal(told, 409)
    assert told["error"] == "too_many_topics"
    assert ask(live, "unsubscribe", {"topic": names})["ok"]
    assert ask(live, "subscribe", {"topic": topic})["ok"]


@pytest.mark.parametrize("fields", [5, "x", [], {}, {"massage": "x"}], ids=repr)
def test_request_data_that_is_none(live, fields):
    heard = []
    live.on("error", heard.append, namespace="/live")
    live.emit("request_data", fields, namespace="/live")
    wait_until(lambda: heard, "an error comes")
    assert list(heard[0]) == ["ok", "error", "message", "status", "detail"]


@pytest.mark.parametrize("event", ["nope", "connect", "disconnect", "event", "", "__class__"])
def test_events_that_there_are_not(live, event):
    live.emit(event, {"topic": "demo/a"}, namespace="/live")


# Packets of Engine.IO and Socket.IO that are none. The first connects.
BINARY = '451-/live,["x",{"_placeholder":true,"num":%d}]'
PACKETS = {
    "nothing": [""],
    "no type": ["x"],
    "a type too high": ["9"],
    "a Socket.IO type too high": ["40/live,", "49/live,"],
    "an event before the connect": ['42/live,["subscribe",{}]'],
    "half an event": ["40/live,", '42/live,["subscribe"'],
    "an event without a name": ["40/live,", "42/live,[]"],
    "an event that is an object": ["40/live,", '42/live,{"a":1}'],
    "a name that is a number": ["40/live,", "42/live,[5]"],
    "deep": ["40/live,", "42/live," + "[" * 60_000],
    "a long number": ["40/live,", '42/live,["x",' + "9" * 20_000 + "]"],
    "an id that is too long": ["40/live,", "42/live," + "9" * 100 + '["x"]'],
    "an acknowledgement of nothing": ["40/live,", "43/live,7[]"],
    "bytes from nowhere": ["40/live,", b"\0\1\2"],
    "more attachments than are good": ["40/live,", '45999-/live,["x"]'],
    "attachments that do not come": ["40/live,", BINARY % 0, "2"],
    "a placeholder too far": ["40/live,", BINARY % 9, b"x"],
    "another namespace": ["40/nope,"],
    "connected twice": ["40/live,", "40/live,"],
    "an Engine.IO open": ['0{"sid":"x"}'],
    "an upgrade out of place": ["5"],
    "a message of 1.1 MB": ["40/live,", "42/live," + "x" * 1_100_000],
}


@pytest.mark.parametrize("packets", PACKETS.values(), ids=PACKETS.keys())
def test_packets(server, packets):
    url = ws_url(server, "/socket.io/?EIO=4&transport=websocket")
    with connect(url, proxy=None, close_timeout=1) as client, suppress(ConnectionClosed):
        for packet in packets:
            client.send(packet)
        client.send('42/live,1["readers",{"topic":"status"}]')
        answers = (str(client.recv(timeout=3)) for _ in range(6))
        assert any(answer.startswith("43/live,1[") for answer in answers)


POLLS = {
    "no transport": ("GET", "EIO=4", b""),
    "another transport": ("GET", "EIO=4&transport=pigeon", b""),
    "another version": ("GET", "EIO=3&transport=polling", b""),
    "no version": ("GET", "transport=polling", b""),
    "a session that is not": ("GET", "EIO=4&transport=polling&sid=nope", b""),
    "a session of NULs": ("GET", "EIO=4&transport=polling&sid=%00", b""),
    "a POST to no session": ("POST", "EIO=4&transport=polling", b"40/live,"),
    "a POST to one that is not": ("POST", "EIO=4&transport=polling&sid=nope", b"40/live,"),
    "another method": ("PUT", "EIO=4&transport=polling", b""),
}


@pytest.mark.parametrize(("method", "words", "body"), POLLS.values(), ids=POLLS.keys())
def test_polls(server, method, words, body):
    answer = server.get(f"/socket.io/?{words}", method, body or None)
    check(answer, answer.status)
    assert 400 <= answer.status < 500


BAD_PAYLOADS = [b"", b"\xff\xfe", b"x", b"9", b"b!!!", b"4" * 1_100_000, b"40/live,\x1ex"]


@pytest.mark.parametrize("payload", BAD_PAYLOADS, ids=lambda payload: repr(payload[:9]))
def test_payloads(server, payload):
    opened = server.get("/socket.io/?EIO=4&transport=polling").body
    path = f"/socket.io/?EIO=4&transport=polling&sid={json.loads(opened[1:])['sid']}"
    answer = server.get(path, "POST", payload)
    check(answer, answer.status)
    assert answer.status in (400, 413)
    assert server.get(path, "POST", b"40/live,").status == 400


# And the others?


def test_nobody_else_has_noticed(server, witnesses, seen):
    server.publish(WITNESS, None, name=LAST)
    for reader in witnesses.values():
        told = []
        while not told or told[-1].name != LAST:
            told += reader.take(1)
        assert [each.id for each in told[:-1]] == seen
    assert len(seen) > 200


def test_nothing_of_all_this_was_a_mistake_of_the_server(server):
    for word in ("Traceback", "request failed", "handler failed", "internal_error"):
        assert word not in server.log
