"""Sends one frame without a pause on many WebSockets of one server, in a process of its own.

A WebSocket that the server closes is opened anew. Way in: flood_frames. That process prints how
many it has opened.
"""

from __future__ import annotations

import selectors
import socket
import subprocess
import sys
from contextlib import suppress
from time import monotonic

# Sent at once, so that the flood is not bounded by its own cost.
PIECE_BYTES = 64 * 1024
BOTH = selectors.EVENT_READ | selectors.EVENT_WRITE


def flood_frames(
    port: int, path: str, payload: str, connections: int, seconds: float
) -> subprocess.Popen[str]:
    """Return the running process. payload: of the text frame, fewer than 126 characters."""
    words = [port, path, payload, connections, seconds]
    command = [sys.executable, "-m", __name__, *map(str, words)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def count_opened(process: subprocess.Popen[str]) -> int:
    """Wait for the end of a flood, and return how many WebSockets it has opened."""
    return int(process.communicate()[0])


def send(port: int, path: str, payload: str, connections: int, seconds: float) -> int:
    """Return how many WebSockets were opened."""
    # A mask of zeros leaves the payload as it is.
    one = bytes([0x81, 0x80 | len(payload), 0, 0, 0, 0]) + payload.encode()
    piece = one * (PIECE_BYTES // len(one))
    request = (
        f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    opened = 0
    ends_s = monotonic() + seconds
    with selectors.DefaultSelector() as selector:

        def connect() -> None:
            nonlocal opened
            opened += 1
            client = socket.create_connection(("127.0.0.1", port))
            client.sendall(request.encode())
            client.setblocking(False)
            # What is left of the piece that is being sent: none before the handshake is answered.
            selector.register(client, selectors.EVENT_READ, [piece])

        for _ in range(connections):
            connect()
        while (left_s := ends_s - monotonic()) > 0:
            for key, events in selector.select(left_s):
                client, rest = key.fileobj, key.data
                assert isinstance(client, socket.socket)
                is_over = False
                try:
                    if events & selectors.EVENT_READ:
                        is_over = not client.recv(1 << 16)
                        if not is_over:
                            selector.modify(client, BOTH, rest)
                    if not is_over and events & selectors.EVENT_WRITE:
                        rest[0] = rest[0][client.send(rest[0]) :] or piece
                except BlockingIOError:
                    pass
                except OSError:
                    is_over = True
                if is_over:
                    selector.unregister(client)
                    client.close()
                    with suppress(OSError):
                        connect()
        for key in list(selector.get_map().values()):
            key.fileobj.close()  # type: ignore[union-attr]
    return opened


if __name__ == "__main__":
    port, path, payload, connections, seconds = sys.argv[1:]
    print(send(int(port), path, payload, int(connections), float(seconds)))
