"""Binary events that wait for their attachments, with a limit for all. Way in: HalfEvents."""

from __future__ import annotations

from typing import NamedTuple

from sockets.engineio.contract import Admission
from sockets.engineio.errors import BadPacket, NoRoom, Refused
from sockets.engineio.socketio_packets import PacketHead
from sockets.engineio.unfinished import Unfinished


class HalfEvent(NamedTuple):
    """A binary packet that waits for its attachments: its text in UTF-8."""

    head: PacketHead
    text: bytes
    attachments: list[bytes]

    def size(self) -> int:
        return len(self.text) + sum(map(len, self.attachments))


class HalfEvents:
    """At most one event a session. max_bytes: the longest event with its attachments."""

    def __init__(self, admission: Admission, unfinished: Unfinished, max_bytes: int) -> None:
        self._admission = admission
        self._unfinished = unfinished
        self._max_bytes = max_bytes
        self._halves: dict[str, HalfEvent] = {}

    def __contains__(self, session_id: str) -> bool:
        return session_id in self._halves

    def begin(self, session_id: str, head: PacketHead, text: str) -> None:
        """Store an event until its attachments have arrived. Raises BadPacket."""
        self._keep(session_id, HalfEvent(head, text.encode(), []))

    def attach(self, session_id: str, data: bytes) -> HalfEvent | None:
        """Take an attachment; return the event when it is whole. Raises BadPacket."""
        half = self._halves.get(session_id)
        if half is None:
            raise BadPacket("bytes belong to an event that has announced them")
        half.attachments.append(data)
        if len(half.attachments) < half.head.attachments:
            self._keep(session_id, half)
            return None
        self._check_size(half)
        self.drop(session_id)
        return half

    def drop(self, session_id: str) -> None:
        """Forget an incomplete event; a second call does nothing."""
        self._halves.pop(session_id, None)
        self._unfinished.forget(session_id)

    def _keep(self, session_id: str, half: HalfEvent) -> None:
        self._check_size(half)
        try:
            quota_key = self._admission.quota_key_of(session_id)
            self._unfinished.keep(session_id, quota_key, half.size())
        except Refused as error:
            raise NoRoom(error) from error
        self._halves[session_id] = half

    def _check_size(self, half: HalfEvent) -> None:
        if half.size() > self._max_bytes:
            raise BadPacket(f"an event may have {self._max_bytes} bytes with its attachments")
