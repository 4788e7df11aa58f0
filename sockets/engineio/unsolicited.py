"""Frames and packets that no one has asked for: a few are in order, many are a flood.

Pings and pongs, empty and tiny fragments, packets that say nothing: each costs as much to read as a
request, and is counted as none. So each connection has an allowance. Way in: note_unsolicited.
"""

from __future__ import annotations

from time import monotonic

from sockets.engineio.errors import TooManyFrames

# At once, and a second after that: a client in order has one every few seconds.
BURST = 256
PER_S = 16
# A fragment that carries less is counted; those of a library have a KiB at least.
SMALL_FRAGMENT_BYTES = 64


def note_unsolicited(paid_until_s: float) -> float:
    """Count one frame or packet.

    paid_until_s: what was returned the last time, 0.0 before; on the monotonic clock. Raises
    TooManyFrames.
    """
    now_s = monotonic()
    paid_until_s = max(now_s, paid_until_s) + 1 / PER_S
    if paid_until_s > now_s + BURST / PER_S:
        raise TooManyFrames("too many frames that say nothing")
    return paid_until_s
