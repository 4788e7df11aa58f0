"""WebSocket frames as a server sends them: whole, unmasked and without extensions.

So a frame is the same bytes for every client: it is made once, and all clients share it. wsproto
makes control frames; a message is only a head in front of its bytes. whole_text reads the most
frequent frames without wsproto's parser, and leaves everything else to it. Pure: bytes in, bytes
out. Way in: text_frame, binary_frame, ping_frame, pong_frame, close_frame, whole_text. Source: RFC
6455, 5.2, 5.5 and 7.4.
"""

from __future__ import annotations

import struct

from wsproto.frame_protocol import FrameProtocol

# 5.5: a control frame's payload, of which a close's code takes two.
MAX_CONTROL_BYTES = 125
MAX_REASON_BYTES = MAX_CONTROL_BYTES - 2

# 7.4.1: what wsproto reports for a close without a code; it must not be sent.
NO_CODE = 1005

# 5.2: the first byte of a whole message, the markers of the longer lengths, and the mask bit.
_TEXT, _BINARY = 0x81, 0x82
_LENGTH_16, _LENGTH_64 = 126, 127
_MASKED = 0x80
_HEAD_16, _HEAD_64 = struct.Struct("!BBH"), struct.Struct("!BBQ")
# For longer messages the parser's share of the time is small.
MAX_WHOLE_BYTES = 4096

# Between two whole frames the parser has no state.
_WRITER = FrameProtocol(client=False, extensions=[])


def text_frame(payload: bytes) -> bytes:
    """Return a text message. payload: UTF-8."""
    return _head(_TEXT, len(payload)) + payload


def binary_frame(payload: bytes) -> bytes:
    """Return a binary message."""
    return _head(_BINARY, len(payload)) + payload


def _head(first: int, length: int) -> bytes:
    if length < _LENGTH_16:
        return bytes((first, length))
    if length < 1 << 16:
        return _HEAD_16.pack(first, _LENGTH_16, length)
    return _HEAD_64.pack(first, _LENGTH_64, length)


def whole_text(data: bytes) -> str | None:
    """Return the message if data is one text frame of a client, whole, short and right.

    Return None for anything else, valid or not: the parser has to read that.
    """
    if len(data) < 6 or data[0] != _TEXT or data[1] < _MASKED:
        return None
    start, length = 2, data[1] - _MASKED
    if length >= _LENGTH_16:
        start, length = 4, int.from_bytes(data[2:4])
        # 5.2: the least number of bytes has to be used; another length stands in eight bytes.
        if data[1] != _MASKED + _LENGTH_16 or not _LENGTH_16 <= length <= MAX_WHOLE_BYTES:
            return None
    if len(data) != start + 4 + length:
        return None
    key = data[start : start + 4] * (length // 4 + 1)
    masked = int.from_bytes(data[start + 4 :]) ^ int.from_bytes(key[:length])
    try:
        return masked.to_bytes(length).decode()
    except UnicodeDecodeError:
        return None


def ping_frame(payload: bytes = b"") -> bytes:
    """Return a ping. payload: at most MAX_CONTROL_BYTES, which the pong returns."""
    _check_size(payload)
    return bytes(_WRITER.ping(payload))


def pong_frame(payload: bytes) -> bytes:
    """Return the answer to a ping with this payload."""
    _check_size(payload)
    return bytes(_WRITER.pong(payload))


def close_frame(code: int, reason: str = "") -> bytes:
    """Return a close. reason: is cut to the space; with NO_CODE there is neither."""
    if code == NO_CODE:
        return bytes(_WRITER.close())
    text = reason.encode()[:MAX_REASON_BYTES].decode(errors="ignore")
    return bytes(_WRITER.close(code, text))


def _check_size(payload: bytes) -> None:
    if len(payload) > MAX_CONTROL_BYTES:
        raise ValueError(f"a control frame carries {MAX_CONTROL_BYTES} bytes, not {len(payload)}")
