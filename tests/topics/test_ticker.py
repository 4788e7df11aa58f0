"""Beats: counted from the start, on time, and nobody holds up another for good."""

from __future__ import annotations

import threading
import time
from itertools import islice, pairwise

import pytest

from topics.ticker import EVERY_S, Ticker, seconds

SECOND_S = 0.03


@pytest.fixture
def ticker(monkeypatch):
    """One whose second is 30 ms; it is stopped afterwards."""
    assert EVERY_S == 1.0
    monkeypatch.setattr("topics.ticker.EVERY_S", SECOND_S)
    ticker = Ticker()
    yield ticker
    ticker.stop()


class Beats:
    """What was called with, and when after the start; ends after so many."""

    def __init__(self, most=1000):
        self.counts, self.late_s = [], []
        self.most, self.began_s = most, time.monotonic()

    def __call__(self, nth):
        self.counts.append(nth)
        self.late_s.append(time.monotonic() - self.began_s - nth * SECOND_S)
        return len(self.counts) < self.most


def test_beats_are_counted_from_one(ticker, until):
    ticker.start()
    beats = Beats(most=5)
    ticker.add(beats)
    until(lambda: len(beats.counts) == 5)
    assert beats.counts == sorted(set(beats.counts))
    # On a busy machine one may be so late that it is left out.
    assert beats.counts[0] == 1 or beats.late_s[0] > 0


def test_a_beat_is_never_early_and_lateness_does_not_add_up(ticker, until):
    ticker.start()
    beats = Beats()
    ticker.add(beats)
    until(lambda: len(beats.counts) > 20)
    assert min(beats.late_s) >= -0.001
    # Each is late by itself: the last ones are not later than the first ones were.
    assert min(beats.late_s[-5:]) < SECOND_S


def test_who_says_no_is_called_no_more(ticker, until):
    ticker.start()
    one, other = Beats(most=1), Beats()
    ticker.add(one)
    ticker.add(other)
    until(lambda: len(other.counts) > 5)
    assert len(one.counts) == 1


def test_each_connection_has_its_own_count(ticker, until):
    ticker.start()
    first = Beats()
    ticker.add(first)
    until(lambda: len(first.counts) > 3)
    second = Beats()
    ticker.add(second)
    until(lambda: second.counts)
    assert second.counts[0] < first.counts[-1]


def test_a_mistake_ends_no_connection(ticker, until, caplog):
    failed = []

    def fail(nth):
        failed.append(nth)
        raise ZeroDivisionError("ours")

    ticker.start()
    ticker.add(fail)
    beats = Beats()
    ticker.add(beats)
    until(lambda: len(beats.counts) > 3 and len(failed) > 3)
    assert "a beat failed" in caplog.text


def test_what_is_missed_is_left_out_and_passed_over(ticker, until, monkeypatch):
    """Nobody gets ten beats at once because one was late."""
    late = [0.0]
    now = time.monotonic
    monkeypatch.setattr("topics.ticker.time.monotonic", lambda: now() + late[0])
    ticker.start()
    beats = Beats()
    ticker.add(beats)
    until(lambda: len(beats.counts) > 2)
    late[0] = 50 * SECOND_S
    seen = len(beats.counts)
    until(lambda: len(beats.counts) > seen + 3)
    jumps = [after - before for before, after in pairwise(beats.counts)]
    assert sum(jump > 40 for jump in jumps) == 1
    assert beats.counts[-1] < 200


def test_it_wakes_for_who_comes_first_and_for_who_comes_later(ticker, until):
    ticker.start()
    until(lambda: "ticker" in [thread.name for thread in threading.enumerate()])
    beats = Beats()
    ticker.add(beats)
    until(lambda: beats.counts)


def test_nothing_beats_after_the_stop(ticker, until):
    ticker.start()
    beats = Beats()
    ticker.add(beats)
    until(lambda: beats.counts)
    ticker.stop()
    until(lambda: "ticker" not in [thread.name for thread in threading.enumerate()])
    seen = len(beats.counts)
    ticker.add(beats)
    assert len(beats.counts) == seen


def test_a_metronome_that_never_began_can_be_stopped():
    Ticker().stop()


def test_seconds_are_counted_from_the_start_and_late_ones_left_out(monkeypatch):
    now_s = [100.0]
    naps = []

    def sleep(nap_s):
        naps.append(round(nap_s, 6))
        now_s[0] += nap_s + 0.01  # it wakes late

    monkeypatch.setattr("topics.ticker.time.monotonic", lambda: now_s[0])
    counted = seconds(sleep)
    assert list(islice(counted, 3)) == [1, 2, 3]
    assert naps == [1.0, 0.99, 0.99]
    now_s[0] += 2.5  # so long it took to emit
    assert next(counted) == 6
    assert naps[-1] == 0.49
