"""Counting events: did every client get each of them, in order, and how late?

An event's data carries its sequence number. The first client to get event n teaches what its frame
looks like; for all others that frame is one comparison of bytes, so each byte of each frame is
looked at, for less than it costs to parse it. A frame that differs is parsed.

Way in: payload for a publisher; Tally.eat and Tally.on_text for a Crowd.
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
_MARK_BYTES = len(b'"#000000000 ')
# So many pieces of a stream are known by heart at most.
MAX_PIECES = 10_000


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
        # Pieces of a stream: the seq before and the bytes to the seq and what is kept after.
        self._pieces: dict[tuple[int, bytes], tuple[int, bytes]] = {}

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
        if self._take(member, int(found[1])):
            seq = member.seq - 1
            self._frames.setdefault(seq, frame)
            if not member.index % SAMPLED_OF:
                self._note(seq, seq + 1)

    def _take(self, member: Member, number: int) -> bool:
        """Have a member got the event of a number; return whether it was to come."""
        if number < member.seq:
            self.strayed += 1
            return False
        self.skipped += number - member.seq
        member.seq = number + 1
        return True

    def on_stream(self, member: Member, data: bytes) -> None:
        """Count the events of a stream by their marks; a piece that another client got is known.

        data: with the rest that the member had kept.
        """
        first = member.seq
        known = self._pieces.get((first, data))
        if known is None:
            wrong = self.skipped + self.strayed
            self._read_marks(member, data)
            if len(self._pieces) < MAX_PIECES and self.skipped + self.strayed == wrong:
                self._pieces[first, data] = member.seq, member.rest
        else:
            member.seq, member.rest = known
        if member.seq != first and not member.index % SAMPLED_OF:
            self._note(first, member.seq)

    def _read_marks(self, member: Member, data: bytes) -> None:
        at = 0
        for found in _MARK.finditer(data):
            at = found.end()
            self._take(member, int(found[1]))
        # A mark may be cut in two.
        begins = data.rfind(b'"#', at, len(data))
        if begins < max(at, len(data) - _MARK_BYTES):
            begins = len(data) - data.endswith(b'"')
        member.rest = data[begins:]

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
        self._pieces.clear()

    def _note(self, first: int, stop: int) -> None:
        now_s = time.monotonic()
        self.latencies_s += [now_s - due_s for due_s in self.due_s[first:stop]]


class ServedTally(Tally):
    """For several publishers at once: the order is the server's, and the same for all clients.

    The first client that is there teaches it. A client's seq is a place in that order.
    """

    def __init__(self) -> None:
        super().__init__()
        self._numbers: list[int] = []
        self._known: set[int] = set()

    def _take(self, member: Member, number: int) -> bool:
        if member.seq == len(self._numbers):
            if number in self._known:
                self.strayed += 1
                return False
            self._numbers.append(number)
            self._known.add(number)
        elif self._numbers[member.seq] != number:
            self.strayed += 1
            return False
        member.seq += 1
        return True

    def _note(self, first: int, stop: int) -> None:
        now_s = time.monotonic()
        numbers = self._numbers[first:stop]
        self.latencies_s += [now_s - self.due_s[number] for number in numbers]
