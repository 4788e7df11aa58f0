"""Counting events: did every client get each of them, in order, and how late?

An event's data carries its sequence number. The first client to get event n teaches what its frame
looks like; for all others that frame is one comparison of bytes, so each byte of each frame is
looked at, for less than it costs to parse it. A frame that differs is parsed.

Way in: payload for who publishes; Tally.eat and Tally.on_text for a Crowd.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Sequence

from benchmarks.crowd import Member

# Of so many clients one is asked how late each event was.
SAMPLED_OF = 16
PAYLOAD_BYTES = 100

_MARK = re.compile(rb'"#([0-9]{9}) ')


def payload(seq: int) -> str:
    """Return the data of event seq: text of PAYLOAD_BYTES that is the same in JSON."""
    return f"#{seq:09d} ".ljust(PAYLOAD_BYTES, "x")


class Tally:
    """What all clients of a crowd have got.

    due_s: when each event was to be published, by its number (time.monotonic); empty if nobody
    asks for latencies. latencies_s: of the sampled clients, since the last clear(). skipped: events
    that a client did not get before a later one; strayed: events that came late or twice.
    """

    def __init__(self) -> None:
        self.due_s: list[float] = []
        self.latencies_s: list[float] = []
        self.skipped = 0
        self.strayed = 0
        self._frames: dict[int, bytes] = {}

    def eat(self, member: Member, buffer: bytearray, at: int, end: int) -> int:
        """Count the events that stand at buffer[at:end] as other clients got them."""
        first = seq = member.seq
        frames = self._frames
        while (frame := frames.get(seq)) is not None:
            stop = at + len(frame)
            if stop > end or not buffer.startswith(frame, at):
                break
            at = stop
            seq += 1
        if seq != first:
            member.seq = seq
            if not member.index % SAMPLED_OF:
                self._note(first, seq)
        return at

    def on_text(self, member: Member, frame: bytes, text: bytes) -> None:
        """Count an event that is new, or not the one that was due; other texts are none of ours."""
        found = _MARK.search(text)
        if found is None:
            return
        seq = int(found[1])
        if seq < member.seq:
            self.strayed += 1
            return
        self.skipped += seq - member.seq
        member.seq = seq + 1
        self._frames.setdefault(seq, frame)
        if not member.index % SAMPLED_OF:
            self._note(seq, seq + 1)

    def oldest_s(self, members: Sequence[Member]) -> float:
        """Return for how long the oldest event under way to a sampled client has been so."""
        oldest = min(member.seq for member in members[::SAMPLED_OF])
        return time.monotonic() - self.due_s[oldest] if oldest < len(self.due_s) else 0.0

    def missing(self, members: Iterable[Member]) -> int:
        """Return how many deliveries are still to come."""
        return sum(len(self.due_s) - member.seq for member in members)

    def clear(self) -> None:
        """Forget latencies, and the frames that everyone has."""
        self.latencies_s.clear()
        self._frames.clear()

    def _note(self, first: int, stop: int) -> None:
        now_s = time.monotonic()
        self.latencies_s += [now_s - due_s for due_s in self.due_s[first:stop]]
