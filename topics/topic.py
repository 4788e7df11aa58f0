"""A topic: its kept events, the batch that is pending, and its readers.

Knows no transport. Way in: Topics makes them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from journal import Bounds, Retained
from topics.rules import Rule
from wire.cursors import Cursor, format_cursor, parse_cursor, topic_mark
from wire.events import id_of
from wire.since import After, Age, All, Since

if TYPE_CHECKING:
    from topics.reader import TopicReader

EXPIRED, TOO_SLOW, RESTARTED, DAMAGED = "expired", "too slow", "restarted", "damaged"

# The limit of a pending batch; readers read larger ones from the log.
MAX_BATCH_BYTES = 4 * 1024 * 1024


class Gap(NamedTuple):
    """Events that a reader cannot get: lost ones after `since` and up to `to`.

    since: the reader's cursor, None when it had none. to: the cursor to resume from. lost: their
    number, None if not known. refetch: the address of a fresh start.
    """

    topic: str
    since: str | None
    to: str
    lost: int | None
    reason: str
    refetch: str


class NothingKept:
    """The events of a topic that does not exist, as a Retained."""

    def bounds(self) -> Bounds:
        return Bounds(1, 0, 0, b"")

    def read(self, start: int, max_bytes: int) -> list[bytes]:
        return []

    def after(self, record_id: bytes) -> int:
        return 1

    def since(self, time_s: float) -> int:
        return 1

    def newest(self, start: int) -> list[int]:
        return []


class Topic:
    """See the module. epoch: the incarnation of the log; an ephemeral topic began in it.

    readers: of this topic now, caught up or not. last, newest: ordinal and id of the last published
    event; the disk may have the next ones already, while their publishers wait. maker: the
    principal that created it, "" for the server itself or if not known. is_there: False for one
    that only stands for the gap of a reader.
    """

    def __init__(
        self,
        name: str,
        rule: Rule,
        records: Retained,
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
        self.readers: dict[TopicReader, None] = {}
        self.mark = topic_mark(name)
        self._epoch = epoch
        self._pending: list[bytes] = []
        self._pending_bytes = 0
        self.last = records.bounds().last
        lines = records.read(self.last, 1)
        self.newest = id_of(lines[0]).decode() if lines else None

    def add(self, first: int, lines: Sequence[bytes]) -> None:
        """Add lines that can be read now, from ordinal first on, to the pending batch."""
        if first != self.last + 1:
            # A publisher was killed while it waited for the disk: its events can only be read.
            self._pending = []
        self.last = first + len(lines) - 1
        self.newest = id_of(lines[-1]).decode()
        if not self.readers:
            return
        self._pending_bytes += sum(map(len, lines))
        if self._pending_bytes <= MAX_BATCH_BYTES:
            self._pending.extend(lines)

    def has_pending(self) -> bool:
        """Does it have readers, or events that were pending when it had some?"""
        return bool(self.readers or self._pending_bytes)

    def take_batch(self) -> tuple[int, list[bytes]]:
        """Return the first pending ordinal and the batch, which is empty if it was too large."""
        batch = self._pending if self._pending_bytes <= MAX_BATCH_BYTES else []
        self._pending, self._pending_bytes = [], 0
        return self.last - len(batch) + 1, batch

    def newest_from(self, place: int) -> list[int]:
        """Return the ordinals from place on of the newest event of each key, oldest first."""
        return self.records.newest(place)

    def seek(self, since: Since, now_s: float) -> tuple[int, Gap | None]:
        """Return the ordinal to begin with, and the gap before it."""
        records = self.records
        if isinstance(since, All):
            return records.bounds().first, None
        if isinstance(since, Age):
            return records.since(now_s - since.seconds), None
        if not isinstance(since, After):
            return self.last + 1, None
        cursor, text = since
        if not self.rule.durable and cursor.epoch < self._epoch:
            first = records.bounds().first
            return first, self.gap(text, first, None, RESTARTED)
        start = records.after(text.encode())
        bounds = records.bounds()
        if cursor.mark != self.mark:
            # A cursor of another topic: it is only known whether events after it were evicted.
            evicted = bounds.evicted
            is_whole = start > bounds.first or (evicted is not None and text.encode() >= evicted)
            gap = None if is_whole else self.gap(text, start, None, EXPIRED)
            return start, gap if gap and gap.to > text else None
        lost = start - cursor.ordinal - 1
        if lost == 0:
            return start, None
        if lost > 0 and start == bounds.first:
            return start, self.gap(text, start, lost, EXPIRED)
        # The cursor is none of this topic.
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
        bounds = self.records.bounds()
        if place > bounds.last and self.newest is not None:
            return max(place, bounds.first), self.newest
        while True:
            place = max(place, self.records.bounds().first)
            cursor = self.cursor_before(place)
            # Unless it was evicted meanwhile.
            if place >= self.records.bounds().first:
                return place, cursor

    def cursor_before(self, ordinal: int) -> str:
        """Return a cursor from which the record at ordinal is the next, or the first kept one."""
        while ordinal <= self.records.bounds().last:
            if line := self.records.read(ordinal, 1):
                # Greater than all ids before it, in all topics: a position belongs to one event.
                at = parse_cursor(id_of(line[0]).decode())
                return format_cursor(at._replace(ordinal=at.ordinal - 1))
            ordinal = self.records.bounds().first
        if self.newest is not None:
            return self.newest
        return format_cursor(Cursor(self._epoch, 0, self.records.bounds().last, self.mark))
