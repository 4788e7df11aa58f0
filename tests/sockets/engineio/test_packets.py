import pytest
from hypothesis import given
from hypothesis import strategies as st

from sockets.engineio.errors import BadPacket
from sockets.engineio.frames import binary_frame, text_frame
from sockets.engineio.packets import (
    MESSAGE,
    SEPARATOR,
    Packet,
    Received,
    payload_frames,
    read_packet,
    read_payload,
)


def test_the_payload_of_the_specification():
    body = "4hello\x1e2\x1e4€\x1ebAQIDBA==".encode()
    assert list(read_payload(body)) == [
        Received(MESSAGE, "hello"),
        Received(2, ""),
        Received(MESSAGE, "€"),
        Received(MESSAGE, b"\1\2\3\4"),
    ]


BAD_PAYLOADS = {
    "empty": b"",
    "an empty packet among others": b"4a\x1e\x1e4b",
    "no type": b"abc",
    "a type that there is not": b"7",
    "a digit that is none in ASCII": "٤".encode(),
    "not UTF-8": b"4\xff",
    "not base64": b"b????",
    "base64 that is cut": b"bAQI",
}


@pytest.mark.parametrize("body", BAD_PAYLOADS.values(), ids=BAD_PAYLOADS.keys())
def test_a_bad_payload(body):
    with pytest.raises(BadPacket):
        list(read_payload(body))


def test_what_is_before_a_bad_packet_is_read():
    packets = read_payload(b"4a\x1eabc")
    assert next(packets) == Received(MESSAGE, "a")
    with pytest.raises(BadPacket):
        next(packets)


@pytest.mark.parametrize("message", ["", "abc", "7", "b64", "-1"])
def test_a_bad_packet_on_a_websocket(message):
    with pytest.raises(BadPacket):
        read_packet(message)


def test_a_binary_broadcast_is_encoded_for_each_transport():
    packet = Packet("451-[]", b"\0\1")
    for _ in range(2):  # upstream gives the second transport what the first was given
        assert packet.payload == b"451-[]\x1ebAAE="
        assert packet.frame == text_frame(b"451-[]") + binary_frame(b"\0\1")


def test_a_packet_is_encoded_once():
    packet = Packet("4a")
    assert packet.frame is packet.frame
    assert packet.payload is packet.payload


@given(st.lists(st.one_of(st.binary(), st.text().map(lambda text: "4" + text)), min_size=1))
def test_mail_for_a_poll_becomes_the_same_frames(parts):
    parts = [p.replace(SEPARATOR, "") if isinstance(p, str) else p for p in parts]
    packet = Packet(*parts)
    assert payload_frames(packet.payload) == packet.frame
