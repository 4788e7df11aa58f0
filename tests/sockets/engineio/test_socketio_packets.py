import json

import pytest

from sockets.engineio.errors import BadPacket
from sockets.engineio.socketio_packets import (
    MAX_DEPTH,
    Event,
    ack_packet,
    event_packet,
    put_attachments,
    read_event,
    read_head,
    text_packet,
)

EVENTS = {
    "0": Event(0, "/", None, None, 0),
    '0{"token":"123"}': Event(0, "/", None, {"token": "123"}, 0),
    "0/admin,": Event(0, "/admin", None, None, 0),
    "0/admin": Event(0, "/admin", None, None, 0),
    '0/admin?x=1,{"a":1}': Event(0, "/admin", None, {"a": 1}, 0),
    "1/admin,": Event(1, "/admin", None, None, 0),
    '2["foo"]': Event(2, "/", None, ["foo"], 0),
    '2/admin,12["foo",1]': Event(2, "/admin", 12, ["foo", 1], 0),
    "3/admin,13[]": Event(3, "/admin", 13, [], 0),
    '51-["baz",{"_placeholder":true,"num":0}]': Event(
        5, "/", None, ["baz", {"_placeholder": True, "num": 0}], 1
    ),
    '61-/admin,15["bar",{"_placeholder":true,"num":0}]': Event(
        6, "/admin", 15, ["bar", {"_placeholder": True, "num": 0}], 1
    ),
    '50-["none"]': Event(5, "/", None, ["none"], 0),
}


@pytest.mark.parametrize(("text", "event"), EVENTS.items(), ids=EVENTS.keys())
def test_an_event(text, event):
    assert read_event(text) == event


def nested(depth, innermost=1):
    """Return so many lists in each other."""
    for _ in range(depth):
        innermost = [innermost]
    return innermost


def test_many_lists_that_are_not_deep():
    data = ["a", nested(MAX_DEPTH - 1), *[[] for _ in range(10 * MAX_DEPTH)], "[" * 1000]
    assert read_event("2" + json.dumps(data)).data == data


def test_the_head_is_read_without_the_data():
    head = read_head('51-/admin?x=1,12["foo", this is never looked at')
    assert head[:4] == (5, "/admin", 12, 1)


BAD_EVENTS = {
    "empty": "",
    "no type": "abc",
    "a type that there is not": "7",
    "a connect with text": '0"a"',
    "a connect with a list": "0[]",
    "a disconnect with something": '1{"a":1}',
    "an event without a list": "2{}",
    "an event without anything": "2",
    "an event without a name": "2[]",
    "an event whose name is a number": "2[1]",
    "a name that is reserved": '2["disconnect"]',
    "an acknowledgement without its number": '3["a"]',
    "an acknowledgement without a list": "31{}",
    "an error, which is the server's to say": '4{"message":"no"}',
    "a number that is none": '2abc["a"]',
    "attachments of an event that has none": '21-["a"]',
    "a binary event without attachments": '5["a"]',
    "attachments that are no number": '5x-["a"]',
    "as many attachments as memory holds": '5999999999-["a"]',
    "more attachments than allowed": '533-["a"]',
    "no JSON": '2["a"',
    "more behind the JSON": '2["a"]x',
    "a number that JSON has not": '2["a",NaN]',
    "a number that is too long": '2["a",' + "1" * 5000 + "]",
    "so deep that Python gives up": '2["a",' + "[" * 100_000,
    "deeper than allowed": "2" + json.dumps(["a", nested(MAX_DEPTH)]),
    "deeper than allowed by objects": '2["a",' + '{"b":' * MAX_DEPTH + "1" + "}" * MAX_DEPTH + "]",
}


@pytest.mark.parametrize("text", BAD_EVENTS.values(), ids=BAD_EVENTS.keys())
def test_a_bad_event(text):
    with pytest.raises(BadPacket):
        read_event(text)


PLACEHOLDER = {"_placeholder": True, "num": 1}


def test_attachments_are_put_where_they_were():
    data = ["a", [PLACEHOLDER], {"b": {**PLACEHOLDER, "num": 0}}, {"_placeholder": False}]
    whole = put_attachments(data, [b"0", b"1"])
    assert whole == ["a", [b"1"], {"b": b"0"}, {"_placeholder": False}]


def test_attachments_are_put_however_deep():
    data = put_attachments(["a", nested(50_000, {**PLACEHOLDER, "num": 0})], [b"0"])[1]
    while isinstance(data, list):
        (data,) = data
    assert data == b"0"


@pytest.mark.parametrize("number", [2, -1, True, "0", None, 0.0])
def test_a_placeholder_for_nothing(number):
    with pytest.raises(BadPacket):
        put_attachments([{"_placeholder": True, "num": number}], [b"0", b"1"])


def test_what_is_written():
    assert event_packet("e", [1, "ä"], "/").parts == ('42["e",1,"\\u00e4"]',)
    assert event_packet("e", [], "/live", 7).parts == ('42/live,7["e"]',)
    assert ack_packet([{"ok": True}], "/live", 3).parts == ('43/live,3[{"ok":true}]',)
    assert text_packet(0, "/live", {"sid": "x"}).parts == ('40/live,{"sid":"x"}',)
    assert text_packet(1, "/").parts == ("41",)


def test_bytes_become_attachments():
    packet = event_packet("e", [b"a", {"b": [bytearray(b"c")]}, (b"d",)], "/live")
    text, *attachments = packet.parts
    assert attachments == [b"a", b"c", b"d"]
    assert text.startswith("453-/live,[")
    assert put_attachments(json.loads(text[10:])[1:], attachments) == [b"a", {"b": [b"c"]}, [b"d"]]
    assert ack_packet([b"a"], "/", 1).parts[0].startswith("461-1[")
