"""The schedule: which exports are begun, tried, paused and resumed, so that short ones overtake.

Pure: times and costs are given to it. Each export is in one of these phases:

- waiting: in the queue. It has no process.
- trying: it runs beside all others for CHANCE_S of processor time. If it ends within that time, it
  is done; else it is back in the queue and nothing of it is left. Each is tried once, and up to
  TRIES_OF_WAITING times while it is ended for waiting: for a lock, or for a busy processor.
- opening: it has a place, and waits for its snapshot.
- running: it has its snapshot. Without a place it runs for CHANCE_S.
- paused: stopped, with its snapshot. Only what keeps no writer of its database waiting.
- ending: complete or killed, and its process has not ended yet.

What is long shares `places`, by slices of SLICE_S: owners in turn (exports/fair_queue.py); of one
owner first what was paused for PATIENCE_S, then what has cost the fewest slices. The number of
processes is bounded, as each holds a snapshot and 16 MiB. Way in: Schedule.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import Enum, auto
from itertools import count
from typing import NamedTuple

from exports.fair_queue import in_turn

# 1,000 rows of 8 columns take 20 ms of processor time, 25,000 take 60 ms.
CHANCE_S = 0.06
# The same for what rather waits for a disk.
CHANCE_WALL_S = 2.0
# A chance without a place is looked at so often.
LOOK_S = 0.025
# 1,000,000 rows of 8 columns take 1 to 1.5 s: most of what is long needs one turn.
SLICE_S = 2.0
# So a client that has begun gets bytes before it, or a proxy, gives up.
PATIENCE_S = 10.0
# What has no snapshot after this time waits for a writer, and lends its place to exports of other
# databases.
STUCK_S = 0.25

# Tried at once. More are no sooner done on a few cores.
TRIES = 4
# Of one database, so that a locked one leaves some to others.
TRIES_PER_DATABASE = 2
# In 0.5 s on a machine with 10 times the work of its cores, a trial gets 50 ms of a processor.
TRIES_OF_WAITING = 3
# No export of so many rows ends within its chance: it is tried last, and one at a time, as the
# number may be wrong.
LARGE_ROWS = 300_000
# Of what may be open, so many are for those that are tried.
KEPT_FOR_TRIES = 2
# An owner may have so many open beside what runs.
PAUSED_PER_OWNER = 2

# Of so many owners it is known when they had a turn; of others it is longest ago.
MAX_TURNS = 1000


class Phase(Enum):
    """See the module."""

    WAITING = auto()
    TRYING = auto()
    OPENING = auto()
    RUNNING = auto()
    PAUSED = auto()
    ENDING = auto()


class Do(Enum):
    """What is to be done with an export. TRY: it is undone if it is long; STAY: or it is paused."""

    BEGIN = auto()
    TRY = auto()
    STAY = auto()
    PAUSE = auto()
    RESUME = auto()


class Move(NamedTuple):
    """One step of the schedule."""

    do: Do
    id: str


@dataclass(eq=False)
class _Work:
    """An export. owners: all who have asked for it. owner: whose turn it took.

    since_s: when its phase or its slice began. cost_s: the processor time it had used by then.
    """

    id: str
    database: str
    owners: list[str]
    phase: Phase = Phase.WAITING
    owner: str = ""
    tries_left: int = TRIES_OF_WAITING
    may_stay: bool = False
    is_large: bool = False
    is_pausable: bool = False
    has_place: bool = False
    is_long: bool = False
    since_s: float = 0.0
    cost_s: float = 0.0

    @property
    def is_open(self) -> bool:
        return self.phase not in (Phase.WAITING, Phase.TRYING)

    def enter(self, phase: Phase, now_s: float, *, has_place: bool) -> None:
        self.phase, self.since_s, self.has_place = phase, now_s, has_place


@dataclass
class Schedule:
    """See the module. Not thread-safe.

    places: how many run at once that are long. most_open: how many have a process; with as many as
    places nothing overtakes. used_s: asked for the processor time that an export has used.
    """

    places: int
    most_open: int
    used_s: Callable[[str], float] = lambda export_id: 0.0
    _works: dict[str, _Work] = field(default_factory=dict)
    # The number of each owner's latest turn, the longest ago first.
    _turns: dict[str, int] = field(default_factory=dict)
    _numbers: count[int] = field(default_factory=lambda: count(1))
    _order: list[tuple[str, str]] | None = None
    # The databases of which a reader was seen to block writers.
    _blocking: set[str] = field(default_factory=set)

    # What becomes of exports.

    def add(self, export_id: str, owner: str, database: str, rows: int | None = None) -> None:
        """Put it into the queue.

        database: the same text for those that wait for the same lock. rows: an estimate.
        """
        is_large = rows is not None and rows >= LARGE_ROWS
        self._works[export_id] = _Work(export_id, database, [owner], is_large=is_large)
        self._order = None

    def join(self, export_id: str, owner: str) -> None:
        """Let what waits or is paused, or will be, take the turns of this owner as well."""
        work = self._works.get(export_id)
        if work is not None and work.phase is not Phase.ENDING and owner not in work.owners:
            work.owners.append(owner)
            self._order = None

    def opened(self, export_id: str, now_s: float, *, is_pausable: bool) -> None:
        """It has its snapshot. is_pausable: no writer waits for it, however long it is held."""
        work = self._works[export_id]
        work.is_pausable |= is_pausable
        if work.phase in (Phase.TRYING, Phase.OPENING):
            (self._blocking.discard if is_pausable else self._blocking.add)(work.database)
            work.enter(Phase.RUNNING, now_s, has_place=work.has_place)
            self._order = None

    def undone(self, export_id: str, *, has_waited: bool = False) -> None:
        """It was tried, and is back in the queue. has_waited: it was not the processor time."""
        work = self._works[export_id]
        work.enter(Phase.WAITING, 0.0, has_place=False)
        work.tries_left = work.tries_left - 1 if has_waited else 0
        self._order = None

    def ending(self, export_id: str) -> None:
        """It is complete or was killed: it keeps its place, if it has one, and is not paused."""
        self._works[export_id].phase, self._order = Phase.ENDING, None

    def remove(self, export_id: str) -> None:
        """It has no process any more, or waits no more."""
        self._works.pop(export_id, None)
        self._order = None

    # What is asked.

    def phase(self, export_id: str) -> Phase | None:
        """Return its phase, None for one that is not in the schedule."""
        work = self._works.get(export_id)
        return None if work is None else work.phase

    def is_busy(self) -> bool:
        """Do as many hold a place as there are?"""
        return sum(work.has_place for work in self._works.values()) >= self.places

    def order(self) -> list[tuple[str, str]]:
        """Return what waits, first what is next, each with the owner whose turn it takes."""
        if self._order is None:
            holding = sorted((w for w in self._works.values() if w.has_place), key=_since)
            waiting = [
                *self._owned(Phase.PAUSED),
                *self._owned(Phase.WAITING, Phase.TRYING),
            ]
            running = [work.owner for work in holding]
            found = in_turn(waiting, running, self._turns, self.places)
            self._order = [(work.id, owner) for work, owner in found if not work.is_open]
        return self._order

    def due_s(self, now_s: float) -> float | None:
        """Return when moves() has something to look at by itself; None: only after a change."""
        phases = Counter(work.phase for work in self._works.values())
        is_waited_for = phases[Phase.PAUSED] + phases[Phase.WAITING] > 0
        due = []
        for work in self._works.values():
            if work.phase is Phase.RUNNING and not work.has_place and not work.is_long:
                due.append(now_s + LOOK_S)
            elif work.phase is Phase.OPENING and is_waited_for:
                due.append(work.since_s + STUCK_S)
            elif work.phase is Phase.RUNNING and work.is_pausable and is_waited_for:
                due.append(work.since_s + SLICE_S)
        return min((at_s for at_s in due if at_s > now_s), default=None)

    # What is to be done.

    def moves(self, now_s: float) -> list[Move]:
        """Return what is to be done now, in this order; the schedule takes it for done."""
        made = [*self._give_places(now_s), *self._try(now_s)]
        if made:
            self._order = None
        return made

    def _give_places(self, now_s: float) -> Iterable[Move]:
        held, contenders = self._holders(now_s)
        kept_for: set[str] = set()
        while len(held) + len(kept_for) < self.places:
            waiting = [(work, work.owners) for work in contenders]
            is_used = any(work.phase is Phase.RUNNING for work in contenders)
            waiting += [
                (work, owners)
                for work, owners in self._startable(now_s)
                if work.phase is Phase.WAITING or not (is_used or work.id in kept_for)
            ]
            waiting.sort(key=lambda each: _claim(each[0], now_s))
            # What has lent its place is its owner's all the same.
            running = [
                work.owner
                for work in self._works.values()
                if work in held or self._is_stuck(work, now_s)
            ]
            work, owner = next(in_turn(waiting, running, self._turns, len(running) + 1), (None, ""))
            if work is None:
                break
            if work.phase is Phase.TRYING:
                kept_for.add(work.id)  # its chance is over in a moment
                continue
            if work.phase is Phase.WAITING:
                yield Move(Do.BEGIN, work.id)
                work.enter(Phase.OPENING, now_s, has_place=True)
            else:
                contenders.remove(work)
                if work.phase is Phase.PAUSED:
                    yield Move(Do.RESUME, work.id)
                work.enter(Phase.RUNNING, now_s, has_place=True)
                work.is_long = True
            self._take_turn(work, owner)
            held.append(work)
        for work in contenders:
            if work.phase is Phase.RUNNING:
                yield Move(Do.PAUSE, work.id)
                work.enter(Phase.PAUSED, now_s, has_place=False)

    def _holders(self, now_s: float) -> tuple[list[_Work], list[_Work]]:
        """Return what keeps its place, and what is open and contends for one."""
        fixed, within, contenders = [], [], []
        for work in self._works.values():
            if work.phase is Phase.PAUSED:
                contenders.append(work)
            elif work.phase is Phase.RUNNING and work.is_pausable:
                if self._is_at_its_end(work, now_s):
                    contenders.append(work)
                elif work.has_place:
                    within.append(work)
            elif work.has_place and not self._is_stuck(work, now_s):
                fixed.append(work)
        # Where one that was stuck has gone on, there may be more than places.
        within.sort(key=_since)
        room = max(0, self.places - len(fixed))
        return [*fixed, *within[:room]], [*contenders, *within[room:]]

    def _is_at_its_end(self, work: _Work, now_s: float) -> bool:
        """Is its slice over, or its chance without a place?"""
        used_s = now_s - work.since_s
        if work.has_place:
            is_over = used_s >= SLICE_S
        else:
            work.is_long = self.used_s(work.id) >= CHANCE_S or used_s >= CHANCE_WALL_S
            is_over = work.is_long
        if is_over:
            work.cost_s = self.used_s(work.id)
        return is_over

    def _is_stuck(self, work: _Work, now_s: float) -> bool:
        lends = self.most_open > self.places
        return lends and work.phase is Phase.OPENING and now_s - work.since_s >= STUCK_S

    def _startable(self, now_s: float) -> list[tuple[_Work, list[str]]]:
        """Return what waits and may have a place now, the oldest first."""
        open_of, stuck_at, is_open, is_stuck = Counter[str](), set[str](), 0, 0
        for work in self._works.values():
            if work.is_open:
                open_of[work.owner] += 1
                is_open += 1
            if self._is_stuck(work, now_s):
                stuck_at.add(work.database)
                is_stuck += 1
        if is_open - is_stuck >= self._most_begun() or is_open >= self.most_open:
            return []
        if not self.is_busy():
            stuck_at.clear()  # no place is lent
        most = self.places + PAUSED_PER_OWNER
        found = []
        for work, owners in self._owned(Phase.WAITING, Phase.TRYING):
            owners = [owner for owner in owners if open_of[owner] < most]
            if owners and work.database not in stuck_at:
                found.append((work, owners))
        return found

    def _try(self, now_s: float) -> Iterable[Move]:
        works = self._works.values()
        while self.most_open > self.places:
            trying = [work for work in works if work.phase is Phase.TRYING]
            is_open = [work for work in works if work.is_open]
            if len(trying) >= min(TRIES, self.most_open - len(is_open)):
                return
            busy = [work.owner for work in (*is_open, *trying)]
            may_stay = len(is_open) + sum(each.may_stay for each in trying) < self._most_begun()
            untried = self._untried(trying, busy if may_stay else None)
            work, owner = next(in_turn(untried, busy, self._turns, len(busy) + 1), (None, ""))
            if work is None:
                return
            work.owner, work.may_stay = owner, may_stay and owner not in busy
            work.enter(Phase.TRYING, now_s, has_place=False)
            yield Move(Do.STAY if work.may_stay else Do.TRY, work.id)

    def _untried(
        self, trying: list[_Work], busy: list[str] | None
    ) -> list[tuple[_Work, list[str]]]:
        """Return what may be tried now. busy: the owners of which none may stay; None: of all.

        The newest first: the others have waited already, and one in a flood is no sooner done. But
        first what was tried the least.
        """
        at = Counter(work.database for work in trying)
        found = [
            (work, owners)
            for work, owners in self._owned(Phase.WAITING)
            if work.tries_left and at[work.database] < TRIES_PER_DATABASE
        ][::-1]
        found.sort(key=lambda each: -each[0].tries_left)

        def is_worth_it(work: _Work) -> bool:
            if not work.is_large:
                return True
            stays = busy is not None and not set(work.owners) <= set(busy)
            return stays and work.database not in self._blocking

        worth_it = [each for each in found if is_worth_it(each[0])]
        return worth_it or ([] if trying else found)

    def _most_begun(self) -> int:
        """Return how many may be open that are not on trial."""
        return max(self.places, self.most_open - KEPT_FOR_TRIES)

    def _owned(self, *phases: Phase) -> list[tuple[_Work, list[str]]]:
        return [(work, work.owners) for work in self._works.values() if work.phase in phases]

    def _take_turn(self, work: _Work, owner: str) -> None:
        work.owner = owner
        self._turns.pop(owner, None)
        self._turns[owner] = next(self._numbers)
        if len(self._turns) > MAX_TURNS:
            del self._turns[next(iter(self._turns))]


def _claim(work: _Work, now_s: float) -> tuple[bool, int, bool, float]:
    """Return what sorts the exports of one owner: the next one first."""
    if work.phase is Phase.PAUSED and now_s - work.since_s >= PATIENCE_S:
        return False, 0, False, work.since_s
    # Of two that have cost as much, the one that is open frees more.
    return True, int(work.cost_s / SLICE_S), not work.is_open, work.cost_s


def _since(work: _Work) -> float:
    return work.since_s
