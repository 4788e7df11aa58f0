"""The pace of a response: at most so many bytes per second, in small pieces.

Knows nothing of HTTP. It waits in the thread that sends; others are served meanwhile. Way in:
Paced.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator

# The size of one piece, in seconds of the pace. A wait that took too long is compensated by up to
# as much again, so that the average is kept: together never more than 0.1 s worth.
PIECE_S = 0.05
# A shorter wait is not worth a turn: it is added to the next one.
LEAST_WAIT_S = 0.002


class Paced:
    """The chunks of a body, so that all of it takes bytes / bytes_per_s seconds or longer.

    bytes_per_s: above 0. The first piece comes at once; one item is at most PIECE_S worth of bytes,
    or one byte. A client that was slower does not get a burst afterwards. close() closes the body;
    Paced holds one chunk of it. clock, sleep: of seconds; for tests.
    """

    def __init__(
        self,
        body: Iterable[bytes],
        bytes_per_s: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self._body = body
        self._bytes_per_s = bytes_per_s
        self._piece_bytes = max(1, int(bytes_per_s * PIECE_S))
        self._clock = clock
        self._sleep = sleep
        self._pieces = self._run()

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        return next(self._pieces)

    def close(self) -> None:
        """Close the body, if it has close(). Called by the server, however the response ended."""
        if close := getattr(self._body, "close", None):
            close()

    def _run(self) -> Iterator[bytes]:
        due_s = self._clock()
        for chunk in self._body:
            for start in range(0, len(chunk) or 1, self._piece_bytes):
                self._wait_until(due_s, LEAST_WAIT_S)
                # A whole chunk is not copied.
                whole = len(chunk) <= self._piece_bytes
                piece = chunk if whole else chunk[start : start + self._piece_bytes]
                due_s = max(due_s, self._clock() - PIECE_S) + len(piece) / self._bytes_per_s
                yield piece
        # Wait at the end, since the first piece was sent without waiting.
        self._wait_until(due_s, 0.0)

    def _wait_until(self, due_s: float, least_s: float) -> None:
        while (wait_s := due_s - self._clock()) > least_s:
            self._sleep(wait_s)
