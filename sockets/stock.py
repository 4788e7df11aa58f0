"""Where a reader's events go on Flask-SocketIO as it comes: through Engine.IO's own queue.

For comparison only (HEADWATER_FAN_OUT=stock): the queue has no bound. Way in: StockOutlet.
"""

from __future__ import annotations

from collections.abc import Callable

from sockets.packets import SEPARATOR
from topics.outlet import Source

_SEPARATOR = SEPARATOR.encode()


class StockOutlet:
    """An Outlet that takes everything. send: of engineio, with the client's id."""

    transport = "polling"
    busy = gone = False

    def __init__(self, send: Callable[[str], None]) -> None:
        self._send = send
        self._sources: list[Source] = []

    def offer(self, data: bytes) -> bool:
        for packet in data.split(_SEPARATOR):
            # Engine.IO puts the type of a message in front again.
            self._send(packet[1:].decode())
        return True

    def say(self, data: bytes) -> bool:
        return self.offer(data)

    def feed_from(self, source: Source, *, at_once: bool = True) -> None:
        self._sources.append(source)
        if at_once:
            self.wake()

    def forget(self, source: Source) -> None:
        self._sources.remove(source)

    def wake(self) -> None:
        for source in self._sources:
            while data := source.more():
                self.offer(data)

    def close(self) -> None:
        """The session is upstream's to close."""
