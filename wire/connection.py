"""A client's connection, as the worker hands it to the application in each request's environ.

The contract between the two: server/connection.py implements it (tests/server checks that), and
code that uses a socket itself, counts connections or cuts them knows only this. Other WSGI servers
have none. Way in: connection_of.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

# Its name in the environ.
CONNECTION = "headwater.client"


class Socket(Protocol):
    """The methods of a socket that are used. sendall and recv wait, and others have their turn."""

    def fileno(self) -> int: ...

    def recv(self, size: int, /) -> bytes: ...

    def sendall(self, data: bytes | memoryview, /) -> None: ...

    def setsockopt(self, level: int, option: int, value: int, /) -> None: ...

    def settimeout(self, seconds: float | None, /) -> None: ...


class Writable(Protocol):
    """The part of a connection that a writer of events uses; see topics/connection_writer.py."""

    @property
    def socket(self) -> Socket: ...

    @property
    def send_now(self) -> Callable[[bytes], int] | None:
        """Send what the socket takes at once and return how much; None where it cannot tell (TLS).

        Raises BlockingIOError when it takes nothing, OSError when the connection is over.
        """

    def spawn(self, work: Callable[[], None], /) -> object:
        """Run work beside the caller."""

    def failed(self, error: OSError, /) -> None:
        """Note what has ended the connection: the socket tells it once, to its first user."""

    def refused(self, code: str, /) -> None:
        """Count that the client was refused something or was cut off. code: why, one word."""


class ClientConnection(Writable, Protocol):
    """See the module. All of it is used on the threads of one process that take turns.

    credential: the application's: what the client has shown last, and what was found by it; the
    worker forgets it when the connection is taken over.
    is_awaited: tells whether the client will send another request before a drain may close the
    connection; it holds for the present request.
    sent_bytes: what the application has sent past the worker, for the access log; None for nothing.
    """

    credential: Any
    is_awaited: Callable[[], bool] | None
    sent_bytes: int | None

    def __hash__(self) -> int:
        """Of the object: it is a key where it is counted."""

    @property
    def calls_back(self) -> bool:
        """Whether the work of take_over may return True; with TLS it has to wait by itself."""

    def admit(self, on_gone: Callable[[Any], None], /) -> None:
        """Count the client no longer by its address: the application does, until it is gone.

        on_gone: called once with the connection when it has ended.
        """

    def take_early(self) -> bytes:
        """Return what the client has sent behind the request. Before take_over."""

    def take_over(self, work: Callable[[], bool | None] | None = None) -> None:
        """Have the worker write nothing more, and close the socket when the application returns.

        The client is no longer counted by its address.

        work: called before the close, when nothing of the request is left. If it returns True, it
        is called again when there is something to read; no greenlet waits meanwhile.
        """

    def stop_reading(self) -> None:
        """End the reading: what has arrived can still be read, and then the end."""

    def cut(self) -> None:
        """End the connection at once, for reading and writing."""


def connection_of(environ: Mapping[str, Any]) -> ClientConnection | None:
    """Return the connection of a request, None if the server hands out none."""
    connection: ClientConnection | None = environ.get(CONNECTION)
    return connection
