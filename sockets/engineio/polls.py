"""The transport polling: GET waits for packets to the client, POST brings those from it.

Way in: poll, post. Source: https://github.com/socketio/engine.io-protocol, HTTP long-polling.
"""

from __future__ import annotations

from http import HTTPStatus
from time import monotonic

from sockets.engineio.contract import TURN_S, Environ, InputSchedule
from sockets.engineio.errors import BadPacket, BadSession
from sockets.engineio.packets import read_payload
from sockets.engineio.polling import PollWriter
from sockets.engineio.session import TRANSPORT_ERROR, Session
from sockets.engineio.sessions import EngineSessions
from sockets.engineio.unfinished import Unfinished


def poll(sessions: EngineSessions, session: Session, schedule: InputSchedule) -> bytes:
    """Wait for the answer to a poll, and return it. Raises BadSession."""
    writer = session.writer
    assert isinstance(writer, PollWriter)
    if writer.is_polled:
        sessions.close(session, TRANSPORT_ERROR)
        raise BadSession("a session is polled once at a time")
    is_told = session.closed or session.is_posting or session.upgrade_by_s is not None
    if monotonic() >= session.ends_s and not is_told and not writer.has_rest:
        sessions.send_back(session)
    answer = writer.poll(schedule.end)
    if session.closed and writer.is_over:
        sessions.forget(session)
    return answer


def post(
    sessions: EngineSessions,
    session: Session,
    environ: Environ,
    quota_key: str,
    schedule: InputSchedule,
    unfinished: Unfinished,
) -> None:
    """Read the body and handle its packets. Raises BadPacket, BadSession and Refused."""
    if session.is_posting:
        sessions.close(session, TRANSPORT_ERROR)
        raise BadSession("a session takes one POST at a time")
    session.is_posting = True
    most = sessions.options.max_payload_bytes
    # Read not beyond the end, where some servers wait for the next request; one byte more than
    # allowed.
    to_read = min(int(environ.get("CONTENT_LENGTH") or most + 1), most + 1)
    try:
        unfinished.keep(session, quota_key, min(to_read, most))
        stream = environ["wsgi.input"]
        with schedule.reading(stream):
            body = stream.read(to_read)
        if len(body) > most:
            text = f"a payload may have {most} bytes"
            raise BadSession(text, HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        turn_ends_s = schedule.go_on(quota_key, monotonic() + TURN_S)
        for packet in read_payload(body):
            if session.closed:
                break
            sessions.hear(session, packet)
            turn_ends_s = schedule.go_on(quota_key, turn_ends_s)
    except (BadPacket, BadSession):
        sessions.close(session, TRANSPORT_ERROR)
        raise
    finally:
        session.is_posting = False
        unfinished.forget(session)
