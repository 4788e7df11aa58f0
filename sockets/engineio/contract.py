"""What the stack needs of the program that uses it, as small protocols.

Everything is called on the threads of one process that take turns (green ones). NoSchedule and
Everybody stand in where a program has no scheduler and refuses no client.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from time import monotonic, sleep
from typing import Any, NamedTuple, Protocol

Environ = Mapping[str, Any]

# What goes on without waiting gives the others their turn after this.
TURN_S = 0.005


class SocketReader(Protocol):
    """What is used of a client's socket. recv waits."""

    def fileno(self) -> int: ...

    def recv(self, size: int, /) -> bytes: ...

    def settimeout(self, seconds: float | None, /) -> None: ...


class SocketConnection(Protocol):
    """A client's connection, as the WSGI server hands it to an application that speaks on it.

    is_awaited: set for the present request of a poll; tells whether the client will poll again.
    """

    is_awaited: Callable[[], bool] | None

    @property
    def socket(self) -> SocketReader: ...

    @property
    def calls_back(self) -> bool:
        """Whether the work of take_over may return True; otherwise it waits for input itself."""

    def take_early(self) -> bytes:
        """Return what the client has sent behind the request. Before take_over."""

    def take_over(self, work: Callable[[], bool], /) -> None:
        """Have the server write nothing more, and call work when the request is over.

        If work returns True it is called again when there is something to read; otherwise the
        socket is closed.
        """

    def spawn(self, work: Callable[[], None], /) -> object:
        """Run work beside the caller."""

    def failed(self, error: OSError, /) -> None:
        """Note what has ended the connection."""

    def refused(self, code: str, /) -> None:
        """Count that the client was refused something or was cut off. code: why, one word."""


class EventSource(Protocol):
    """Where a writer gets more from when its client can take it."""

    def more(self) -> bytes | None:
        """Return the next bytes, None when there are none. May wait for a disk."""


class FrameWriter(Protocol):
    """Writes to the socket of one connection, in order; nothing waits.

    busy: it takes no events now. gone: nor ever. sent_bytes: how much the socket has taken.
    """

    @property
    def busy(self) -> bool: ...

    @property
    def gone(self) -> bool: ...

    @property
    def sent_bytes(self) -> int: ...

    def try_send(self, data: bytes, /) -> bool:
        """Send data as a whole; False when busy or gone."""

    def send_control(self, data: bytes, /) -> bool:
        """Send data, or keep it until the socket has room; False when it will not arrive."""

    def feed_from(self, source: EventSource, /, *, at_once: bool = True) -> None:
        """Ask source for more from now on, whenever there is room. at_once: also now."""

    def forget(self, source: EventSource, /) -> None:
        """Ask source no more."""

    def wake(self) -> None:
        """Ask the sources for more."""

    def finish(self, data: bytes, on_finished: Callable[[], None], /) -> None:
        """Send data, and nothing after it. on_finished: called when the socket has taken it."""

    def close(self) -> None:
        """Take nothing any more."""


# Given a connection, and what is to be called once when that has failed or was closed.
MakeWriter = Callable[[Any, Callable[[], None]], FrameWriter]


class InputSchedule(Protocol):
    """Which input is handled next. A quota key is a text: a user, or an address."""

    def go_on(self, quota_key: str, until_s: float, /) -> float:
        """Have a turn of quota_key's, the present one or the next, for what comes piece by piece.

        until_s: what was returned the last time, 0.0 before. Return by when the others are to have
        their turn, on the monotonic clock.
        """

    def end(self) -> None:
        """Let the next one begin: this thread is done, or waits. Again is harmless."""

    def reading(self, body: Any, /) -> AbstractContextManager[None]:
        """Return the context to read the body of a request in."""


class NoSchedule:
    """An InputSchedule that lets all clients go on, in pieces of TURN_S."""

    def go_on(self, quota_key: str, until_s: float) -> float:
        if monotonic() <= until_s:
            return until_s
        sleep(0)
        return monotonic() + TURN_S

    def end(self) -> None:
        """Do nothing: nothing waits."""

    def reading(self, body: Any) -> AbstractContextManager[None]:
        return nullcontext()


class Requester(Protocol):
    """The maker of a request. quota_key: a text; requests and sessions are counted by it."""

    @property
    def quota_key(self) -> str: ...


class Admission(Protocol):
    """Which clients may open sessions and join namespaces. Each method may raise Refused."""

    def take_turn(self, environ: dict[str, Any], /) -> None:
        """Wait for the turn in which a request is handled; the InputSchedule's `end` ends it."""

    def admit(self, environ: dict[str, Any], session: str | None, /) -> Requester:
        """Return the maker of a request. session: the id that it names, None for a new one."""

    def enter(self, session: str, requester: Any, cut: Callable[[str], None], /) -> None:
        """Count a new session. cut: ends it when its client may not be there any more."""

    def leave(self, session: str, /) -> None:
        """Count a session no longer; again is harmless."""

    def quota_key_of(self, session: str, /) -> str:
        """Return the quota key of a session, "" when there is no such session."""

    def note_request(self, quota_key: str, /) -> None:
        """Count what a client asks for inside of its session."""


class Address(NamedTuple):
    """A Requester that is known by its address only."""

    quota_key: str


class Everybody:
    """An Admission that refuses no client; the quota key of a session is its address."""

    def __init__(self) -> None:
        self._quota_keys: dict[str, str] = {}

    def take_turn(self, environ: Environ) -> None:
        """Do not wait."""

    def admit(self, environ: Environ, session: str | None) -> Address:
        return Address(environ.get("REMOTE_ADDR") or "")

    def enter(self, session: str, requester: Address, cut: Callable[[str], None]) -> None:
        self._quota_keys[session] = requester.quota_key

    def leave(self, session: str) -> None:
        self._quota_keys.pop(session, None)

    def quota_key_of(self, session: str) -> str:
        return self._quota_keys.get(session, "")

    def note_request(self, quota_key: str) -> None:
        """Count nothing."""
