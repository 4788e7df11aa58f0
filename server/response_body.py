"""A response's body: it gives other clients their turn, and cannot be cut unseen.

Way in: ResponseBody.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable, Iterator
from contextlib import suppress
from time import monotonic

from server.monkey_patching import eventlet

# How long a response may run before the others have a turn; nothing holds the hub for 5 ms.
TURN_S = 0.005


class ResponseBody:
    """A response body that gives others their turn, and that cannot be cut unseen.

    A generator that never waits, read by a fast client, would hold the hub to its end: a write only
    waits when the socket is full. An HTTP/1.0 answer without a length ends by the close, so a cut
    answer looks complete unless the connection is reset; `reset_if_cut` is the socket to reset,
    None for HTTP/1.1. close() closes the application's iterable.
    """

    def __init__(self, parts: Iterable[bytes], reset_if_cut: socket.socket | None) -> None:
        self._parts = parts
        self._items = iter(parts)
        self._reset_if_cut = reset_if_cut
        self._underway = False
        self._turn_ends = monotonic() + TURN_S

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        if monotonic() >= self._turn_ends:
            eventlet.sleep(0)
            self._turn_ends = monotonic() + TURN_S
        try:
            item = next(self._items)
        except StopIteration:
            self._underway = False
            raise
        self._underway = True
        return item

    def close(self) -> None:
        try:
            if close := getattr(self._parts, "close", None):
                close()
        finally:
            if self._underway and self._reset_if_cut is not None:
                with suppress(OSError):
                    on, at_once = 1, 0
                    self._reset_if_cut.setsockopt(
                        socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", on, at_once)
                    )
                    self._reset_if_cut.close()
