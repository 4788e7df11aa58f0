"""The connections of a worker: which may begin, which are idle or only wait, when they end.

Everything is called on the hub's thread. Way in: Connections.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from time import monotonic
from typing import Any

from server.connection import Connection
from server.green_sockets import FileSocket, Lookout
from server.log_format import current_request_id
from server.monkey_patching import eventlet
from server.refusals import DISPLACED, IDLE, STALLED, TOO_MANY_CONNECTIONS, TOO_MANY_PENDING

# While all places are taken, idle connections are searched for so often: 0.3 ms for 2,000.
LOOK_S = 0.05


class Connections:
    """most: how many connections there may be.

    most_pending: how many connections of one address may have no admitted request yet, 0 for any
    number. Until its first request is admitted, a connection has no owner under which it is
    counted. refusals: counts of refused and cut connections, by code. log: gunicorn's.
    """

    def __init__(self, most: int, most_pending: int, refusals: Counter[str], log: Any) -> None:
        self._most = most
        self._most_pending = most_pending
        self._refusals = refusals
        self.log = log
        # Connections by their greenlets, or by themselves while they have none.
        self._all: dict[Any, Connection] = {}
        self._pending: Counter[str] = Counter()
        # Idle connections by their addresses, the longest waiting last.
        self._waiting: dict[str, list[Connection]] = {}
        self._looked_at_s = -LOOK_S
        self._lookout = Lookout(self._wake)

    def __len__(self) -> int:
        return len(self._all)

    def __iter__(self) -> Iterator[Connection]:
        return iter(list(self._all.values()))

    def current(self) -> Connection:
        """Return the connection of this greenlet."""
        return self._all[eventlet.getcurrent()]

    def why_full(self, address: str) -> tuple[str, int] | None:
        """Return why no connection may come from address, and the limit; None if one may.

        If all places are taken, an idle connection is ended to make room.
        """
        if self._is_counted(address) and self._pending[address] >= self._most_pending:
            return TOO_MANY_PENDING, self._most_pending
        if len(self._all) >= self._most and not self._displace(address):
            return TOO_MANY_CONNECTIONS, self._most
        return None

    def add(self, greenlet: Any, client: FileSocket, address: str) -> None:
        """Begin a connection, which greenlet serves."""
        connection = Connection(
            client, self._refusals, self._pending, address, self._is_counted(address)
        )
        self._all[greenlet] = connection
        if self._waiting:
            self._waiting.setdefault(address, []).insert(0, connection)

    def _is_counted(self, address: str) -> bool:
        return bool(self._most_pending and address)

    def go_on(self, connection: Connection) -> None:
        """Run the function that took the connection over, until it waits for something to read."""
        assert connection.work is not None
        assert connection.close is not None
        current_request_id.set(connection.request_id)
        waits: bool | None = False
        try:
            waits = connection.work()
        except Exception:
            self.log.exception("the function that took a connection over failed")
        finally:
            if waits:
                self._all[connection] = self._all.pop(eventlet.getcurrent())
                self._lookout.watch(connection.socket.fileno(), connection)
            else:
                connection.close()
                if connection.log_fields is not None:
                    self.log.end(connection.log_fields, monotonic() - connection.began_s)
                self.end()

    def _wake(self, connection: Connection) -> None:
        """Continue, since there is something to read; called in a new greenlet."""
        self._all[eventlet.getcurrent()] = self._all.pop(connection)
        self.go_on(connection)

    def end(self) -> None:
        """Forget the connection of this greenlet, unless it only waits. Idempotent."""
        connection = self._all.pop(eventlet.getcurrent(), None)
        if connection is None:
            return
        connection.work = connection.waiting_since = None
        connection.end_pending()
        if connection.stalled:
            self._refusals[STALLED] += 1
            self.log.info("client cut off reason=stalled")
        if connection.on_gone is not None:
            connection.on_gone(connection)

    def end_idle(self, keepalive_s: float) -> None:
        """End the connections without a next request in the keep-alive time."""
        self._waiting, self._looked_at_s = {}, -LOOK_S
        before_s = monotonic() - keepalive_s
        for connection in self:
            since_s = connection.waiting_since
            if (
                since_s is not None
                and since_s < before_s
                and connection.requests
                and not connection.taken_over
            ):
                connection.waiting_since = None
                self._refusals[IDLE] += 1
                connection.stop_reading()

    def cut(self) -> None:
        """End all connections as they are; each body's close() still runs."""
        # Connections that only wait get a greenlet, and end like all others.
        for connection in self._without_greenlets():
            self._lookout.forget(connection.socket.fileno())
            eventlet.spawn_n(self._wake, connection)
        eventlet.sleep(0)
        for connection in self._without_greenlets():
            connection.cut()
        for greenlet in [key for key, connection in self._all.items() if key is not connection]:
            eventlet.kill(greenlet)

    def _without_greenlets(self) -> list[Connection]:
        return [connection for key, connection in self._all.items() if key is connection]

    def _displace(self, address: str) -> bool:
        """End an idle connection, to make room for one of this address.

        It is the longest waiting one of the address with the most idle connections, if that address
        has more than this one will have. Return whether there was one.
        """
        if monotonic() - self._looked_at_s >= LOOK_S:
            self._looked_at_s = monotonic()
            self._waiting = {}
            idle = [each for each in self._all.values() if each.asks_nothing()]
            for each in sorted(idle, key=lambda each: each.waiting_since or 0.0, reverse=True):
                self._waiting.setdefault(each.address, []).append(each)
        while True:
            most = max(self._waiting.values(), key=len, default=[])
            if len(most) <= len(self._waiting.get(address, ())) + 1:
                return False
            connection = most.pop()
            if connection.asks_nothing():
                connection.waiting_since = None
                self._refusals[DISPLACED] += 1
                connection.stop_reading()
                return True
