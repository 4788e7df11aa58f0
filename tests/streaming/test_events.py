"""/events with Flask's own client: publish, poll, who follows, and every refusal."""

from __future__ import annotations

import json

import pytest
from flask import Flask, g

from auth import RequestIdentity
from auth.access import ANYONE
from auth.request_scheduler import RequestScheduler
from journal import Retention
from streaming.admission import MAX_PUBLISHED_BYTES
from streaming.errors import register_errors
from streaming.events import MAX_EVENTS, RETRY_MS, make_blueprint
from streaming.rights import Rights
from topics import Rule
from topics.rules import BUILT_IN
from wire.cursors import Cursor, format_cursor, parse_cursor
from wire.events import MAX_EVENT_BYTES

AMPLE = Retention(100_000, 1e9, 1 << 30)
RULES = [
    *BUILT_IN,
    Rule("demo/*", True, AMPLE),
    Rule("few", False, AMPLE._replace(max_records=3)),
    Rule("small", False, AMPLE._replace(max_bytes=200)),
]
NDJSON = "application/x-ndjson"


@pytest.fixture
def topics(run_topics):
    return run_topics(RULES)


@pytest.fixture
def client(topics):
    app = Flask(__name__)
    register_errors(app)

    @app.before_request
    def admit():
        g.identity, g.scheduler = RequestIdentity("anyone", ANYONE), RequestScheduler()

    app.register_blueprint(make_blueprint(topics, Rights(None, None)))
    return app.test_client()


@pytest.fixture
def publish(client):
    """publish(topic, *data): an event for each, in one request; the answer."""

    def post(topic, *data, **how):
        body = "".join(json.dumps({"name": "order", "data": each}) + "\n" for each in data)
        return client.post(f"/events/{topic}", data=body, content_type=NDJSON, **how)

    return post


@pytest.fixture
def poll(client):
    """poll(topic, since): the lines of an answer that ends when it has caught up."""

    def get(topic, since="all", **how):
        answer = client.get(f"/events/{topic}", query_string={"poll": "1", "since": since}, **how)
        assert answer.status_code == 200, answer.text
        return [json.loads(line) for line in answer.data.splitlines()]

    return get


def error_of(answer):
    assert set(answer.json) == {"error", "message", "status", "detail"}
    assert answer.json["status"] == answer.status_code
    return answer.status_code, answer.json["error"]


# Publishing


def test_an_event_is_published(client, poll):
    answer = client.post("/events/demo/a", json={"name": "order", "data": {"n": 1}})
    assert answer.status_code == 201
    assert set(answer.json) == {"id", "topic", "count"}
    assert (answer.json["topic"], answer.json["count"]) == ("demo/a", 1)
    (event,) = poll("demo/a")
    assert event.pop("time") > 0
    assert event == {
        "id": answer.json["id"], "topic": "demo/a", "name": "order", "data": {"n": 1},
    }  # fmt: skip


def test_many_are_published_at_once(publish, poll):
    answer = publish("demo/a", 1, 2, 3)
    events = poll("demo/a")
    assert [event["data"] for event in events] == [1, 2, 3]
    assert answer.json == {"id": events[-1]["id"], "topic": "demo/a", "count": 3}


@pytest.mark.parametrize("content_type", [NDJSON, "application/ndjson", "application/jsonl"])
@pytest.mark.parametrize(
    "body", [b'{"data":1}\n{"data":2}', b'\r\n{"data":1}\r\n\n {"data":2}\n\n']
)
def test_lines_may_end_as_they_like(client, poll, content_type, body):
    client.post("/events/demo/a", data=body, content_type=f"{content_type}; charset=utf-8")
    assert [(event["name"], event["data"]) for event in poll("demo/a")] == [
        ("message", 1), ("message", 2),
    ]  # fmt: skip


REFUSED_BODIES = {
    "RFC 9110 15.5.16: a form": ({"data": {"data": "1"}}, 415, "unsupported_media_type"),
    "no type": ({"data": b'{"data":1}'}, 415, "unsupported_media_type"),
    "nothing": ({"data": b"", "content_type": NDJSON}, 400, "malformed_event"),
    "blank lines": ({"data": b"\n \n", "content_type": NDJSON}, 400, "malformed_event"),
    "no JSON": ({"data": b"{", "content_type": "application/json"}, 400, "malformed_event"),
    "no data": ({"json": {"name": "a"}}, 400, "malformed_event"),
    "a list": ({"json": [{"data": 1}]}, 400, "malformed_event"),
    "a reserved name": ({"json": {"name": "gap", "data": 1}}, 400, "malformed_event"),
    "an event too large": ({"json": {"data": "x" * MAX_EVENT_BYTES}}, 400, "malformed_event"),
    "too many events": (
        {"data": b'{"data":1}\n' * (MAX_EVENTS + 1), "content_type": NDJSON}, 400, "malformed_event"
    ),
    "a body too large": (
        {"data": b"\n" * (MAX_PUBLISHED_BYTES + 1), "content_type": NDJSON},
        413, "request_entity_too_large",
    ),
}  # fmt: skip


@pytest.mark.parametrize(
    ("request_", "status", "code"), REFUSED_BODIES.values(), ids=REFUSED_BODIES.keys()
)
def test_a_body_that_is_refused(client, topics, request_, status, code):
    assert error_of(client.post("/events/demo/a", **request_)) == (status, code)
    assert topics.get("demo/a") is None


def test_one_line_that_is_none_refuses_all_and_is_named(client, topics):
    body = b'{"data":1}\n{"data":2}\n{"data":NaN}\n{"data":4}\n'
    answer = client.post("/events/demo/a", data=body, content_type=NDJSON)
    assert error_of(answer) == (400, "malformed_event")
    assert answer.json["message"].startswith("event 3: ")
    assert topics.get("demo/a") is None


def test_as_many_as_may_be(publish, poll):
    assert publish("demo/a", *range(MAX_EVENTS)).json["count"] == MAX_EVENTS
    assert [event["data"] for event in poll("demo/a")] == list(range(MAX_EVENTS))


def test_others_have_their_turn_while_a_body_is_read(publish, monkeypatch):
    """As many as may be at once take 30 ms."""
    offered, go_on = [], RequestScheduler.go_on
    monkeypatch.setattr(
        RequestScheduler, "go_on", lambda *asked: offered.append(asked) or go_on(*asked)
    )
    assert publish("demo/a", *range(100)).status_code == 201
    assert len(offered) >= 100


NO_TOPICS = {
    "that nobody named": ("nobody/s", 404, "unknown_topic"),
    "that cannot be": ("demo/a%20b", 400, "malformed_topic"),
    "of many": ("demo/*", 400, "malformed_topic"),
    "the address of its readers": ("demo/a/readers", 400, "malformed_topic"),
    "of the server's": ("status", 403, "not_writable"),
    "of an export": ("exports/x", 403, "not_writable"),
}


@pytest.mark.parametrize(("topic", "status", "code"), NO_TOPICS.values(), ids=NO_TOPICS.keys())
def test_a_topic_that_is_not_written(publish, topic, status, code):
    assert error_of(publish(topic, 1)) == (status, code)


def test_what_does_not_fit_what_is_kept(publish):
    assert error_of(publish("small", "x" * 300)) == (507, "no_room")


# Idempotency-Key


def keyed(key):
    return {"headers": {"Idempotency-Key": key}}


def test_a_retry_adds_nothing(publish, poll):
    first, second = (publish("demo/a", 1, 2, **keyed("k")) for _ in range(2))
    assert (second.status_code, second.json) == (201, first.json)
    assert len(poll("demo/a")) == 2


def test_the_key_of_something_else_is_refused(publish, poll):
    publish("demo/a", 1, **keyed("k"))
    assert error_of(publish("demo/a", 2, **keyed("k"))) == (422, "key_reused")
    assert len(poll("demo/a")) == 1


@pytest.mark.parametrize("key", ["", "a b", "é", "x" * 256, "\t"])
def test_a_key_that_is_none(publish, topics, key):
    assert error_of(publish("demo/a", 1, **keyed(key))) == (400, "malformed_key")
    assert topics.get("demo/a") is None


@pytest.mark.parametrize("key", ["x", '"quoted"', "x" * 255, "~!@#$%^&*()"])
def test_a_key_that_is_one(publish, key):
    assert publish("demo/a", 1, **keyed(key)).status_code == 201


# Polling


def test_a_poll_goes_on_from_the_last_id(publish, poll):
    publish("demo/a", 1, 2)
    last = poll("demo/a")[-1]["id"]
    assert poll("demo/a", last) == []
    publish("demo/a", 3)
    assert [event["data"] for event in poll("demo/a", last)] == [3]


def test_what_browsers_send_wins(publish, client, poll):
    publish("demo/a", 1, 2)
    first = poll("demo/a")[0]["id"]
    assert [e["data"] for e in poll("demo/a", "all", headers={"Last-Event-ID": first})] == [2]
    assert [e["data"] for e in poll("demo/a", first, headers={"Last-Event-ID": ""})] == [2]


def test_without_since_a_poll_says_where_now_is(publish, client, poll):
    publish("demo/a", 1)
    answer = client.get("/events/demo/a?poll=1")
    assert (answer.status_code, answer.data) == (200, b"")
    publish("demo/a", 2)
    cursor = answer.headers["Headwater-Cursor"]
    assert [event["data"] for event in poll("demo/a", cursor)] == [2]


def test_several_topics_are_one_order(publish, poll):
    for number, topic in enumerate(["demo/a", "few", "demo/b", "demo/a"]):
        publish(topic, number)
    for names in ("demo/a,demo/b,few", "demo/*,few", "*"):
        assert [event["data"] for event in poll(names)] == [0, 1, 2, 3]


def test_a_gap_is_told(publish, poll):
    publish("few", 0)
    first = poll("few")[0]["id"]
    publish("few", *range(1, 6))
    gap, *events = poll("few", first)
    assert gap["name"] == "gap"
    assert gap["data"] == {
        "from": first, "to": gap["id"], "lost": 2, "reason": "expired",
        "refetch": "/events/few?since=all",
    }  # fmt: skip
    assert [event["data"] for event in events] == [3, 4, 5]
    assert poll("few", gap["id"]) == events


def test_a_topic_of_nothing_can_be_polled(poll):
    assert poll("demo/none") == []


def test_the_head_of_an_answer(publish, client):
    publish("demo/a", 1)
    answer = client.get("/events/demo/a?poll=1&since=all")
    assert answer.mimetype == NDJSON
    assert answer.headers["Cache-Control"] == "no-store, no-transform"
    assert answer.headers["X-Accel-Buffering"] == "no"
    assert parse_cursor(answer.headers["Headwater-Cursor"]).position == 1
    assert len(answer.headers["Headwater-Connection"]) == 16
    assert "Content-Length" not in answer.headers


ACCEPTS = {
    "nothing": (None, NDJSON),
    "anything": ("*/*", NDJSON),
    "newline-JSON": (NDJSON, NDJSON),
    "another of its names": ("application/jsonl", NDJSON),
    "SSE": ("text/event-stream", "text/event-stream"),
    "SSE rather": ("application/x-ndjson;q=0.5, text/event-stream", "text/event-stream"),
    "any text": ("text/*", "text/event-stream"),
    "just what is sent": ("text/event-stream; charset=utf-8", "text/event-stream"),
    "newline-JSON in UTF-8": ('application/x-ndjson;charset="UTF-8";q=0.1', NDJSON),
}


@pytest.mark.parametrize(("accept", "mimetype"), ACCEPTS.values(), ids=ACCEPTS.keys())
def test_the_client_chooses(client, accept, mimetype):
    headers = {"Accept": accept} if accept else {}
    assert client.get("/events/demo/a?poll=1", headers=headers).mimetype == mimetype


def test_what_cannot_be_sent_is_said(client):
    for accept in ("image/png", "text/event-stream;charset=utf-16"):
        answer = client.get("/events/demo/a?poll=1", headers={"Accept": accept})
        assert error_of(answer) == (406, "not_acceptable")


def test_sse_begins_with_when_and_where_to_come_back(publish, client):
    event_id = publish("demo/a", {"n": 1}).json["id"]
    answer = client.get("/events/demo/a?poll=1&since=all", headers={"Accept": "text/event-stream"})
    cursor = answer.headers["Headwater-Cursor"]
    opening, event, end = answer.text.split("\n\n")
    assert opening == f"retry: {RETRY_MS}\nid: {cursor}"
    assert event.split("\n") == ["event: order", 'data: {"n":1}', f"id: {event_id}"]
    assert end == ""


@pytest.mark.parametrize(("whole", "is_whole"), [("1", True), ("0", False), ("", False)])
def test_sse_of_several_topics_can_be_whole(publish, client, whole, is_whole):
    publish("demo/a", {"n": 1})
    answer = client.get(
        f"/events/*?poll=1&since=all&whole={whole}", headers={"Accept": "text/event-stream"}
    )
    (data,) = [line for line in answer.text.split("\n") if line.startswith("data: ")]
    event = json.loads(data.removeprefix("data: "))
    assert event.get("topic") == ("demo/a" if is_whole else None)


REFUSED_POLLS = {
    "an unknown topic": ("nobody/s", "all", 404, "unknown_topic"),
    "one of several": ("demo/a,nobody/s", "all", 404, "unknown_topic"),
    "no topic": ("demo//a", "all", 400, "malformed_topic"),
    "too many": (",".join(["demo/a"] * 65), "all", 409, "too_many_topics"),
    "a malformed cursor": ("demo/a", "yesterday", 400, "malformed_cursor"),
    "a cursor of the future": ("demo/a", format_cursor(Cursor(2**42 - 1, 1)), 409, "future_cursor"),
}


@pytest.mark.parametrize(
    ("names", "since", "status", "code"), REFUSED_POLLS.values(), ids=REFUSED_POLLS.keys()
)
@pytest.mark.parametrize("poll", ["0", "1"])
def test_what_cannot_be_followed(client, names, since, status, code, poll):
    answer = client.get(f"/events/{names}", query_string={"poll": poll, "since": since})
    assert error_of(answer) == (status, code)


def test_following_needs_our_own_server(client, topics):
    assert error_of(client.get("/events/demo/a")) == (501, "no_feed")
    assert topics.readers == {}


def test_a_server_that_is_stopping_says_so(client, publish, topics):
    topics.stop()
    for answer in (publish("demo/a", 1), client.get("/events/demo/a?poll=1")):
        assert error_of(answer) == (503, "not_ready")
        assert int(answer.headers["Retry-After"]) > 0


# What there is


def test_topics_are_listed(publish, client):
    publish("demo/a", 1)
    listed = {topic["topic"]: topic for topic in client.get("/events").json["topics"]}
    assert list(listed) == ["demo/a", "status", "exports", "exports/*", "demo/*", "few", "small"]
    assert (listed["demo/a"]["events"], listed["demo/a"]["durable"]) == (1, True)


def test_readers_are_listed(client):
    assert client.get("/events/demo/a/readers").json == {
        "topic": "demo/a", "count": 0, "readers": [],
    }  # fmt: skip
    assert client.get("/events/*/readers").json["count"] == 0
    assert error_of(client.get("/events/nobody/s/readers")) == (404, "unknown_topic")


def test_other_methods_say_which_there_are(client):
    answer = client.delete("/events/demo/a")
    assert error_of(answer) == (405, "method_not_allowed")
    assert set(answer.headers["Allow"].split(", ")) >= {"GET", "POST"}
