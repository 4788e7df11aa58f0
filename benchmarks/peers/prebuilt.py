"""Frames made beforehand and written by a loop that does nothing else: what the load process can
take is measured against this, since it gives more than any server.

Started by broadcasters.py: python -m benchmarks.peers.prebuilt <port> <clients> <a write> <events>
"""

from __future__ import annotations

import json
import socket
import struct
import sys

from benchmarks.tally import payload


def frames(first: int, count: int) -> bytes:
    """Return events first … first + count - 1 as WebSocket frames, with all that an event has."""
    whole = b""
    for seq in range(first, first + count):
        event = {"id": "0" * 28, "topic": "bench", "name": "message", "data": payload(seq)}
        text = json.dumps({**event, "time": 1764000000.123}).encode()
        whole += struct.pack("!BBH", 0x81, 126, len(text)) + text
    return whole


def main(port: int, clients: int, frames_a_write: int, events: int) -> None:
    listener = socket.create_server(("127.0.0.1", port), backlog=clients)
    joined: list[socket.socket] = []
    while len(joined) < clients:
        client, _ = listener.accept()
        if client.recv(65536):  # b"": somebody has looked whether we listen
            client.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n")
            joined.append(client)
    for first in range(0, events, frames_a_write):
        data = frames(first, frames_a_write)
        for client in joined:
            client.sendall(data)
    for client in joined:
        client.recv(1)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
