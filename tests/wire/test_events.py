"""Lines of events: made once, their parts found again by their places."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wire.cursors import Cursor, format_cursor
from wire.errors import WireError
from wire.events import (
    DEFAULT_NAME,
    MAX_EVENT_BYTES,
    RESERVED_NAMES,
    MalformedEvent,
    NewEvent,
    format_event,
    id_of,
    new_event,
    parse_event,
    parts_of,
    time_s_of,
    topic_of,
)

ID = format_cursor(Cursor(1, 2, 3, 4))
LINE = format_event(ID, "demo/orders", "order", '{"n":1}', 1764000000.123)

# What looks like the parts around it, and what JSON and SSE treat in a way of their own.
TRICKY = st.sampled_from(
    [
        '","data":',
        ',"time":',
        '"}',
        '{"id":"',
        "\u2028",
        "\x85",
        "\r\n",
        "\\",
        "é",
        "\U0001f600",
        "",
    ]
)
texts = st.lists(TRICKY | st.text(st.characters(exclude_categories=["Cs"]), max_size=5)).map(
    "".join
)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(-1e9, 1e9) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
names = st.text(
    st.characters(exclude_categories=["Cc", "Cs"], exclude_characters='"\\\u2028\u2029'),
    min_size=1,
    max_size=100,
).filter(lambda name: name not in RESERVED_NAMES)
topics = st.from_regex(r"[A-Za-z0-9_.~-]{1,9}(/[A-Za-z0-9_.~-]{1,9}){0,3}", fullmatch=True)


def test_a_line_is_what_the_docs_show():
    head = f'{{"id":"{ID}","topic":"demo/orders","name":"order",'
    assert f'{head}"data":{{"n":1}},"time":1764000000.123}}\n'.encode() == LINE


@given(topics, names, values, st.integers(0, 4 * 10**12))
def test_the_parts_of_a_line_are_found_whatever_is_in_it(topic, name, value, ms):
    event = new_event({"name": name, "data": value})
    line = format_event(ID, topic, *event, ms / 1000)
    assert json.loads(line) == {
        "id": ID, "topic": topic, "name": name, "data": value, "time": ms / 1000,
    }  # fmt: skip
    assert line.count(b"\n") == 1
    assert line.endswith(b"}\n")
    assert id_of(line) == ID.encode()
    assert time_s_of(line) == ms / 1000
    assert topic_of(line) == topic
    assert parts_of(line) == (ID.encode(), name.encode(), event.data.encode())


@given(names, values)
def test_what_a_publisher_sends_is_what_readers_get(name, value):
    sent = json.dumps({"data": value, "name": name})
    event = parse_event(sent)
    assert event == parse_event(sent.encode()) == new_event({"name": name, "data": value})
    assert event.name == name
    assert json.loads(event.data) == value
    assert "\n" not in event.data
    assert "\r" not in event.data


NO_LINES = {
    "nothing": b"",
    "a blank line": b"\n",
    "zeroes": b"\0" * len(LINE),
    "cut after the id": LINE[:40],
    "no text": b"\xff" * len(LINE),
}


@pytest.mark.parametrize("line", NO_LINES.values(), ids=NO_LINES.keys())
def test_what_is_no_line_has_no_id_and_no_time(line):
    with pytest.raises(ValueError):
        id_of(line)
    with pytest.raises(ValueError):
        time_s_of(line)


@pytest.mark.parametrize("length", range(len(LINE) - len("1764000000.123}\n")))
def test_a_line_without_its_time_is_none(length):
    with pytest.raises(ValueError):
        time_s_of(LINE[:length] + b"\n")


def test_without_a_name_it_is_a_message():
    assert parse_event('{"data": null}') == NewEvent(DEFAULT_NAME, "null") == ("message", "null")


GOOD_NAMES = {
    "100 characters": "é" * 100,
    "blanks": " a b ",
    "a colon, as SSE has": "a: b",
    "braces": "{}",
    "almost reserved": "Gap",
}


@pytest.mark.parametrize("name", GOOD_NAMES.values(), ids=GOOD_NAMES.keys())
def test_an_event_may_have_this_name(name):
    assert new_event({"name": name, "data": 1}).name == name


BAD_NAMES = {
    "empty": "",
    "101 characters": "a" * 101,
    "a quote": 'a"',
    "a backslash": "a\\",
    "SSE: a line feed": "a\n",
    "SSE: a carriage return": "a\r",
    "NUL": "\0",
    "delete": "\x7f",
    "U+0085, a line break to some": "\x85",
    "U+2028, a line break to JavaScript": "\u2028",
    "half of a surrogate pair": "\ud800",
    "no text": 1,
    "null": None,
    **{f"reserved: {name}": name for name in sorted(RESERVED_NAMES)},
}


@pytest.mark.parametrize("name", BAD_NAMES.values(), ids=BAD_NAMES.keys())
def test_no_event_may_have_this_name(name):
    with pytest.raises(MalformedEvent, match="name"):
        new_event({"name": name, "data": 1})


MALFORMED = {
    "nothing": (b"", "not: Expecting value"),
    "no UTF-8": (b'{"data":"\xff"}', "not: "),
    "two events": (b'{"data":1}{"data":2}', "not: Extra data"),
    "no object": (b"[1]", "an object"),
    "no data": (b'{"name":"a"}', "with data"),
    "an unknown member": (b'{"data":1,"id":"x"}', "not 'id'"),
    "a member that is no text": (b'{"data":1,"\\ud800":"x"}', r"not '\\ud800'"),
    "RFC 8259 6: NaN is no number": (b'{"data":NaN}', "NaN is no JSON"),
    "RFC 8259 6: nor is Infinity": (b'{"data":[-Infinity]}', "-Infinity is no JSON"),
    "a number past a double": (b'{"data":1e999}', "not JSON: Out of range"),
    "a number of 5,000 digits": (b'{"data":' + b"1" * 5000 + b"}", "not: "),
    "so deep that Python gives up": (b'{"data":' + b"[" * 30_000 + b"]" * 30_000 + b"}", "JSON"),
    "RFC 8259 8.2: half of a pair": (b'{"data":"\\ud800"}', "half of a surrogate pair"),
    "half of a pair in a key": (b'{"data":{"\\udc00":1}}', "half of a surrogate pair"),
    "too long": (b'{"data":"' + b"a" * MAX_EVENT_BYTES + b'"}', "may have 65536 bytes, this"),
}


@pytest.mark.parametrize(("text", "said"), MALFORMED.values(), ids=MALFORMED.keys())
def test_what_is_no_event_is_refused_with_what_would_be_right(text, said):
    with pytest.raises(MalformedEvent, match=said) as caught:
        parse_event(text)
    assert isinstance(caught.value, WireError)
    assert len(str(caught.value)) < 250


def test_a_whole_pair_is_one_character():
    assert parse_event('{"data":"\\ud83d\\ude00"}').data == '"\U0001f600"'


def test_data_is_measured_as_it_is_written_not_as_it_came():
    fits = "é" * (MAX_EVENT_BYTES // 2 - 1)
    assert len(new_event({"data": fits}).data.encode()) == MAX_EVENT_BYTES
    with pytest.raises(MalformedEvent, match="data may have 65536 bytes"):
        new_event({"data": fits + "a"})


def test_what_is_no_json_at_all_is_refused():
    with pytest.raises(MalformedEvent, match="data is not JSON"):
        new_event({"data": b"bytes"})
