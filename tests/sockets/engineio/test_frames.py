import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wsproto.frame_protocol import FrameProtocol

from sockets.engineio.frames import (
    MAX_CONTROL_BYTES,
    MAX_WHOLE_BYTES,
    NO_CODE,
    binary_frame,
    close_frame,
    ping_frame,
    pong_frame,
    text_frame,
    whole_text,
)

# RFC 6455, 5.7 has those of "Hello"; 5.2 the lengths.
FRAMES = {
    "5.7 an unmasked text": (text_frame(b"Hello"), b"\x81\x05Hello"),
    "5.7 an unmasked ping": (ping_frame(b"Hello"), b"\x89\x05Hello"),
    "5.7 a pong is the ping's payload": (pong_frame(b"Hello"), b"\x8a\x05Hello"),
    "5.7 256 bytes of binary": (binary_frame(b"x" * 256), b"\x82\x7e\x01\x00" + b"x" * 256),
    "5.7 64 KiB of binary": (
        binary_frame(b"x" * 65536),
        b"\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x00" + b"x" * 65536,
    ),
    "5.2 125 bytes have a short length": (text_frame(b"x" * 125), b"\x81\x7d" + b"x" * 125),
    "5.2 126 bytes have two bytes": (text_frame(b"x" * 126), b"\x81\x7e\x00\x7e" + b"x" * 126),
    "5.2 65,535 bytes too": (text_frame(b"x" * 65535), b"\x81\x7e\xff\xff" + b"x" * 65535),
    "5.6 text is UTF-8": (text_frame("ä".encode()), b"\x81\x02\xc3\xa4"),
    "an empty text": (text_frame(b""), b"\x81\x00"),
    "5.5.1 a close has its code first": (close_frame(1000, "bye"), b"\x88\x05\x03\xe8bye"),
    "7.4.1 a close without a code is empty": (close_frame(NO_CODE, "why"), b"\x88\x00"),
}


@pytest.mark.parametrize(("made", "want"), FRAMES.values(), ids=FRAMES.keys())
def test_a_frame_is_as_the_standard_has_it(made, want):
    assert made == want
    assert type(made) is bytes


def test_frames_have_nothing_to_do_with_each_other():
    assert [text_frame(b"a"), binary_frame(b"b"), close_frame(1000), text_frame(b"a")] == [
        b"\x81\x01a", b"\x82\x01b", b"\x88\x02\x03\xe8", b"\x81\x01a",
    ]  # fmt: skip


def test_a_reason_is_cut_between_characters():
    assert close_frame(1000, "ä" * 100) == b"\x88\x7c" + struct.pack("!H", 1000) + "ä".encode() * 61


@pytest.mark.parametrize("frame", [ping_frame, pong_frame])
def test_a_control_frame_has_a_limit(frame):
    assert len(frame(bytes(MAX_CONTROL_BYTES))) == MAX_CONTROL_BYTES + 2
    with pytest.raises(ValueError, match="125 bytes"):
        frame(bytes(126))


def of_client(payload, fin=True):
    """A frame as a client's wsproto sends it, with a key by chance."""
    return bytes(FrameProtocol(client=True, extensions=[]).send_data(payload, fin=fin))


@given(st.text(max_size=MAX_WHOLE_BYTES // 4))
def test_a_whole_text_is_read_as_the_parser_reads_it(text):
    assert whole_text(of_client(text)) == text


@pytest.mark.parametrize("length", [0, 1, 125, 126, 127, MAX_WHOLE_BYTES])
def test_a_whole_text_has_any_length_of_short_ones(length):
    assert whole_text(of_client("x" * length)) == "x" * length


HELLO = b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"
FOR_THE_PARSER = {
    "nothing": b"",
    "5.1 no mask": b"\x81\x05Hello",
    "5.2 a reserved bit": b"\xc1" + HELLO[1:],
    "5.4 a first fragment": of_client("Hello", fin=False),
    "5.4 a later fragment": b"\x80" + HELLO[1:],
    "5.6 binary": of_client(b"Hello"),
    "5.5 a ping": b"\x89" + HELLO[1:],
    "5.5.1 a close": b"\x88" + HELLO[1:],
    "a part": HELLO[:-1],
    "only a head": HELLO[:2],
    "two": HELLO * 2,
    "and a part of the next": HELLO + HELLO[:1],
    "5.2 a length that is not the shortest": b"\x81\xfe\x00\x05" + HELLO[2:],
    "5.2 a length of eight bytes": b"\x81\xff" + bytes(7) + b"\x05" + HELLO[2:],
    "8.1 no UTF-8": of_client(b"\xff").replace(b"\x82", b"\x81", 1),
    "too long": of_client("x" * (MAX_WHOLE_BYTES + 1)),
}


@pytest.mark.parametrize("data", FOR_THE_PARSER.values(), ids=FOR_THE_PARSER.keys())
def test_all_else_is_for_the_parser(data):
    assert whole_text(data) is None


def test_the_standard_has_an_example_of_it():
    assert whole_text(HELLO) == "Hello"
