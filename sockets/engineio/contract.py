"""The needs of the stack, which the program that uses it provides, as small protocols.

Everything is called on the green threads of one process. NoSchedule and Everybody are for programs
that have no scheduler and refuse no client.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from time import monotonic, sleep
from typing import Any, NamedTuple, Protocol

Environ = Mapping[str, Any]

# Work that continues without waiting lets the others have their turn after this time.
TURN_S = 0.005


class SocketReader(Protocol):
    """The used part of a client's socket. recv waits."""

    def fileno(self) -> int: ...

    def recv(self, size: int, /) -> bytes: ...

    def settimeout(self, seconds: float | None, /) -> None: ...


class SocketConnection(Protocol):
    """A client's connection, as the WSGI server hands it to an application that takes it over.

    is_awaited: set for the present request of a poll; tells whether the client will poll again.
    """

    is_awaited: Callable[[], bool] | None

    @property
    def socket(self) -> SocketReader: ...

    @property
    def calls_back(self) -> bool:
        """Whether the work of take_over may return True; otherwise it waits for input itself."""

    def take_early(self) -> bytes:
        """Return the bytes that the client sent behind the request. Before take_over."""

    def take_over(self, work: Callable[[], bool], /) -> None:
        """Make the server write nothing more, and call work when the request is over.

        If work returns True, it is called again when there is something to read; otherwise the
        socket is closed.
        """

    def spawn(self, work: Callable[[], None], /) -> object:
        """Run work beside the caller."""

    def failed(self, error: OSError, /) -> None:
        """Note the reason for the end of the connection."""

    def refused(self, code: str, /) -> None:
        """Count a refusal or a cut of the client. code: the reason, one word."""


class EventSource(Protocol):
    """The source of further bytes for a writer whose client can take them."""

    def more(self) -> bytes | None:
        """Return the next bytes, None if there are none. May wait for a disk."""


class FrameWriter(Protocol):
    """Writes to the socket of one connection, in order; nothing waits.

    busy: it takes no events now. gone: it never takes any again. sent_bytes: how much the socket
    has taken.
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
        """Send data, or hold it until the socket has room; False if it will not arrive."""

    def feed_from(self, source: EventSource, /, *, at_once: bool = True) -> None:
        """Call source for more from now on, whenever there is room. at_once: also now."""

    def forget(self, source: EventSource, /) -> None:
        """Stop calling source."""

    def wake(self) -> None:
        """Call the sources for more."""

    def finish(self, data: bytes, on_finished: Callable[[], None], /) -> None:
        """Send data, and nothing after it. on_finished: called when the socket has taken it."""

    def close(self) -> None:
        """Take no more data."""


# Takes a connection, and a function that is called once when it has failed or was closed.
MakeWriter = Callable[[Any, Callable[[], None]], FrameWriter]


class InputSchedule(Protocol):
    """Decides which input is handled next. A quota key is a string: a user, or an address."""

    def go_on(self, quota_key: str, until_s: float, /) -> float:
        """Take a turn of quota_key, the present one or the next, for input that comes in pieces.

        until_s: the value returned the last time, 0.0 at first. Return when the others get their
        turn, on the monotonic clock.
        """

    def end(self) -> None:
        """Let the next one begin: this thread is done, or waits. A second call does nothing."""

    def reading(self, body: Any, /) -> AbstractContextManager[None]:
        """Return the context for reading the body of a request."""


class NoSchedule:
    """An InputSchedule that lets all clients continue, in pieces of TURN_S."""

    def go_on(self, quota_key: str, until_s: float) -> float:
        if monotonic() <= until_s:
            return until_s
        sleep(0)
        return monotonic() + TURN_S

    def end(self) -> None:
        """Do nothing: no client waits."""

    def reading(self, body: Any) -> AbstractContextManager[None]:
        return nullcontext()


class Requester(Protocol):
    """The client of a request. quota_key: requests and sessions are counted by it."""

    @property
    def quota_key(self) -> str: ...


class Admission(Protocol):
    """Which clients may open sessions and join namespaces. Each method may raise Refused."""

    def take_turn(self, environ: dict[str, Any], /) -> None:
        """Wait for the turn in which a request is handled; the InputSchedule's `end` ends it."""

    def admit(self, environ: dict[str, Any], session: str | None, /) -> Requester:
        """Return the client of a request. session: the id that it names, None for a new one."""

    def enter(self, session: str, requester: Any, cut: Callable[[str], None], /) -> None:
        """Count a new session. cut: ends it when its client may no longer be connected."""

    def leave(self, session: str, /) -> None:
        """Stop counting a session; a second call does nothing."""

    def quota_key_of(self, session: str, /) -> str:
        """Return the quota key of a session, "" if there is no such session."""

    def note_request(self, quota_key: str, /) -> None:
        """Count a request of a client inside its session."""


class Address(NamedTuple):
    """A client that is known by its address only."""

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
