"""So many requests a minute for each, and so many mistakes for each address."""

from types import SimpleNamespace

import pytest

from auth import Rates, rates
from auth.access import TooMany


def ask(rate, owner, times):
    for _ in range(times):
        rate.note_request(owner)


def test_one_more_than_a_minute_allows_is_refused():
    rate = Rates(20)
    ask(rate, "ann", 20)
    with pytest.raises(TooMany, match="20 requests a minute are the most") as caught:
        rate.note_request("ann")
    assert caught.value.code == "too_many_requests"


def test_each_owner_has_its_own():
    rate = Rates(3)
    ask(rate, "ann", 3)
    ask(rate, "bob", 3)
    ask(rate, "address 127.0.0.1", 3)
    for owner in ("ann", "bob", "address 127.0.0.1"):
        with pytest.raises(TooMany):
            rate.note_request(owner)


@pytest.mark.parametrize("owner", ["a/b", "a:b", "", "ü", "all", "a b"])
def test_an_owner_may_be_called_anything(owner):
    rate = Rates(1)
    rate.note_request(owner)
    rate.note_request(owner + "2")
    with pytest.raises(TooMany):
        rate.note_request(owner)


def test_two_servers_count_for_themselves():
    first, second = Rates(1), Rates(1)
    first.note_request("ann")
    second.note_request("ann")


RETRY = {1: 61, 20: 4, 60: 2}


@pytest.mark.parametrize(("per_minute", "retry_after_s"), RETRY.items())
def test_when_the_next_is_free(per_minute, retry_after_s):
    rate = Rates(per_minute)
    ask(rate, "ann", per_minute)
    with pytest.raises(TooMany) as caught:
        rate.note_request("ann")
    assert caught.value.retry_after_s == retry_after_s


def test_0_is_any_number():
    ask(Rates(0), "ann", 1000)


def test_mistakes_are_counted_by_address(monkeypatch):
    monkeypatch.setattr(rates, "BAD_CREDENTIALS_PER_MINUTE", 5)
    rate = Rates(0)
    for _ in range(5):
        rate.note_mistake("192.0.2.1")
    with pytest.raises(TooMany, match="too many invalid credentials") as caught:
        rate.note_mistake("192.0.2.1")
    assert (caught.value.code, caught.value.retry_after_s) == ("too_many_mistakes", 60)
    rate.note_mistake("192.0.2.2")


def test_who_has_made_mistakes_may_still_ask(monkeypatch):
    monkeypatch.setattr(rates, "BAD_CREDENTIALS_PER_MINUTE", 1)
    rate = Rates(1)
    rate.note_mistake("ann")
    with pytest.raises(TooMany):
        rate.note_mistake("ann")
    rate.note_request("ann")


class Clock:
    """A time that only sleeping moves."""

    def __init__(self):
        self.now_s = 1000.0

    def monotonic(self):
        return self.now_s

    def sleep(self, seconds):
        self.now_s += seconds


@pytest.mark.parametrize("of", ["requests", "mistakes"])
def test_refusals_of_who_goes_on_come_one_after_another(monkeypatch, of):
    clock = Clock()
    monkeypatch.setattr(rates, "time", clock)
    monkeypatch.setattr(rates, "BAD_CREDENTIALS_PER_MINUTE", 5)
    rate = Rates(5)
    note = rate.note_request if of == "requests" else rate.note_mistake
    for _ in range(5):
        note("ann")
    took = []
    for _ in range(4):
        began_s = clock.now_s
        with pytest.raises(TooMany):
            note("ann")
        took.append(round(clock.now_s - began_s, 3))
    assert took == [0, rates.REFUSAL_S, rates.REFUSAL_S, rates.REFUSAL_S]


def test_many_at_once_wait_for_each_other_but_not_for_ever(monkeypatch):
    slept = []
    monkeypatch.setattr(rates, "time", SimpleNamespace(monotonic=lambda: 7.0, sleep=slept.append))
    rate = Rates(1)
    for number in range(1000):
        rate.note_request(f"other {number}")
        rate.note_request("ann") if not number else refuse(rate, "ann")
    assert slept[:3] == [pytest.approx(rates.REFUSAL_S * n) for n in (1, 2, 3)]
    assert slept[-1] == rates.LONGEST_REFUSAL_S


def test_who_was_refused_long_ago_is_forgotten(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(rates, "time", clock)
    rate = Rates(1)
    for number in range(100):
        rate.note_request(f"owner {number}")
        refuse(rate, f"owner {number}")
        clock.now_s += 1
    assert len(rate._refused_s) == 1


def refuse(rate, owner):
    with pytest.raises(TooMany):
        rate.note_request(owner)
