import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wsproto.frame_protocol import FrameProtocol

from sockets.frames import (
    MAX_CONTROL_BYTES,
    NO_CODE,
    binary_frame,
    close_frame,
    ping_frame,
    pong_frame,
    text_frame,
)


def wsproto():
    return FrameProtocol(client=False, extensions=[])


SIZES = (0, 1, 125, 126, 127, 65535, 65536, 70000)


@pytest.mark.parametrize("size", SIZES)
def test_messages_are_what_wsproto_writes(size):
    assert binary_frame(b"x" * size) == wsproto().send_data(b"x" * size)
    assert text_frame(b"x" * size) == wsproto().send_data("x" * size)


@given(st.binary(max_size=MAX_CONTROL_BYTES))
def test_control_frames_are_what_wsproto_writes(payload):
    assert ping_frame(payload) == wsproto().ping(payload)
    assert pong_frame(payload) == wsproto().pong(payload)


@given(st.integers(1000, 4999).filter(lambda code: code not in (1005, 1006, 1015)), st.text())
def test_a_close_is_what_wsproto_writes(code, reason):
    assert close_frame(code, reason) == wsproto().close(code, reason)


def test_a_close_without_a_code_is_empty():
    assert close_frame(NO_CODE, "why") == b"\x88\x00"


def test_a_reason_is_cut_between_characters():
    assert close_frame(1000, "ä" * 100) == b"\x88\x7c" + struct.pack("!H", 1000) + "ä".encode() * 61


def test_a_control_frame_has_a_limit():
    with pytest.raises(ValueError, match="125 bytes"):
        ping_frame(bytes(126))
