"""Functions that Python's sockets lack. Way in: undelivered_bytes, shut_down."""

from __future__ import annotations

import os
import socket
from array import array
from contextlib import suppress
from fcntl import ioctl
from termios import TIOCOUTQ

from sockets.engineio.contract import SocketReader


def undelivered_bytes(of: SocketReader) -> int:
    """Return how many bytes of the socket the other machine has not acknowledged yet."""
    count = array("i", [0])
    with suppress(OSError, ValueError):
        ioctl(of.fileno(), TIOCOUTQ, count)
    return count[0]


def shut_down(of: SocketReader, how: int) -> None:
    """Shut a connection down; again, or after its end, this does nothing. how: socket.SHUT_…"""
    # On a duplicate: SSLSocket.shutdown would drop the TLS state and continue in the clear.
    with suppress(OSError, ValueError), socket.socket(fileno=os.dup(of.fileno())) as duplicate:
        duplicate.shutdown(how)
