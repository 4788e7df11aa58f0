"""Asks one server without a pause on many connections, in a process of its own. Way in: flood.

That process prints how often it was answered with each status.
"""

from __future__ import annotations

import json
import re
import selectors
import socket
import subprocess
import sys
from collections import Counter, defaultdict
from time import monotonic


def flood(
    port: int,
    path: str,
    authorization: str,
    connections: int,
    seconds: float,
    *,
    anew: bool = False,
    line: str = "",
    fields: str = "",
    address: str = "127.0.0.1",
) -> subprocess.Popen[str]:
    """Return the running process.

    authorization: the header field, "" for none. anew: each request has a connection of its own.
    line: the request line, in place of a GET of the path. fields: more header fields, each with
    its end of line. address: of the client.
    """
    line = line or f"GET {path} HTTP/1.1"
    shown = f"Authorization: {authorization}\r\n" if authorization else ""
    kept = "" if "Connection:" in fields else f"Connection: {'close' if anew else 'keep-alive'}\r\n"
    request = f"{line}\r\nHost: localhost\r\n{shown}{kept}{fields}\r\n"
    words = [port, request, connections, seconds, int(anew), address]
    command = [sys.executable, "-m", __name__, *map(str, words)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def count_served(process: subprocess.Popen[str]) -> dict[int, int]:
    """Wait for the end of a flood, and return how often it was answered with each status."""
    return {int(status): count for status, count in json.loads(process.communicate()[0]).items()}


def is_whole(answer: bytes) -> bool:
    """Is all of an answer with a length there?"""
    head, _, body = answer.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
    return length is not None and len(body) >= int(length[1])


def ask(
    port: int, request: bytes, connections: int, seconds: float, *, anew: bool, address: str
) -> dict[str, int]:
    """Return how often each status was answered."""
    statuses: Counter[str] = Counter()
    answers: defaultdict[int, bytes] = defaultdict(bytes)
    ends = monotonic() + seconds
    with selectors.DefaultSelector() as selector:

        def connect() -> None:
            client = socket.create_connection(("127.0.0.1", port), source_address=(address, 0))
            selector.register(client, selectors.EVENT_READ, client)
            client.sendall(request)

        for _ in range(connections):
            connect()
        while (left := ends - monotonic()) > 0:
            for key, _ in selector.select(left):
                client: socket.socket = key.data
                try:
                    part = client.recv(1 << 20)
                except ConnectionResetError:
                    part = b""
                answers[key.fd] += part
                if is_whole(answers[key.fd]):
                    answer = answers.pop(key.fd)
                    statuses[answer[9:12].decode()] += 1
                    if not anew and b"\r\nConnection: close" not in answer:
                        client.sendall(request)
                        continue
                elif part:
                    continue
                answers.pop(key.fd, None)
                selector.unregister(client)
                client.close()
                connect()
        for key in list(selector.get_map().values()):
            key.data.close()
    return dict(statuses)


if __name__ == "__main__":
    port, request, connections, seconds, anew, address = sys.argv[1:]
    counted = ask(
        int(port),
        request.encode(),
        int(connections),
        float(seconds),
        anew=anew == "1",
        address=address,
    )
    print(json.dumps(counted))
