"""Is the client still there, while we have nothing to send it?"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping
from typing import Any


def make_has_left(environ: Mapping[str, Any]) -> Callable[[], bool]:
    """Return a function that says whether the client of this request has closed its connection.

    Without gunicorn's socket (a test client), and under TLS, where a look at what comes would
    take it away, it is never known to have left before something is sent.
    """
    connection = environ.get("gunicorn.socket")
    if connection is None or environ.get("wsgi.url_scheme") == "https":
        return lambda: False
    fd = connection.fileno()

    def has_left() -> bool:
        try:
            with socket.socket(fileno=os.dup(fd)) as twin:
                twin.setblocking(False)
                return twin.recv(1, socket.MSG_PEEK) == b""
        except BlockingIOError:
            return False
        except OSError:
            return True

    return has_left
