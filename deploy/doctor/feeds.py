"""Server-Sent Events: events arrive when they happen, and the feed stays open."""

from __future__ import annotations

import json
import time
from http.client import HTTPException

from . import remedies
from .findings import Unfit, Wrong
from .site import Reply, Site, Stream

SSE = {"Accept": "text/event-stream"}
# The status is published each second.
EVENTS = 3
WAIT_S = 5.0
# How much longer one event may take than another. Two bundled events are a second apart.
LATE_S = 0.6
HEARTBEAT_S = 15.0


def check_events(site: Site) -> str:
    """Events arrive one by one."""
    began_s = time.monotonic()
    came: list[tuple[float, float]] = []
    try:
        with site.open("/events/status", SSE, timeout_s=WAIT_S) as stream:
            _check_opened(stream)
            for line in stream.lines_until(began_s + WAIT_S):
                if line.startswith(b"data:"):
                    came.append((time.monotonic(), float(json.loads(line[5:])["time"])))
                if len(came) == EVENTS:
                    break
    except TimeoutError:
        pass
    if len(came) < EVENTS:
        told = f"{len(came)} events in {WAIT_S:.0f} s instead of one each second: held back"
        raise Wrong(told, remedies.UNBUFFERED, remedies.NOT_IGNORED)
    # The clocks of two machines differ by any amount, but always by the same.
    lags_s = [here - there for here, there in came]
    late_s = max(lags_s) - min(lags_s)
    if late_s > LATE_S:
        told = f"events come in bundles, up to {late_s:.1f} s late"
        raise Wrong(told, remedies.UNBUFFERED, remedies.NOT_IGNORED)
    first_s = came[0][0] - began_s
    return f"one by one, the first after {first_s:.2f} s, {late_s * 1000:.0f} ms uneven"


def check_heartbeats(site: Site, hold_s: float) -> str:
    """A feed without events stays open. hold_s: for how long."""
    if not hold_s:
        raise Unfit("takes 75 s: --slow")
    began_s = time.monotonic()
    beats = 0
    try:
        with site.open("/events/exports", SSE, timeout_s=hold_s) as stream:
            _check_opened(stream)
            for line in stream.lines_until(began_s + hold_s):
                beats += line.startswith(b": heartbeat")
    except TimeoutError:
        # One heartbeat may be on its way.
        if beats < hold_s // HEARTBEAT_S - 1:
            told = f"{beats} heartbeats in {hold_s:.0f} s instead of one each {HEARTBEAT_S:.0f} s"
            raise Wrong(told, remedies.UNBUFFERED) from None
        return f"held for {hold_s:.0f} s, {beats} heartbeats"
    except (ConnectionError, HTTPException):
        pass
    told = f"a quiet feed was cut after {time.monotonic() - began_s:.1f} s"
    raise Wrong(told, remedies.IDLE)


def _check_opened(stream: Stream) -> None:
    if stream.status != 200:
        reply = Reply(stream.status, stream.headers, stream.read(), 0, 0).check_allowed()
        raise Wrong(f"a feed is answered by {reply.describe()}")
