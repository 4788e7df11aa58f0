"""The server with a clock inside: how late is the hub?

gunicorn loads this in place of wsgi:app. A green thread wants to wake up every 10 ms and notes how
late it does. `GET /_lag` answers with all of it, in milliseconds, and begins anew; `GET /_ping`
answers without Flask, for measurements from outside.
"""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from collections.abc import Iterable
from typing import Any

from server.hooks import find_hooks, give_hooks
from wsgi import app as headwater  # it has patched `time`

TICK_S = 0.01

# 20 minutes of ticks.
_late_ms: deque[float] = deque(maxlen=120_000)


def _tick() -> None:
    while True:
        due_s = time.perf_counter() + TICK_S
        time.sleep(TICK_S)
        _late_ms.append((time.perf_counter() - due_s) * 1000)


threading.Thread(target=_tick, daemon=True).start()


def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    path = environ["PATH_INFO"]
    if path not in ("/_lag", "/_ping"):
        return headwater(environ, start_response)
    body = b"{}"
    if path == "/_lag":
        body = json.dumps(list(_late_ms)).encode()
        _late_ms.clear()
    head = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
    start_response("200 OK", head)
    return [body]


give_hooks(app, find_hooks(headwater))
