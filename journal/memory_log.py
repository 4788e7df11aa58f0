"""An event log in memory: fast, bounded, lost with the process.

Way in: MemoryLog.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

from journal.capacity import DEFAULT_LIMIT, Capacity
from journal.epoch import next_epoch
from journal.errors import NotReady
from journal.event_log import (
    NewEvents,
    OnNewEvents,
    OnTopic,
    PayloadLayout,
    Policy,
    Publication,
    Receipt,
    Retained,
    Size,
)
from journal.memory_records import MemoryRecords
from journal.native import RunNative, run_here
from journal.receipts import Receipts
from journal.sequence import Sequence as Order
from journal.topic_log import Shared, TopicLog
from wire.cursors import Cursor

# How long close waits for what is in flight.
STOP_S = 5.0
_STOP_TICK_S = 0.05


class MemoryLog:
    """See EventLog. layout: of the payloads. limit: of all topics together."""

    def __init__(
        self, layout: PayloadLayout, limit: Size = DEFAULT_LIMIT, run_native: RunNative = run_here
    ) -> None:
        self._order = Order()
        self._capacity = Capacity(limit)
        self._run_native = run_native
        self._shared = Shared(layout, self._order, self._capacity, run_native, self._notify)
        self._topics: dict[str, TopicLog] = {}
        self._listeners: list[tuple[OnNewEvents, OnTopic]] = []
        self._is_closed = False

    @property
    def epoch(self) -> int:
        return self._order.epoch

    @property
    def published(self) -> int:
        return self._order.position

    def try_open(self) -> bool:
        self._order.epoch = next_epoch()
        return True

    def close(self) -> None:
        if self._is_closed:
            return
        self._is_closed = True
        ends_s = time.monotonic() + STOP_S
        while not self._order.is_quiet() and time.monotonic() < ends_s:
            time.sleep(_STOP_TICK_S)
        for topic in self._topics.values():
            topic.close()

    def subscribe(self, on_new_events: OnNewEvents, on_topic: OnTopic) -> None:
        self._listeners.append((on_new_events, on_topic))

    def topics(self) -> list[str]:
        return sorted(self._topics)

    def declare(self, topic: str, policy: Policy, maker: str = "") -> Retained:
        found = self._topics.get(topic)
        if found is not None:
            return found
        made = self._open(topic, policy, maker)
        if self._is_closed:
            made.close()
            raise NotReady("the server is stopping: try again in a second")
        self._topics[topic] = made
        try:
            for _, on_topic in self._listeners:
                on_topic(topic, made.maker, made)
        except BaseException:
            # The next caller declares it again.
            self.forget(topic)
            raise
        return made

    def _open(self, topic: str, policy: Policy, maker: str) -> TopicLog:
        records = MemoryRecords(self._shared.layout.record, policy.retention)
        in_memory = policy._replace(is_durable=False)
        return TopicLog(topic, in_memory, records, Receipts(None), maker, self._shared)

    def forget(self, topic: str) -> None:
        if (found := self._topics.pop(topic, None)) is not None:
            found.close()

    def append(self, topic: str, publications: Sequence[Publication]) -> list[Receipt | Exception]:
        found = self._topics.get(topic)
        if found is None or self._is_closed:
            raise NotReady(f"{topic} is not open: try again in a second")
        return found.append(publications)

    def expire(self, now_s: float) -> None:
        for topic in list(self._topics.values()):
            topic.expire(now_s)

    def horizon(self, topics: Iterable[str]) -> bytes:
        return self._order.horizon(topics)

    def now(self) -> str:
        return self._order.now()

    def is_ahead(self, cursor: Cursor) -> bool:
        return self._order.is_ahead(cursor)

    def used(self) -> Size:
        return Size(self._capacity.memory_bytes, self._capacity.disk_bytes)

    def _notify(self, events: NewEvents) -> None:
        for on_new_events, _ in self._listeners:
            on_new_events(events)
