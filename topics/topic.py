"""A topic: a journal of events, those of them that were not pushed yet, and who reads it.

Knows no transport. Way in: Topics makes them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from journal import Records
from topics.rules import Rule
from wire.cursors import Cursor, format_cursor, parse_cursor, topic_mark
from wire.events import id_of, time_s_of
from wire.since import After, Age, All, Since

if TYPE_CHECKING:
    from topics.reader import Reader

EXPIRED, TOO_SLOW, RESTARTED, DAMAGED = "expired", "too slow", "restarted", "damaged"

# What waits for its one push to everybody; beyond it readers read it from the journal.
MAX_FRESH_BYTES = 4 * 1024 * 1024


class Gap(NamedTuple):
    """What a reader cannot be given: lost events after `since` and up to `to`.

    since: the reader's cursor, None when it had none. to: the cursor to go on from. lost: None
    where that cannot be known. refetch: the address of a fresh start.
    """

    topic: str
    since: str | None
    to: str
    lost: int | None
    reason: str
    refetch: str


class Topic:
    """See the module. epoch: the life of the server; an ephemeral topic began in it.

    readers: those who follow it now, caught up or not. last, newest: ordinal and id of the last
    event that was published; a disk may have the next ones already, while their publishers wait.
    maker: the owner whose publication made it, "" for the server itself and where it is not known.
    is_there: False for one that only stands for what a reader has missed.
    """

    def __init__(
        self,
        name: str,
        rule: Rule,
        records: Records,
        epoch: int,
        maker: str = "",
        *,
        is_there: bool = True,
    ) -> None:
        self.name = name
        self.maker = maker
        self.is_there = is_there
        self.rule = rule
        self.records = records
        self.readers: dict[Reader, None] = {}
        self.mark = topic_mark(name)
        self.last_time_s = 0.0
        self._epoch = epoch
        self._fresh: list[bytes] = []
        self._fresh_bytes = 0
        self._newest_of: dict[str, int] = {}
        self.last = records.last
        lines = records.read(records.last, 1)
        self.newest = id_of(lines[0]).decode() if lines else None
        if lines:
            self.last_time_s = time_s_of(lines[0])

    def add(self, lines: Sequence[bytes], keys: Sequence[str]) -> None:
        """Note lines that the journal has got: they are to be pushed. keys: of a `latest` topic."""
        first = self.records.last - len(lines) + 1
        if first != self.last + 1:
            # A publisher was killed while it waited for the disk: what it wrote can only be read.
            self._fresh = []
        self.last = self.records.last
        self.newest = id_of(lines[-1]).decode()
        if self.rule.latest:
            self._note_newest(first, keys)
        if not self.readers:
            return
        self._fresh_bytes += sum(map(len, lines))
        if self._fresh_bytes <= MAX_FRESH_BYTES:
            self._fresh.extend(lines)

    def has_news(self) -> bool:
        """Tell whether anybody follows it, or something is left from when somebody did."""
        return bool(self.readers or self._fresh_bytes)

    def take_fresh(self) -> tuple[int, list[bytes]]:
        """Return what is to be pushed and the ordinal of its first; nothing if it was too much."""
        fresh = self._fresh if self._fresh_bytes <= MAX_FRESH_BYTES else []
        self._fresh, self._fresh_bytes = [], 0
        return self.last - len(fresh) + 1, fresh

    def _note_newest(self, first: int, keys: Sequence[str]) -> None:
        for ordinal, key in enumerate(keys, first):
            self._newest_of.pop(key, None)
            self._newest_of[key] = ordinal
        if len(self._newest_of) > 2 * (self.last + 1 - self.records.first):
            # Half of them or more are of what is not kept any more.
            self._forget_expired()

    def _forget_expired(self) -> None:
        self._newest_of = {k: n for k, n in self._newest_of.items() if n >= self.records.first}

    def newest_from(self, place: int) -> list[int]:
        """Return the ordinals from place on of what is the newest of its key, oldest first."""
        self._forget_expired()
        return [ordinal for ordinal in self._newest_of.values() if ordinal >= place]

    def seek(self, since: Since, now_s: float) -> tuple[int, Gap | None]:
        """Return the ordinal to begin with, and what is missing before it."""
        records = self.records
        if isinstance(since, All):
            return records.first, None
        if isinstance(since, Age):
            return records.since(now_s - since.seconds), None
        if not isinstance(since, After):
            return self.last + 1, None
        cursor, text = since
        if not self.rule.durable and cursor.epoch < self._epoch:
            return records.first, self.gap(text, records.first, None, RESTARTED)
        start = records.after(text.encode())
        if cursor.mark != self.mark:
            # Another topic's: only whether something was let go of behind it can be told.
            let_go = records.let_go
            is_whole = start > records.first or (let_go is not None and text.encode() >= let_go)
            gap = None if is_whole else self.gap(text, start, None, EXPIRED)
            return start, gap if gap and gap.to > text else None
        lost = start - cursor.ordinal - 1
        if lost == 0:
            return start, None
        if lost > 0 and start == records.first:
            return start, self.gap(text, start, lost, EXPIRED)
        # It is no cursor that this journal gave out.
        return start, self.gap(text, start, None, RESTARTED)

    def gap(self, since: str | None, start: int, lost: int | None, reason: str) -> Gap:
        """Return the gap that ends before the record at start."""
        return Gap(self.name, since, self.cursor_before(start), lost, reason, self.refetch)

    @property
    def refetch(self) -> str:
        """The address of a fresh start."""
        return self.rule.mount + self.rule.refetch.replace("{topic}", self.name)

    def start_from(self, place: int) -> tuple[int, str]:
        """Return the first ordinal from place on that is kept, and the cursor before it."""
        while True:
            place = max(place, self.records.first)
            cursor = self.cursor_before(place)
            # Unless it was let go of while it was read.
            if place >= self.records.first:
                return place, cursor

    def cursor_before(self, ordinal: int) -> str:
        """Return a cursor from which the record at ordinal is the next, or the first kept one."""
        while ordinal <= self.records.last:
            if line := self.records.read(ordinal, 1):
                # Greater than all before it, whatever their topic: a position is of one event.
                at = parse_cursor(id_of(line[0]).decode())
                return format_cursor(at._replace(ordinal=at.ordinal - 1))
            ordinal = self.records.first
        if self.newest is not None:
            return self.newest
        return format_cursor(Cursor(self._epoch, 0, self.records.last, self.mark))
