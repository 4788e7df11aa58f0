"""Many clients in one process: WebSockets, Socket.IO over WebSocket, or plain HTTP streams.

It is lean, because it must receive more than any server sends: one epoll, one buffer, and `eat`
counts the bytes where they were received. It answers pings. Knows no benchmark.

It never sleeps in epoll, only between two calls. A process that sleeps in epoll is woken by the
first byte for any client, and over loopback the server's own write pays for that: a loop that
writes to 1,000 sleeping clients managed 36,000 to 53,000 writes/s, and 340,000 to 460,000 to
napping ones. Clients on other machines cost a server nothing of the kind. The price is NAP_S more
latency.

Way in: Crowd(address).join(count, dialogue), then turn() again and again.
"""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from benchmarks.client import Address, BadAnswer
from benchmarks.websocket import CLOSE, PING, PONG, TEXT, Frame, masked, opening, read_frame

# So many shake hands at a time: eventlet's servers listen with a backlog of 50, beyond which a
# connect is lost and tried again by the kernel a second later.
IN_FLIGHT = 32
# Served in one turn: a tenth of a crowd, so that a publisher between turns is not late.
MAX_READY = 100
BUFFER_BYTES = 256 * 1024
NAP_S = 0.001

# Engine.IO's ping and pong; an event of Socket.IO begins with 42 and can be mistaken for neither.
_ENGINE_PING, _ENGINE_PONG = b"2", b"3"
# Socket.IO's acknowledgement and its refused connect.
_ANSWERS = (b"43", b"44")


class Dialogue(NamedTuple):
    """How a client gets connected.

    path: of the request. steps: (a text's beginning, the reply to it); after the last the client is
    ready. accept: the media type of a plain HTTP stream; "" for a WebSocket.
    """

    path: str
    steps: Sequence[tuple[str, str]] = ()
    accept: str = ""


class Member:
    """One client.

    index: its place among those that joined with it. seq: the number of the event that it waits
    for, which `eat` counts. stage: -1 before the head of the answer, then the number of steps of
    its dialogue that are done. rest: the received part of the last frame. unsent: bytes that the
    socket has not taken.
    """

    __slots__ = ("dialogue", "index", "is_ready", "rest", "seq", "socket", "stage", "unsent")

    def __init__(self, index: int, connection: socket.socket, dialogue: Dialogue) -> None:
        self.index = index
        self.socket = connection
        self.dialogue = dialogue
        self.stage = -1
        self.is_ready = False
        self.seq = 0
        self.rest = b""
        self.unsent = b""


# (member, buffer, at, end) -> at: count what is known by heart, return where something else begins.
Eat = Callable[[Member, bytearray, int, int], int]
# (member, the frame as it came, its payload): each text that `eat` has left.
OnText = Callable[[Member, bytes, bytes], None]
# (member, bytes): what a client of a plain HTTP stream has received, as it came.
OnStream = Callable[[Member, bytes], None]


class Crowd:
    """Clients of one server. gone: how many the server, or an error, has disconnected."""

    def __init__(
        self,
        address: Address,
        *,
        eat: Eat | None = None,
        on_text: OnText | None = None,
        on_stream: OnStream | None = None,
    ) -> None:
        self.gone = 0
        self._address = address
        self._eat: Eat = eat or (lambda member, buffer, at, end: at)
        self._on_text: OnText = on_text or (lambda member, frame, payload: None)
        self._on_stream: OnStream = on_stream or (lambda member, data: None)
        self._epoll = select.epoll()
        self._members: dict[int, Member] = {}
        self._ready = 0
        self._buffer = bytearray(BUFFER_BYTES)
        self._view = memoryview(self._buffer)

    def join(self, count: int, dialogue: Dialogue, timeout_s: float) -> list[Member]:
        """Connect so many more clients; return them once all are ready.

        Raises BadAnswer when one is refused or cut, or when they take longer.
        """
        joined: list[Member] = []
        before, deadline_s = self._ready, time.monotonic() + timeout_s
        while (ready := self._ready - before) < count:
            for _ in range(min(count - len(joined), IN_FLIGHT - (len(joined) - ready))):
                joined.append(self._open(len(joined), dialogue))
            self.turn(0.1)
            if self.gone or time.monotonic() > deadline_s:
                raise BadAnswer(f"{ready} of {count} clients connected, {self.gone} were cut")
        return joined

    def say(self, member: Member, text: bytes) -> None:
        """Send a text, or what the socket takes of it; the rest follows in later turns."""
        self._send(member, masked(text))

    def turn(self, timeout_s: float) -> None:
        """Read what has come, for at most MAX_READY clients; nap if nothing has.

        timeout_s: how long a nap may be at most; it is over after NAP_S.
        """
        members, buffer, view = self._members, self._buffer, self._view
        ready = self._epoll.poll(0, MAX_READY)
        if not ready and timeout_s > 0:
            time.sleep(min(timeout_s, NAP_S))
        for descriptor, events in ready:
            member = members[descriptor]
            if events & select.EPOLLOUT:
                self._send(member, b"")
            if events == select.EPOLLOUT:
                continue
            kept = len(member.rest)
            try:
                received = member.socket.recv_into(view[kept:] if kept else buffer)
            except BlockingIOError:
                continue
            except OSError:
                received = 0
            if not received:
                self._lose(member)
                continue
            if kept:
                buffer[:kept] = member.rest
                member.rest = b""
            end = kept + received
            at = self._eat(member, buffer, 0, end) if member.is_ready else 0
            if at != end:
                self._read(member, at, end)

    def close(self) -> None:
        for member in self._members.values():
            member.socket.close()
        self._epoll.close()

    def _open(self, index: int, dialogue: Dialogue) -> Member:
        connection = socket.create_connection(self._address, timeout=10)
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        member = Member(index, connection, dialogue)
        self._members[connection.fileno()] = member
        self._epoll.register(connection.fileno(), select.EPOLLIN)
        if dialogue.accept:
            head = f"GET {dialogue.path} HTTP/1.1\r\nHost: localhost\r\nAccept: {dialogue.accept}"
            self._send(member, f"{head}\r\n\r\n".encode())
        else:
            self._send(member, opening(dialogue.path))
        return member

    def _send(self, member: Member, data: bytes) -> None:
        had_unsent, data = bool(member.unsent), member.unsent + data
        try:
            sent = member.socket.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            sent = len(data)  # it is gone, which the next read will say
        member.unsent = data[sent:]
        if bool(member.unsent) != had_unsent:
            wanted = select.EPOLLIN | (select.EPOLLOUT if member.unsent else 0)
            self._epoll.modify(member.socket.fileno(), wanted)

    def _lose(self, member: Member) -> None:
        self.gone += 1
        descriptor = member.socket.fileno()
        self._epoll.unregister(descriptor)
        del self._members[descriptor]
        member.socket.close()

    def _read(self, member: Member, at: int, end: int) -> None:
        """Read what is not known by heart, frame by frame."""
        buffer = self._buffer
        if member.stage < 0:
            at = self._read_head(member, end)
            if not at:
                member.rest = bytes(buffer[:end])
                return
        if member.dialogue.accept:
            self._on_stream(member, bytes(buffer[at:end]))
            return
        while at < end and (frame := read_frame(buffer, at, end)) is not None:
            if frame.opcode != TEXT:
                self._control(member, frame)
            elif not member.is_ready:
                self._go_on(member, frame.payload)
            elif frame.payload == _ENGINE_PING:
                self.say(member, _ENGINE_PONG)
            else:
                self._on_text(member, bytes(buffer[at : frame.stop]), frame.payload)
            at = self._eat(member, buffer, frame.stop, end) if member.is_ready else frame.stop
        member.rest = bytes(buffer[at:end])

    def _read_head(self, member: Member, end: int) -> int:
        """Return where the head of the answer ends, 0 while it is not whole."""
        stop = self._buffer.find(b"\r\n\r\n", 0, end) + 4
        if stop < 4:
            return 0
        status = b" 200 " if member.dialogue.accept else b" 101 "
        if status not in self._buffer[: self._buffer.find(b"\r\n")] + b" ":
            raise BadAnswer(f"{member.dialogue.path}: {bytes(self._buffer[:end])[:300]!r}")
        self._advance(member)
        return stop

    def _go_on(self, member: Member, text: bytes) -> None:
        expected, answer = member.dialogue.steps[member.stage]
        if text.startswith(expected.encode()):
            if answer:
                self.say(member, answer.encode())
            self._advance(member)
        elif text.startswith(_ANSWERS):
            raise BadAnswer(f"wanted {expected}, got {text[:300]!r}")

    def _advance(self, member: Member) -> None:
        member.stage += 1
        if member.stage == len(member.dialogue.steps):
            member.is_ready = True
            self._ready += 1

    def _control(self, member: Member, frame: Frame) -> None:
        if frame.opcode == PING:
            self._send(member, masked(frame.payload, PONG))
        elif frame.opcode == CLOSE:
            self._send(member, masked(frame.payload, CLOSE))
