"""Watches all sessions: sends pings, and ends sessions that are over or have no client.

One thread for all: a session has no timer. Way in: Watch.
"""

from __future__ import annotations

import logging
import threading
from time import monotonic, sleep

from sockets.engineio.contract import TURN_S
from sockets.engineio.packets import PING, Packet
from sockets.engineio.session import (
    PING_TIMEOUT,
    TRANSPORT_CLOSE,
    TRANSPORT_ERROR,
    Session,
)
from sockets.engineio.sessions import EngineSessions

log = logging.getLogger(__name__)

PING_PACKET = Packet(str(PING))

# How often the sessions are checked: ten thousand take a millisecond. With short intervals, as in
# tests, they are checked more often.
WATCH_S = 1.0
WATCH_SHARE = 0.05

# The code of a missing pong.
SILENT = "silent"

# RFC 6455, 7.4.1
GOING_AWAY, PROTOCOL_ERROR = 1001, 1002


class Watch:
    """See the module."""

    def __init__(self, sessions: EngineSessions) -> None:
        self._sessions = sessions
        self._options = sessions.options
        self._is_started = False
        self._stopped = threading.Event()

    def start(self) -> None:
        """Begin to watch; a second call does nothing."""
        if not self._is_started:
            self._is_started = True
            threading.Thread(target=self._run, name="engine watch", daemon=True).start()

    def stop(self) -> None:
        self._stopped.set()

    def _run(self) -> None:
        """Check every session that is due, until stopped."""
        options = self._options
        spans_s = (options.ping_interval_s, options.ping_timeout_s, options.connect_timeout_s)
        tick_s = min(WATCH_S, *(span_s * WATCH_SHARE for span_s in spans_s))
        while not self._stopped.wait(tick_s):
            turn_ends_s = monotonic() + TURN_S
            for session in list(self._sessions.by_id.values()):
                now_s = monotonic()
                if now_s >= session.due_s:
                    try:
                        self.look_at(session)
                    except Exception:
                        log.exception("cannot check session=%s", session.sid)
                if now_s > turn_ends_s:
                    sleep(0)
                    turn_ends_s = monotonic() + TURN_S
            for session in list(self._sessions.awaited.values()):
                if monotonic() >= session.due_s:
                    self._sessions.forget(session)

    def look_at(self, session: Session) -> None:
        """Send a ping that is due, or end a session that is over."""
        now_s = monotonic()
        if session.writer.gone and not session.upgraded:
            self._sessions.close(session, TRANSPORT_ERROR)
        elif session.connect_by_s is not None and now_s >= session.connect_by_s:
            text = "connect to a namespace"
            self._sessions.close(session, TRANSPORT_CLOSE, PROTOCOL_ERROR, text)
        elif now_s >= session.ends_s and session.may_end():
            self._sessions.send_back(session)
        elif now_s >= session.next_s:
            self._ping_or_end(session, now_s)
        if session.upgrade_by_s is not None and now_s >= session.upgrade_by_s:
            session.upgrade_by_s = None
            if session.websocket is not None:
                session.websocket.cut()
        session.set_due()

    def _ping_or_end(self, session: Session, now_s: float) -> None:
        timeout_s = self._options.ping_timeout_s
        if session.awaits_pong:
            if not session.is_alive():
                self._sessions.refusals[SILENT] += 1
                self._sessions.close(session, PING_TIMEOUT, GOING_AWAY, "no pong came")
                return
            session.note_ping(now_s)
            session.next_s = now_s + timeout_s
        else:
            # On time, unless the hub was held for so long that clients would lose time for theirs.
            is_late = now_s - session.next_s > timeout_s / 2
            session.next_s = (now_s if is_late else session.next_s) + timeout_s
            session.awaits_pong = True
            session.send(PING_PACKET)
            session.note_ping(now_s)
