"""Sends Socket.IO events: each is encoded and framed once, and written straight to every client.

Way in: Emitter.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from time import monotonic, sleep
from typing import Any

from sockets.engineio.contract import TURN_S
from sockets.engineio.members import MAX_HELD, Callback, Membership
from sockets.engineio.packets import Packet
from sockets.engineio.sessions import EngineSessions
from sockets.engineio.socketio_packets import event_packet


class Emitter:
    """See the module. undelivered: called with a session that is gone and the packet for it."""

    def __init__(self, sessions: EngineSessions) -> None:
        self._sessions = sessions
        self._emitting = threading.Lock()
        self._repeated: dict[tuple[str, str], Packet] = {}
        self.undelivered: Callable[[str, Packet], None] = _drop

    def emit(
        self,
        members: Sequence[Membership],
        event: str,
        arguments: list[Any],
        namespace: str,
        callback: Callback | None = None,
        *,
        volatile: bool = False,
    ) -> None:
        """Emit an event. callback: called with the data of a client's acknowledgement.

        volatile: busy clients are left out. An event to many clients waits for the one before it,
        and lets others have their turn.
        """
        if callback is not None:
            for member in members:
                ack_id = member.await_ack(callback)
                self._give(member, event_packet(event, arguments, namespace, ack_id))
            return
        if not members:
            return
        packet = event_packet(event, arguments, namespace)
        if len(members) == 1:
            self._give(members[0], packet, volatile)
            return
        with self._emitting:
            turn_ends_s = monotonic() + TURN_S
            for member in members:
                self._give(member, packet, volatile)
                if monotonic() > turn_ends_s:
                    sleep(0)
                    turn_ends_s = monotonic() + TURN_S

    def repeat(self, member: Membership, event: str, data: Any, namespace: str) -> None:
        """Emit to one client an event that is the same for all of them: it is encoded once."""
        packet = self._repeated.get((namespace, event))
        if packet is None:
            packet = self._repeated[namespace, event] = event_packet(event, [data], namespace)
        self._give(member, packet)

    def deliver(self, session_id: str, packet: Packet, volatile: bool = False) -> None:
        """Send a packet to a session. volatile: only if its client is not busy."""
        session = self._sessions.by_id.get(session_id)
        if session is None:
            self.undelivered(session_id, packet)
        elif volatile:
            session.try_send(packet)
        else:
            session.send(packet)

    def _give(self, member: Membership, packet: Packet, volatile: bool = False) -> None:
        if member.held is None:
            self.deliver(member.session, packet, volatile)
        elif not volatile and len(member.held) < MAX_HELD:
            member.held.append(packet)


def _drop(session_id: str, packet: Packet) -> None:
    """Do nothing: the client is gone."""
