"""Frames and packets that nobody requested: a few are in order, many are a flood.

Pings and pongs, empty and tiny fragments, packets without content: each costs as much to read as a
request, but is not counted as one. So each connection has an allowance. Way in: note_unsolicited.
"""

from __future__ import annotations

from time import monotonic

from sockets.engineio.errors import TooManyFrames

# How many at once, and how many a second after that: a normal client sends one every few seconds.
BURST = 256
PER_S = 16
# A smaller fragment is counted; those of a library have at least a KiB.
SMALL_FRAGMENT_BYTES = 64


def note_unsolicited(paid_until_s: float) -> float:
    """Count one frame or packet.

    paid_until_s: the value returned the last time, 0.0 at first; on the monotonic clock. Raises
    TooManyFrames.
    """
    now_s = monotonic()
    paid_until_s = max(now_s, paid_until_s) + 1 / PER_S
    if paid_until_s > now_s + BURST / PER_S:
        raise TooManyFrames("too many frames that say nothing")
    return paid_until_s
