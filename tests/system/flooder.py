"""Asks one server without a pause on many connections, in a process of its own. Way in: flood.

That process prints how often it was answered with each status.
"""

import json
import re
import selectors
import socket
import subprocess
import sys
from collections import Counter, defaultdict
from time import monotonic


def flood(server, path, headers, connections, seconds, *, anew=False):
    """Return the running process. anew: each request has a connection of its own."""
    words = [server.port, path, headers["Authorization"], connections, seconds, int(anew)]
    command = [sys.executable, "-m", "tests.system.flooder", *map(str, words)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def is_whole(answer):
    """Tell whether all of an answer with a length is there."""
    head, end, body = answer.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)content-length: *(\d+)", head)
    return bool(end) and len(body) >= int(length[1])


def served(process):
    """Wait for the end of a flood, and return how often it was answered with each status."""
    return {int(status): count for status, count in json.loads(process.communicate()[0]).items()}


def ask(port, path, authorization, connections, seconds, *, anew):
    """Return how often each status was answered."""
    kept = "close" if anew else "keep-alive"
    fields = f"Host: localhost\r\nAuthorization: {authorization}\r\nConnection: {kept}\r\n"
    request = f"GET {path} HTTP/1.1\r\n{fields}\r\n".encode()
    statuses, answers = Counter(), defaultdict(bytes)
    ends = monotonic() + seconds
    with selectors.DefaultSelector() as selector:

        def connect():
            client = socket.create_connection(("127.0.0.1", port))
            selector.register(client, selectors.EVENT_READ)
            client.sendall(request)

        for _ in range(connections):
            connect()
        while (left := ends - monotonic()) > 0:
            for key, _ in selector.select(left):
                try:
                    part = key.fileobj.recv(1 << 20)
                except ConnectionResetError:
                    part = b""
                answers[key.fd] += part
                if is_whole(answers[key.fd]):
                    statuses[answers.pop(key.fd)[9:12].decode()] += 1
                    if not anew:
                        key.fileobj.sendall(request)
                        continue
                elif part:
                    continue
                answers.pop(key.fd, None)
                selector.unregister(key.fileobj)
                key.fileobj.close()
                connect()
        for key in list(selector.get_map().values()):
            key.fileobj.close()
    return dict(statuses)


if __name__ == "__main__":
    port, path, authorization, connections, seconds, anew = sys.argv[1:]
    print(
        json.dumps(
            ask(int(port), path, authorization, int(connections), float(seconds), anew=anew == "1")
        )
    )
