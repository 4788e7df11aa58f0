"""The grain of a file system's times: when a change can no longer hide behind the one before it.

Two changes within one grain leave the same times. The grain is learned from the time itself: a file
system that counts whole seconds has no others. Pure. Way in: is_settled, latest_ns.
"""

from __future__ import annotations

# A tick of the kernel's clock is 4 ms at 250 Hz and 10 ms at 100 Hz; of exFAT's 10 ms.
TICK_S = 0.05
# ext3, ext4 with small inodes, HFS+ and SFTP count seconds, FAT counts pairs of them. The rest is
# for the clock of a file server that is behind ours. On other file systems one time in 50,000,000
# looks as coarse, by chance, and costs this wait.
COARSE_S = 5.0

_TICK_NS = 50_000_000
_FINE_NS = 10_000_000
_COARSE_NS = 2_000_000_000


def is_settled(time_ns: int, now_s: float) -> bool:
    """Would every change after now_s leave another time than time_ns, which was read after it?

    time_ns: unix nanoseconds, as the file system set them at the last change. now_s: unix seconds.
    False also for a time after now (a clock was set back, or is ahead of ours) and for none (0, as
    some file systems say of everything).
    """
    if time_ns <= 0:
        return False
    return time_ns / 1e9 + (COARSE_S if _may_be_coarse(time_ns) else TICK_S) < now_s


def latest_ns(time_ns: int) -> int:
    """Return until when a change may have come that has left time_ns, by the same clock."""
    return time_ns + (_COARSE_NS if _may_be_coarse(time_ns) else _FINE_NS)


def _may_be_coarse(time_ns: int) -> bool:
    # A grain that a tick does not cover is a multiple of a tick, and so are all its times.
    return time_ns % _TICK_NS == 0
