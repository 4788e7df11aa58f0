import re
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wire.cursors import (
    CURSOR_CHARS,
    EPOCH_BITS,
    MARK_BITS,
    ORDINAL_BITS,
    POSITION_BITS,
    Cursor,
    MalformedCursor,
    format_cursor,
    format_cursors,
    parse_cursor,
    topic_mark,
)

FIRST = "0" * 30
LAST = "v" * 30

FORMATS = {
    "the first": (Cursor(0, 0), FIRST),
    "the next mark": (Cursor(0, 0, 0, 1), "0" * 29 + "1"),
    "a digit of 31": (Cursor(0, 0, 0, 31), "0" * 29 + "v"),
    "the last mark": (Cursor(0, 0, 0, 2**16 - 1), "0" * 26 + "1vvv"),
    "the next ordinal": (Cursor(0, 0, 1), "0" * 26 + "2000"),
    "the next position": (Cursor(0, 1), "0" * 17 + "4" + "0" * 12),
    "the next epoch": (Cursor(1, 0), "0" * 8 + "8" + "0" * 21),
    "RFC 4648 7: v is the last digit": (
        Cursor(2**42 - 1, 2**46 - 1, 2**46 - 1, 2**16 - 1),
        LAST,
    ),
    "one of 2024": (
        Cursor(1732383600123, 5, 7, 42748),
        "cjb8duruo00000000k00000000f9ns",
    ),
}

MALFORMED = {
    "empty": "",
    "short": FIRST[1:],
    "long": FIRST + "0",
    "of the version before": "0" * 23,
    "upper case": "0" * 29 + "V",
    "past the alphabet": "0" * 29 + "w",
    "a sign": "+" + FIRST[1:],
    "an underscore": "0_" + FIRST[2:],
    "a prefix of Python's": "0b" + FIRST[2:-1] + "w",
    "a blank": " " + FIRST[1:],
    "a line break after it": FIRST + "\n",
    "a line break in it": FIRST[1:] + "\n",
    "a digit that is not ASCII": "٠" + FIRST[1:],
    "a time": "5m",
    "100 kB": "0" * 100_000,
}

PARTS = {"epoch": EPOCH_BITS, "position": POSITION_BITS, "ordinal": ORDINAL_BITS, "mark": MARK_BITS}


def parts(bits):
    return st.integers(0, 2**bits - 1) | st.integers(0, 3) | st.integers(2**bits - 3, 2**bits - 1)


cursors = st.builds(Cursor, *map(parts, PARTS.values()))


@pytest.mark.parametrize(("cursor", "text"), FORMATS.values(), ids=FORMATS.keys())
def test_format_and_parse(cursor, text):
    assert format_cursor(cursor) == text
    assert parse_cursor(text) == cursor


@pytest.mark.parametrize("text", MALFORMED.values(), ids=MALFORMED.keys())
def test_malformed_is_said_without_repeating_it(text):
    with pytest.raises(MalformedCursor) as caught:
        parse_cursor(text)
    message = str(caught.value)
    assert 0 < len(message) < 200
    assert not text or text not in message


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("bound", ["below", "above"])
def test_out_of_bounds_is_not_written(part, bound):
    value = -1 if bound == "below" else 2 ** PARTS[part]
    with pytest.raises(ValueError) as caught:
        format_cursor(Cursor(1, 1, 1, 1)._replace(**{part: value}))
    assert not isinstance(caught.value, MalformedCursor)


@given(cursors)
def test_a_cursor_survives_and_is_safe_anywhere(cursor):
    text = format_cursor(cursor)
    assert parse_cursor(text) == cursor
    assert type(parse_cursor(text)) is Cursor
    assert re.fullmatch(f"[0-9a-v]{{{CURSOR_CHARS}}}", text)
    assert quote(text, safe="") == text


@given(cursors, cursors)
def test_texts_sort_as_the_cursors(one, other):
    assert (format_cursor(one) < format_cursor(other)) == (one < other)


@given(st.text() | st.text("0123456789abcdefghijklmnopqrstuvwxV+_ ", min_size=29, max_size=31))
def test_no_other_text_is_a_cursor(text):
    try:
        cursor = parse_cursor(text)
    except MalformedCursor:
        return
    assert format_cursor(cursor) == text


@given(st.text())
def test_a_mark_is_16_bits_and_not_0(topic):
    assert 0 < topic_mark(topic) < 2**MARK_BITS


def test_marks_tell_topics_apart():
    marks = {topic_mark(f"demo/{number}") for number in range(100)}
    assert len(marks) > 95
    assert topic_mark("demo/1") == topic_mark("demo/1")


def test_cursors_that_follow_each_other_are_those_of_each():
    first = Cursor(1_764_000_000_000, 2**38 + 250, 2**20 - 3, 777)
    each = [
        format_cursor(first._replace(position=first.position + n, ordinal=first.ordinal + n))
        for n in range(600)
    ]
    assert format_cursors(first, 600) == each
    assert format_cursors(first, 0) == []


def test_cursors_behind_the_last_are_refused():
    with pytest.raises(ValueError):
        format_cursors(Cursor(1, 2**POSITION_BITS - 2, 1, 1), 5)
