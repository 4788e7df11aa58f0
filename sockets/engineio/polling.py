"""Writes to a polling client, as a FrameWriter does to a socket.

A poll is answered with the packets that there are, or as soon as there is one. Between two polls
the client is busy: control messages wait in a mailbox with a limit, and a source keeps its cursor
and is called when the next poll comes. The writer takes payloads: packets joined by \\x1e.

Way in: PollWriter. Source: https://github.com/socketio/engine.io-protocol, HTTP long-polling.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable

from sockets.engineio.contract import EventSource
from sockets.engineio.packets import SEPARATOR

log = logging.getLogger(__name__)

# How much may wait for the next poll. A client that does not fetch it is cut off, and counted as
# UNREAD.
MAX_MAIL = 1024
MAX_MAIL_BYTES = 256 * 1024
UNREAD = "unread"
# How long a poll waits while polls are answered with a fixed packet.
HOLD_S = 0.1
# An answer is not longer than this, except for its last piece.
ANSWER_BYTES = 64 * 1024

_SEPARATOR = SEPARATOR.encode()


def _nothing() -> None:
    pass


class PollWriter:
    """One client's polls. on_gone: called once, when it was closed or cut off; must not wait.

    max_packets: how many the client takes in one answer, None for any number. busy: it takes no
    events now. gone: it never takes any again. overflowed: it was cut off since it did not fetch
    its messages. sent_bytes: the size of all answers to polls.
    """

    __slots__ = (
        "__weakref__", "_again", "_answer", "_held", "_is_told_last", "_last", "_mail",
        "_mail_bytes", "_max_packets", "_on_gone", "_rest", "_sources", "busy", "gone",
        "overflowed", "sent_bytes",
    )  # fmt: skip

    def __init__(self, on_gone: Callable[[], None], max_packets: int | None = None) -> None:
        self._on_gone = on_gone
        self._max_packets = max_packets
        self._sources: list[EventSource] = []
        self._mail: deque[bytes] = deque()
        self._mail_bytes = 0
        # Packets for which the last answer had no room.
        self._rest = b""
        # Data for the poll that waits, and the event that wakes it.
        self._answer: bytes | None = None
        self._again: threading.Event | None = None
        # The immediate answer to polls: during an upgrade, and after the end.
        self._held: bytes | None = None
        self._last: bytes | None = None
        self._is_told_last = False
        self.busy = True
        self.gone = False
        self.overflowed = False
        self.sent_bytes = 0

    @property
    def is_polled(self) -> bool:
        """Whether a poll is being answered."""
        return self._again is not None

    @property
    def is_over(self) -> bool:
        """Whether it is closed, and all data was fetched by polls."""
        return self._is_told_last and not self._rest

    @property
    def has_rest(self) -> bool:
        """Whether the last answer had no room for all packets."""
        return bool(self._rest)

    def try_send(self, data: bytes) -> bool:
        """Take data as a whole for the poll that waits; False if no poll waits. Never waits."""
        if self.busy or self.gone:
            return False
        self._answer = data
        self._wake_poll()
        return True

    def send_control(self, data: bytes) -> bool:
        """Take a control message: it goes out before any event that has not begun.

        Never waits. False if the client is gone, or was cut off now: more than MAX_MAIL messages or
        MAX_MAIL_BYTES wait to be fetched.
        """
        if self.gone:
            return False
        if len(self._mail) == MAX_MAIL or self._mail_bytes + len(data) > MAX_MAIL_BYTES:
            log.warning(
                "client cut off reason=unfetched_mail messages=%d bytes=%d",
                len(self._mail), self._mail_bytes,
            )  # fmt: skip
            self.overflowed = True
            self.close()
            return False
        self._mail.append(data)
        self._mail_bytes += len(data)
        self._wake_poll()
        return True

    def feed_from(self, source: EventSource, *, at_once: bool = True) -> None:
        """Call source for more from now on, whenever a poll has arrived.

        at_once: also for the poll that waits.
        """
        self._sources.append(source)
        if at_once:
            self.wake()

    def forget(self, source: EventSource) -> None:
        """Stop calling source."""
        if source in self._sources:
            self._sources.remove(source)

    def wake(self) -> None:
        """Make the poll that waits call the sources for more."""
        self._wake_poll()

    def close(self, last: bytes = b"") -> None:
        """Take no more data. last: sent to a poll that waits, behind the mail."""
        if not self.gone:
            self.gone = True
            self._last = _SEPARATOR.join([*self._mail, last]) if last else last
            self._drop_all()
            on_gone, self._on_gone = self._on_gone, _nothing
            on_gone()

    # The session's side

    def poll(self, end_turn: Callable[[], None] = _nothing) -> bytes:
        """Wait for data for a poll, and return it. One poll at a time.

        end_turn: called before it waits.
        """
        again = self._again = threading.Event()
        try:
            if self._held is not None:
                end_turn()
                again.wait(HOLD_S)
            while True:
                again.clear()
                if data := self._cut(self._next()):
                    self.sent_bytes += len(data)
                    return data
                if self._last is not None:
                    self._is_told_last = True
                    return self._cut(self._last)
                if self._held is not None:
                    return self._held
                if not again.is_set():
                    self.busy = False
                    end_turn()
                    again.wait()
                    self.busy = True
        finally:
            self.busy = True
            self._again = None

    def hold(self, answer: bytes | None) -> None:
        """Answer polls with this at once, and hold all other data; None ends this."""
        self._held = answer
        self._wake_poll()

    def hand_over(self, last: bytes) -> list[bytes]:
        """Become gone, without a call of on_gone; return the mail, in order.

        last: the answer to polls that come later.
        """
        mail = [self._rest, *self._mail] if self._rest else list(self._mail)
        self.gone = True
        self._last = last
        self._on_gone = _nothing
        self._drop_all()
        return mail

    def _next(self) -> bytes:
        """Return the data at hand: an event that was taken, mail, then a piece from each source."""
        if self._rest and self._held is None:
            rest, self._rest = self._rest, b""
            return rest
        parts = [] if self._answer is None else [self._answer]
        self._answer = None
        if self._held is not None:
            return b"".join(parts)
        size = 0
        while self._mail and size < ANSWER_BYTES:
            parts.append(self._mail.popleft())
            self._mail_bytes -= len(parts[-1])
            size += len(parts[-1])
        for source in list(self._sources):
            if size < ANSWER_BYTES and (data := source.more()):
                parts.append(data)
                size += len(data)
        if len(self._sources) > 1:
            # The next time another source has the turn.
            self._sources.append(self._sources.pop(0))
        return _SEPARATOR.join(parts)

    def _cut(self, payload: bytes) -> bytes:
        """Return as much of a payload as the client takes, and hold the rest."""
        if self._max_packets is None or payload.count(_SEPARATOR) < self._max_packets:
            return payload
        packets = payload.split(_SEPARATOR)
        self._rest = _SEPARATOR.join(packets[self._max_packets :])
        return _SEPARATOR.join(packets[: self._max_packets])

    def _drop_all(self) -> None:
        self._sources = []
        self._mail.clear()
        self._wake_poll()

    def _wake_poll(self) -> None:
        if self._again is not None:
            self.busy = True
            self._again.set()
