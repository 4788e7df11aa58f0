"""WebSocket as a client speaks it: the opening request, frames in and out. RFC 6455, 4.1 and 5.2.

Pure: bytes in, bytes out, no socket. Only what a benchmark needs: servers under measurement send
whole, unmasked frames, and what else comes is an error. Way in: opening, masked, read_frame.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from benchmarks.client import BadAnswer

TEXT, BINARY, CLOSE, PING, PONG = 0x1, 0x2, 0x8, 0x9, 0xA

_FINAL = 0x80
_MASKED = 0x80
# Lengths from here on stand in the two bytes that follow, or in eight.
_LENGTH_16, _LENGTH_64 = 126, 127
# XOR with zeros leaves the payload as it is. 5.3 wants keys that nobody can guess, which protects
# proxies from browsers; there is neither here.
_KEY = bytes(4)


class Frame(NamedTuple):
    """One frame. stop: where in the buffer the next one begins."""

    opcode: int
    payload: bytes
    stop: int


def opening(path: str) -> bytes:
    """Return the request that asks for a WebSocket; the key is that of RFC 6455, 1.3."""
    return (
        f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    ).encode()


def masked(payload: bytes, opcode: int = TEXT) -> bytes:
    """Return a whole frame as a client sends it. payload: at most 65,535 bytes."""
    head = bytes([_FINAL | opcode])
    if len(payload) < _LENGTH_16:
        return head + bytes([_MASKED | len(payload)]) + _KEY + payload
    return head + struct.pack("!BH", _MASKED | _LENGTH_16, len(payload)) + _KEY + payload


def read_frame(buffer: bytearray, at: int, end: int) -> Frame | None:
    """Return the frame that begins at buffer[at], None while buffer[:end] holds a part of it only.

    Raises BadAnswer for fragments, which no server here sends.
    """
    if end - at < 2:
        return None
    start, length = at + 2, buffer[at + 1]
    if length >= _LENGTH_16:
        start += 2 if length == _LENGTH_16 else 8
        if start > end:
            return None
        length = int.from_bytes(buffer[at + 2 : start])
    stop = start + length
    if stop > end:
        return None
    opcode = buffer[at] & 0x0F
    if not buffer[at] & _FINAL or not opcode:
        raise BadAnswer("a WebSocket message came in fragments")
    return Frame(opcode, bytes(buffer[start:stop]), stop)


def count_texts(buffer: bytearray, at: int, end: int) -> tuple[int, int]:
    """Return how many whole text frames buffer[at:end] holds, and where what follows begins.

    Frames of other kinds are passed over. Looks at the heads only, for a reader in a hurry.
    """
    texts = 0
    while end - at >= 2:
        start, length = at + 2, buffer[at + 1]
        if length == _LENGTH_16 and start + 2 <= end:
            length = buffer[start] << 8 | buffer[start + 1]
            start += 2
        elif length >= _LENGTH_16:
            frame = read_frame(buffer, at, end)
            if frame is None:
                break
            start, length = frame.stop, 0
        if start + length > end:
            break
        texts += buffer[at] == _FINAL | TEXT
        at = start + length
    return texts, at
