"""The body of an answer that does not end by itself: events, written straight to the socket.

The server asks for two items: the opening, with which it sends the head, and another one, during
which events are pushed to the client by the publisher, past the server's own writer. Meanwhile the
greenlet of the request waits until the client is gone.
"""

from __future__ import annotations

import errno
import logging
import time

from topics import ConnectionWriter, TopicReader, Topics
from wire.connection import ClientConnection

log = logging.getLogger(__name__)

READ_BYTES = 4096


class Feed:
    """An iterable for WSGI. client: of the request. opening: the first bytes, b"" for none yet."""

    def __init__(
        self, topics: Topics, reader: TopicReader, client: ClientConnection, opening: bytes
    ) -> None:
        self._topics = topics
        self._reader = reader
        self._client = client
        self._items = iter([opening])
        self._is_whole = False

    def __iter__(self) -> Feed:
        return self

    def __next__(self) -> bytes:
        for opening in self._items:
            return opening
        self._run()
        raise StopIteration

    def _run(self) -> None:
        """Push to the reader until the client is gone, or the server stops."""
        began_s = time.monotonic()
        reader = self._reader
        writer = reader.writer = ConnectionWriter(self._client, self._stop_waiting)
        reader.end = lambda last: writer.finish(last, self._finish)
        self._topics.follow(reader)
        try:
            self._wait_until_gone()
        finally:
            self._topics.leave(reader)
            writer.close()
            self._client.sent_bytes = writer.sent_bytes
            log.info(
                "feed topics=%s transport=%s bytes=%d seconds=%.3f ending=%s",
                reader.patterns.text, reader.framing.transport, writer.sent_bytes,
                time.monotonic() - began_s, "finished" if self._is_whole else "left",
            )  # fmt: skip
        if not self._is_whole:
            # The client is gone, or a chunk is cut: no end of the body may follow it.
            raise ConnectionResetError(errno.ECONNRESET, "the client has left")

    def _wait_until_gone(self) -> None:
        try:
            # Later bytes of the client can only be a request that nobody will answer.
            while self._client.socket.recv(READ_BYTES):
                pass
        except OSError as error:
            self._client.failed(error)

    def _finish(self) -> None:
        self._is_whole = True
        self._stop_waiting()

    def _stop_waiting(self) -> None:
        self._client.stop_reading()
