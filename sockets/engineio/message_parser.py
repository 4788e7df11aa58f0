"""The part of a client's next message that has arrived: frames, and the fragments before them.

wsproto reads the frames. A parser is made when a client sends anything but a whole short text, and
dropped when no bytes are left over: an idle WebSocket has none. Way in: MessageParser. Source: RFC
6455, 5.4.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from wsproto.frame_protocol import CloseReason, Frame, FrameProtocol, ParseFailed

from sockets.engineio.unsolicited import SMALL_FRAGMENT_BYTES


class MessageParser:
    """max_bytes: the longest message. is_counted: its fragments are in Unfinished."""

    __slots__ = ("_fragments", "_max_bytes", "_protocol", "is_counted")

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._protocol = FrameProtocol(client=False, extensions=[])
        self._fragments: bytearray | None = None
        self.is_counted = False

    def receive(self, data: bytes) -> None:
        """Take bytes that have arrived."""
        self._protocol.receive_bytes(data)

    def frames(self) -> Iterator[Frame]:
        """Yield the frames that have arrived, a large one in parts. Raises ParseFailed."""
        return self._protocol.received_frames()

    def join(self, frame: Frame) -> str | bytes | None:
        """Take a part of a message; return the message when it is whole. Raises ParseFailed."""
        part: Any = frame.payload
        is_whole = frame.message_finished and self._fragments is None
        if is_whole and len(part) <= self._max_bytes // 4:
            # Nearly always so: four bytes a character are the most in UTF-8.
            whole: str | bytes = part
            return whole
        if self._fragments is None:
            self._fragments = bytearray()
        self._fragments += part.encode() if isinstance(part, str) else part
        if len(self._fragments) > self._max_bytes:
            text = f"a message may have {self._max_bytes} bytes"
            raise ParseFailed(text, CloseReason.MESSAGE_TOO_BIG)
        if not frame.message_finished:
            return None
        message, self._fragments = self._fragments, None
        return message.decode() if isinstance(part, str) else bytes(message)

    @property
    def unfinished_bytes(self) -> int:
        """How much of an incomplete message has arrived."""
        return len(self._fragments or b"")

    @property
    def is_between_frames(self) -> bool:
        """Whether no byte of the next message has arrived."""
        # wsproto does not promise these names; a new parser takes 4 us, an idle one 840 bytes.
        decoder = self._protocol._frame_decoder
        return self._fragments is None and decoder.header is None and not decoder.buffer


def is_scrap(frame: Frame) -> bool:
    """Tell whether the frame is a fragment that is smaller than any reason allows."""
    is_fragment = frame.frame_finished and not frame.message_finished
    return is_fragment and len(frame.payload) < SMALL_FRAGMENT_BYTES
