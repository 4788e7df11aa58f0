"""Who gets a place that several owners share, and who has to wait."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from auth import Places


@pytest.fixture
def wait_for(until):
    """wait_for(places, *owners): each waits in a thread; who has got a place, in order."""
    with ThreadPoolExecutor(50) as threads:

        def wait_for(places, *owners):
            came = []
            for owner in owners:
                before = waiting(places)
                threads.submit(lambda owner=owner: places.enter(owner) and came.append(owner))
                until(lambda before=before: waiting(places) > before)
            return came

        yield wait_for


def waiting(places):
    return sum(map(len, places._waiting.values()))


def leave(places, came, until, *owners):
    """Leave, and wait until somebody has got the place."""
    for owner in owners:
        before = len(came)
        places.leave(owner)
        until(lambda before=before: len(came) > before)


def test_one_owner_has_only_a_part():
    places = Places(3, 2)
    assert places.enter("ann", 0)
    assert places.enter("ann", 0)
    assert not places.enter("ann", 0.01)
    assert places.enter("bob", 0)
    assert not places.enter("carl", 0.01)


def test_who_has_left_gives_its_place_to_who_waits(until, wait_for):
    places = Places(1, 1)
    places.enter("ann")
    came = wait_for(places, "bob")
    leave(places, came, until, "ann")
    assert came == ["bob"]


def test_owners_take_turns_however_many_wait_of_one(until, wait_for):
    places = Places(1, 1)
    places.enter("ann")
    came = wait_for(places, "ann", "ann", "ann", "bob", "carl", "bob")
    leave(places, came, until, "ann", "ann", "bob", "carl", "ann", "bob")
    assert came == ["ann", "bob", "carl", "ann", "bob", "ann"]


def test_who_holds_least_is_next(until, wait_for):
    places = Places(4, 3)
    for owner in ("ann", "ann", "bob", "carl"):
        places.enter(owner)
    came = wait_for(places, "ann", "bob", "dora")
    # Of as many, who came first.
    leave(places, came, until, "carl", "ann", "dora")
    assert came == ["dora", "ann", "bob"]


def test_who_gives_up_holds_nothing():
    places = Places(1, 1)
    places.enter("ann")
    assert not places.enter("bob", 0.01)
    assert not places._waiting
    places.leave("ann")
    assert places.enter("carl", 0)


def test_nothing_is_kept_of_who_has_left():
    places = Places(2, 1)
    with places.place("ann"):
        pass
    assert (places._held, places._waiting) == ({}, {})


def test_no_more_than_there_are_at_once():
    places, lock = Places(3, 2), threading.Lock()
    at_once, most = 0, 0

    def work(number):
        nonlocal at_once, most
        with places.place(f"{number % 4}"):
            with lock:
                at_once += 1
                most = max(most, at_once)
            with lock:
                at_once -= 1

    with ThreadPoolExecutor(20) as threads:
        list(threads.map(work, range(2000)))
    assert most <= 3
    assert places._held.total() == 0
