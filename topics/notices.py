"""Notices of the server in feeds: heartbeats, and requests to reconnect.

Way in: beat, end_old, send_back, send_all_back. A notice has the id of its reader's last event, so
that a client that keeps ids resumes from there.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Collection, Sequence

from topics.reader import TopicReader
from wire.events import HEARTBEAT, RECONNECT, format_event

# Half of the usual timeout of proxies; each reader has its own second of them.
HEARTBEAT_S = 15
# On shutdown readers reconnect spread over this, none before the next process may listen.
RECONNECT_MS = range(500, 5500)
# A client at the end of its lifetime reconnects to this process; ends are spread already.
RETURN_MS = range(100, 600)


def beat(readers: Collection[TopicReader], second: int) -> None:
    """Send this second's share of the heartbeats; close connections that are dead."""
    for reader in list(readers):
        if id(reader) // 64 % HEARTBEAT_S != second % HEARTBEAT_S or reader.writer is None:
            continue
        if reader.is_dead():
            reader.writer.close()
        elif reader.live and not reader.writer.busy:
            reader.writer.try_send(_notice(reader, HEARTBEAT, "{}"))


def end_old(readers: Collection[TopicReader]) -> None:
    """Have readers reconnect that are at the end of their lifetime."""
    now_s = time.monotonic()
    for reader in [reader for reader in readers if reader.ends_s <= now_s]:
        send_back([reader])


def send_back(readers: Sequence[TopicReader]) -> None:
    """Have the client of these readers, all of one connection, reconnect with its cursors.

    Events that were sent before still arrive. Nothing is sent after this.
    """
    for reader in readers:
        reader.is_over = True
        reader.ends_s = math.inf
    _send_back(readers[-1], random.choice(RETURN_MS))


def send_all_back(readers: Collection[TopicReader]) -> None:
    """Have all clients reconnect, each at another moment."""
    # One notice for each connection, which may have several readers.
    last = {reader.connection: reader for reader in readers}
    for reader in readers:
        reader.is_over = True
    for index, reader in enumerate(last.values()):
        _send_back(reader, RECONNECT_MS[index * len(RECONNECT_MS) // len(last)])


def _send_back(reader: TopicReader, after_ms: int) -> None:
    reader.end(_notice(reader, RECONNECT, f'{{"after_ms":{after_ms}}}'))


def _notice(reader: TopicReader, name: str, data: str) -> bytes:
    line = format_event(reader.cursor, reader.patterns.text, name, data, time.time())
    return reader.framing.notice(name, line)
