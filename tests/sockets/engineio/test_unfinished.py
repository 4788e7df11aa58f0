"""What is not whole has room in all, and one owner never all of it."""

import pytest

from sockets.engineio.errors import Refused
from sockets.engineio.unfinished import Unfinished


def fill(unfinished, owner):
    """Keep one byte after the other; return how many had room."""
    for count in range(1000):
        try:
            unfinished.keep((owner, count), owner, 1)
        except Refused:
            return count
    return None


def test_an_owner_has_as_much_as_stays_free_for_others():
    unfinished = Unfinished(100)
    assert [fill(unfinished, owner) for owner in ("a", "b", "c")] == [50, 25, 12]
    assert unfinished.total == 87
    assert fill(unfinished, "new") > 0


def test_what_grows_is_counted_once():
    unfinished = Unfinished(100)
    for size in (10, 30, 50):
        unfinished.keep("a1", "a", size)
        assert unfinished.total == size


def test_what_is_refused_is_forgotten():
    unfinished = Unfinished(100)
    unfinished.keep("a1", "a", 40)
    with pytest.raises(Refused) as caught:
        unfinished.keep("a1", "a", 51)
    assert (caught.value.code, caught.value.headers["Retry-After"]) == ("too_much_unfinished", "5")
    assert unfinished.total == 0
    unfinished.keep("a2", "a", 50)


def test_what_is_whole_makes_room():
    unfinished = Unfinished(100)
    unfinished.keep("a1", "a", 50)
    unfinished.forget("a1")
    unfinished.forget("a1")
    unfinished.forget("never came")
    unfinished.keep("a2", "a", 50)
    assert unfinished.total == 50
