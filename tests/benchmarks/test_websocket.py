from __future__ import annotations

import struct

import pytest

from benchmarks.client import BadAnswer
from benchmarks.websocket import CLOSE, PING, TEXT, count_texts, masked, read_frame


def frame(payload: bytes, opcode: int = TEXT) -> bytes:
    """A frame as a server sends it: not masked."""
    if len(payload) < 126:
        return bytes([0x80 | opcode, len(payload)]) + payload
    if len(payload) < 65536:
        return struct.pack("!BBH", 0x80 | opcode, 126, len(payload)) + payload
    return struct.pack("!BBQ", 0x80 | opcode, 127, len(payload)) + payload


FRAMES = {
    "5.2 empty": (b"", TEXT),
    "5.2 seven bits of length": (b"x" * 125, TEXT),
    "5.2 sixteen bits": (b"x" * 126, TEXT),
    "5.2 the most in sixteen bits": (b"x" * 65535, TEXT),
    "5.2 sixty-four bits": (b"x" * 65536, TEXT),
    "5.5.2 a ping": (b"cursor", PING),
    "5.5.1 a close": (struct.pack("!H", 1012), CLOSE),
}


@pytest.mark.parametrize(("payload", "opcode"), FRAMES.values(), ids=FRAMES.keys())
def test_a_frame_is_read_once_it_is_whole(payload, opcode):
    data = b"before" + frame(payload, opcode)
    buffer = bytearray(data + b"after")
    assert read_frame(buffer, 6, len(data)) == (opcode, payload, len(data))
    for end in (6, 7, len(data) - 1):
        assert read_frame(buffer, 6, end) is None


def test_fragments_are_refused():
    with pytest.raises(BadAnswer):
        read_frame(bytearray(b"\x01\x01x"), 0, 3)


@pytest.mark.parametrize("size", [0, 125, 126, 1000])
def test_what_a_client_sends_is_masked(size):
    sent = masked(b"x" * size)
    head = 2 if size < 126 else 4
    assert sent[1] & 0x80
    key, payload = sent[head : head + 4], sent[head + 4 :]
    assert bytes(one ^ key[i % 4] for i, one in enumerate(payload)) == b"x" * size


@pytest.mark.parametrize("step", [1, 2, 3, 7, 100, 1000, 10**6])
def test_texts_are_counted_wherever_they_are_cut(step):
    data = b"".join(frame(*one) for one in FRAMES.values())
    buffer, kept, texts = bytearray(), 0, 0
    for at in range(0, len(data), step):
        buffer += data[at : at + step]
        came, kept = count_texts(buffer, 0, len(buffer))
        texts += came
        del buffer[:kept]
    assert not buffer
    assert texts == sum(opcode == TEXT for _, opcode in FRAMES.values())
