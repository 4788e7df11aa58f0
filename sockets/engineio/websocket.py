"""A WebSocket on the connection of a client: whole messages in, frames out through its writer.

A talk handles the messages of a client. It is a generator that is sent each message; it runs in a
greenlet of its own while there is something to read, and no greenlet waits for that. All frames go
out through the writer, so no queue is here. An idle WebSocket is this object, its talk and its
writer: no greenlet, no timer, no buffer, no parser.

Way in: Acceptor.serve makes them. Source: RFC 6455; where it is open, the Autobahn test suite.
"""

from __future__ import annotations

import socket
from collections.abc import Generator
from contextlib import suppress
from time import monotonic, sleep
from typing import Any

from wsproto.frame_protocol import Frame, Opcode, ParseFailed

from sockets.engineio.contract import TURN_S, InputSchedule, MakeWriter, SocketConnection
from sockets.engineio.errors import Refused, TooManyFrames
from sockets.engineio.frames import (
    binary_frame,
    close_frame,
    pong_frame,
    text_frame,
    whole_text,
)
from sockets.engineio.message_parser import MessageParser, is_scrap
from sockets.engineio.tcp import shut_down
from sockets.engineio.unfinished import TOO_MUCH, Unfinished
from sockets.engineio.unsolicited import note_unsolicited

# The size of one read. Its buffer is allocated only while there is something to read.
READ_BYTES = 16 * 1024
# How long the client has for its part of the closing handshake.
CLOSE_S = 3.0
# How much is read after the server's close, so that no reset overtakes it.
DRAIN_BYTES = 2 * 1024 * 1024
DRAIN_READ_BYTES = 256 * 1024
# A read that took this long has waited, and so let the others run.
PAUSE_S = 0.0002

# 7.4.1
NORMAL, GOING_AWAY, ABNORMAL = 1000, 1001, 1006
TOO_BIG, INTERNAL_ERROR, TRY_AGAIN_LATER = 1009, 1011, 1013
# The code of a client that broke the protocol.
BAD_FRAME, MESSAGE_TOO_BIG = "bad_frame", "message_too_big"

# The handler of a WebSocket's messages: sent each message, closed when no more will come.
Talk = Generator[None, str | bytes, None]


class WebSocket:
    """One client's WebSocket; see the module. No action of a client raises an error here.

    writer: takes frames to the client. last_heard_s: when the last bytes of the client arrived, of
    a pong or anything else, on the monotonic clock. close_code: of the client's close, 1006 if it
    is gone without one; None before. connection: of the client. talk: see Acceptor.serve; None at
    the end.
    """

    __slots__ = (
        "__weakref__", "_close_by_s", "_is_cut", "_is_deaf", "_is_flushed", "_is_waiting",
        "_max_bytes", "_paid_until_s", "_parser", "_quota_key", "_schedule", "_turn_ends_s",
        "_unfinished", "close_code", "connection", "last_heard_s", "talk", "writer",
    )  # fmt: skip

    def __init__(
        self,
        connection: SocketConnection,
        quota_key: str,
        schedule: InputSchedule,
        unfinished: Unfinished,
        make_writer: MakeWriter,
        max_message_bytes: int,
    ) -> None:
        # Not bound methods: each would be one more object for each idle WebSocket.
        self.connection = connection
        self._quota_key = quota_key
        self._schedule = schedule
        self._unfinished = unfinished
        self._max_bytes = max_message_bytes
        # None between two messages, so nearly always.
        self._parser: MessageParser | None = None
        self._close_by_s: float | None = None
        # Further messages are dropped.
        self._is_deaf = False
        # The close was sent, and the socket has taken it.
        self._is_flushed = False
        # The connection is dropped.
        self._is_cut = False
        self._is_waiting = False
        self._turn_ends_s = 0.0
        # See note_unsolicited.
        self._paid_until_s = 0.0
        self.last_heard_s = monotonic()
        self.close_code: int | None = None
        self.writer = make_writer(connection, self.cut)
        self.talk: Talk | None = None

    def go_on(self) -> bool:
        """Let the talk handle the input; return whether to call this again when there is more.

        The first call begins the talk. An error of the talk is raised again, once the WebSocket is
        closed.
        """
        talk, has_begun = self.talk, self._is_waiting
        assert talk is not None
        self._is_waiting = False
        try:
            if not has_begun:
                next(talk)
            self._is_waiting = self._hear(talk, has_read=not has_begun)
            if self._is_waiting:
                return True
            talk.close()
        except StopIteration:
            pass
        except BaseException as error:
            # A BaseException ends the greenlet: the process stops.
            self._await_end(INTERNAL_ERROR if isinstance(error, Exception) else GOING_AWAY)
            raise
        self._await_end(NORMAL)
        return False

    def send_text(self, text: str) -> bool:
        """Send a text message; False if it will not arrive. Never waits."""
        return self.writer.send_control(text_frame(text.encode()))

    def send_bytes(self, data: bytes) -> bool:
        """Send a binary message; False if it will not arrive. Never waits."""
        return self.writer.send_control(binary_frame(data))

    def refused(self, code: str) -> None:
        """Count a refusal or a cut of the client."""
        self.connection.refused(code)

    def close(self, code: int = NORMAL, reason: str = "") -> None:
        """Send a close, the last frame. Never waits: the talk is closed soon."""
        if self._close_by_s is None:
            self._close_by_s = monotonic() + CLOSE_S
            self.writer.finish(close_frame(code, reason), self._sent_close)
            if self._is_waiting:
                # Another greenlet closes it; the reader's wait has no end of its own.
                self.connection.spawn(self._cut_in_time)

    def cut(self) -> None:
        """Drop the connection without a close frame: the talk is closed soon. Never waits."""
        if not self._is_cut:
            self._is_cut = self._is_deaf = True
            if self.close_code is None:
                self.close_code = ABNORMAL
            shut_down(self.connection.socket, socket.SHUT_RDWR)
            self.writer.close()

    def take_in(self, data: bytes) -> None:
        """Let the parser read bytes that have arrived."""
        if self._parser is None:
            self._parser = MessageParser(self._max_bytes)
        self._parser.receive(data)

    # Reading

    def _hear(self, talk: Talk, *, has_read: bool) -> bool:
        """Read once and send talk the whole messages; return whether there may be more.

        A client that never stops has its turns like all others. If the server does not call again
        when there is more to read, and while the end is awaited, this waits for input.
        """
        while not self._is_deaf:
            message = self._take_message()
            if message is None and not self._is_deaf:
                if has_read and self.connection.calls_back and self._close_by_s is None:
                    self._schedule.end()
                    return True
                message = self._read_on()
                has_read = True
            if message is not None:
                talk.send(message)
        self._end()
        return False

    def _take_message(self) -> str | bytes | None:
        """Return the next message that has arrived, None if there is none; answer pings."""
        if self._parser is None:
            return None
        pongs: list[bytes] = []
        try:
            message = self._next_message(self._parser, pongs)
        except ParseFailed as error:
            code = int(error.code)
            self._fail(code, str(error), MESSAGE_TOO_BIG if code == TOO_BIG else BAD_FRAME)
            message = None
        except TooManyFrames as error:
            self._fail(error.close_code, str(error), error.code)
            message = None
        except Refused as error:
            self._fail(TRY_AGAIN_LATER, str(error), TOO_MUCH)
            message = None
        if pongs:
            self.writer.send_control(b"".join(pongs))
        return message

    def _next_message(self, parser: MessageParser, pongs: list[bytes]) -> str | bytes | None:
        """Return the next message that has arrived, None if there is none.

        Raises ParseFailed, TooManyFrames, and Refused if there is no room for the rest.
        """
        for frame in parser.frames():
            self._take_turn()
            if frame.opcode.iscontrol() or is_scrap(frame):
                self._paid_until_s = note_unsolicited(self._paid_until_s)
            if frame.opcode is Opcode.PING:
                pongs.append(pong_frame(_bytes(frame)))
            elif frame.opcode is Opcode.CLOSE:
                self._hear_close(frame)
                break
            elif frame.opcode is not Opcode.PONG:
                message = parser.join(frame)
                if message is None:
                    parser.is_counted = True
                    self._unfinished.keep(self, self._quota_key, parser.unfinished_bytes)
                elif self._heard(parser):
                    return message
            if self._is_deaf:
                break
        return None

    def _heard(self, parser: MessageParser) -> bool:
        """Note that a message is whole; return whether it is still handled."""
        if parser.is_counted:
            parser.is_counted = False
            self._unfinished.forget(self)
        if self._close_by_s is None:
            return True
        # After the server's close the client may send on for a moment; nobody waits for that.
        self._paid_until_s = note_unsolicited(self._paid_until_s)
        return False

    def _hear_close(self, frame: Frame) -> None:
        code: Any = frame.payload[0]
        self.close_code = int(code)
        self._is_deaf = True
        if self._close_by_s is None:
            self.close(self.close_code)

    def _fail(self, code: int, reason: str, counted: str) -> None:
        """Close since the client broke the protocol: later bytes cannot be understood (7.1.7)."""
        if self._close_by_s is None:
            self.refused(counted)
        self._is_deaf = True
        if self.close_code is None:
            self.close_code = ABNORMAL
        self._drop_parser()
        self.close(code, reason)

    def _drop_parser(self) -> None:
        if self._parser is not None and self._parser.is_counted:
            self._unfinished.forget(self)
        self._parser = None

    def _read_on(self) -> str | None:
        """Wait for bytes; return the message if they are one, else pass them to the parser."""
        if self._parser is not None and self._parser.is_between_frames:
            self._parser = None
        data = self._read()
        if not data:
            self.cut()
            return None
        self.last_heard_s = monotonic()
        if self._parser is None and self._close_by_s is None and len(data) <= self._max_bytes // 4:
            text = whole_text(data)
            if text is not None:
                self._take_turn()
                return text
        self.take_in(data)
        return None

    def _read(self, size: int = READ_BYTES) -> bytes:
        """Wait for bytes and return them; none if the client is gone or its time is over."""
        self._schedule.end()
        asked_s = monotonic()
        if self._close_by_s is not None:
            if asked_s >= self._close_by_s:
                return b""
            with suppress(OSError):
                self.connection.socket.settimeout(self._close_by_s - asked_s)
        self._is_waiting = True
        try:
            data = self.connection.socket.recv(size)
        except OSError as error:
            self.connection.failed(error)
            return b""
        except (EOFError, ValueError):
            # The errors of eventlet and ssl for a socket that was closed meanwhile.
            return b""
        finally:
            self._is_waiting = False
        if monotonic() - asked_s > PAUSE_S:
            self._turn_ends_s = monotonic() + TURN_S
        return data

    def _take_turn(self) -> None:
        self._turn_ends_s = self._schedule.go_on(self._quota_key, self._turn_ends_s)

    # The end

    def _await_end(self, code: int) -> None:
        """Close the WebSocket if it is open, and wait for its end."""
        self.talk = None
        self.close(code)
        while not self._is_deaf:
            self._take_message()
            if not self._is_deaf:
                self._read_on()
        self._end()

    def _sent_close(self) -> None:
        self._is_flushed = True
        if self._is_deaf:
            # The client also learns from this that the WebSocket is over, and closes its side.
            shut_down(self.connection.socket, socket.SHUT_WR)

    def _end(self) -> None:
        """Wait until the last frame has arrived, then drop everything."""
        if not self._is_cut and not (self._is_flushed and self.close_code != ABNORMAL):
            if self._is_flushed:
                shut_down(self.connection.socket, socket.SHUT_WR)
            # A close while bytes are unread is a reset, which may overtake the last frame.
            left = DRAIN_BYTES
            while left > 0 and (data := self._read(DRAIN_READ_BYTES)):
                self._take_turn()
                left -= len(data)
        self._schedule.end()
        self.cut()
        self._drop_parser()
        ends_s = monotonic() + CLOSE_S
        while self.writer.busy and monotonic() < ends_s:
            # The reader waits in the socket: if the socket were closed meanwhile, it would wait for
            # ever.
            sleep(0.001)

    def _cut_in_time(self) -> None:
        sleep(CLOSE_S)
        self.cut()


def _bytes(frame: Frame) -> bytes:
    payload = frame.payload
    assert isinstance(payload, bytes)
    return payload
