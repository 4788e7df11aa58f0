"""The clients of each Socket.IO namespace, and of its rooms.

A client has no room with its own sid, which would be 1.5 KB each. A client that leaves is searched
for only in its rooms. Way in: Members.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from sockets.engineio.packets import Packet

# How many packets are held for a client while its connect handler runs. This bounds a storm of
# broadcasts.
MAX_HELD = 100
# How many requested acknowledgements may be open.
MAX_CALLBACKS = 1000

Callback = Callable[..., Any]


class Membership:
    """A client in a namespace. session: its id in Engine.IO, sid: its id here.

    held: while it is connecting, the packets for it. is_leaving: its disconnect handler runs.
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

    @property
    def is_connected(self) -> bool:
        """Whether the client is neither connecting nor leaving."""
        return self.held is None and not self.is_leaving

    def await_ack(self, callback: Callback) -> int:
        """Return the number under which callback is called when the client acknowledges."""
        if self.callbacks is None:
            self.callbacks = {}
        if len(self.callbacks) == MAX_CALLBACKS:
            del self.callbacks[next(iter(self.callbacks))]
        self.acks += 1
        self.callbacks[self.acks] = callback
        return self.acks

    def acknowledge(self, ack_id: int, data: list[Any]) -> bool:
        """Call the callback of this acknowledgement; return whether there was one."""
        callback = (self.callbacks or {}).pop(ack_id, None)
        if callback is not None:
            callback(*data)
        return callback is not None


class _Namespace:
    """members: by sid. sids: by session. rooms: the sids in each, in the order of joining."""

    __slots__ = ("members", "rooms", "sids")

    def __init__(self) -> None:
        self.members: dict[str, Membership] = {}
        self.sids: dict[str, str] = {}
        self.rooms: dict[str, dict[str, None]] = {}


class Members:
    """See the module. new_id: returns an id that was never used."""

    def __init__(self, new_id: Callable[[], str]) -> None:
        self._new_id = new_id
        self._namespaces: dict[str, _Namespace] = {}

    def find(self, sid: str | None, namespace: str) -> Membership | None:
        """Return the client, also while it is connecting or leaving."""
        found = self._namespaces.get(namespace)
        return found.members.get(sid) if found and sid else None

    def sid_of(self, session: str, namespace: str) -> str | None:
        """Return the sid of an Engine.IO session in a namespace, None if it has none there."""
        found = self._namespaces.get(namespace)
        return found.sids.get(session) if found else None

    def sids_of(self, session: str) -> list[tuple[str, str]]:
        """Return (namespace, sid) for each namespace of an Engine.IO session."""
        found = self._namespaces.items()
        return [(name, each.sids[session]) for name, each in found if session in each.sids]

    def addressed(
        self, namespace: str, room: str | Iterable[str] | None, skip: str | Iterable[str] | None
    ) -> list[Membership]:
        """Return the clients that are addressed. room: a sid, a room, several, or None for all."""
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

    def add(self, session: str, namespace: str) -> Membership | None:
        """Add a session to a namespace, as connecting. None if it is already there."""
        found = self._namespaces.setdefault(namespace, _Namespace())
        if session in found.sids:
            return None
        member = Membership(self._new_id(), session)
        found.sids[session] = member.sid
        found.members[member.sid] = member
        return member

    def remove(self, sid: str, namespace: str) -> None:
        """Forget a client; a second call does nothing."""
        member = self.find(sid, namespace)
        if member is None:
            return
        for room in list(member.rooms or ()):
            self.leave_room(sid, namespace, room)
        found = self._namespaces[namespace]
        del found.members[sid], found.sids[member.session]
        if not found.members:
            del self._namespaces[namespace]

    # Rooms

    def enter_room(self, sid: str, namespace: str, room: str) -> None:
        member = self.find(sid, namespace)
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
        member = self.find(sid, namespace)
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

    def rooms_of(self, sid: str, namespace: str) -> list[str]:
        member = self.find(sid, namespace)
        return [] if member is None else [sid, *(member.rooms or ())]


def _sids_in(namespace: _Namespace, room: str) -> Iterable[str]:
    return [room] if room in namespace.members else list(namespace.rooms.get(room, ()))
