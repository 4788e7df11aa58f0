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
) -> subprocess.Popen[str]:
    """Return the running process. anew: each request has a connection of its own."""
    words = [port, path, authorization, connections, seconds, int(anew)]
    command = [sys.executable, "-m", __name__, *map(str, words)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def count_served(process: subprocess.Popen[str]) -> dict[int, int]:
    """Wait for the end of a flood, and return how often it was answered with each status."""
    return {int(status): count for status, count in json.loads(process.communicate()[0]).items()}


def is_whole(answer: bytes) -> bool:
    """Tell whether all of an answer with a length is there."""
    head, _, body = answer.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
    return length is not None and len(body) >= int(length[1])


def ask(
    port: int, path: str, authorization: str, connections: int, seconds: float, *, anew: bool
) -> dict[str, int]:
    """Return how often each status was answered."""
    kept = "close" if anew else "keep-alive"
    fields = f"Host: localhost\r\nAuthorization: {authorization}\r\nConnection: {kept}\r\n"
    request = f"GET {path} HTTP/1.1\r\n{fields}\r\n".encode()
    statuses: Counter[str] = Counter()
    answers: defaultdict[int, bytes] = defaultdict(bytes)
    ends = monotonic() + seconds
    with selectors.DefaultSelector() as selector:

        def connect() -> None:
            client = socket.create_connection(("127.0.0.1", port))
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
                    statuses[answers.pop(key.fd)[9:12].decode()] += 1
                    if not anew:
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
    port, path, authorization, connections, seconds, anew = sys.argv[1:]
    counted = ask(
        int(port), path, authorization, int(connections), float(seconds), anew=anew == "1"
    )
    print(json.dumps(counted))
