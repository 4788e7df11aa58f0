"""Whose turn it is: the order in which the exports of several owners get a place.

Pure. The next is of the owner with the fewest running; of these the one whose latest turn is
longest ago, which is what parts them when one runs at a time; of that owner's it is the first. So
a flood of one owner holds up nobody but itself. Way in: in_turn.
"""

from __future__ import annotations

import heapq
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeVar

Waiting = TypeVar("Waiting")


def in_turn(
    waiting: Sequence[tuple[Waiting, Sequence[str]]],
    running: Sequence[str],
    turns: Mapping[str, int],
    places: int,
) -> Iterator[tuple[Waiting, str]]:
    """Yield what waits in the order of starting, each with the owner whose turn it takes.

    waiting: first what goes first, each with all who have asked for it. running: the owner of each
    that runs, the longest first. turns: a number of each owner's latest turn, growing. places: how
    many run at once. What is foretold comes true if what runs ends in the order of its start.
    """
    counts, ends, latest = Counter(running), deque(running), dict(turns)
    now = max(latest.values(), default=0)
    queues: dict[str, deque[int]] = {}
    for number, (_, owners) in enumerate(waiting):
        for owner in owners:
            queues.setdefault(owner, deque()).append(number)
    if len(queues) == 1:
        yield from ((export, owners[0]) for export, owners in waiting)
        return
    left = set(range(len(waiting)))
    ranks: list[tuple[tuple[int, int, int], str]] = []

    def rank(owner: str) -> tuple[int, int, int] | None:
        queue = queues.get(owner, ())
        while queue and queue[0] not in left:
            queue.popleft()
        return (counts[owner], latest.get(owner, 0), queue[0]) if queue else None

    def put(owner: str) -> None:
        if (found := rank(owner)) is not None:
            heapq.heappush(ranks, (found, owner))

    for owner in queues:
        put(owner)
    while left:
        if ends and len(ends) >= places:
            ended = ends.popleft()
            counts[ended] -= 1
            put(ended)
        found, owner = heapq.heappop(ranks)
        if found != rank(owner):
            put(owner)  # it has changed since it was put there
            continue
        number, now = found[2], now + 1
        left.remove(number)
        yield waiting[number][0], owner
        counts[owner] += 1
        latest[owner] = now
        ends.append(owner)
        put(owner)
