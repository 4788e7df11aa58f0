import re
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wire.cursors import (
    EPOCH_BITS,
    POSITION_BITS,
    Cursor,
    MalformedCursor,
    format_cursor,
    parse_cursor,
)

FIRST = "0" * 23
LAST = "1" + "v" * 22

FORMATS = {
    "the first": (Cursor(0, 0), FIRST),
    "the next": (Cursor(0, 1), "0" * 22 + "1"),
    "a digit of 31": (Cursor(0, 31), "0" * 22 + "v"),
    "the last position": (Cursor(0, 2**63 - 1), "0" * 10 + "7" + "v" * 12),
    "the next epoch": (Cursor(1, 0), "0" * 10 + "8" + "0" * 12),
    "the last": (Cursor(2**48 - 1, 2**63 - 1), LAST),
}

MALFORMED = {
    "empty": "",
    "short": FIRST[1:],
    "long": FIRST + "0",
    "upper case": "0" * 22 + "V",
    "past the alphabet": "0" * 22 + "w",
    "larger than the last": "2" + "0" * 22,
    "largest by far": "v" * 23,
    "a sign": "+" + FIRST[1:],
    "an underscore": "0_" + FIRST[2:],
    "a blank": " " + FIRST[1:],
    "a line break after it": FIRST + "\n",
    "a line break in it": FIRST[1:] + "\n",
    "a digit that is not ASCII": "٠" + FIRST[1:],
    "a time": "5m",
    "100 kB": "0" * 100_000,
}

NO_CURSORS = [Cursor(-1, 0), Cursor(0, -1), Cursor(2**48, 0), Cursor(0, 2**63)]

cursors = st.builds(
    Cursor,
    st.integers(0, 2**EPOCH_BITS - 1) | st.integers(0, 3),
    st.integers(0, 2**POSITION_BITS - 1) | st.integers(0, 3),
)


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


@pytest.mark.parametrize("cursor", NO_CURSORS)
def test_out_of_bounds_is_not_written(cursor):
    with pytest.raises(ValueError) as caught:
        format_cursor(cursor)
    assert not isinstance(caught.value, MalformedCursor)


@settings(deadline=None)
@given(cursors)
def test_a_cursor_survives_and_is_safe_anywhere(cursor):
    text = format_cursor(cursor)
    assert parse_cursor(text) == cursor
    assert type(parse_cursor(text)) is Cursor
    assert re.fullmatch("[0-9a-v]{23}", text)
    assert quote(text, safe="") == text


@settings(deadline=None)
@given(cursors, cursors)
def test_texts_sort_as_the_cursors(one, other):
    assert (format_cursor(one) < format_cursor(other)) == (one < other)


@settings(deadline=None)
@given(st.text() | st.text("0123456789abcdefghijklmnopqrstuvwxV+_ ", min_size=22, max_size=24))
def test_no_other_text_is_a_cursor(text):
    try:
        cursor = parse_cursor(text)
    except MalformedCursor:
        return
    assert format_cursor(cursor) == text
