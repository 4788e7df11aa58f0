"""Where a reader begins, what is missing before it, and what is pushed: one topic by itself."""

import pytest

from journal import EVENTS, MemoryRecords
from tests.topics.world import AMPLE
from topics import Rule
from topics.topic import EXPIRED, RESTARTED, Topic
from wire.cursors import Cursor, format_cursor, topic_mark
from wire.events import format_event
from wire.since import After, Age, All, Now

EPOCH = 5
MARK = topic_mark("demo/a")
OTHER_MARK = topic_mark("demo/b")


def line_of(ordinal, name="message", size=0):
    """The how-manieth event of demo/a: every third of all is, one in ten seconds."""
    event_id = format_cursor(Cursor(EPOCH, 3 * ordinal, ordinal, MARK))
    return format_event(event_id, "demo/a", name, '"' + "x" * size + '"', 10.0 * ordinal)


def cursor(position, ordinal=0, mark=OTHER_MARK, epoch=EPOCH):
    made = Cursor(epoch, position, ordinal, mark)
    return After(made, format_cursor(made))


class Reader:
    """Somebody who follows: a topic only counts whether there is one."""


@pytest.fixture
def make_topic():
    """make_topic(count, first, **rule): a topic of so many events; those before first are gone."""

    def make(count, first=1, durable=True):
        # Of each event, the age lets go.
        retention = AMPLE._replace(max_age_s=1)
        rule = Rule("demo/*", durable, retention)
        topic = Topic("demo/a", rule, MemoryRecords(EVENTS.record, retention), EPOCH)
        for ordinal in range(1, count + 1):
            append(topic, ordinal)
        topic.records.expire(10.0 * first)
        return topic

    return make


def append(topic, *ordinals, size=0):
    lines = [line_of(ordinal, size=size) for ordinal in ordinals]
    topic.records.append(lines)
    topic.add(topic.records.last + 1 - len(lines), lines)


# Of a topic of five events at the positions 3, 6, 9, 12, 15 that keeps the last three: since, the
# ordinal to begin with, and the lost and the reason of the gap before that.
SEEK = {
    "now": (Now(), 6, None),
    "all is what is kept": (All(), 3, None),
    "an age": (Age(15.0), 4, None),
    "an age of everything": (Age(1e6), 3, None),
    "no age": (Age(0.0), 5, None),
    "its newest": (cursor(15, 5, MARK), 6, None),
    "one that is kept": (cursor(9, 3, MARK), 4, None),
    "the one before the first that is kept": (cursor(6, 2, MARK), 3, None),
    "one that is gone": (cursor(3, 1, MARK), 3, (1, EXPIRED)),
    "before its first": (cursor(3, 0, MARK), 3, (2, EXPIRED)),
    "of another topic, after all": (cursor(17), 6, None),
    "of another topic, in between": (cursor(10), 4, None),
    "of another topic, right before the first": (cursor(8), 3, None),
    "of another topic, right after what is gone": (cursor(7), 3, None),
    "of another topic, before what is gone": (cursor(5), 3, (None, EXPIRED)),
    "of nothing": (cursor(0, mark=0), 3, (None, EXPIRED)),
    "of a life before": (cursor(99, 1, MARK, EPOCH - 1), 3, (1, EXPIRED)),
    "its own, but never given out": (cursor(9, 4, MARK), 4, (None, RESTARTED)),
    "its own, of more than there are": (cursor(15, 9, MARK), 6, (None, RESTARTED)),
}


@pytest.mark.parametrize(("since", "place", "missing"), SEEK.values(), ids=SEEK.keys())
def test_where_a_reader_begins(make_topic, since, place, missing):
    topic = make_topic(5, first=3)
    found, gap = topic.seek(since, 50.0)
    assert found == place
    assert (gap and (gap.lost, gap.reason)) == missing
    if gap is not None:
        assert gap.since == since.text
        assert gap.to == topic.cursor_before(place)
        assert gap.to > since.text or gap.reason == RESTARTED


def test_a_gap_tells_where_to_go_on_and_where_to_begin_afresh(make_topic):
    topic = make_topic(5, first=3)
    _, gap = topic.seek(cursor(3, 1, MARK), 50.0)
    assert gap.topic == "demo/a"
    assert gap.refetch == "/events/demo/a?since=all"
    made = Cursor(EPOCH, 9, 2, MARK)
    assert topic.seek(After(made, gap.to), 50.0) == (3, None)
    assert format_cursor(made) == gap.to


@pytest.mark.parametrize("epoch", [0, EPOCH - 1])
def test_what_is_in_memory_began_anew_with_the_server(make_topic, epoch):
    topic = make_topic(3, durable=False)
    place, gap = topic.seek(cursor(99, 99, MARK, epoch), 50.0)
    assert (place, gap.lost, gap.reason) == (1, None, RESTARTED)
    assert topic.seek(cursor(3, 1, MARK), 50.0) == (2, None)


def test_nothing_is_missing_where_nothing_was_let_go_of(make_topic):
    assert make_topic(3).seek(cursor(0), 50.0) == (1, None)
    assert make_topic(0).seek(cursor(7), 50.0) == (1, None)


def test_a_topic_that_kept_nothing_says_how_much_was_lost(make_topic):
    topic = make_topic(5, first=9)
    place, gap = topic.seek(cursor(6, 2, MARK), 50.0)
    assert (place, gap.lost, gap.to) == (6, 3, topic.newest)
    assert topic.seek(cursor(15, 5, MARK), 50.0) == (6, None)
    # Of another topic: after everything that was let go of, and before.
    assert topic.seek(cursor(16), 50.0) == (6, None)
    assert topic.seek(cursor(14), 50.0)[1].lost is None


def test_after_a_restart_no_reader_is_told_of_a_gap_behind_its_cursor(make_topic):
    """What is gone of a life before is not after a cursor of this one."""
    full = make_topic(5, first=9)
    topic = Topic("demo/a", full.rule, full.records, EPOCH + 1)
    full.records.evicted = None
    assert topic.newest is None
    assert topic.seek(cursor(1, epoch=EPOCH + 1), 50.0) == (6, None)
    _, gap = topic.seek(cursor(14), 50.0)
    assert (gap.reason, gap.to) == (EXPIRED, format_cursor(Cursor(EPOCH + 1, 0, 5, MARK)))
    assert topic.seek(cursor(6, 2, MARK), 50.0)[1].lost == 3


@pytest.mark.parametrize("ordinal", range(1, 7))
def test_the_cursor_before_an_event_sorts_between_it_and_all_before_it(make_topic, ordinal):
    topic = make_topic(5)
    before = topic.cursor_before(ordinal)
    of_others = format_cursor(Cursor(EPOCH, 3 * ordinal - 1, 99, 0xFFFF))
    assert before < (line_of(ordinal)[7:37].decode() if ordinal < 6 else "w")
    assert before > of_others or ordinal == 6
    assert topic.records.after(before.encode()) == ordinal


def test_the_cursor_before_the_first_event_of_all(make_topic):
    assert make_topic(0).cursor_before(1) == format_cursor(Cursor(EPOCH, 0, 0, MARK))


def test_where_to_start_is_never_what_is_gone(make_topic):
    topic = make_topic(5, first=3)
    assert topic.start_from(1) == topic.start_from(3) == (3, topic.cursor_before(3))
    assert topic.start_from(4) == (4, topic.cursor_before(4))
    assert topic.start_from(6) == (6, topic.newest)


# What is pushed


def test_what_is_fresh_is_taken_once(make_topic):
    topic = make_topic(2)
    topic.readers[Reader()] = None
    append(topic, 3)
    append(topic, 4, 5)
    assert topic.take_batch() == (3, [line_of(3), line_of(4), line_of(5)])
    assert topic.take_batch() == (6, [])


def test_nothing_is_held_for_nobody(make_topic):
    topic = make_topic(0)
    append(topic, 1, 2)
    assert topic.take_batch() == (3, [])


def test_what_the_disk_has_but_nobody_was_told_of_is_not_counted(make_topic):
    """The disk is ahead of the topic while a publisher waits to go on."""
    topic = make_topic(0)
    topic.readers[Reader()] = None
    append(topic, 1)
    topic.records.append([line_of(2)])
    assert topic.take_batch() == (1, [line_of(1)])
    assert topic.last == 1
    assert topic.seek(Now(), 50.0) == (2, None)
    topic.add(2, [line_of(2)])
    assert topic.take_batch() == (2, [line_of(2)])


def test_what_a_killed_publisher_left_on_the_disk_can_only_be_read(make_topic):
    topic = make_topic(0)
    topic.readers[Reader()] = None
    append(topic, 1)
    topic.records.append([line_of(2)])
    append(topic, 3)
    assert topic.take_batch() == (3, [line_of(3)])


def test_what_is_too_much_is_not_pushed_at_all(make_topic, monkeypatch):
    monkeypatch.setattr("topics.topic.MAX_BATCH_BYTES", 500)
    topic = make_topic(0)
    topic.readers[Reader()] = None
    for ordinal in range(1, 10):
        append(topic, ordinal)
    assert topic.take_batch() == (10, [])
    append(topic, 10)
    assert topic.take_batch() == (10, [line_of(10)])
