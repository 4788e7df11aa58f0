"""Framings of events for HTTP: NDJSON and Server-Sent Events, plain or in HTTP's chunks.

Pure: lines of wire/events.py in, bytes for the socket out, the same for all readers of a transport.
Way in: NDJSON, SSE, WHOLE_SSE, chunked. The framings of sockets are in sockets/. Sources:
https://github.com/ndjson/ndjson-spec, WHATWG HTML 9.2 (SSE), RFC 9112 7.1 (chunks).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from wire.events import HEARTBEAT, RECONNECT, id_of, parts_of


class Framing(Protocol):
    """The framing of one transport. An instance has no state: many readers share it.

    transport: its name in presence.
    """

    transport: str

    def events(self, lines: Sequence[bytes], /) -> bytes:
        """Return the events of the lines, for one write."""

    def notice(self, name: str, line: bytes, /) -> bytes:
        """Return a notice of the server: an event with one of the RESERVED_NAMES."""

    @property
    def between(self) -> bytes:
        """The separator of two pieces in one write."""


class Ndjson:
    """An event is a line. A heartbeat has a blank line in front, for proxies."""

    transport = "ndjson"
    between = b""

    def events(self, lines: Sequence[bytes]) -> bytes:
        return b"".join(lines)

    def notice(self, name: str, line: bytes) -> bytes:
        return b"\n" + line if name == HEARTBEAT else line


class Sse:
    """event, data and id, as EventSource reads them.

    id is the last line: some clients take it when it arrives rather than when the event ends. An
    event that is cut before its id is sent again; after the id only the blank line is missing.

    whole: data is the whole event, and no event has a type, since EventSource listens only for
    types that the page names; heartbeats are events.
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
            # No id for EventSource: it would resume behind events that it did not get.
            event = b"event: heartbeat\ndata: %b\n\n" % line[:-1] if self._whole else b""
            return b": heartbeat %b\n\n" % id_of(line) + event
        if name == RECONNECT:
            after_ms = parts_of(line).data.partition(b":")[2].rstrip(b"}")
            return b"retry: %b\n\n" % after_ms
        return self._event(line)


class Chunked:
    """Another framing, with each write as a chunk of HTTP/1.1."""

    between = b""

    def __init__(self, inner: Framing) -> None:
        self.transport = inner.transport
        self._inner = inner

    def events(self, lines: Sequence[bytes]) -> bytes:
        return chunk(self._inner.events(lines))

    def notice(self, name: str, line: bytes) -> bytes:
        return chunk(self._inner.notice(name, line))


def chunk(data: bytes) -> bytes:
    """Return data as one chunk. data: not empty."""
    return b"%x\r\n%b\r\n" % (len(data), data)


NDJSON = Ndjson()
SSE = Sse(whole=False)
WHOLE_SSE = Sse(whole=True)


_CHUNKED: dict[Framing, Framing] = {}


def chunked(framing: Framing) -> Framing:
    """Return a framing in chunks, the same object each time: events are framed once for all."""
    return _CHUNKED.setdefault(framing, Chunked(framing))
