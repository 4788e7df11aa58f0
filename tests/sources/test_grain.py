"""When a time of a file is past being given to another change. Times and clocks are injected."""

from __future__ import annotations

import pytest

from sources.grain import is_settled, latest_ns

# Some day, in nanoseconds; a whole number of seconds, and an even one.
DAY_NS = 1_800_000_000_000_000_000
S, MS = 10**9, 10**6

# What the time is behind DAY_NS, and after how long another change would have another time.
TIMES = {
    "ext4, xfs, btrfs: nanoseconds of a kernel that ticks": (123_456_789, 0.05),
    "NTFS: 100 ns": (123_456_700, 0.05),
    "FUSE in milliseconds": (123 * MS, 0.05),
    "exFAT: 10 ms": (120 * MS, 0.05),
    "tenths": (100 * MS, 5),
    "quarters": (750 * MS, 5),
    "ext3, HFS+, SFTP: an odd second": (1 * S, 5),
    "FAT: an even second": (2 * S, 5),
    "a nanosecond past a second": (1 * S + 1, 0.05),
}


@pytest.mark.parametrize(("behind_ns", "wait_s"), TIMES.values(), ids=TIMES.keys())
def test_a_time_is_settled_when_its_grain_is_over(behind_ns, wait_s):
    time_ns = DAY_NS + behind_ns
    assert not is_settled(time_ns, time_ns / S)
    assert not is_settled(time_ns, time_ns / S + wait_s - 0.01)
    assert is_settled(time_ns, time_ns / S + wait_s + 0.01)


FINE_NS = [1, 100, 1000, MS, 10 * MS]
COARSE_NS = [100 * MS, 200 * MS, 500 * MS, S, 2 * S]
GRAINS = [(grain_ns, 0.0) for grain_ns in FINE_NS + COARSE_NS]
# A file server whose clock is behind ours.
GRAINS += [(grain_ns, 2.9) for grain_ns in COARSE_NS]


@pytest.mark.parametrize(("grain_ns", "behind_s"), GRAINS)
@pytest.mark.parametrize("at_ns", [0, 1, 49_999_999, 777_777_777, 1_999_999_999])
def test_no_change_after_that_has_the_same_time(grain_ns, behind_s, at_ns):
    """Written at a moment, and once more when the first is just settled."""
    first_ns = again_ns = DAY_NS + at_ns
    time_ns = first_ns - first_ns % grain_ns
    while not is_settled(time_ns, again_ns / S + behind_s):
        again_ns += 10 * MS
    assert again_ns - again_ns % grain_ns > time_ns
    assert first_ns < latest_ns(time_ns)


NO_TIMES = {
    "none at all": (0, 1.8e9),
    "before all times": (-S, 1.8e9),
    "a clock that was set back": (DAY_NS + 1, 1.8e9 - 3600),
    "a server's clock ahead of ours": (DAY_NS + 1, 1.8e9 - 0.3),
}


@pytest.mark.parametrize(("time_ns", "now_s"), NO_TIMES.values(), ids=NO_TIMES.keys())
def test_what_says_nothing_never_settles(time_ns, now_s):
    assert not is_settled(time_ns, now_s)
