"""The server's status: the topic `status`, once a second.

hub_lag_ms: the largest delay of a timer of 50 ms in that second, which is how long all other work
was delayed. Way in: StatusClock, started by a process entry.
"""

from __future__ import annotations

import json
import logging
import os
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from topics import NotReady, Publication, Topics
from wire.events import NewEvent

log = logging.getLogger(__name__)

TOPIC = "status"
EVERY_S = 1.0
PROBE_S = 0.05
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class StatusClock:
    """See the module.

    connections: returns the number of open connections by transport. exports_running: returns their
    number. sent_bytes: returns the bytes that were sent to clients so far.
    """

    def __init__(
        self,
        topics: Topics,
        *,
        connections: Callable[[], Mapping[str, int]],
        exports_running: Callable[[], int],
        sent_bytes: Callable[[], int],
    ) -> None:
        self._topics = topics
        self._connections = connections
        self._exports_running = exports_running
        self._sent_bytes = sent_bytes
        self._stopped = threading.Event()
        # The hub lag of the last second.
        self.lag_s = 0.0

    def start(self) -> None:
        threading.Thread(target=self._run, name="status", daemon=True).start()

    def stop(self) -> None:
        self._stopped.set()

    def _run(self) -> None:
        due_s = time.monotonic()
        events = sent = 0
        while not self._stopped.is_set():
            self.lag_s = self._probe_until(due_s + EVERY_S)
            due_s = max(due_s + EVERY_S, time.monotonic() - EVERY_S)
            now = {"events": self._topics.published, "sent": self._sent_bytes()}
            try:
                self._publish(self.lag_s, now["events"] - events, now["sent"] - sent)
            except NotReady:
                continue
            except Exception:
                # One bug must not stop the clock for good.
                log.exception("status failed")
            events, sent = now["events"], now["sent"]

    def _probe_until(self, due_s: float) -> float:
        """Wait until due_s; return the largest delay of a short sleep, in seconds."""
        latest_s = 0.0
        while (left_s := due_s - time.monotonic()) > 0 and not self._stopped.is_set():
            asked_s = min(left_s, PROBE_S)
            began_s = time.monotonic()
            time.sleep(asked_s)
            latest_s = max(latest_s, time.monotonic() - began_s - asked_s)
        return latest_s

    def _publish(self, lag_s: float, events: int, sent_bytes: int) -> None:
        status: dict[str, Any] = {
            "time": round(time.time(), 3),
            "hub_lag_ms": round(lag_s * 1000, 2),
            "connections": dict(self._connections()),
            "events_per_s": events,
            "bytes_per_s": sent_bytes,
            "memory_bytes": _resident_bytes(),
            "exports_running": self._exports_running(),
        }
        event = NewEvent(TOPIC, json.dumps(status, separators=(",", ":")))
        self._topics.publish(TOPIC, Publication([event]), by_client=False)


def _resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE_BYTES
