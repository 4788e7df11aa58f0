"""The contract of event logs, on which topics are built.

An event log mints ids, keeps events, answers reads by cursor and by time, gives receipts for
idempotency keys, and notifies subscribers of the events of every publisher. Other processes may
publish to the same log if its kind allows it; the memory and the disk kind belong to one process.

Order: ids of all topics sort in one order. Events of a topic are numbered from 1 without a hole;
that number is the event's ordinal. Subscribers get the events of a topic in this order. Ids: an id
belongs to one event, also after a restart: each incarnation of the log has a greater epoch.
Durability: an event whose receipt `append` has returned can be read, and is as safe as the kind and
the topic's policy say. Blocking: every call may block, except `now`, `horizon`, `is_ahead` and the
properties. Threads: any thread may call anything; in a green process all are green threads.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from journal.records import Bounds, Layout, Retention
from wire.cursors import Cursor


class Policy(NamedTuple):
    """How a topic is kept.

    is_durable: on the disk before `append` returns; the memory kind ignores it. is_latest: the
    newest event of each key can be asked for. is_exempt: the limit of all topics together does not
    apply to it.
    """

    retention: Retention
    is_durable: bool = False
    is_latest: bool = False
    is_exempt: bool = False


class Condition(NamedTuple):
    """The condition under which a publication is accepted.

    expected: the ordinal of the topic's newest event before it, None for any. producer, epoch: a
    producer and its incarnation; refused once the topic has accepted a greater epoch of the
    producer. closes: the publication closes the topic.
    """

    expected: int | None = None
    producer: str | None = None
    epoch: int = 0
    closes: bool = False


class Publication(NamedTuple):
    """One event or more that were sent at once, as the log's payload layout takes them.

    key: the idempotency key. keys: each event's key where the policy is_latest; None for those of
    the layout. owner: the principal that publishes, to which key belongs. condition: None for none.
    """

    events: Sequence[Any]
    key: str | None = None
    keys: Sequence[str] | None = None
    owner: str = ""
    condition: Condition | None = None

    def digest(self) -> str:
        """Return the digest that tells a retry from another use of the key."""
        events = [event if isinstance(event, bytes) else tuple(event) for event in self.events]
        return hashlib.sha256(repr(events).encode()).hexdigest()


@dataclass(frozen=True)
class Receipt:
    """The publisher's acknowledgement. id: of the last event."""

    id: str
    topic: str
    count: int


class PayloadLayout(NamedTuple):
    """How events become the lines that are stored; `journal.layouts` has two.

    record: finds the id and the time in a line. lines_of: makes the lines of events, from their
    ids, the topic, the events, and their time in unix seconds. key_of: an event's key by default.
    """

    record: Layout
    lines_of: Callable[[Sequence[str], str, Sequence[Any], float], list[bytes]]
    key_of: Callable[[Any], str]


class NewEvents(NamedTuple):
    """Lines that can be read now. first: the ordinal of the first one.

    lines: empty when a publication failed: the horizon may have moved. A hole before first is left
    by a publisher that was killed before its receipt: those events can only be read.
    """

    topic: str
    first: int
    lines: Sequence[bytes]


class Retained(Protocol):
    """The events that a log keeps of a topic. Empty once the topic is forgotten.

    Readers hold this object rather than the topic's name: a topic may be forgotten and created
    again, and a reader of the old one must not get events of the new one.
    """

    def bounds(self) -> Bounds:
        """Return the bounds of what is kept, all in one call."""

    def read(self, start: int, max_bytes: int, /) -> list[bytes]:
        """Return the stored lines from ordinal start on, of together up to max_bytes, unparsed.

        At least one when first <= start <= last, however large. [] when start is not kept (any
        more, or yet). Raises JournalFailed where records are damaged.
        """

    def after(self, record_id: bytes, /) -> int:
        """Return the ordinal of the first kept event with a greater id; last + 1 if none has.

        record_id: an id or a cursor, of any topic. Raises JournalFailed.
        """

    def since(self, time_s: float, /) -> int:
        """Return the ordinal of the first kept event of that time or later; last + 1 if none.

        Raises JournalFailed.
        """

    def newest(self, start: int, /) -> list[int]:
        """Return the ordinals from start on of the newest event of each key, oldest first.

        Keys are known of events of this incarnation, in topics whose policy is_latest.
        """


OnNewEvents = Callable[[NewEvents], None]
OnTopic = Callable[[str, str, Retained], None]


class Size(NamedTuple):
    """Bytes: of events, and of the receipts of their publishers."""

    memory_bytes: int
    disk_bytes: int


class EventLog(Protocol):
    """Topics of events in one order. Way in: try_open, subscribe, declare, append."""

    @property
    def epoch(self) -> int:
        """The number of this incarnation, part of every id; 0 until the log is open."""

    @property
    def published(self) -> int:
        """The number of events of this incarnation."""

    def try_open(self) -> bool:
        """Begin an incarnation; False where another process still has the log: try again.

        Raises OSError, ValueError.
        """

    def close(self) -> None:
        """Wait for what is in flight, for a bounded time, and free everything. Idempotent.

        Appends that still wait, and later ones, get NotReady.
        """

    def subscribe(self, on_new_events: OnNewEvents, on_topic: OnTopic) -> None:
        """Call these from now on, for own publications too. Neither may wait for long.

        on_new_events: one call at a time for each topic, in order, once the lines can be read.
        on_topic: the name, the maker and the Retained of each topic that is declared or that
        another process has made, before its first events.
        """

    def topics(self) -> list[str]:
        """Return the names of all topics of the log, declared in this incarnation or not."""

    def declare(self, topic: str, policy: Policy, maker: str = "") -> Retained:
        """Keep a topic by policy from now on, and return what is kept of it.

        It is created if there is none; maker: the principal that creates it, "" for none. A topic
        that is declared already does not change. Raises NotReady, JournalFailed.
        """

    def forget(self, topic: str) -> None:
        """Free what is held of a topic; the events of one that is not durable are lost."""

    def append(self, topic: str, publications: Sequence[Publication]) -> list[Receipt | Exception]:
        """Keep publications in their order; return the receipt of each, or why it is refused.

        KeyReused and ConditionFailed refuse one publication. JournalFull (no room in the topic) and
        TopicsFull (in all of them) refuse those behind it too, so that the client can send them
        again in their order. A known idempotency key gets the receipt of its first use, and adds
        nothing. Raises JournalFull, NotReady when none can be kept. The topic has been declared.
        """

    def expire(self, now_s: float) -> None:
        """Evict events beyond the policies. Raises JournalFailed."""

    def horizon(self, topics: Iterable[str]) -> bytes:
        """Return an id that sorts before each event of topics that cannot be read yet.

        A reader that merges topics misses nothing as long as it reads no further.
        """

    def now(self) -> str:
        """Return the cursor between the events that can be read and those that cannot yet."""

    def is_ahead(self, cursor: Cursor) -> bool:
        """Is the cursor ahead of every id so far?"""

    def used(self) -> Size:
        """Return the bytes that all topics hold."""
