"""Steps with one event a POST: publish at a rate, see when listeners and publisher have it.

The publisher is outside, over HTTP. A step is good when its events were not late and the publisher
was not slowed. Way in: PostSteps(...).run.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from typing import Any

from benchmarks.client import Address
from benchmarks.crowd import Crowd, Dialogue
from benchmarks.poster import Poster
from benchmarks.results import percentile
from benchmarks.tally import ServedTally, payload

STEP_S = 2.5
# At a low rate a step has at least so many events.
LEAST_EVENTS = 30
LATE_S = 0.25
# A publisher is slowed when its answers come at less than this of the rate it asks for; the last
# of them may be late by LATE_S besides.
LEAST_SHARE = 0.97
# A step is bad when it is so twice: one pause of the machine is not the server's.
ATTEMPTS = 2
# After the last good rate and the first bad one: so many in between.
REFINEMENTS = 2
HOPELESS_S = 2.0
DRAIN_S = 10.0
PAUSE_S = 0.3
JOIN_S = 60
ALONE_S = 1.0
ALONE_UNDER_WAY = 64


class PostSteps:
    """clients listen to what is published to path. template: the body of a POST, `%s` is the data.

    say: told of each step, and of what POSTs reach without any listener.
    """

    def __init__(
        self,
        address: Address,
        *,
        clients: int,
        listen: Dialogue,
        path: str,
        template: str,
        say: Callable[..., None],
    ) -> None:
        self._address = address
        self._clients = clients
        self._listen = listen
        self._path = path
        self._template = template
        self._say = say
        self._tally = ServedTally()
        self._crowd = Crowd(
            address,
            eat=self._tally.eat,
            on_text=self._tally.on_text,
            on_stream=self._tally.on_stream,
        )

    def run(self, ways: Sequence[str], rates: Sequence[float], alone: str) -> None:
        """Try the rates, from below, in each way, until one is bad; then between that and the last.

        alone: the way of POSTs that is only asked for what it reaches without listeners.
        """
        reached = {way: self._alone(way) for way in ways}
        for way, rate in reached.items():
            self._say(way=way, alone=rate)
        self._members = self._crowd.join(self._clients, self._listen, JOIN_S)
        for way in ways:
            with closing(Poster(self._address, self._path, way)) as poster:
                most = reached[way] if way == alone else math.inf
                self._climb(poster, way, [rate for rate in rates if rate <= most])
        self._say(done=True)

    def _climb(self, poster: Poster, way: str, rates: Sequence[float]) -> None:
        good, bad = 0.0, math.inf
        for rate in rates:
            if not self._is_good(poster, way, rate):
                bad = rate
                break
            good = rate
        for _ in range(REFINEMENTS if good and bad < math.inf else 0):
            middle = math.sqrt(good * bad)
            if self._is_good(poster, way, middle):
                good = middle
            else:
                bad = middle

    def _is_good(self, poster: Poster, way: str, rate: float) -> bool:
        step = self._step(poster, rate)
        for _ in range(ATTEMPTS - 1):
            if not step["is_good"]:
                step = self._step(poster, rate)
        self._say(way=way, **step)
        return bool(step["is_good"])

    def _alone(self, way: str) -> float:
        """Return how many POSTs a second are answered while nobody listens."""
        with closing(Poster(self._address, self._path, way)) as poster:
            asked, had, began_s = 0, 0, 0.0
            while not began_s or time.monotonic() - began_s < ALONE_S:
                while asked - poster.acked < ALONE_UNDER_WAY:
                    poster.publish(self._template % payload(0))
                    asked += 1
                poster.turn()
                if not began_s and poster.acked:
                    # The first one may find a server that has just been started.
                    had, began_s = poster.acked, time.monotonic()
            rate = (poster.acked - had) / (time.monotonic() - began_s)
            self._wait(lambda: poster.acked < asked, poster)
        return rate

    def _step(self, poster: Poster, rate: float) -> dict[str, Any]:
        tally, crowd = self._tally, self._crowd
        tally.clear()
        self._wait(lambda: True, poster, PAUSE_S)
        had, had_acked = len(tally.due_s), poster.acked
        began_s = time.monotonic()
        for number in range(max(LEAST_EVENTS, round(rate * STEP_S))):
            due_s = began_s + number / rate
            crowd.turn(0)
            poster.turn()
            while (left_s := due_s - time.monotonic()) > 0:
                crowd.turn(left_s)
                poster.turn()
            if tally.oldest_s(self._members) > HOPELESS_S:
                break
            poster.publish(self._template % payload(len(tally.due_s)))
            tally.due_s.append(due_s)
        events = len(tally.due_s) - had
        self._wait(lambda: poster.acked - had_acked < events, poster)
        self._wait(lambda: tally.missing(self._members) > 0, poster)
        missing = tally.missing(self._members) + events - (poster.acked - had_acked)
        seconds = time.monotonic() - began_s
        # An answer at the end may be as late as an event; what piles up is more than that.
        acked_s = max(poster.last_ack_s - began_s - LATE_S, events / rate)
        share = events / rate / acked_s
        lost = missing + tally.skipped + tally.strayed + crowd.gone
        late_s = tally.latencies_s or [DRAIN_S]
        p50_s, p99_s = (percentile(late_s, part) for part in (50, 99))
        return {
            "rate": rate,
            "p50_ms": p50_s * 1000,
            "p99_ms": p99_s * 1000,
            "asked_share": share,
            "deliveries_per_s": events * len(self._members) / seconds,
            "lost": lost,
            "is_good": not lost and p99_s < LATE_S and share >= LEAST_SHARE,
        }

    def _wait(self, goes_on: Callable[[], bool], poster: Poster, most_s: float = DRAIN_S) -> None:
        ends_s = time.monotonic() + most_s
        while goes_on() and time.monotonic() < ends_s:
            self._crowd.turn(0.005)
            poster.turn()
