"""WebSocket frames as a server sends them: whole, unmasked and without extensions.

So a frame is the same bytes for every client: it is made once, by wsproto, and shared by the
fan-out. Pure: bytes in, bytes out. Way in: text_frame, binary_frame, ping_frame, pong_frame,
close_frame. Source: RFC 6455, 5.2, 5.5 and 7.4.
"""

from __future__ import annotations

from wsproto.frame_protocol import FrameProtocol

# 5.5: a control frame's payload, of which a close's code takes two.
MAX_CONTROL_BYTES = 125
MAX_REASON_BYTES = MAX_CONTROL_BYTES - 2

# 7.4.1: what wsproto reports for a close without a code; it must not be sent.
NO_CODE = 1005

# Between two whole frames it has no state of its own.
_WRITER = FrameProtocol(client=False, extensions=[])


def text_frame(payload: bytes) -> bytes:
    """Return a text message. payload: UTF-8."""
    return bytes(_WRITER.send_data(payload.decode(), fin=True))


def binary_frame(payload: bytes) -> bytes:
    """Return a binary message."""
    return bytes(_WRITER.send_data(payload, fin=True))


def ping_frame(payload: bytes = b"") -> bytes:
    """Return a ping. payload: at most MAX_CONTROL_BYTES, which come back in the pong."""
    _check_size(payload)
    return bytes(_WRITER.ping(payload))


def pong_frame(payload: bytes) -> bytes:
    """Return the answer to a ping with this payload."""
    _check_size(payload)
    return bytes(_WRITER.pong(payload))


def close_frame(code: int, reason: str = "") -> bytes:
    """Return a close. reason: is cut to what fits; with NO_CODE there is neither."""
    if code == NO_CODE:
        return bytes(_WRITER.close())
    text = reason.encode()[:MAX_REASON_BYTES].decode(errors="ignore")
    return bytes(_WRITER.close(code, text))


def _check_size(payload: bytes) -> None:
    if len(payload) > MAX_CONTROL_BYTES:
        raise ValueError(f"a control frame carries {MAX_CONTROL_BYTES} bytes, not {len(payload)}")
