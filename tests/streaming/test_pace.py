from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streaming.pace import PIECE_S, Paced


class Clock:
    """A clock that stands still but for sleeps, each too long by `late_s`."""

    def __init__(self, late_s=0.0):
        self.now_s = 1000.0
        self.late_s = late_s

    def __call__(self):
        return self.now_s

    def sleep(self, seconds):
        assert seconds > 0
        self.now_s += seconds + self.late_s


class Chunks:
    """A body that is closed, and says so."""

    def __init__(self, *chunks):
        self._chunks = iter(chunks)
        self.closed = 0

    def __iter__(self):
        return self._chunks

    def close(self):
        self.closed += 1


def pace(chunks, bytes_per_s, clock):
    return Paced(Chunks(*chunks), bytes_per_s, clock=clock, sleep=clock.sleep)


def arrivals(chunks, bytes_per_s, clock):
    """Return (second, bytes) of each item, and the seconds that all took."""
    began_s = clock.now_s
    items = [(clock.now_s - began_s, item) for item in pace(chunks, bytes_per_s, clock)]
    return items, clock.now_s - began_s


BODIES = st.lists(st.binary(max_size=300), max_size=8)


@given(BODIES, st.floats(0.5, 10_000), st.sampled_from([0.0, 0.001, 0.02]))
def test_the_bytes_are_unchanged_and_take_their_time(chunks, bytes_per_s, late_s):
    items, seconds = arrivals(chunks, bytes_per_s, Clock(late_s))
    whole = b"".join(chunks)
    assert b"".join(item for _, item in items) == whole
    assert seconds >= len(whole) / bytes_per_s * (1 - 1e-9)
    assert all(len(item) <= max(1, bytes_per_s * PIECE_S) for _, item in items)


@pytest.mark.parametrize("late_s", [0.0, 0.001, 0.01, 0.03])
def test_the_pace_is_kept_although_sleeps_are_too_long(late_s):
    _, seconds = arrivals([b"x" * 65536] * 160, 1 << 20, Clock(late_s))
    assert seconds == pytest.approx(10, rel=0.01)


@pytest.mark.parametrize("late_s", [0.0, 0.03, 5.0])
@pytest.mark.parametrize("chunk_bytes", [100, 1000, 65536, 1 << 20])
def test_nothing_comes_in_bursts(chunk_bytes, late_s):
    """In any tenth of a second there is a tenth's worth, and what was due as it began."""
    items, _ = arrivals([b"x" * chunk_bytes] * ((1 << 21) // chunk_bytes), 1 << 20, Clock(late_s))
    for i, (first_s, _) in enumerate(items[:2000]):
        window = [len(item) for at_s, item in items[i : i + 2500] if at_s < first_s + 0.1]
        assert sum(window) <= (1 << 20) * 0.2 + 2048


def test_who_was_slow_is_not_hurried_afterwards():
    clock = Clock()
    paced = pace([b"x" * 1000], 1000, clock)
    next(paced)
    clock.now_s += 60
    again_s = clock.now_s
    for _ in range(10):
        next(paced)
    assert clock.now_s - again_s == pytest.approx(0.4)


def test_the_first_piece_comes_at_once():
    clock = Clock()
    assert len(next(pace([b"x" * 1000], 1000, clock))) == 50
    assert clock.now_s == 1000


def test_a_small_chunk_is_the_object_that_it_was():
    chunk = b"as it is"
    assert next(pace([chunk], 1000, Clock())) is chunk


def test_a_very_slow_one_comes_byte_by_byte():
    items, seconds = arrivals([b"abc"], 0.1, Clock())
    assert items == [(0, b"a"), (10, b"b"), (20, b"c")]
    assert seconds == 30


@pytest.mark.parametrize("chunks", [[], [b""], [b"", b"a", b""]])
def test_next_to_nothing(chunks):
    assert [item for item in pace(chunks, 1000, Clock()) if item] == [b"a"] * (b"a" in chunks)


def test_chunks_are_asked_for_one_at_a_time():
    asked = []

    def produce():
        for number in range(10):
            asked.append(number)
            yield b"x" * 100

    paced = Paced(produce(), 1000, clock=(clock := Clock()), sleep=clock.sleep)
    for _ in range(4):
        next(paced)
    assert asked == [0, 1]


@pytest.mark.parametrize("items", [0, 1, 99])
def test_closing_closes_the_body(items):
    body = Chunks(b"x" * 100)
    paced = Paced(body, 1000, clock=(clock := Clock()), sleep=clock.sleep)
    for _ in zip(range(items), paced, strict=False):
        pass
    paced.close()
    assert body.closed == 1


def test_what_cannot_be_closed_need_not_be():
    Paced([b"x"], 1000).close()


def test_a_failure_is_the_bodys():
    def fail():
        yield b"x"
        raise OSError("gone")

    paced = Paced(fail(), 1000, clock=(clock := Clock()), sleep=clock.sleep)
    assert next(paced) == b"x"
    with pytest.raises(OSError, match="gone"):
        next(paced)
