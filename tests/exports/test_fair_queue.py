from __future__ import annotations

import random
from types import SimpleNamespace

import pytest

from exports.fair_queue import in_turn

# Each: who waits (an owner, or all who asked for one), who runs, who had a turn last, how many run
# at once; and the order as numbers of those who wait, each with whose turn it takes.
ORDERS = {
    "nobody waits": ("", "ab", "", 2, ""),
    "of one owner the oldest": ("aaa", "", "", 1, "0a 1a 2a"),
    "of those who run as many the oldest": ("abc", "", "", 3, "0a 1b 2c"),
    "the fewest running": ("aab", "a", "", 2, "2b 0a 1a"),
    "the fewest running of three": ("abc", "aab", "", 9, "2c 1b 0a"),
    "who was just begun counts": ("aabb", "", "", 4, "0a 2b 1a 3b"),
    "one at a time: by turns": ("aaabb", "a", "a", 1, "3b 0a 4b 1a 2a"),
    "one at a time: whose turn is longest ago": ("abc", "", "cab", 1, "2c 0a 1b"),
    "who never had a turn comes first": ("ab", "", "a", 1, "1b 0a"),
    "the fewest running come before the longest ago": ("ab", "a", "ab", 3, "1b 0a"),
    "what runs longest ends first": ("ab", "ab", "ab", 2, "0a 1b"),
    "nobody is named": ([[""], [""]], [""], [], 1, "0 1"),
    "one that two have asked for": (["a", "a", "ab"], "a", "a", 1, "2b 0a 1a"),
    "whose turn it takes is charged": (["ab", "a", "b"], "", "", 1, "0a 2b 1a"),
}


@pytest.mark.parametrize(
    ("waiting", "running", "last", "places", "want"), ORDERS.values(), ids=ORDERS.keys()
)
def test_the_order(waiting, running, last, places, want):
    turns = {owner: number for number, owner in enumerate(last, 1)}
    got = in_turn(list(enumerate(waiting)), list(running), turns, places)
    assert " ".join(f"{number}{owner}" for number, owner in got) == want


def foretold_one_by_one(waiting, running, turns, places):
    """The order, from its definition alone."""
    left, running, turns, order = list(enumerate(waiting)), list(running), dict(turns), []
    while left:
        del running[: max(0, len(running) - places + 1)]

        def rank(each):
            number, owner = each
            return running.count(owner), turns.get(owner, 0), number

        number, owner = min(left, key=rank)
        left.remove((number, owner))
        running.append(owner)
        turns[owner] = max(turns.values(), default=0) + 1
        order.append((number, owner))
    return order


@pytest.mark.parametrize("seed", range(50))
def test_it_is_the_order_of_the_definition(seed):
    chance = random.Random(seed)
    owners = "abcde"[: chance.randint(1, 5)]
    waiting = chance.choices(owners, k=chance.randint(0, 30))
    places = chance.randint(1, 6)
    running = chance.choices(owners, k=chance.randint(0, places))
    turns = {owner: n for n, owner in enumerate(chance.sample(owners, k=len(owners) // 2), 1)}
    got = list(in_turn(list(enumerate(waiting)), running, turns, places))
    assert got == foretold_one_by_one(waiting, running, turns, places)


def test_what_comes_is_given_back_as_it_is():
    export = SimpleNamespace()
    assert next(in_turn([(export, ["a"])], [], {}, 1)) == (export, "a")
