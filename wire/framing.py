"""How events look on HTTP: newline-JSON, and Server-Sent Events, as they are or in HTTP's chunks.

Pure: lines of wire/events.py in, bytes for the socket out, the same for all of a transport.
Way in: NDJSON, SSE, WHOLE_SSE, chunked. What a reader is fed through is a Framing; the ones of
sockets are in sockets/. Sources: https://github.com/ndjson/ndjson-spec, WHATWG HTML 9.2 (SSE),
RFC 9112 7.1 (chunks).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from wire.events import HEARTBEAT, RECONNECT, id_of, parts_of


class Framing(Protocol):
    """How one transport writes. An instance has no state: many readers share one.

    transport: its name, as presence shows it.
    """

    transport: str

    def events(self, lines: Sequence[bytes], /) -> bytes:
        """Return the events of the lines, all for one write."""

    def notice(self, name: str, line: bytes, /) -> bytes:
        """Return what the server itself says: an event of one of the RESERVED_NAMES."""

    @property
    def between(self) -> bytes:
        """What stands between two pieces that go out in one write."""


class Ndjson:
    """An event is a line. A heartbeat is a blank line too, for proxies and impatient readers."""

    transport = "ndjson"
    between = b""

    def events(self, lines: Sequence[bytes]) -> bytes:
        return b"".join(lines)

    def notice(self, name: str, line: bytes) -> bytes:
        return b"\n" + line if name == HEARTBEAT else line


class Sse:
    """event, data and id, as EventSource reads them.

    id is the last line: some clients take it when it comes, and not when the event ends. What is
    cut before it comes again; after it only the blank line is missing.

    whole: data is the whole event, and its name is no type for EventSource, which can only listen
    for types that it knows; heartbeats are events.
    """

    transport = "sse"
    between = b""

    def __init__(self, *, whole: bool) -> None:
        self._whole = whole

    def events(self, lines: Sequence[bytes]) -> bytes:
        if self._whole:
            return b"".join([b"data: %b\nid: %b\n\n" % (line[:-1], id_of(line)) for line in lines])
        return b"".join([self._event(line) for line in lines])

    def _event(self, line: bytes) -> bytes:
        event_id, name, data = parts_of(line)
        if self._whole:
            data = line[:-1]
        return b"event: %b\ndata: %b\nid: %b\n\n" % (name, data, event_id)

    def notice(self, name: str, line: bytes) -> bytes:
        if name == HEARTBEAT:
            # Without an id for EventSource: it would come back behind what it did not get.
            event = b"event: heartbeat\ndata: %b\n\n" % line[:-1] if self._whole else b""
            return b": heartbeat %b\n\n" % id_of(line) + event
        if name == RECONNECT:
            after_ms = parts_of(line).data.partition(b":")[2].rstrip(b"}")
            return b"retry: %b\n\n" % after_ms
        return self._event(line)


class Chunked:
    """Another framing in a chunk of HTTP/1.1 for each write."""

    between = b""

    def __init__(self, inner: Framing) -> None:
        self.transport = inner.transport
        self._inner = inner

    def events(self, lines: Sequence[bytes]) -> bytes:
        return chunk(self._inner.events(lines))

    def notice(self, name: str, line: bytes) -> bytes:
        return chunk(self._inner.notice(name, line))


def chunk(data: bytes) -> bytes:
    """Return data, not empty, as one chunk."""
    return b"%x\r\n%b\r\n" % (len(data), data)


NDJSON = Ndjson()
SSE = Sse(whole=False)
WHOLE_SSE = Sse(whole=True)


_CHUNKED: dict[Framing, Framing] = {}


def chunked(framing: Framing) -> Framing:
    """Return a framing in chunks, the same one each time: what readers share is framed once."""
    return _CHUNKED.setdefault(framing, Chunked(framing))
