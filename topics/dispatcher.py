"""Pushes published events to the readers that are up to date.

An event is framed once for each transport and written straight to every reader. All events since
the last round go out in one write, so under load the rounds grow and the number of writes does not.
If a reader cannot take them, it reads by itself.

A round to many readers takes longer than publishing an event. So pushing lets the others run, in a
round and after it, as long as they have work and within limits: events that are published meanwhile
go out in the next round. If no other greenlet has work, the next round begins at once.
docs/decisions/0016-pushing-makes-way.md has the figures.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from topics.reader import EventBatch, TopicReader
from topics.topic import Topic
from wire.framing import Framing

log = logging.getLogger(__name__)

# How long a push may take before the others get a turn; nothing holds the hub for 5 ms. A
# write takes about 10 us, so the clock is read after so many.
TURN_S = 0.004
WRITES_A_LOOK = 32

# If a turn of the others took less, none of them ran: a hub without work takes 3 to 5 us, and the
# shortest step of a request 60.
IDLE_S = 0.00002
# After a round the others may run as long as it has pushed. While they publish, they may run so
# many times as long: 2,000 requests a second need nearly the whole core. But an event that waits
# for a round is late by this pause and by two rounds, which has to stay far below 250 ms.
REST_SHARE = 8
MAX_REST_S = 0.08


class Dispatcher:
    """One thread that pushes. delivered: the number of pushed events, over all readers."""

    def __init__(self) -> None:
        self.delivered = 0
        self._pending: dict[Topic, None] = {}
        self._bell = threading.Event()
        self._stopped = False
        self._turn_ends_s = 0.0
        # How long the others have run in the middle of rounds.
        self._others_s = 0.0

    def start(self) -> None:
        threading.Thread(target=self._run, name="dispatcher", daemon=True).start()

    def stop(self) -> None:
        """Stop pushing."""
        self._stopped = True
        self._bell.set()

    def flush(self) -> None:
        """Push all pending batches, on the caller's thread."""
        while self._pending:
            self._round()

    def ring(self, topic: Topic) -> None:
        """Note that topic has a batch pending. Never waits."""
        self._pending[topic] = None
        self._bell.set()

    def _run(self) -> None:
        while self._bell.wait() and not self._stopped:
            self._bell.clear()
            self.turn()

    def turn(self) -> None:
        """Push the present batches, then let the others run."""
        self._rest(self._round())

    def _round(self) -> float:
        """Push the batch of each topic that has one now; return the seconds that this took."""
        began_s, others_s = time.monotonic(), self._others_s
        self._turn_ends_s = began_s + TURN_S
        for _ in range(len(self._pending)):
            topic = next(iter(self._pending), None)
            if topic is None:
                # Another thread has pushed the batch.
                break
            del self._pending[topic]
            try:
                self.push(topic)
            except Exception:
                # One bug must not end the deliveries for good.
                log.exception("push failed topic=%s", topic.name)
        return time.monotonic() - began_s - (self._others_s - others_s)

    def _rest(self, pushed_s: float) -> None:
        """Let the others run after a round that has pushed for so long, if they have work.

        They get an equal share of time, and more as long as they publish.
        """
        left_s = min(pushed_s * REST_SHARE, MAX_REST_S)
        while not self._stopped:
            self._bell.clear()
            began_s = time.monotonic()
            is_idle = self._let_others_go_on(min(pushed_s, left_s))
            left_s -= time.monotonic() - began_s
            if is_idle or left_s <= 0 or not self._bell.is_set():
                break
        if self._pending:
            self._bell.set()

    def _let_others_go_on(self, most_s: float) -> bool:
        """Let the others run until they wait for something; return whether they do by then."""
        began_s = turn_began_s = time.monotonic()
        while True:
            time.sleep(0)
            now_s = time.monotonic()
            is_idle = now_s - turn_began_s < IDLE_S
            if is_idle or now_s - began_s >= most_s:
                self._others_s += now_s - began_s
                return is_idle
            turn_began_s = now_s

    def push(self, topic: Topic) -> None:
        """Push the pending batch of topic; wake the readers that have to merge or catch up."""
        start, lines = topic.take_batch()
        made: dict[tuple[Framing, int], bytes] = {}
        batch = EventBatch(
            topic, start, start + len(lines), topic.newest or "", _frame_once(lines, made)
        )
        framings = 0
        for index, reader in enumerate(list(topic.readers)):
            self._give(reader, batch)
            # The framing of a log's readers may search, which takes longer than many writes.
            is_time_to_look = index % WRITES_A_LOOK == 0 or len(made) > framings
            framings = len(made)
            if is_time_to_look and time.monotonic() >= self._turn_ends_s:
                self._let_others_go_on(TURN_S)
                self._turn_ends_s = time.monotonic() + TURN_S

    def _give(self, reader: TopicReader, batch: EventBatch) -> None:
        writer = reader.writer
        if writer is None or reader not in batch.topic.readers:
            # The reader has left since this push began.
            return
        if reader.live and len(reader.places) == 1:
            if reader.push(batch):
                self.delivered += batch.stop - batch.start
                return
        else:
            reader.live = False
        writer.wake()


def _frame_once(
    lines: list[bytes], made: dict[tuple[Framing, int], bytes]
) -> Callable[[Framing, int], bytes]:
    """Return a function that frames lines, without so many of the first, once a framing.

    made: the framed bytes.
    """

    def framed(framing: Framing, skip: int) -> bytes:
        key = (framing, skip)
        if key not in made:
            made[key] = framing.events(lines[skip:])
        return made[key]

    return framed
