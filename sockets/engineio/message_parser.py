"""What has come of a client's next message: frames, and the fragments before them.

wsproto reads the frames. Made when a client sends what is no whole short text, and dropped when
nothing is left over: an idle WebSocket has none. Way in: MessageParser. Source: RFC 6455, 5.4.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from wsproto.frame_protocol import CloseReason, Frame, FrameProtocol, ParseFailed

from sockets.engineio.unsolicited import SMALL_FRAGMENT_BYTES


class MessageParser:
    """max_bytes: how long a message may be. is_counted: its fragments are in Unfinished."""

    __slots__ = ("_fragments", "_max_bytes", "_protocol", "is_counted")

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._protocol = FrameProtocol(client=False, extensions=[])
        self._fragments: bytearray | None = None
        self.is_counted = False

    def receive(self, data: bytes) -> None:
        """Take bytes that have come."""
        self._protocol.receive_bytes(data)

    def frames(self) -> Iterator[Frame]:
        """Yield the frames that have come, a large one in parts. Raises ParseFailed."""
        return self._protocol.received_frames()

    def join(self, frame: Frame) -> str | bytes | None:
        """Take a part of a message; return it whole when it is. Raises ParseFailed."""
        part: Any = frame.payload
        is_whole = frame.message_finished and self._fragments is None
        if is_whole and len(part) <= self._max_bytes // 4:
            # Nearly always: four bytes a character are the most in UTF-8.
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
        """How much has come of a message that is not whole."""
        return len(self._fragments or b"")

    @property
    def is_between_frames(self) -> bool:
        """Whether nothing has come of the next message."""
        # Names that wsproto does not promise; a new parser is 4 us, one that idles 840 bytes.
        decoder = self._protocol._frame_decoder
        return self._fragments is None and decoder.header is None and not decoder.buffer


def is_scrap(frame: Frame) -> bool:
    """Tell whether it is a fragment so small that there is no reason for it."""
    is_fragment = frame.frame_finished and not frame.message_finished
    return is_fragment and len(frame.payload) < SMALL_FRAGMENT_BYTES
