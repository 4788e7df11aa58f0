"""Chains: links that line up, and that prove nothing that is not so."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exports.chain import FIRST_STEP_BYTES, MAX_STEPS, Beginning, Chain, agree, may_agree

STEP = FIRST_STEP_BYTES


def chain_of(content, marks=(), piece_bytes=1000):
    chain = Chain(marks)
    for start in range(0, len(content), piece_bytes):
        chain.append(memoryview(content)[start : start + piece_bytes])
    return chain


def beginning(content, marks=()):
    """What clients can have of an export with this content."""
    chain = chain_of(content, marks)
    return Beginning(len(content), {**chain.links, len(content): chain.digest()})


@pytest.mark.parametrize("piece_bytes", [1, 1023, 1024, 5000, 10**6])
def test_links_are_digests_of_beginnings(piece_bytes):
    content = bytes(i % 251 for i in range(5 * STEP + 7))
    chain = chain_of(content, [STEP, 77, 10**9], piece_bytes)
    assert sorted(chain.links) == [77, *(STEP * i for i in range(1, 6))]
    for position, digest in chain.links.items():
        assert digest == hashlib.sha256(content[:position]).hexdigest()
    assert (chain.size, chain.digest()) == (len(content), hashlib.sha256(content).hexdigest())


def test_a_chain_is_bounded_and_of_positions_only():
    chain, other = Chain([STEP * 3, 77]), Chain()
    for steps in range(1, 700):
        chain.append(bytes(STEP))
        assert len(chain.links) <= MAX_STEPS + 2
        assert steps < MAX_STEPS or len(chain.links) >= MAX_STEPS // 2
    other.append(bytes(699 * STEP))
    assert chain.links.keys() == other.links.keys() | {77, STEP * 3}


def test_links_are_news_once():
    chain = Chain()
    chain.append(bytes(10))
    assert chain.news() is None
    chain.append(bytes(STEP))
    assert chain.news().keys() == {STEP}
    assert chain.news() is None


ONE = bytes(20 * STEP)
MORE = ONE + b"more" * STEP
LATE = ONE[:-1] + b"x"
EARLY = b"x" + ONE[1:]
MARKS = [len(ONE), len(MORE)]

# The newest, the others, the offset, and whether they are proven to be alike.
PROOFS = {
    "no other": (ONE, [], 100, True),
    "equal bytes": (ONE, [ONE, ONE], 100, True),
    "equal bytes, all of them": (ONE, [ONE], None, True),
    "at the end of both": (ONE, [ONE], len(ONE), True),
    "a table that was appended to": (MORE, [ONE], 100, True),
    "one that was appended to, at the end of the first": (MORE, [ONE], len(ONE), True),
    "one that was appended to, all of it": (MORE, [ONE], None, True),
    "one that rows were taken from, before those": (ONE, [MORE], 100, True),
    "one that rows were taken from, all of it": (ONE, [MORE], None, False),
    "changed before the offset": (ONE, [EARLY], 100, False),
    "changed after the next link": (ONE, [LATE], 100, True),
    "changed after the offset and before the next link": (ONE, [LATE], 20 * STEP - 100, False),
    "changed after the offset, all of it": (ONE, [LATE], None, False),
    "one agrees and one does not": (ONE, [ONE, EARLY], 100, False),
}


@pytest.mark.parametrize(("newest", "others", "offset", "want"), PROOFS.values(), ids=PROOFS.keys())
def test_what_is_proven(newest, others, offset, want):
    proven = agree(beginning(newest, MARKS), [beginning(other) for other in others], offset)
    assert proven is want


def test_without_a_mark_the_end_of_another_is_not_proven():
    assert not agree(beginning(MORE), [beginning(ONE[:-5])], len(ONE) - 5)
    assert agree(beginning(MORE, [len(ONE) - 5]), [beginning(ONE[:-5])], len(ONE) - 5)


def test_each_proves_the_one_before():
    """The newest has no mark of the oldest, whose end the one between has."""
    sizes = (19 * STEP + 5, 19 * STEP + 9, 19 * STEP + 11)
    oldest, between, newest = (beginning(ONE[:b], [a]) for a, b in zip((9, *sizes), sizes))  # noqa: B905
    for offset in (19 * STEP + 5, None):
        assert agree(newest, [between, oldest], offset)
        assert agree(newest, [oldest, between], offset)
        assert not agree(newest, [oldest], offset)


def test_of_what_is_torn_only_links_prove_something():
    torn = Beginning(None, dict(list(chain_of(ONE).links.items())[:5]))
    assert agree(beginning(ONE), [torn], 5 * STEP)
    assert not agree(beginning(ONE), [torn], 5 * STEP + 1)
    assert not agree(beginning(ONE), [torn], None)
    assert torn.reaches(10**9)


@st.composite
def productions(draw):
    """Contents of an address, each of which goes on as one before did up to some position."""
    contents = [draw(st.binary(min_size=1, max_size=8)) * 700]
    for _ in range(draw(st.integers(1, 4))):
        before = draw(st.sampled_from(contents))
        content = before[: draw(st.integers(0, len(before)))]
        contents.append(content + draw(st.binary(max_size=3)) * draw(st.integers(0, 1500)) + b"!")
    return contents


@given(productions(), st.integers(1, 6000), st.data())
def test_what_is_proven_is_so(contents, offset, data):
    chosen = data.draw(st.sampled_from(contents))
    sizes = [len(content) for content in contents]
    begun = [beginning(each, data.draw(st.lists(st.sampled_from(sizes)))) for each in contents]
    newest = beginning(chosen, sizes)
    if agree(newest, [each for each in begun if each.reaches(offset)], offset):
        assert len({each[:offset] for each in (chosen, *contents) if len(each) >= offset}) <= 1
    if agree(newest, begun, offset):
        assert all(chosen.startswith(each[:offset]) for each in contents)
    if agree(newest, begun, None):
        assert all(chosen.startswith(each) for each in contents)


GROWING = Chain()
GROWING.append(ONE[: 5 * STEP + 5])
# What is compared with the first 5 steps and 5 bytes of ONE, the offset, and whether it may agree.
CHANCES = {
    "the same, further than it is": (ONE, 8 * STEP, True),
    "the same, all of it": (ONE, None, True),
    "another already": (EARLY, 8 * STEP, False),
    "another later on": (LATE, 8 * STEP, True),
    "an end that it is past, with no link there": (ONE[: 4 * STEP + 7], 4 * STEP + 2, False),
    "an end that it is past, all of it": (ONE[: 4 * STEP + 7], None, False),
    "nothing yet, all of it": (b"", None, False),
}


@pytest.mark.parametrize(("other", "offset", "want"), CHANCES.values(), ids=CHANCES.keys())
def test_what_may_be_proven_later(other, offset, want):
    growing = Beginning(GROWING.size, {**GROWING.links, GROWING.size: GROWING.digest()})
    assert may_agree(growing, [beginning(other)], offset) is want


def test_what_is_torn_before_the_offset_is_never_proven():
    growing = Beginning(GROWING.size, {**GROWING.links, GROWING.size: GROWING.digest()})
    torn = Beginning(None, dict(list(chain_of(ONE).links.items())[:7]))
    assert may_agree(growing, [torn], 7 * STEP)
    assert not may_agree(growing, [torn], 7 * STEP + 1)
