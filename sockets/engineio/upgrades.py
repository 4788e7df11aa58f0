"""The transport WebSocket: sessions that begin on a WebSocket, and those that change to one.

Way in: talk, probe, leave. Source: https://github.com/socketio/engine.io-protocol, upgrading.
"""

from __future__ import annotations

from time import monotonic, sleep

from sockets.engineio.contract import TURN_S
from sockets.engineio.errors import BadPacket
from sockets.engineio.packets import (
    PING,
    PONG,
    SEPARATOR,
    UPGRADE,
    payload_frames,
    read_packet,
)
from sockets.engineio.polling import PollWriter
from sockets.engineio.session import TRANSPORT_CLOSE, TRANSPORT_ERROR, Session
from sockets.engineio.sessions import NOOP_PACKET, EngineSessions
from sockets.engineio.websocket import Talk, WebSocket

PROBE, PROBED = f"{PING}probe", f"{PONG}probe"
# How long a poll that is being answered may delay the change to WebSocket.
HAND_OVER_S = 2.0


def talk(sessions: EngineSessions, session: Session) -> Talk:
    """Handle the messages of a session until it is over."""
    try:
        while not session.closed:
            sessions.hear(session, read_packet((yield)))
    except BadPacket as error:
        sessions.refusals[error.code] += 1
        sessions.close(session, TRANSPORT_ERROR, error.close_code, str(error))
    finally:
        sessions.close(session, TRANSPORT_CLOSE)


def leave(websocket: WebSocket) -> Talk:
    """A talk that ends at once."""
    yield from ()


def probe(sessions: EngineSessions, session: Session, websocket: WebSocket) -> Talk:
    """Check that the WebSocket works; then change to it. Otherwise the polls continue."""
    polls = session.writer
    assert isinstance(polls, PollWriter)
    try:
        if (yield) != PROBE:
            return
        websocket.send_text(PROBED)
        # Ends the poll that waits; later packets are for the WebSocket.
        polls.hold(NOOP_PACKET.payload)
        if (yield) == str(UPGRADE) and not session.closed:
            _change_over(sessions, session, polls, websocket)
    finally:
        session.upgrade_by_s = None
        if not session.upgraded:
            session.websocket = None
            polls.hold(None)
    if session.upgraded:
        yield from talk(sessions, session)


def _change_over(
    sessions: EngineSessions, session: Session, polls: PollWriter, websocket: WebSocket
) -> None:
    ends_s = monotonic() + HAND_OVER_S
    while polls.is_polled and monotonic() < ends_s:
        # A client that follows the protocol waits for the end of its poll.
        sleep(TURN_S)
    if session.closed or polls.is_polled:
        return
    # No other greenlet has a turn from here on, so no packet is lost or comes twice.
    mail = polls.hand_over(NOOP_PACKET.payload)
    session.change_to(websocket)
    sessions.websockets += 1
    if mail:
        websocket.writer.send_control(payload_frames(SEPARATOR.encode().join(mail)))
    sessions.handlers.upgraded(session.sid)
