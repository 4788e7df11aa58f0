"""A WebSocket on the connection of a client: whole messages in, frames out through its writer.

The opening handshake is answered on the client's own socket. What comes then is heard by a talk, a
generator that is sent each message; it runs in a greenlet of its own while there is something to
read, and none waits for that. Everything that is sent goes through the writer, so nothing is
queued here. An idle one is this object, its talk and its writer: no greenlet, no timer, no buffer,
no parser.

Way in: serve, accept. Frames are read by wsproto, but for whole short texts. Source: RFC 6455; what
that leaves open is read as the Autobahn test suite does.
"""

from __future__ import annotations

import os
import socket
from array import array
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import suppress
from fcntl import ioctl
from termios import TIOCOUTQ
from time import monotonic, sleep
from types import TracebackType
from typing import Any, Self

from wsproto.frame_protocol import Frame, FrameProtocol, Opcode, ParseFailed

from auth import SocketLimits
from auth.access import TooMany
from auth.request_scheduler import TURN_S, end_turn
from auth.unfinished import TOO_MUCH
from sockets.engineio.errors import NoConnection, TooManyFrames
from sockets.engineio.frames import (
    binary_frame,
    close_frame,
    ping_frame,
    pong_frame,
    text_frame,
    whole_text,
)
from sockets.engineio.handshake import answer_handshake
from sockets.engineio.unsolicited import SMALL_FRAGMENT_BYTES, note_unsolicited
from topics.connection_writer import ConnectionWriter
from wire.connection import ClientConnection, connection_of

# What a client may say at once: an event of 64 KiB and what is around it.
MAX_MESSAGE_BYTES = 65 * 1024
# One read. It is allocated only while there is something to read.
READ_BYTES = 16 * 1024
# How long the other side has for its part of the closing handshake.
CLOSE_S = 3.0
# What is read behind our close, so that no reset overtakes it.
DRAIN_BYTES = 2 * 1024 * 1024
DRAIN_READ_BYTES = 256 * 1024
# A read that took this long has waited, and so let the others run.
PAUSE_S = 0.0002

# 7.4.1
NORMAL, GOING_AWAY, ABNORMAL, POLICY_VIOLATION = 1000, 1001, 1006, 1008
TOO_BIG, INTERNAL_ERROR, TRY_AGAIN_LATER = 1009, 1011, 1013
# How it is counted that a client broke the protocol.
BAD_FRAME, MESSAGE_TOO_BIG = "bad_frame", "message_too_big"

# What is said on a WebSocket: sent each message, closed when no more will come.
Talk = Generator[None, str | bytes, None]


def accept(
    environ: Mapping[str, Any],
    owner: str,
    socket_limits: SocketLimits,
    headers: Iterable[tuple[str, str]] = (),
    max_message_bytes: int = MAX_MESSAGE_BYTES,
) -> WebSocket:
    """Answer a request for a WebSocket and take its connection over.

    environ: the request's. owner: to whom what the client says is counted; it is heard in turns of
    the owner, as socket_limits has them, and a message that receive returns is answered in one.
    headers: more fields for the answer. max_message_bytes: a client that sends a longer message is
    closed with 1009. The caller enters the WebSocket (`with`), and calls receive until it returns
    None; what its view returns afterwards is not sent.

    Raises BadHandshake and NoConnection before anything is sent.
    """
    return _accept(environ, owner, socket_limits, headers, max_message_bytes, None)


def serve(
    environ: Mapping[str, Any],
    talk: Callable[[WebSocket], Talk],
    owner: str,
    socket_limits: SocketLimits,
    headers: Iterable[tuple[str, str]] = (),
    max_message_bytes: int = MAX_MESSAGE_BYTES,
    first: bytes = b"",
) -> WebSocket:
    """Do as accept, and call talk with the WebSocket when the view has returned.

    talk: returns a generator, which begins then; its `yield` returns the next message. It may wait
    for other things in between. Nothing of the request is kept while the WebSocket is open (there
    is no flask.request in talk), nor a greenlet, whose stacks take 7 KB. It is closed when the
    generator ends, with 1011 when that raises. first: frames that go out together with the answer.
    """
    return _accept(environ, owner, socket_limits, headers, max_message_bytes, talk, first)


def _accept(
    environ: Mapping[str, Any],
    owner: str,
    socket_limits: SocketLimits,
    headers: Iterable[tuple[str, str]],
    max_message_bytes: int,
    talk: Callable[[WebSocket], Talk] | None,
    first: bytes = b"",
) -> WebSocket:
    request_id = environ.get("headwater.request_id")
    named = [("X-Request-ID", request_id)] if request_id else []
    answer = answer_handshake(environ, [*headers, *named])
    client = connection_of(environ)
    if client is None:
        raise NoConnection("WebSockets need the server that gunicorn.conf.py starts")
    websocket = WebSocket(client, owner, socket_limits, max_message_bytes)
    if early := client.take_early():
        websocket.take_in(early)
    if talk is None:
        client.take_over()
    else:
        websocket.talk = talk(websocket)
        client.take_over(websocket.go_on)
    websocket.writer.send_control(answer + first)
    return websocket


class FrameWriter(ConnectionWriter):
    """A writer that takes frames."""

    __slots__ = ()

    transport = "websocket"


class WebSocket:
    """One client's WebSocket; see the module. Nothing that a client does raises an error here.

    writer: what is to be sent goes there, as frames. last_heard_s: when something came from the
    client last, a pong or anything else, on the monotonic clock. close_code: what the client closed
    with, 1006 when it is gone without a word; None before. talk: see serve; None of accept, and
    at the end.
    """

    __slots__ = (
        "__weakref__",
        "_client",
        "_close_by_s",
        "_is_cut",
        "_is_deaf",
        "_is_flushed",
        "_is_waiting",
        "_max_bytes",
        "_owner",
        "_paid_until_s",
        "_partial",
        "_protocol",
        "_socket",
        "_socket_limits",
        "_turn_ends_s",
        "close_code",
        "last_heard_s",
        "talk",
        "writer",
    )  # fmt: skip

    def __init__(
        self,
        client: ClientConnection,
        owner: str,
        socket_limits: SocketLimits,
        max_message_bytes: int,
    ) -> None:
        self._socket = client.socket
        self._owner = owner
        self._socket_limits = socket_limits
        # Not its methods: each would be one more object for each that idles.
        self._client = client
        self._max_bytes = max_message_bytes
        # What has come of a message in fragments.
        self._partial: bytearray | None = None
        # None between two messages, which is nearly always.
        self._protocol: FrameProtocol | None = None
        self._close_by_s: float | None = None
        # Nothing that comes is listened to any more.
        self._is_deaf = False
        # The close was said, and the socket has taken it.
        self._is_flushed = False
        # The connection is dropped.
        self._is_cut = False
        self._is_waiting = False
        self._turn_ends_s = 0.0
        # See sockets.engineio.unsolicited.
        self._paid_until_s = 0.0
        self.last_heard_s = monotonic()
        self.close_code: int | None = None
        self.writer = FrameWriter(client, self.cut)
        self.talk: Talk | None = None

    def receive(self) -> str | bytes | None:
        """Wait for the next message and return it whole; None when there will be no more.

        Pings are answered, a close is too. After None everything is over: the connection is lost,
        or both sides have said that they close, or the client took too long for that.
        """
        while not self._is_deaf:
            message = self._take_message()
            if message is None and not self._is_deaf:
                message = self._read_on()
            if message is not None:
                return message
        self._end()
        return None

    def go_on(self) -> bool:
        """Have the talk hear what there is to read; return whether to be called when there is more.

        The first time it begins. What it raises is raised, once the WebSocket is closed.
        """
        talk, has_begun = self.talk, self._is_waiting
        assert talk is not None
        self._is_waiting = False
        with self:
            try:
                if not has_begun:
                    next(talk)
                self._is_waiting = self._hear(talk, has_read=not has_begun)
                if self._is_waiting:
                    return True
                talk.close()
            except StopIteration:
                pass
        return False

    def _hear(self, talk: Talk, *, has_read: bool) -> bool:
        """Read once and send talk the messages that are whole; return whether there may be more.

        So a client that never stops has its turns like all others. Where nobody would say that
        there is more to read, and while the end is awaited, this waits for it.
        """
        while not self._is_deaf:
            message = self._take_message()
            if message is None and not self._is_deaf:
                if has_read and self._client.calls_back and self._close_by_s is None:
                    end_turn()
                    return True
                message = self._read_on()
                has_read = True
            if message is not None:
                talk.send(message)
        self._end()
        return False

    def send_text(self, text: str) -> bool:
        """Send a text message; False when it will not arrive. Never waits."""
        return self.writer.send_control(text_frame(text.encode()))

    def send_bytes(self, data: bytes) -> bool:
        """Send a binary message; False when it will not arrive. Never waits."""
        return self.writer.send_control(binary_frame(data))

    def ping(self, payload: bytes = b"") -> bool:
        """Say a ping; that it was answered shows in last_heard_s."""
        return self.writer.send_control(ping_frame(payload))

    def refused(self, code: str) -> None:
        """Count that the client was refused something, or was cut off; see wire.connection."""
        self._client.refused(code)

    def undelivered_bytes(self) -> int:
        """Return how much the other side's machine has not taken yet of what the socket has."""
        count = array("i", [0])
        with suppress(OSError, ValueError):
            ioctl(self._socket.fileno(), TIOCOUTQ, count)
        return count[0]

    def close(self, code: int = NORMAL, reason: str = "") -> None:
        """Say that it closes, the last that is sent. Never waits: receive returns None soon."""
        if self._close_by_s is None:
            self._close_by_s = monotonic() + CLOSE_S
            self.writer.finish(close_frame(code, reason), self._said_close)
            if self._is_waiting:
                # Another one closes it; the reader's wait has no end of its own.
                self._client.spawn(self._cut_in_time)

    def cut(self) -> None:
        """Drop the connection without a word: receive returns None soon. Never waits."""
        if not self._is_cut:
            self._is_cut = self._is_deaf = True
            if self.close_code is None:
                self.close_code = ABNORMAL
            self._shut(socket.SHUT_RDWR)
            self.writer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close it if it is open, and see it to its end; not while it only waits."""
        if self._is_waiting:
            return
        self.talk = None
        if kind is None:
            self.close(NORMAL)
        else:
            # What is no Exception ends the greenlet: the process stops.
            self.close(INTERNAL_ERROR if issubclass(kind, Exception) else GOING_AWAY)
        while self.receive() is not None:
            pass

    # Reading

    def _take_message(self) -> str | bytes | None:
        """Return the next message that has arrived, None when there is none; answer pings."""
        if self._protocol is None:
            return None
        pongs: list[bytes] = []
        message = self._next_message(self._protocol, pongs)
        if pongs:
            self.writer.send_control(b"".join(pongs))
        return message

    def _next_message(self, protocol: FrameProtocol, pongs: list[bytes]) -> str | bytes | None:
        """Return the next message that has arrived, None when there is none; or it is over."""
        try:
            for frame in protocol.received_frames():
                self._take_turn()
                if frame.opcode.iscontrol() or _is_scrap(frame):
                    self._paid_until_s = note_unsolicited(self._paid_until_s)
                if frame.opcode is Opcode.PING:
                    pongs.append(pong_frame(_bytes(frame)))
                elif frame.opcode is Opcode.CLOSE:
                    self._hear_close(frame)
                    break
                elif frame.opcode is not Opcode.PONG:
                    message = self._join(frame)
                    if message is not None:
                        return message
                if self._is_deaf:
                    break
        except ParseFailed as error:
            code = int(error.code)
            self._fail(code, str(error), MESSAGE_TOO_BIG if code == TOO_BIG else BAD_FRAME)
        except TooManyFrames as error:
            self._fail(error.close_code, str(error), error.code)
        return None

    def _join(self, frame: Frame) -> str | bytes | None:
        """Take a part of a message; return it whole when it is."""
        part: Any = frame.payload
        is_whole = frame.message_finished and self._partial is None
        if is_whole and len(part) <= self._max_bytes // 4:
            # Nearly always: four bytes a character are the most in UTF-8.
            return self._heard(part)
        if self._partial is None:
            self._partial = bytearray()
        self._partial += part.encode() if isinstance(part, str) else part
        if len(self._partial) > self._max_bytes:
            self._forget_partial()
            text = f"a message may have {self._max_bytes} bytes"
            self._fail(TOO_BIG, text, MESSAGE_TOO_BIG)
            return None
        if not frame.message_finished:
            self._keep_partial(len(self._partial))
            return None
        whole = self._partial
        self._forget_partial()
        return self._heard(whole.decode() if isinstance(part, str) else bytes(whole))

    def _keep_partial(self, size: int) -> None:
        try:
            self._socket_limits.unfinished.keep(self, self._owner, size)
        except TooMany as error:
            self._forget_partial()
            self._fail(TRY_AGAIN_LATER, str(error), TOO_MUCH)

    def _forget_partial(self) -> None:
        if self._partial is not None:
            self._partial = None
            self._socket_limits.unfinished.forget(self)

    def _heard(self, message: str | bytes) -> str | bytes | None:
        if self._close_by_s is None:
            return message
        # After our close the client may go on for a moment; nobody waits for that.
        self._paid_until_s = note_unsolicited(self._paid_until_s)
        return None

    def _hear_close(self, frame: Frame) -> None:
        code: Any = frame.payload[0]
        self.close_code = int(code)
        self._is_deaf = True
        if self._close_by_s is None:
            self.close(self.close_code)

    def _fail(self, code: int, reason: str, counted: str) -> None:
        """Close since the client broke the protocol: from here on it is not understood (7.1.7)."""
        if self._close_by_s is None:
            self.refused(counted)
        self._is_deaf = True
        if self.close_code is None:
            self.close_code = ABNORMAL
        self.close(code, reason)

    def _read_on(self) -> str | bytes | None:
        """Wait for bytes; return the message if they are one, else give them to the parser."""
        if self._protocol is not None and self._is_between_frames(self._protocol):
            self._protocol = None
        data = self._read()
        if not data:
            self.cut()
        else:
            self.last_heard_s = monotonic()
            if self._protocol is None:
                text = whole_text(data) if self._expects_any(data) else None
                if text is not None:
                    self._take_turn()
                    return text
            self.take_in(data)
        return None

    def take_in(self, data: bytes) -> None:
        """Have the parser read bytes that have come."""
        if self._protocol is None:
            self._protocol = FrameProtocol(client=False, extensions=[])
        self._protocol.receive_bytes(data)

    def _expects_any(self, data: bytes) -> bool:
        """Tell whether a whole message of data is in order here, and listened to."""
        is_short = len(data) <= self._max_bytes // 4
        return is_short and self._partial is None and self._close_by_s is None

    def _is_between_frames(self, protocol: FrameProtocol) -> bool:
        # Names that wsproto does not promise; a new parser is 4 us, one that idles 840 bytes.
        decoder = protocol._frame_decoder
        return self._partial is None and decoder.header is None and not decoder.buffer

    def _read(self, size: int = READ_BYTES) -> bytes:
        """Wait for bytes and return them; none when the client is gone or its time is over."""
        end_turn()
        asked_s = monotonic()
        if self._close_by_s is not None:
            if asked_s >= self._close_by_s:
                return b""
            with suppress(OSError):
                self._socket.settimeout(self._close_by_s - asked_s)
        self._is_waiting = True
        try:
            data: bytes = self._socket.recv(size)
        except OSError as error:
            self._client.failed(error)
            return b""
        except (EOFError, ValueError):
            # What eventlet and ssl say of a socket that was closed meanwhile.
            return b""
        finally:
            self._is_waiting = False
        if monotonic() - asked_s > PAUSE_S:
            self._turn_ends_s = monotonic() + TURN_S
        return data

    def _take_turn(self) -> None:
        self._turn_ends_s = self._socket_limits.scheduler.go_on(self._owner, self._turn_ends_s)

    # The end

    def _said_close(self) -> None:
        self._is_flushed = True
        if self._is_deaf:
            # It learns from this too that it is over, and closes its side.
            self._shut(socket.SHUT_WR)

    def _end(self) -> None:
        """See that our last frame arrives, then let everything go."""
        if not self._is_cut and not (self._is_flushed and self.close_code != ABNORMAL):
            if self._is_flushed:
                self._shut(socket.SHUT_WR)
            # A close while something is unread is a reset, which may overtake our last frame.
            left = DRAIN_BYTES
            while left > 0 and (data := self._read(DRAIN_READ_BYTES)):
                self._take_turn()
                left -= len(data)
        end_turn()
        self.cut()
        self._forget_partial()
        self._protocol = None
        ends_s = monotonic() + CLOSE_S
        while self.writer.busy and monotonic() < ends_s:
            # It waits in the socket: if that were closed under it, it would do so for ever.
            sleep(0.001)

    def _cut_in_time(self) -> None:
        sleep(CLOSE_S)
        self.cut()

    def _shut(self, how: int) -> None:
        # On a duplicate: SSLSocket.shutdown would drop the TLS state and go on in the clear.
        with (
            suppress(OSError, ValueError),
            socket.socket(fileno=os.dup(self._socket.fileno())) as s,
        ):
            s.shutdown(how)


def _is_scrap(frame: Frame) -> bool:
    """Tell whether it is a fragment so small that there is no reason for it."""
    is_fragment = frame.frame_finished and not frame.message_finished
    return is_fragment and len(frame.payload) < SMALL_FRAGMENT_BYTES


def _bytes(frame: Frame) -> bytes:
    payload = frame.payload
    assert isinstance(payload, bytes)
    return payload
