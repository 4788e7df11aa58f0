"""Pushes what is published to the readers that are up to date.

An event is framed once for each transport and written straight to every reader; what came since the
last round goes out in one write, so under load the rounds grow and the writes do not. A reader that
cannot take it is left to read by itself.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from topics.reader import News, Reader
from topics.topic import Topic
from wire.framing import Framing

log = logging.getLogger(__name__)

# How long one may push before the others get a turn; DESIGN.md: the hub never waits 5 ms. A write
# is about 10 us, so the clock is looked at after so many.
TURN_S = 0.004
WRITES_A_LOOK = 32


class Dispatcher:
    """One thread that pushes. delivered: how many events were, over all readers."""

    def __init__(self) -> None:
        self.delivered = 0
        self._news: dict[Topic, None] = {}
        self._bell = threading.Event()
        self._stopped = False

    def start(self) -> None:
        threading.Thread(target=self._run, name="dispatcher", daemon=True).start()

    def stop(self) -> None:
        """Push nothing any more."""
        self._stopped = True
        self._bell.set()

    def flush(self) -> None:
        """Push what there is, on the caller's thread."""
        while self._news:
            topic = next(iter(self._news))
            del self._news[topic]
            try:
                self.push(topic)
            except Exception:
                # One mistake of ours must not end the deliveries for good.
                log.exception("push failed topic=%s", topic.name)

    def ring(self, topic: Topic) -> None:
        """Say that topic has news. Never waits."""
        self._news[topic] = None
        self._bell.set()

    def _run(self) -> None:
        while self._bell.wait() and not self._stopped:
            self._bell.clear()
            self.flush()

    def push(self, topic: Topic) -> None:
        """Push what is fresh of topic; wake the readers that have to merge or catch up."""
        start, lines = topic.take_fresh()
        made: dict[tuple[Framing, int], bytes] = {}
        news = News(topic, start, start + len(lines), topic.newest or "", _frame_once(lines, made))
        framings = 0
        turn_ends = time.monotonic() + TURN_S
        for index, reader in enumerate(list(topic.readers)):
            self._give(reader, news)
            # A framing of a log's followers searches, which takes longer than many writes.
            is_time_to_look = index % WRITES_A_LOOK == 0 or len(made) > framings
            framings = len(made)
            if is_time_to_look and time.monotonic() >= turn_ends:
                time.sleep(0)
                turn_ends = time.monotonic() + TURN_S

    def _give(self, reader: Reader, news: News) -> None:
        outlet = reader.outlet
        if outlet is None or reader not in news.topic.readers:
            # It has left since this push began.
            return
        if reader.live and len(reader.places) == 1:
            if reader.push(news):
                self.delivered += news.stop - news.start
                return
        else:
            reader.live = False
        outlet.wake()


def _frame_once(
    lines: list[bytes], made: dict[tuple[Framing, int], bytes]
) -> Callable[[Framing, int], bytes]:
    """Return the function that frames lines, without so many of the first, once a framing.

    made: what it has framed.
    """

    def framed(framing: Framing, skip: int) -> bytes:
        key = (framing, skip)
        if key not in made:
            made[key] = framing.events(lines[skip:])
        return made[key]

    return framed
