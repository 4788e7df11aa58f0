"""The one contract suite, run on every kind of event log."""

import itertools
import json
import threading

import pytest

from journal import (
    Condition,
    JournalFailed,
    JournalFull,
    KeyReused,
    NotReady,
    Publication,
    Receipt,
    SequenceConflict,
    Size,
    StaleProducer,
    TopicClosed,
    TopicsFull,
)
from journal.receipts import MAX_PRODUCERS
from tests.journal.event_logs import (
    AMPLE,
    BARE,
    EVENTS,
    KINDS,
    Heard,
    data_of,
    payloads_of,
    publication,
    read_all,
)
from wire.cursors import Cursor, parse_cursor, topic_mark
from wire.events import NewEvent, id_of

KILOBYTE = "x" * 1000


@pytest.fixture(params=KINDS.values(), ids=KINDS.keys())
def kind(request, tmp_path):
    return request.param(tmp_path / "log")


@pytest.fixture
def open_log(kind):
    """open_log(layout, limit): a log of the kind, opened; it is closed afterwards."""
    made = []

    def open_it(layout=EVENTS, **how):
        for log in made:
            log.close()
        made.append(kind.make(layout, **how))
        assert made[-1].try_open()
        return made[-1]

    yield open_it
    for log in made:
        log.close()


@pytest.fixture
def log(open_log):
    return open_log()


@pytest.fixture
def kept(log, kind):
    """What is kept of the topic a, which is declared."""
    return log.declare("a", kind.policy())


def append(log, topic, *data, **how):
    (result,) = log.append(topic, [publication(*data, **how)])
    return result


# Ids and receipts


def test_before_it_is_open_there_is_no_epoch(kind):
    assert kind.make().epoch == 0


def test_a_receipt_is_of_the_last_event_and_its_id_says_where_it_is(log, kept):
    append(log, "a", 1)
    receipt = append(log, "a", 2, 3)
    assert (receipt.topic, receipt.count) == ("a", 2)
    assert parse_cursor(receipt.id) == Cursor(log.epoch, 3, 3, topic_mark("a"))
    assert [id_of(line).decode() for line in read_all(kept)][-1] == receipt.id
    assert log.published == 3


def test_ids_of_all_topics_are_one_order(log, kind):
    for topic in "abc":
        log.declare(topic, kind.policy())
    ids = [append(log, topic, 1).id for topic in "abcacb"]
    assert ids == sorted(ids)
    assert [parse_cursor(each).ordinal for each in ids] == [1, 1, 1, 2, 2, 2]


def test_each_incarnation_is_after_those_before_it(open_log, kind, clock):
    """Also when the clock is set back, where anything is left of them."""
    before = open_log()
    before.declare("a", kind.policy())
    first = append(before, "a", 1).id
    clock.now_s += -1000 if kind.is_durable else 1
    after = open_log()
    after.declare("a", kind.policy())
    assert after.epoch > before.epoch
    assert append(after, "a", 2).id > first


def test_time_does_not_go_back_with_the_clock(log, kept, clock):
    for later_s in (0, -100):
        clock.now_s += later_s
        append(log, "a", later_s)
    assert [json.loads(line)["time"] for line in read_all(kept)] == [1_764_000_000.0] * 2


# Idempotency keys


def test_a_known_key_gets_its_receipt_and_adds_nothing(log, kept):
    receipt = append(log, "a", 1, 2, key="k")
    append(log, "a", 3)
    assert append(log, "a", 1, 2, key="k") == receipt
    assert data_of(kept) == [1, 2, 3]


@pytest.mark.parametrize("data", [[1], [1, 3], [2, 1], [1, 2, 2], ["1", 2]])
def test_a_key_of_something_else_is_refused_by_itself(log, kept, data):
    append(log, "a", 1, 2, key="k")
    results = log.append("a", [publication(*data, key="k"), publication("next")])
    assert isinstance(results[0], KeyReused)
    assert isinstance(results[1], Receipt)
    assert data_of(kept) == [1, 2, "next"]


def test_a_key_is_of_its_owner_and_of_its_topic(log, kept, kind):
    other = log.declare("b", kind.policy())
    for owner in ("ann", "ben"):
        append(log, "a", 1, key="k", owner=owner)
    append(log, "b", 1, key="k", owner="ann")
    assert (data_of(kept), data_of(other)) == ([1, 1], [1])


def test_the_same_key_twice_in_a_group_is_one_event(log, kept):
    one, other = log.append("a", [publication(1, key="k"), publication(1, key="k")])
    assert one == other
    assert data_of(kept) == [1]


# Groups and refusals


def test_a_group_is_kept_in_its_order(log, kept):
    results = log.append("a", [publication(n) for n in range(5)])
    assert [result.id for result in results] == [id_of(line).decode() for line in read_all(kept)]
    assert data_of(kept) == [0, 1, 2, 3, 4]


def test_what_is_too_large_refuses_those_behind_it_too(log, kind):
    """So that they can be sent again in their order."""
    kept = log.declare("a", kind.policy(retention=AMPLE._replace(max_bytes=1000)))
    results = log.append("a", [publication(1), publication(KILOBYTE), publication(2)])
    assert [type(result) for result in results] == [Receipt, JournalFull, JournalFull]
    assert data_of(kept) == [1]


def test_all_topics_together_have_so_many_bytes(open_log, kind):
    log = open_log(limit=Size(3000, 3000))
    log.declare("a", kind.policy())
    log.declare("named", kind.policy(is_exempt=True))
    results = log.append("a", [publication(KILOBYTE) for _ in range(4)])
    assert [type(result) for result in results] == [Receipt, Receipt, TopicsFull, TopicsFull]
    assert isinstance(append(log, "named", KILOBYTE), Receipt)
    used = log.used()
    assert used.disk_bytes + used.memory_bytes > 3000
    log.forget("a")
    assert sum(log.used()) < 1500


def test_what_was_not_declared_takes_nothing(log):
    with pytest.raises(NotReady):
        append(log, "nobody", 1)


# Conditions


def test_an_expected_sequence(log, kept):
    append(log, "a", 1, condition=Condition(expected=0))
    results = log.append(
        "a",
        [
            publication("late", condition=Condition(expected=0)),
            publication(2, condition=Condition(expected=1)),
            publication("late too", condition=Condition(expected=1)),
            publication(3, 4),
            publication(5, condition=Condition(expected=4)),
        ],
    )
    refused = [isinstance(result, SequenceConflict) for result in results]
    assert refused == [True, False, True, False, False]
    assert data_of(kept) == [1, 2, 3, 4, 5]


def test_an_earlier_incarnation_of_a_producer_is_fenced_off(log, kept):
    def of(producer, epoch, data):
        return publication(data, condition=Condition(producer=producer, epoch=epoch))

    results = log.append("a", [of("p", 1, 1), of("q", 0, 2), of("p", 2, 3), of("p", 1, "zombie")])
    assert isinstance(results[3], StaleProducer)
    assert isinstance(log.append("a", [of("p", 1, "again")])[0], StaleProducer)
    assert isinstance(log.append("a", [of("p", 2, 4)])[0], Receipt)
    assert data_of(kept) == [1, 2, 3, 4]


def test_a_closed_topic_accepts_nothing_and_is_read(log, kept):
    closing = publication("last", key="k", condition=Condition(closes=True))
    (receipt, late) = log.append("a", [closing, publication("late")])
    assert isinstance(late, TopicClosed)
    assert isinstance(append(log, "a", "later"), TopicClosed)
    # Its retry has its receipt.
    assert log.append("a", [closing]) == [receipt]
    assert data_of(kept) == ["last"]


def test_a_refused_condition_changes_nothing(log, kept):
    bad = Condition(expected=7, producer="p", epoch=9, closes=True)
    assert isinstance(append(log, "a", 1, condition=bad), SequenceConflict)
    assert isinstance(append(log, "a", 1, condition=Condition(producer="p")), Receipt)


def test_a_topic_knows_so_many_producers_and_forgets_none(log, kept, monkeypatch):
    assert MAX_PRODUCERS == 1000
    monkeypatch.setattr("journal.receipts.MAX_PRODUCERS", 2)
    conditions = [Condition(producer=name, epoch=1) for name in "abc"]
    results = [append(log, "a", 1, condition=condition) for condition in conditions]
    assert [type(result) for result in results] == [Receipt, Receipt, JournalFull]
    stale = append(log, "a", 1, condition=Condition(producer="a", epoch=0))
    assert isinstance(stale, StaleProducer)


# Reading


def test_bounds_are_one_call(log, kind, clock):
    kept = log.declare("a", kind.policy(retention=AMPLE._replace(max_age_s=10)))
    assert kept.bounds() == (1, 0, 0, b"")
    ids = []
    for number in range(4):
        ids.append(append(log, "a", number).id)
        clock.now_s += 4
    assert kept.bounds() == (1, 4, sum(map(len, read_all(kept))), b"")
    # The first two are older than ten seconds.
    clock.now_s -= 4
    clock.now_s += 3
    log.expire(clock.now_s)
    bounds = kept.bounds()
    assert (bounds.first, bounds.last, bounds.evicted) == (3, 4, ids[1].encode())
    assert log.used() == ((0, bounds.size_bytes) if kind.is_durable else (bounds.size_bytes, 0))


def test_reads_are_bounded_by_bytes_and_return_what_was_stored(log, kept):
    append(log, "a", *[KILOBYTE] * 10)
    (line, *_) = whole = kept.read(1, 1 << 20)
    assert len(whole) == 10
    for count in (1, 2, 5):
        assert kept.read(3, count * len(line)) == whole[2 : 2 + count]
    assert kept.read(3, 1) == whole[2:3]
    assert kept.read(0, 1 << 20) == kept.read(11, 1 << 20) == []


def test_by_cursor_of_any_topic(log, kept, kind):
    log.declare("b", kind.policy())
    ids = [append(log, topic, 1).id for topic in "abab"]
    assert [kept.after(each.encode()) for each in ids] == [2, 2, 3, 3]
    assert kept.after(b"") == 1


def test_by_time(log, kept, clock):
    for _ in range(3):
        append(log, "a", 1)
        clock.now_s += 10
    began_s = 1_764_000_000.0
    times = [began_s - 1, began_s, began_s + 5, began_s + 20, began_s + 21]
    assert [kept.since(time_s) for time_s in times] == [1, 1, 2, 3, 4]


def test_the_newest_of_each_key_oldest_first(log, kind):
    kept = log.declare("a", kind.policy(is_latest=True))
    append(log, "a", 1, 2, 3, 4, 5, keys=["a", "b", "a", "c", "b"])
    assert kept.newest(1) == [3, 4, 5]
    assert kept.newest(4) == [4, 5]
    assert kept.newest(6) == []


def test_without_keys_it_is_the_newest_of_each_name(log, kind):
    kept = log.declare("a", kind.policy(is_latest=True))
    log.append("a", [Publication([NewEvent(name, "1") for name in "abab"])])
    assert kept.newest(1) == [3, 4]


def test_what_was_evicted_is_the_newest_of_nothing_and_its_keys_are_forgotten(log, kind, clock):
    """Keys that never come again are a number that somebody else chooses."""
    retention = AMPLE._replace(max_age_s=50)
    kept = log.declare("a", kind.policy(retention=retention, is_latest=True))
    for number in range(300):
        append(log, "a", number, keys=[f"key {number}"])
        clock.now_s += 10
        log.expire(clock.now_s)
    assert kept.newest(1) == list(range(296, 301))
    assert len(kept._newest_of) <= 12


# The horizon


def test_nothing_is_in_flight(log, kept):
    last = append(log, "a", 1).id
    assert log.horizon(["a"]) > last.encode()
    assert log.now() > last
    assert not log.is_ahead(parse_cursor(log.now()))
    assert not log.is_ahead(parse_cursor(last))
    assert log.is_ahead(Cursor(log.epoch, 2))
    assert log.is_ahead(Cursor(log.epoch + 1, 0))


# Listening


def test_news_are_told_in_one_order_own_publications_included(log, kind):
    heard = Heard([], [])
    log.subscribe(heard.on_news, heard.on_topic)
    kept = {topic: log.declare(topic, kind.policy(), maker="ann") for topic in "ab"}
    append(log, "a", 1, 2)
    append(log, "b", 3)
    append(log, "a", 4)
    assert heard.topics == [("a", "ann"), ("b", "ann")]
    assert [(topic, first, len(lines)) for topic, first, lines in heard.told] == [
        ("a", 1, 2), ("b", 1, 1), ("a", 3, 1),
    ]  # fmt: skip
    assert [line for topic, _, lines in heard.told if topic == "a" for line in lines] == read_all(
        kept["a"]
    )


def test_what_is_told_can_be_read_and_is_behind_the_horizon(log, kind):
    seen = []

    def on_news(news):
        bounds = kept.bounds()
        is_behind = id_of(news.lines[-1]) < log.horizon(["a"])
        seen.append((news.first + len(news.lines) - 1 == bounds.last, is_behind))

    log.subscribe(on_news, lambda *topic: None)
    kept = log.declare("a", kind.policy())
    for count in (1, 3):
        append(log, "a", *range(count))
    assert seen == [(True, True)] * 2


def test_what_comes_to_nothing_is_news_without_lines(log, kept):
    """A reader of several topics has waited for it."""
    heard = Heard([], [])
    log.subscribe(heard.on_news, heard.on_topic)
    append(log, "a", 1, key="k")
    append(log, "a", 2, key="k")
    assert [(first, len(lines)) for _, first, lines in heard.told] == [(1, 1), (2, 0)]


def test_several_listen(log, kind):
    all_heard = [Heard([], []), Heard([], [])]
    for heard in all_heard:
        log.subscribe(heard.on_news, heard.on_topic)
    log.declare("a", kind.policy())
    append(log, "a", 1)
    assert all_heard[0] == all_heard[1]
    assert len(all_heard[0].told) == 1


def test_a_listener_that_fails_at_a_new_topic_leaves_none(log, kind):
    """Or it would never be told of it."""
    fails = iter([True, False])
    heard = Heard([], [])

    def on_topic(*topic):
        if next(fails):
            raise JournalFailed("unreadable", "its newest line")
        heard.on_topic(*topic)

    log.subscribe(heard.on_news, on_topic)
    with pytest.raises(JournalFailed):
        log.declare("a", kind.policy())
    log.declare("a", kind.policy())
    assert heard.topics == [("a", "")]


# Topics


def test_the_topics_that_there_are(log, kind):
    assert log.topics() == []
    for topic in ("b", "a/c"):
        log.declare(topic, kind.policy())
    assert log.topics() == ["a/c", "b"]


def test_declared_again_it_is_the_same(log, kind, kept):
    append(log, "a", 1)
    assert log.declare("a", kind.policy()) is kept
    assert data_of(kept) == [1]


def test_of_a_forgotten_topic_nothing_is_read_also_when_there_is_a_new_one(log, kind, kept):
    if kind.is_durable:
        pytest.skip("what is durable is there again")
    append(log, "a", 1, 2)
    log.forget("a")
    log.forget("a")
    assert log.topics() == []
    new = log.declare("a", kind.policy())
    append(log, "a", "new")
    assert data_of(new) == ["new"]
    assert data_of(kept) == kept.read(1, 1 << 20) == []
    assert kept.bounds().first == 3


# Bare bytes

BYTES = [b"", b"\n", b"\\", b"\\n", b"\\\n", b"\\\\n\n\\", bytes(range(256)), b"a b\r\n\0"]


def test_payloads_may_be_bare_bytes(open_log, kind):
    log = open_log(BARE)
    kept = log.declare("a", kind.policy(is_latest=True))
    (receipt,) = log.append("a", [Publication(BYTES, key="k")])
    assert payloads_of(kept) == BYTES
    assert kept.after(receipt.id.encode()) == len(BYTES) + 1
    assert kept.since(0.0) == 1
    assert log.append("a", [Publication(BYTES, key="k")]) == [receipt]
    assert isinstance(log.append("a", [Publication([b"other"], key="k")])[0], KeyReused)


@pytest.mark.parametrize("length", [1, 2, 3, 4])
def test_every_short_payload_of_what_is_escaped_comes_back(open_log, kind, length):
    log = open_log(BARE)
    payloads = [bytes(each) for each in itertools.product(b"\\\nnx", repeat=length)]
    kept = log.declare("a", kind.policy())
    log.append("a", [Publication(payloads)])
    assert payloads_of(kept) == payloads


# Threads, and the end


def test_many_threads_append_and_news_come_in_the_order_of_ordinals(log, kept):
    heard = Heard([], [])
    log.subscribe(heard.on_news, heard.on_topic)
    results = []

    def run(worker):
        for number in range(25):
            results.append(append(log, "a", f"{worker}/{number}"))

    threads = [threading.Thread(target=run, args=(worker,)) for worker in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    lines = read_all(kept)
    assert sorted(result.id for result in results) == [id_of(line).decode() for line in lines]
    assert heard.lines == lines
    assert len(lines) == 150


def test_closed_it_takes_nothing_and_that_again_is_harmless(log, kept, kind):
    append(log, "a", 1)
    log.close()
    log.close()
    with pytest.raises(NotReady):
        append(log, "a", 2)
    with pytest.raises(NotReady):
        log.declare("b", kind.policy())
