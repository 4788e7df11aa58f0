"""The grain of a file system's times: when every later change shows in them.

Two changes within one grain leave the same times. The time itself shows the grain: a file system
that counts whole seconds has no other times. Pure. Way in: is_settled, latest_ns.
"""

from __future__ import annotations

# A tick of the kernel's clock is 4 ms at 250 Hz and 10 ms at 100 Hz; exFAT's is 10 ms.
TICK_S = 0.05
# ext3, ext4 with small inodes, HFS+ and SFTP count seconds, FAT counts pairs of them. The rest is
# for the clock of a file server that is behind ours. On other file systems one time in 50,000,000
# looks coarse by chance, and costs this wait.
COARSE_S = 5.0

_TICK_NS = 50_000_000
_FINE_NS = 10_000_000
_COARSE_NS = 2_000_000_000


def is_settled(time_ns: int, now_s: float) -> bool:
    """Would every change after now_s leave another time than time_ns, which was read after now_s?

    time_ns: the time of the last change, unix nanoseconds. now_s: unix seconds. False also for a
    time after now (a clock was set back, or is ahead of ours) and for 0, which some file systems
    return for everything.
    """
    if time_ns <= 0:
        return False
    return time_ns / 1e9 + (COARSE_S if _may_be_coarse(time_ns) else TICK_S) < now_s


def latest_ns(time_ns: int) -> int:
    """Return the latest moment of a change that has left time_ns, by the same clock."""
    return time_ns + (_COARSE_NS if _may_be_coarse(time_ns) else _FINE_NS)


def _may_be_coarse(time_ns: int) -> bool:
    # A grain longer than a tick is a multiple of a tick, and so are all its times.
    return time_ns % _TICK_NS == 0
