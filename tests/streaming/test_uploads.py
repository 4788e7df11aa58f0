"""Events published while they are sent: what is acknowledged, refused and kept, piece by piece."""

from __future__ import annotations

import json

import pytest

from auth.access import TooMany
from auth.request_scheduler import RequestScheduler
from journal import EVENTS, DiskLog, Retention, Size
from streaming import uploads
from streaming.uploads import Upload, UploadRequest
from topics import Publication, Rule, Topics
from wire.events import MAX_EVENT_BYTES

KEEP = Retention(1000, 3600.0, 1 << 24)
SMALL_BYTES = 5000
RULES = [
    Rule("demo/*", False, KEEP),
    Rule("kept/*", True, KEEP),
    Rule("small/*", False, Retention(1000, 3600.0, SMALL_BYTES)),
]


@pytest.fixture
def topics(run_topics):
    return run_topics(RULES)


@pytest.fixture
def upload(topics):
    """upload(*pieces): what is answered to a body that comes so; an error in it is raised."""

    def send(*pieces, topic="demo/a", note=lambda owner: None, turns=None):
        coming = iter([*pieces, b""])

        def read():
            piece = next(coming)
            if isinstance(piece, Exception):
                raise piece
            return piece

        def publish(publications: list[Publication]):
            return topics.publish_all(topic, publications, "me")

        asked = UploadRequest(
            "me", read, publish, note, turns or RequestScheduler(), lambda: topics.is_open
        )
        return [json.loads(line) for line in b"".join(Upload(asked)).splitlines()]

    return send


@pytest.fixture
def kept(topics):
    """kept(topic): the data of its events."""

    def read(name="demo/a"):
        topic = topics.get(name)
        lines = topic.records.read(1, 1 << 30) if topic else []
        return [json.loads(line)["data"] for line in lines]

    return read


def body(*data, key=None):
    more = {"key": key} if key else {}
    return b"".join(json.dumps({"data": each, **more}).encode() + b"\n" for each in data)


def test_each_piece_has_its_receipt_and_the_end_says_that_it_is_one(upload, kept, topics):
    first, second, done = upload(body(1, 2), body(3))
    assert (first["count"], first["line"], second["count"], second["line"]) == (2, 2, 1, 3)
    assert set(first) == {"id", "topic", "count", "line"}
    assert second["id"] == topics.get("demo/a").newest
    assert done == {"done": True, "lines": 3, "count": 3}
    assert kept() == [1, 2, 3]


CUTS = range(1, 24)


@pytest.mark.parametrize("at", CUTS)
def test_a_line_may_come_in_parts(upload, kept, at):
    whole = body(1, 2)
    upload(whole[:at], whole[at:])
    assert kept() == [1, 2]


def test_the_last_line_needs_no_end(upload, kept):
    assert upload(body(1, 2)[:-1])[-1] == {"done": True, "lines": 2, "count": 2}
    assert kept() == [1, 2]


def test_blank_lines_are_nothing_but_are_counted(upload, kept):
    receipt, done = upload(b"\n \r\n" + body(1))
    assert (receipt["line"], done) == (3, {"done": True, "lines": 3, "count": 1})
    assert kept() == [1]


def test_a_line_that_is_no_event_is_refused_by_itself(upload, kept):
    refused, receipt, done = upload(body(1) + b'{"dat": 2}\n' + body(3))
    assert (refused["error"], refused["status"], refused["line"]) == ("malformed_event", 400, 2)
    assert (receipt["count"], receipt["line"]) == (2, 3)
    assert done == {"done": True, "lines": 3, "count": 2}
    assert kept() == [1, 3]


class CountedTurns(RequestScheduler):
    """RequestScheduler that count how often others could have had theirs."""

    offered = 0

    def go_on(self, owner, until_s):
        self.offered += 1
        return super().go_on(owner, until_s)


# Beside one for the piece, and one for the group.
OFFERED = {
    "kept: behind them": ('{"data": 1}', 1),
    "refused, which costs fifteen times as much: each": ("x", uploads.GROUP_LINES),
    "with a key, ten times: so many at once": (
        '{"data": 1, "key": "%d"}',
        uploads.GROUP_LINES // uploads.GROUP_PUBLICATIONS,
    ),
    "with a key that is reused": (
        '{"data": %d, "key": "a"}',
        uploads.GROUP_LINES // uploads.GROUP_PUBLICATIONS,
    ),
}


@pytest.mark.parametrize(("line", "offered"), OFFERED.values(), ids=OFFERED.keys())
def test_others_have_their_turn_between_lines_that_cost_much(upload, line, offered):
    turns = CountedTurns()
    lines = [line % number if "%" in line else line for number in range(uploads.GROUP_LINES)]
    *_, done = upload("\n".join(lines).encode() + b"\n", turns=turns)
    assert done["lines"] == uploads.GROUP_LINES
    assert turns.offered == 2 + offered


@pytest.mark.parametrize("piece_bytes", [1000, 65536])
def test_a_line_that_is_too_long_is_refused_and_the_next_is_not(upload, kept, piece_bytes):
    whole = body("x" * (3 * MAX_EVENT_BYTES), 2)
    pieces = [whole[at : at + piece_bytes] for at in range(0, len(whole), piece_bytes)]
    refused, receipt, done = upload(*pieces)
    assert (refused["error"], refused["line"]) == ("malformed_event", 1)
    assert (receipt["line"], done["count"], kept()) == (2, 1, [2])


def test_what_a_cut_has_left_of_a_line_is_not_published(upload, kept):
    receipt, error = upload(body(1), body(2)[:-3], ConnectionAbortedError("gone"))
    assert (receipt["line"], error["error"], error["line"]) == (1, "upload_cut", 2)
    assert kept() == [1]


@pytest.mark.parametrize("topic", ["demo/a", "kept/a"])
def test_lines_with_keys_can_be_sent_again(upload, kept, topic):
    lines = [body(n, key=f"k{n}") for n in range(4)]
    upload(lines[0] + lines[1], ConnectionAbortedError("gone"), topic=topic)
    receipt, done = upload(b"".join(lines), topic=topic)
    assert (receipt["count"], done["count"]) == (4, 4)
    assert kept(topic) == [0, 1, 2, 3]


def test_a_key_with_another_event_is_refused_by_itself(upload, kept):
    refused, receipt, _ = upload(body(1, key="k") + body(2, key="k") + body(3))
    assert (refused["error"], refused["status"], refused["line"]) == ("key_reused", 422, 2)
    assert (receipt["count"], kept()) == (2, [1, 3])


@pytest.mark.parametrize("key", ["", "a b", "é", 5, None, "x" * 256])
def test_what_is_no_key_is_refused(upload, kept, key):
    refused, done = upload(json.dumps({"data": 1, "key": key}).encode() + b"\n")
    assert (refused["error"], done["count"], kept()) == ("malformed_event", 0, [])


def test_keyed_and_other_lines_keep_their_order(upload, kept):
    upload(body(1) + body(2, key="a") + body(3, 4) + body(5, key="b") + body(6))
    assert kept() == [1, 2, 3, 4, 5, 6]


def test_many_lines_are_kept_in_groups(upload, kept, monkeypatch):
    monkeypatch.setattr(uploads, "GROUP_LINES", 10)
    receipts = upload(body(*range(35)))[:-1]
    assert [receipt["line"] for receipt in receipts] == [10, 20, 30, 35]
    assert kept() == list(range(35))


def test_what_hits_all_ends_it_and_says_from_where_on(upload, kept):
    *_, error = upload(body(1), topic="nothing/here")
    assert (error["error"], error["status"], error["line"]) == ("unknown_topic", 404, 1)
    assert kept() == []


def test_so_many_lines_count_as_a_request(upload, kept, monkeypatch):
    monkeypatch.setattr(uploads, "GROUP_LINES", 5)
    monkeypatch.setattr(uploads, "LINES_A_REQUEST", 10)
    noted = []

    def note(owner):
        noted.append(owner)
        if len(noted) > 2:
            raise TooMany("too_many_requests", "enough", 1)

    *_, error = upload(body(*range(40)), note=note)
    assert (error["error"], error["status"], error["line"]) == ("too_many_requests", 429, 21)
    assert kept() == list(range(20))


def test_who_is_cut_because_the_server_stops_is_told_so(upload, topics):
    topics.stop()
    (error,) = upload(ConnectionAbortedError("cut"))
    assert (error["error"], error["status"], error["line"]) == ("not_ready", 503, 1)


LARGE = "x" * 6000


@pytest.mark.parametrize("large_key", [None, "large"], ids=["with others", "by itself"])
@pytest.mark.parametrize("after_key", [None, "after"], ids=["then others", "then one with a key"])
def test_an_event_larger_than_the_topic_is_refused_by_itself(upload, kept, large_key, after_key):
    lines = body(1, 2) + body(LARGE, key=large_key) + body(4, key=after_key) + body(5)
    refused, receipt, done = upload(lines, topic="small/a")
    assert (refused["error"], refused["line"]) == ("no_room", 3)
    assert (receipt["count"], receipt["line"]) == (4, 5)
    assert done == {"done": True, "lines": 5, "count": 4}
    assert kept("small/a") == [1, 2, 4, 5]


@pytest.mark.parametrize("keys", [(None, "a", None), ("a", None, "b"), (None, None, None)])
def test_where_all_topics_are_full_it_is_said_from_which_line_on(tmp_path, keys):
    """Sent again from there, there are all of them, once and in their order."""
    log = DiskLog(tmp_path / "full", EVENTS, Size(memory_bytes=2000, disk_bytes=1 << 30))
    topics = Topics(log, RULES)
    topics.start()
    lines = [body(number * 100 + n, key=key and f"{key}{number}") for number in range(9)
             for n, key in enumerate(keys)]  # fmt: skip
    coming = iter([b"".join(lines), b""])
    publish = lambda publications: topics.publish_all("demo/a", publications, "me")  # noqa: E731
    asked = UploadRequest(
        "me", lambda: next(coming), publish, lambda owner: None, RequestScheduler(), lambda: True
    )
    told = [json.loads(line) for line in b"".join(Upload(asked)).splitlines()]
    topic = topics.get("demo/a")
    there = topic.records.read(1, 1 << 30) if topic else []
    assert told[-1]["error"] == "topics_full"
    assert [json.loads(line)["data"] for line in there] == [
        json.loads(line)["data"] for line in lines[: told[-1]["line"] - 1]
    ]
    topics.stop()
