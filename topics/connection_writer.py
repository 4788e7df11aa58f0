"""Writes to a client's socket: bytes go straight to the socket while it takes them.

There is no queue: a writer holds the rest of one write, at most one chunk, which all its readers
share, and a limited number of control messages. While it is busy it takes no events; its source
keeps a cursor, and is called for more once the socket has taken the rest.

Way in: ConnectionWriter. Knows no protocol: its input is already framed. Everything is called on
the green threads of one process; a method that may wait says so.
"""

from __future__ import annotations

import logging
import socket
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from time import monotonic, sleep
from typing import Protocol

from wire.connection import Writable

log = logging.getLogger(__name__)

# How much may wait behind a full socket besides the rest: pings, acknowledgements, answers. A
# client that causes more than this without reading is cut off, and counted as UNREAD.
MAX_CONTROL_BYTES = 256 * 1024
UNREAD = "unread"

# How long one client is served before the others get a turn: with a quick client and a long history
# the socket never makes the writer wait.
TURN_S = 0.005

# How many unsent bytes the kernel may hold. By default it holds up to 4 MiB for each slow client
# (measured), which takes memory and delays pings; with this limit it is 256 KiB.
UNSENT_BYTES = 128 * 1024


class Source(Protocol):
    """The source of further bytes for a writer that has become free."""

    def more(self) -> bytes | None:
        """Return the next bytes, None if there are none: later ones are sent by try_send.

        May wait for a disk.
        """


class EventWriter(Protocol):
    """The destination of a reader's events: a ConnectionWriter, or a client's polls."""

    @property
    def busy(self) -> bool: ...

    @property
    def gone(self) -> bool: ...

    def try_send(self, data: bytes, /) -> bool: ...

    def send_control(self, data: bytes, /) -> bool: ...

    def feed_from(self, source: Source, /, *, at_once: bool = True) -> None: ...

    def forget(self, source: Source, /) -> None: ...

    def wake(self) -> None: ...

    def close(self) -> None: ...


class ConnectionWriter:
    """One client's socket; any greenlet may write to it, one at a time.

    client: its connection; only the pump waits in its socket. on_gone: called once, when the
    connection has failed or was closed; the owner closes the socket.

    busy: it takes no events now. gone: it never takes any again. sent_bytes: how much the socket
    has taken.
    """

    __slots__ = (
        "__weakref__", "_again", "_client", "_control", "_control_bytes", "_is_closed",
        "_on_finished", "_on_gone", "_rest", "_send_now", "_sources", "busy", "gone",
        "sent_bytes",
    )  # fmt: skip

    def __init__(self, client: Writable, on_gone: Callable[[], None]) -> None:
        self._client = client
        with suppress(OSError):
            client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_BYTES)
        self._send_now = client.send_now
        self._on_gone = on_gone
        self._on_finished = nothing
        self._is_closed = False
        self._sources: list[Source] = []
        self._rest: bytes | memoryview = b""
        self._control: deque[bytes] | None = None
        self._control_bytes = 0
        self._again = False
        self.busy = False
        self.gone = False
        self.sent_bytes = 0

    def try_send(self, data: bytes) -> bool:
        """Take data as a whole and send it as the socket allows; False if busy or gone.

        Never waits.
        """
        if self.busy or self.gone:
            return False
        if self._send_now is None:
            self._pump_later(data)
            return True
        try:
            sent = self._send_now(data)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            self._client.failed(error)
            self.close()
            return False
        self.sent_bytes += sent
        if sent < len(data):
            self._pump_later(memoryview(data)[sent:])
        return True

    def send_control(self, data: bytes) -> bool:
        """Take a control message: it goes out before any event that has not begun.

        Never waits. False if the client is gone, or was cut off now, since more than
        MAX_CONTROL_BYTES wait for it.
        """
        if self.try_send(data):
            return True
        if self.gone:
            return False
        if self._control_bytes + len(data) > MAX_CONTROL_BYTES:
            log.warning("client cut off reason=unread_control bytes=%d", self._control_bytes)
            self._client.refused(UNREAD)
            self.close()
            return False
        if self._control is None:
            self._control = deque()
        self._control.append(data)
        self._control_bytes += len(data)
        return True

    def feed_from(self, source: Source, *, at_once: bool = True) -> None:
        """Call source for more from now on, whenever the writer is free.

        at_once: also now; otherwise source has nothing now.
        """
        self._sources.append(source)
        if at_once:
            self.wake()

    def forget(self, source: Source) -> None:
        """Stop calling source."""
        if source in self._sources:
            self._sources.remove(source)

    def wake(self) -> None:
        """Call the sources for more, beside the caller; if a round runs, once more after it."""
        if self.busy:
            self._again = True
        elif not self.gone:
            self._pump_later(b"")

    def finish(self, data: bytes, on_finished: Callable[[], None]) -> None:
        """Send data as the last bytes; the sources are forgotten at once.

        on_finished: called when the socket has taken all data; if that fails, on_gone is called
        instead.
        """
        if self.gone:
            return
        self._sources = []
        if self.send_control(data):
            self.gone = True
            if self.busy:
                self._on_finished = on_finished
            else:
                on_finished()

    def close(self) -> None:
        """Take no more data. The owner closes the socket; on_gone is called."""
        if not self._is_closed:
            self._is_closed = self.gone = True
            self._rest, self._control, self._sources = b"", None, []
            # The sources may hold objects that hold this one.
            on_gone, self._on_gone, self._on_finished = self._on_gone, nothing, nothing
            on_gone()

    def _pump_later(self, rest: bytes | memoryview) -> None:
        self.busy = True
        self._rest = rest
        self._client.spawn(self._pump)

    def _pump(self) -> None:
        """Write the rest, control messages, and the sources' bytes, until there are no more."""
        turn_ends = monotonic() + TURN_S
        try:
            while not self._is_closed:
                data = self._rest or self._next()
                if data is None:
                    if self.gone:
                        self._on_finished()
                    if self.gone or not self._again:
                        return
                    self._again = False
                    continue
                self._rest = b""
                self._client.socket.sendall(data)
                self.sent_bytes += len(data)
                if monotonic() > turn_ends:
                    sleep(0)
                    turn_ends = monotonic() + TURN_S
        except OSError as error:
            self._client.failed(error)
            self.close()
        except Exception:
            log.exception("feeding a client failed")
            self.close()
        finally:
            self.busy = False

    def _next(self) -> bytes | None:
        """Return the next bytes to write, None if there are none."""
        if self._control:
            control = b"".join(self._control)
            self._control, self._control_bytes = None, 0
            return control
        for source in list(self._sources):
            if data := source.more():
                # The next time another source has the turn; this one may have been forgotten
                # meanwhile.
                with suppress(ValueError):
                    self._sources.remove(source)
                    self._sources.append(source)
                return data
            if self._control:
                return self._next()
        return None


def nothing() -> None:
    """Do nothing: the default callback."""
