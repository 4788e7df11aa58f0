"""Steps of a climb: publish at a rate for some seconds, and see what the listeners get.

The publisher is one more connection of the load process, so one clock tells how late an event is:
after the moment when it was due to be published, so that a delay of the publisher counts, too. It
waits for no answer. Way in: Steps(...).climb.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.client import Address
from benchmarks.climb import climb
from benchmarks.crowd import Crowd, Dialogue
from benchmarks.processes import Tree
from benchmarks.results import percentile
from benchmarks.tally import Tally, payload

STEP_S = 4.0
# Past this an event is too late: the p99 of a good step is less.
LATE_S = 0.25
# A rate is bad when it is so twice: at 16 events/s one pause makes more than 1 % of them late.
ATTEMPTS = 2
# A step is given up when an event has been under way for so long: four times too late already.
HOPELESS_S = 1.0
# How long nothing may arrive before what is missing is lost.
DRAIN_S = 10.0
PAUSE_S = 0.3
JOIN_S = 120


class _Lost(Exception):
    """A listener did not get an event, or not in order, or was cut."""


class Steps:
    """A crowd that listens, and a publisher.

    template: what is said to publish; `%s` is the event's data. server: the process whose tree's
    processor time is told. say: told of the connecting, each step, and the highest good rate.
    """

    def __init__(
        self,
        address: Address,
        *,
        clients: int,
        listen: Dialogue,
        publish: Dialogue,
        template: str,
        server: int,
        say: Callable[..., None],
    ) -> None:
        self._tally = Tally()
        self._crowd = Crowd(address, eat=self._tally.eat, on_text=self._tally.on_text)
        began_s = time.monotonic()
        self._members = self._crowd.join(clients, listen, JOIN_S)
        say(connected_s=time.monotonic() - began_s)
        (self._publisher,) = self._crowd.join(1, publish, JOIN_S)
        # Should it hear the events too, it is not to be counted.
        self._publisher.index = -1
        self._template = template
        self._tree = Tree(server)
        self._say = say
        self._best = 0.0

    def climb(self, first_rate: float) -> None:
        """Find the highest good rate, in events/s; the first loss ends the search.

        A server that has lost something or cut somebody is not in a state to be measured further.
        """
        try:
            best = climb(self._is_good, first_rate)
        except _Lost:
            best = self._best
        self._say(best=best)

    def _is_good(self, rate: float) -> bool:
        return any(self._step(rate) for _ in range(ATTEMPTS))

    def _step(self, rate: float) -> bool:
        """Publish at a rate for STEP_S, or until it is hopeless; return whether it is good."""
        tally = self._tally
        tally.clear()
        self._pause()
        had = len(tally.due_s)
        began_s, before = time.monotonic(), self._used()
        gave_up = self._publish(rate)
        published_s = time.monotonic() - began_s
        shares = [
            (used_s - had_s) / published_s
            for used_s, had_s in zip(self._used(), before, strict=True)
        ]
        lost = self._drain() + tally.skipped + tally.strayed + self._crowd.gone
        seconds = max(time.monotonic() - began_s, STEP_S)
        events = len(tally.due_s) - had
        p50_s, p99_s = (percentile(tally.latencies_s or [DRAIN_S], part) for part in (50, 99))
        is_good = not gave_up and not lost and p99_s < LATE_S
        self._say(
            rate=rate,
            deliveries_per_s=(events * len(self._members) - lost) / seconds,
            p50_ms=p50_s * 1000,
            p99_ms=p99_s * 1000,
            lost=lost,
            server_share=shares[0],
            own_share=shares[1],
            others_share=max(0.0, shares[2] - shares[0] - shares[1]),
            is_good=is_good,
        )
        if lost:
            raise _Lost
        self._best = max(self._best, rate * is_good)
        return is_good

    def _publish(self, rate: float) -> bool:
        """Publish for STEP_S; return whether it was given up."""
        crowd, tally = self._crowd, self._tally
        start_s = time.monotonic()
        for number in range(max(2, round(rate * STEP_S))):
            due_s = start_s + number / rate
            crowd.turn(0)
            while (left_s := due_s - time.monotonic()) > 0:
                crowd.turn(left_s)
            if tally.oldest_s(self._members) > HOPELESS_S:
                return True
            text = self._template % payload(len(tally.due_s))
            tally.due_s.append(due_s)
            crowd.say(self._publisher, text.encode())
        return False

    def _drain(self) -> int:
        """Wait until everyone has everything; return how many deliveries never come."""
        missing, since_s = self._tally.missing(self._members), time.monotonic()
        while missing and time.monotonic() - since_s < DRAIN_S:
            self._crowd.turn(0.02)
            now_missing = self._tally.missing(self._members)
            if now_missing < missing:
                missing, since_s = now_missing, time.monotonic()
        return missing

    def _pause(self) -> None:
        ends_s = time.monotonic() + PAUSE_S
        while (left_s := ends_s - time.monotonic()) > 0:
            self._crowd.turn(left_s)

    def _used(self) -> tuple[float, float, float]:
        """Return the processor time so far, in seconds: of the server, of ourselves, of all.

        Time that the host of a virtual machine gives to others is included.
        """
        ticks_per_s = os.sysconf("SC_CLK_TCK")
        names = ["user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal"]
        fields = Path("/proc/stat").read_text().split(maxsplit=9)[1:9]
        ticks = dict(zip(names, map(int, fields), strict=True))
        everyone = sum(ticks.values()) - ticks["idle"] - ticks["iowait"]
        own_s = time.process_time()
        return self._tree.ticks() / ticks_per_s, own_s, everyone / ticks_per_s
