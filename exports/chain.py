"""The chain of an export: digests of its beginnings, small, and kept when its bytes are gone.

A link is a position and the sha256 of all bytes before it. Two exports that have a link in common
begin with the same bytes. Links stand at multiples of a step that doubles as the export grows, so
those of two exports line up, whatever their sizes are; and at marks: where earlier exports of the
same address ended. Pure: knows nothing of journals.
Way in: Chain, which writes one; Beginning and agree, which compare.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import NamedTuple

FIRST_STEP_BYTES = 1024
# With MAX_MARKS and the end at most 81 links, 6 KB of JSON. Two of them are 1/64 to 1/32 of the
# export apart.
MAX_STEPS = 64
# One suffices where each export begins as the one before: that is the one before's end.
MAX_MARKS = 16

Links = dict[int, str]


class Chain:
    """Hashes what is appended. size: how much that is. links: thinned out as it grows."""

    def __init__(self, marks: Iterable[int] = ()) -> None:
        self.size = 0
        self.links: Links = {}
        self._hash = hashlib.sha256()
        self._marks = sorted(marks, reverse=True)
        self._kept_marks = frozenset(self._marks)
        self._step = FIRST_STEP_BYTES
        self._has_news = False

    def append(self, data: bytes | memoryview) -> None:
        view = memoryview(data)
        while view:
            stop = self._next_stop()
            part = view[: stop - self.size]
            self._hash.update(part)
            self.size += len(part)
            view = view[len(part) :]
            if self.size == stop:
                self._add_link()

    def digest(self) -> str:
        """Return the sha256 of all so far, in hexadecimal."""
        return self._hash.hexdigest()

    def news(self) -> Links | None:
        """Return all links if there are others than the last time."""
        has_news, self._has_news = self._has_news, False
        return self.links if has_news else None

    def _next_stop(self) -> int:
        while self._marks and self._marks[-1] <= self.size:
            self._marks.pop()
        stop = self.size - self.size % self._step + self._step
        return min(stop, self._marks[-1]) if self._marks else stop

    def _add_link(self) -> None:
        self.links[self.size] = self.digest()
        self._has_news = True
        if self.size > MAX_STEPS * self._step:
            self._step *= 2
            for position in list(self.links):
                if position % self._step and position not in self._kept_marks:
                    del self.links[position]


class Beginning(NamedTuple):
    """What clients can have of an export: its first `size` bytes, whose links are known.

    size: None where it is not known how much they can have.
    """

    size: int | None
    links: Links

    def reaches(self, offset: int) -> bool:
        """Can a client have the first `offset` bytes of it?"""
        return self.size is None or self.size >= offset


def agree(one: Beginning, others: Iterable[Beginning], offset: int | None) -> bool:
    """Is what a client can have of others, up to offset, proven to be what `one` has there?

    offset: None for all that a client can have, which then has to be in `one`. Those that agree
    with one that agrees do, so it is enough to have links in common with any of them; the order
    newest first is the quickest.
    """
    proven = set(one.links.items())
    left = list(others)
    while left:
        still = []
        for other in left:
            if proven.isdisjoint(_due_links(other, offset)):
                still.append(other)
            else:
                least = offset or 0
                proven.update(link for link in other.links.items() if link[0] >= least)
        if len(still) == len(left):
            return False
        left = still
    return True


def may_agree(growing: Beginning, others: Iterable[Beginning], offset: int | None) -> bool:
    """Can `agree` become true of one that still grows? False: not by growing alone."""
    size = growing.size or 0
    for other in others:
        if any(growing.links.get(at, digest) != digest for at, digest in other.links.items()):
            return False
        due = _due_links(other, offset)
        if due.isdisjoint(growing.links.items()) and all(at <= size for at, _ in due):
            return False
    return True


def _due_links(other: Beginning, offset: int | None) -> set[tuple[int, str]]:
    """Return those of its links of which one has to be proven."""
    due = other.size if offset is None else min(offset, other.size or offset)
    return {link for link in other.links.items() if due is not None and link[0] >= due}
