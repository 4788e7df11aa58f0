import struct

import pytest

from sockets.frames import (
    MAX_CONTROL_BYTES,
    NO_CODE,
    binary_frame,
    close_frame,
    ping_frame,
    pong_frame,
    text_frame,
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
