import pytest

from sockets.engineio import unsolicited
from sockets.engineio.errors import TooManyFrames
from sockets.engineio.unsolicited import BURST, PER_S, note_unsolicited


@pytest.fixture
def clock(monkeypatch):
    """The monotonic clock, as a list of one number."""
    now_s = [1000.0]
    monkeypatch.setattr(unsolicited, "monotonic", lambda: now_s[0])
    return now_s


def spend(paid_until_s, most):
    """Return how many are taken at once, and until when they are paid."""
    for count in range(most):
        try:
            paid_until_s = note_unsolicited(paid_until_s)
        except TooManyFrames:
            return count, paid_until_s
    return most, paid_until_s


def test_so_many_at_once_and_so_many_a_second(clock):
    count, paid_until_s = spend(0.0, 1000)
    assert count == BURST
    clock[0] += 2.0
    assert spend(paid_until_s, 1000)[0] == 2 * PER_S


def test_one_now_and_then_goes_on_for_ever(clock):
    paid_until_s = 0.0
    for _ in range(10_000):
        clock[0] += 1 / PER_S
        assert spend(paid_until_s, 1)[0] == 1
    clock[0] += 1000
    assert spend(paid_until_s, 1000)[0] == BURST
