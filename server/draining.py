"""The end of a worker: running responses get time to end, then the remaining ones are cut.

Way in: drain, cut.
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import Any

from server.connections import Connections

# How often to check whether all connections are gone.
TICK_S = 0.1
# How long an application with on_drain has to close the connections that it took over, and to
# answer the last request that it awaits: a WebSocket's closing handshake gets three seconds.
CLOSING_S = 4.0
CUT_S = 1.0


def drain(
    connections: Connections,
    within_s: float,
    closes_itself: bool,
    is_hurried: Callable[[], bool],
    beat: Callable[[float], None],
) -> None:
    """Wait until running responses have ended, or their time is over; idle clients end at once.

    closes_itself: whether the application closes the connections that it took over. is_hurried:
    whether to wait no longer. beat: waits so many seconds, and sends the arbiter a heartbeat.
    """
    began_s = monotonic()
    while connections and monotonic() < began_s + within_s and not is_hurried():
        may_close = closes_itself and monotonic() < began_s + CLOSING_S
        for connection in connections:
            if connection.is_idle() and not (may_close and connection.is_closing()):
                connection.stop_reading()
        beat(TICK_S)


def cut(connections: Connections, log: Any, beat: Callable[[float], None]) -> None:
    """End every connection as it is; wait for them, but not for long."""
    if connections:
        log.warning("cut connections=%d", len(connections))
    connections.cut()
    ends_s = monotonic() + CUT_S
    while connections and monotonic() < ends_s:
        beat(TICK_S)
