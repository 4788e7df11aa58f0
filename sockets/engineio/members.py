"""Who is connected to which Socket.IO namespace, and in which rooms.

It keeps the interface of socketio.Manager and none of its storage: that has a room of its own for
each client, 1.5 KB, and walks through all of them when one leaves. Way in: Members, which is the
client_manager of sockets/engine.py's server.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import socketio

from sockets.engineio.packets import Packet

log = logging.getLogger(__name__)

# What a client is sent while its connect handler still runs. A broadcast storm ends there.
MAX_HELD = 100
# Acknowledgements that were asked for and never came.
MAX_CALLBACKS = 1000

Callback = Callable[..., Any]


class Member:
    """A client in a namespace. session: its id in Engine.IO, sid: its id here.

    held: while it is connecting, what is sent to it then. is_leaving: its disconnect handler runs.
    """

    __slots__ = ("acks", "callbacks", "held", "is_leaving", "rooms", "session", "sid")

    def __init__(self, sid: str, session: str) -> None:
        self.sid = sid
        self.session = session
        self.held: list[Packet] | None = []
        self.is_leaving = False
        self.rooms: set[str] | None = None
        self.callbacks: dict[int, Callback] | None = None
        self.acks = 0


class _Namespace:
    """members: by sid. sids: by session. rooms: the sids in each, in the order of joining."""

    __slots__ = ("members", "rooms", "sids")

    def __init__(self) -> None:
        self.members: dict[str, Member] = {}
        self.sids: dict[str, str] = {}
        self.rooms: dict[str, dict[str, None]] = {}


class Members(socketio.Manager):  # type: ignore[misc]
    """See the module; the methods are socketio.Manager's where nothing else is said."""

    def __init__(self) -> None:
        super().__init__()
        self._namespaces: dict[str, _Namespace] = {}

    # Ours

    def member(self, sid: str, namespace: str) -> Member | None:
        """Return the client, also while it is connecting or leaving."""
        found = self._namespaces.get(namespace)
        return found.members.get(sid) if found else None

    def sids_of(self, session: str) -> list[tuple[str, str]]:
        """Return (namespace, sid) for each namespace that an Engine.IO session is in."""
        found = self._namespaces.items()
        return [(name, each.sids[session]) for name, each in found if session in each.sids]

    def addressed(
        self, namespace: str, room: str | Iterable[str] | None, skip: str | Iterable[str] | None
    ) -> list[Member]:
        """Return who is meant. room: a sid, a room, several, or None for all; skip: sids."""
        found = self._namespaces.get(namespace)
        if found is None:
            return []
        if room is None:
            members = list(found.members.values())
        else:
            rooms = [room] if isinstance(room, str) else room
            sids = dict.fromkeys(sid for name in rooms for sid in _sids_in(found, name))
            members = [found.members[sid] for sid in sids]
        skipped = {skip} if isinstance(skip, str) else set(skip or ())
        return [member for member in members if member.sid not in skipped] if skipped else members

    # Connecting

    def get_namespaces(self) -> Iterable[str]:
        return self._namespaces.keys()

    def get_participants(self, namespace: str, room: Any) -> Iterator[tuple[str, str]]:
        for member in self.addressed(namespace, room, None):
            yield member.sid, member.session

    def pre_connect(self, eio_sid: str, namespace: str) -> str | None:
        found = self._namespaces.setdefault(namespace, _Namespace())
        if eio_sid in found.sids:
            return None
        sid: str = self.server.eio.generate_id()
        found.sids[eio_sid] = sid
        found.members[sid] = Member(sid, eio_sid)
        return sid

    def connect(self, sid: str, namespace: str) -> str:
        member = self.member(sid, namespace)
        if member is not None:
            member.held = None
        return sid

    def is_connected(self, sid: str, namespace: str) -> bool:
        member = self.member(sid, namespace)
        return member is not None and member.held is None and not member.is_leaving

    def can_disconnect(self, sid: str, namespace: str) -> bool:
        return self.is_connected(sid, namespace)

    def sid_from_eio_sid(self, eio_sid: str, namespace: str) -> str | None:
        found = self._namespaces.get(namespace)
        return found.sids.get(eio_sid) if found else None

    def eio_sid_from_sid(self, sid: str, namespace: str) -> str | None:
        member = self.member(sid, namespace)
        return member.session if member else None

    def pre_disconnect(self, sid: str, namespace: str) -> str | None:
        member = self.member(sid, namespace)
        if member is None:
            return None
        member.is_leaving = True
        return member.session

    def disconnect(self, sid: str, namespace: str, **options: Any) -> None:
        member = self.member(sid, namespace)
        if member is None:
            return
        for room in list(member.rooms or ()):
            self.leave_room(sid, namespace, room)
        found = self._namespaces[namespace]
        del found.members[sid], found.sids[member.session]
        if not found.members:
            del self._namespaces[namespace]

    # Rooms

    def enter_room(self, sid: str, namespace: str, room: str, eio_sid: str | None = None) -> None:
        member = self.member(sid, namespace)
        if member is None:
            raise ValueError("sid is not connected to requested namespace")
        if room == sid:
            return
        found = self._namespaces[namespace]
        if room in found.members:
            raise ValueError("cannot enter a sid room")
        found.rooms.setdefault(room, {})[sid] = None
        if member.rooms is None:
            member.rooms = set()
        member.rooms.add(room)

    def leave_room(self, sid: str, namespace: str, room: str) -> None:
        member = self.member(sid, namespace)
        if member is None or not member.rooms or room not in member.rooms:
            return
        member.rooms.remove(room)
        rooms = self._namespaces[namespace].rooms
        del rooms[room][sid]
        if not rooms[room]:
            del rooms[room]

    def close_room(self, room: str, namespace: str) -> None:
        found = self._namespaces.get(namespace)
        if found is not None:
            for sid in list(found.rooms.get(room, ())):
                self.leave_room(sid, namespace, room)

    def get_rooms(self, sid: str, namespace: str) -> list[str]:
        member = self.member(sid, namespace)
        return [] if member is None else [sid, *(member.rooms or ())]

    # Acknowledgements of clients

    def await_ack(self, member: Member, callback: Callback) -> int:
        """Return the number under which callback is called when the client acknowledges."""
        if member.callbacks is None:
            member.callbacks = {}
        if len(member.callbacks) == MAX_CALLBACKS:
            del member.callbacks[next(iter(member.callbacks))]
        member.acks += 1
        member.callbacks[member.acks] = callback
        return member.acks

    def trigger_callback(self, sid: str, id: int, data: list[Any]) -> None:  # noqa: A002
        member = self.member(sid, "/")
        if member is not None:
            self.acknowledge(member, id, data)

    def acknowledge(self, member: Member, ack_id: int, data: list[Any]) -> bool:
        """Call what waits for this acknowledgement; return whether anything did."""
        callback = (member.callbacks or {}).pop(ack_id, None)
        if callback is not None:
            callback(*data)
        return callback is not None

    # Sending

    def emit(
        self,
        event: str,
        data: Any,
        namespace: str,
        room: Any = None,
        skip_sid: Any = None,
        callback: Callback | None = None,
        to: Any = None,
        **options: Any,
    ) -> None:
        members = self.addressed(namespace, to or room, skip_sid)
        self.server.emit_to(members, event, data, namespace, callback)


def _sids_in(namespace: _Namespace, room: str) -> Iterable[str]:
    return [room] if room in namespace.members else list(namespace.rooms.get(room, ()))
