"""What every event log promises: the contract that topics stand on.

An event log mints ids, keeps events, answers reads by cursor and by time, gives receipts for
idempotency keys, and tells the news of every publisher. A second process may publish to the
same log (an engine); the memory and the disk kind belong to one process.

Order: ids of all topics sort in one order. Events of a topic are numbered from 1 without a hole;
that number is the event's ordinal. News of a topic come in the order of their ordinals. Ids: no id
is ever two events, also after a restart: each incarnation of the log has a greater epoch.
Durability: what `append` has returned a receipt for is as safe as the kind and the topic's policy
say, and can be read. Blocking: every call may block, but for `now`, `horizon`, `is_ahead` and the
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

    is_durable: on the disk before `append` returns; the memory kind has none. is_latest: the
    newest event of each key can be asked for. has_place: the capacity of all topics together does
    not refuse it anything.
    """

    retention: Retention
    is_durable: bool = False
    is_latest: bool = False
    has_place: bool = False


class Condition(NamedTuple):
    """What has to hold for a publication to be accepted.

    expected: the ordinal of the topic's newest event before it, None for any. producer, epoch: a
    producer and its incarnation; refused once the topic has accepted a greater epoch of the
    producer. closes: the topic accepts nothing after it.
    """

    expected: int | None = None
    producer: str | None = None
    epoch: int = 0
    closes: bool = False


class Publication(NamedTuple):
    """What was sent at once: one event or more, as the log's payload layout takes them.

    key: the idempotency key. keys: what each event is the newest of, where the policy asks for
    that; None for what the layout says. owner: the principal that publishes, to which key belongs.
    condition: None for none.
    """

    events: Sequence[Any]
    key: str | None = None
    keys: Sequence[str] | None = None
    owner: str = ""
    condition: Condition | None = None

    def digest(self) -> str:
        """Return what tells a retry from another use of the key."""
        events = [event if isinstance(event, bytes) else tuple(event) for event in self.events]
        return hashlib.sha256(repr(events).encode()).hexdigest()


@dataclass(frozen=True)
class Receipt:
    """What a publisher is told. id: of the last event."""

    id: str
    topic: str
    count: int


class PayloadLayout(NamedTuple):
    """How events become the lines that are stored; the caller chooses, `journal.layouts` has two.

    record: where a line has its id and its time. lines_of: the lines of events, from their ids,
    the topic, the events, and their time in unix seconds. key_of: what an event is the newest of
    by default.
    """

    record: Layout
    lines_of: Callable[[Sequence[str], str, Sequence[Any], float], list[bytes]]
    key_of: Callable[[Any], str]


class News(NamedTuple):
    """Lines that can be read now, the first of which has the ordinal first.

    lines: none when a publication came to nothing: the horizon may have moved. A hole before first
    is there when the publisher was killed before its receipt: those events can only be read.
    """

    topic: str
    first: int
    lines: Sequence[bytes]


class Retained(Protocol):
    """What a log keeps of a topic. Once the topic is forgotten, it has nothing any more.

    It is asked by this object rather than by the topic's name: a topic may be forgotten and come
    into being again, and a reader of the old one must not be given events of the new one.
    """

    def bounds(self) -> Bounds:
        """Return what of the topic is kept, all in one call."""

    def read(self, start: int, max_bytes: int, /) -> list[bytes]:
        """Return the stored lines from ordinal start on, of together up to max_bytes, unparsed.

        At least one when first <= start <= last, however large. [] when start is not kept (any
        more, or yet). Raises JournalFailed where what should be there is damaged.
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
        """Return the ordinals from start on of what is the newest of its key, oldest first.

        Keys are known of what was published in this incarnation, to topics whose policy asks.
        """


OnNews = Callable[[News], None]
OnTopic = Callable[[str, str, Retained], None]


class Size(NamedTuple):
    """Bytes: of events, and of the receipts of their publishers."""

    memory_bytes: int
    disk_bytes: int


class EventLog(Protocol):
    """Topics of events in one order. Way in: try_open, subscribe, declare, append."""

    @property
    def epoch(self) -> int:
        """The number of this incarnation, which is part of every id; 0 until it is open."""

    @property
    def published(self) -> int:
        """How many events there have been in this incarnation."""

    def try_open(self) -> bool:
        """Begin an incarnation; False where another process still has the log: try again.

        Raises OSError, ValueError.
        """

    def close(self) -> None:
        """Wait for what is in flight, for a bounded time, and free everything; again is harmless.

        What still waits to be kept, and what comes later, gets NotReady.
        """

    def subscribe(self, on_news: OnNews, on_topic: OnTopic) -> None:
        """Have news told from now on, own publications included. Neither may wait for long.

        on_news: one call at a time for each topic, in order; after its lines can be read.
        on_topic: the name, the maker and what is kept of each topic that is declared or that
        another process has made, before its first news.
        """

    def topics(self) -> list[str]:
        """Return the names of the topics that are there, declared in this incarnation or not."""

    def declare(self, topic: str, policy: Policy, maker: str = "") -> Retained:
        """Have a topic kept by policy, and return what is kept of it.

        It comes into being if there is none; maker: the principal that has it made, "" for none.
        Of one that is declared nothing changes. Raises NotReady, JournalFailed.
        """

    def forget(self, topic: str) -> None:
        """Free what is held of a topic; one that is not durable is gone with what it kept."""

    def append(self, topic: str, publications: Sequence[Publication]) -> list[Receipt | Exception]:
        """Keep publications in their order; return for each its receipt, or why it is refused.

        Refused by itself: KeyReused, ConditionFailed. JournalFull (no room in the topic) and
        TopicsFull (in all of them) refuse those behind it too, so that they can be sent again in
        their order. A known idempotency key gets the receipt of its first use, and adds nothing.
        Raises what keeps all of them from being kept, and then none is: JournalFull, NotReady.
        The topic has been declared.
        """

    def expire(self, now_s: float) -> None:
        """Evict what the policies do not keep any more. Raises JournalFailed."""

    def horizon(self, topics: Iterable[str]) -> bytes:
        """Return an id that sorts before each event of topics that cannot be read yet.

        A reader that merges topics may go so far, and misses nothing.
        """

    def now(self) -> str:
        """Return the cursor after every event that can be read, and before all that cannot yet."""

    def is_ahead(self, cursor: Cursor) -> bool:
        """Is the cursor ahead of everything that was given out?"""

    def used(self) -> Size:
        """Return how many bytes all topics hold."""
