"""Signed links: for one address, for so long, for so many uses; nothing in them can change."""

import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from auth import Links
from auth.access import BadCredential, LinkSpent
from auth.ended_sessions import KEPT_S
from auth.links import Link, since_of, split_link
from state import State
from wire.cursors import Cursor, format_cursor
from wire.since import All, parse_since

ROOT = Path(__file__).parents[2]
KEY = b"k" * 32
ADDRESS = "/download/flights.csv?limit=2"
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


@pytest.fixture
def links(state):
    return Links(KEY, state)


def sign(links, address=ADDRESS, seconds=60, uses=0):
    """Return the text of a link to address, and the link."""
    url, link = links.sign(address, "0123456789ab", int(time.time()) + seconds, uses)
    query, text = split_link(url.partition("?")[2])
    assert query == address.partition("?")[2]
    return text, link


def test_what_is_read_is_what_was_signed(links):
    text, link = sign(links, uses=3)
    assert links.read(text, ADDRESS) == link
    assert (link.token, link.uses) == ("0123456789ab", 3)


@pytest.mark.parametrize("address", ["/files/a/b.txt", "/files/a/b%20c.txt", "/x?a=1&b=2", "/?"])
def test_addresses_of_all_kinds(links, address):
    url, link = links.sign(address, "t", int(time.time()) + 60, 0)
    assert url.startswith(address)
    text = split_link(url.partition("?")[2])[1]
    assert links.read(text, address) == link


def test_two_links_to_the_same_are_two(links):
    assert sign(links)[0] != sign(links)[0]


def another(character):
    """Return a character whose first bit is another one, so that all its bits are not lost."""
    if character not in ALPHABET:
        return "A"
    return ALPHABET[ALPHABET.index(character) ^ 0b100000]


def test_no_character_can_be_changed(links):
    text, _ = sign(links)
    for index, character in enumerate(text):
        other = text[:index] + another(character) + text[index + 1 :]
        with pytest.raises(BadCredential):
            links.read(other, ADDRESS)


NO_LINKS = {
    "nothing": lambda text: "",
    "a word": lambda text: "secret",
    "dots": lambda text: "...",
    "what it says": lambda text: text.rpartition(".")[0],
    "what it says, not signed": lambda text: text.rpartition(".")[0] + ".",
    "the signature": lambda text: text.rpartition(".")[2],
    "cut": lambda text: text[:-5],
    "longer": lambda text: text + "A",
    "a line feed": lambda text: text + "\n",
    "no ASCII": lambda text: text[:-1] + "ü",
    "long": lambda text: text * 1000,
}


@pytest.mark.parametrize("change", NO_LINKS.values(), ids=NO_LINKS.keys())
def test_what_is_no_link(links, change):
    text, _ = sign(links)
    with pytest.raises(BadCredential, match="that is no link of this server for this address"):
        links.read(change(text), ADDRESS)


OTHERS = {
    "another file": "/download/trains.csv?limit=2",
    "more rows": "/download/flights.csv?limit=20",
    "without its query": "/download/flights.csv",
    "with more of it": ADDRESS + "&a=1",
    "another order": "/download/flights.csv?a=1&limit=2",
    "written otherwise": "/download/flights%2Ecsv?limit=2",
    "a slash more": "/" + ADDRESS,
    "nothing": "",
}


@pytest.mark.parametrize("address", OTHERS.values(), ids=OTHERS.keys())
def test_it_is_no_link_to_another_address(links, address):
    text, _ = sign(links)
    with pytest.raises(BadCredential):
        links.read(text, address)


def test_another_server_takes_it_for_none(links, state):
    text, _ = sign(links)
    with pytest.raises(BadCredential):
        Links(b"another key".ljust(32), state).read(text, ADDRESS)


def test_it_expires(links):
    text, _ = sign(links, seconds=0)
    with pytest.raises(LinkSpent, match="expired"):
        links.read(text, ADDRESS)


def test_as_often_as_it_likes_leaves_nothing_behind(links, folder):
    _, link = sign(links)
    for _ in range(5):
        links.use(link)
    assert not folder.exists()


def test_uses_are_counted(links):
    _, link = sign(links, uses=2)
    _, other = sign(links, uses=1)
    links.use(link)
    links.use(link)
    for _ in range(2):
        with pytest.raises(LinkSpent, match="used up"):
            links.use(link)
    # Each has a count of its own.
    links.use(other)


def test_a_look_is_no_use_and_is_refused_when_there_is_none_left(links, folder):
    _, link = sign(links, uses=1)
    links.check(link)
    assert not folder.exists()
    links.check(link)
    links.use(link)
    with pytest.raises(LinkSpent, match="used up"):
        links.check(link)
    links.check(sign(links)[1])


def test_uses_are_counted_across_a_restart(links, folder):
    text, link = sign(links, uses=2)
    links.use(link)
    restarted = Links(KEY, State(folder))
    restarted.use(restarted.read(text, ADDRESS))
    with pytest.raises(LinkSpent):
        Links(KEY, State(folder)).use(link)


class Elsewhere:
    """Runs work on a thread of its own, and counts how often."""

    def __init__(self):
        self.runs = 0

    def __call__(self, work):
        self.runs += 1
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(work).result()


def test_what_asks_the_disk_runs_where_it_may_wait(state):
    run_native = Elsewhere()
    links = Links(KEY, state, run_native)
    _, link = sign(links, uses=1)
    links.check(link)
    links.use(link)
    with pytest.raises(LinkSpent):
        links.use(link)
    assert run_native.runs == 3
    links.use(sign(links)[1])
    assert run_native.runs == 3, "what is not counted asks no disk"


def test_of_many_uses_at_once_only_so_many_are_good(state):
    uses, asked, waiting = 3, 8, threading.Barrier(8)

    def run_native(work):
        # All would come this far together if nothing kept them apart.
        with suppress(threading.BrokenBarrierError):
            waiting.wait(0.05)
        return work()

    links = Links(KEY, state, run_native)
    _, link = sign(links, uses=uses)

    def use(_):
        try:
            links.use(link)
        except LinkSpent:
            return False
        return True

    with ThreadPoolExecutor(asked) as pool:
        assert sum(pool.map(use, range(asked))) == uses


def test_a_clock_that_jumps_ahead_makes_no_link_good_again(links, monkeypatch):
    (_, short), (_, long) = sign(links, uses=1), sign(links, seconds=864_000, uses=1)
    links.use(short)
    with monkeypatch.context() as patch:
        ahead_s = time.time() + 777_600
        patch.setattr("time.time", lambda: ahead_s)
        links.use(long)
    with pytest.raises(LinkSpent):
        links.use(short)


def test_the_count_of_what_has_expired_is_forgotten(links, state):
    _, short = sign(links, seconds=-KEPT_S - 5, uses=2)
    _, long = sign(links, seconds=60, uses=2)
    links.use(short)
    links.use(long)
    assert state.rows("select id, uses from link_uses") == [(long.id, 1)]
    links.use(long)
    with pytest.raises(LinkSpent):
        links.use(long)


USE = """
import os, signal, sys
from pathlib import Path
from auth import Links
from auth.access import LinkSpent
from state import State

links = Links(b"k" * 32, State(Path(sys.argv[1])))
link = links.read(sys.argv[2], sys.argv[3])
print("ready", flush=True)
sys.stdin.readline()
try:
    links.use(link)
    print("used", flush=True)
except LinkSpent:
    print("spent", flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def users(links, folder):
    """Processes that use the same link, of one use, when they are told to, and kill themselves."""
    text, _ = sign(links, uses=1)
    command = [sys.executable, "-c", USE, str(folder), text, ADDRESS]
    pipe = subprocess.PIPE
    made = [
        subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, text=True) for _ in range(4)
    ]
    yield made
    for user in made:
        user.kill()
        user.communicate()


def test_a_link_of_one_use_opens_once_in_all_processes(users):
    assert [user.stdout.readline() for user in users] == ["ready\n"] * 4
    for user in users:
        user.stdin.write("go\n")
        user.stdin.flush()
    assert sorted(user.stdout.readline() for user in users) == ["spent\n"] * 3 + ["used\n"]


QUERIES = {
    "none": ("", "", None),
    "nothing of a link": ("a=1&b=2", "a=1&b=2", None),
    "a link alone": ("link=x.y", "", "x.y"),
    "behind": ("a=1&link=x.y", "a=1", "x.y"),
    "before": ("link=x.y&a=1", "a=1", "x.y"),
    "between": ("a=1&link=x.y&b=2", "a=1&b=2", "x.y"),
    "two are none": ("link=x&link=y", "", "x&link=y"),
    "empty": ("a=1&link=", "a=1", ""),
    "without a value": ("a=1&link", "a=1&link", None),
    "another name": ("links=x&alink=y", "links=x&alink=y", None),
    "another case": ("Link=x", "Link=x", None),
    "an equals sign in it": ("link=a=b", "", "a=b"),
    "as a value": ("a=link=x", "a=link=x", None),
    "left as it is written": ("a=%20&&b=+&link=x", "a=%20&&b=+", "x"),
}


@pytest.mark.parametrize(("query", "rest", "text"), QUERIES.values(), ids=QUERIES.keys())
def test_split_link(query, rest, text):
    assert split_link(query) == (rest, text)


OLD, NEW = (format_cursor(Cursor(epoch, 1, 1, 1)) for epoch in (1, 2))
SINCES = {
    "no link: the header wins": (None, "all", "5m", (All(), 0.0)),
    "no header: as the address says": ("link", None, "all", (All(), 0.0)),
    "from now on: what came since it was made": ("link", OLD, None, (parse_since(OLD), 100.0)),
    "an age: as old when it was made": ("link", OLD, "30s", (parse_since(OLD), 70.0)),
    "all: everything": ("link", OLD, "all", (parse_since(OLD), 0.0)),
    "a cursor: not before it": ("link", OLD, NEW, (parse_since(NEW), 0.0)),
    "after its cursor": ("link", NEW, OLD, (parse_since(NEW), 0.0)),
}


@pytest.mark.parametrize(("link", "told", "asked", "want"), SINCES.values(), ids=SINCES.keys())
def test_where_a_feed_begins(link, told, asked, want):
    made = Link("id", "token", 1000, 0, 100.0) if link else None
    assert since_of(made, told, asked) == want


@pytest.mark.parametrize("told", ["all", "5m", "1ms"])
def test_a_feed_of_a_link_goes_on_from_cursors_only(told):
    with pytest.raises(LinkSpent):
        since_of(Link("id", "token", 1000, 0, 100.0), told, "all")
