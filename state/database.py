"""state.db: rows that are on the disk when their transaction ends. Way in: State.

Each call may wait for a disk or for another process. Commands and other servers may open the same
file; nothing else in this process may, since closing it would drop SQLite's locks: not another
SQLite (apsw), and nothing that reads it as a file.
"""

from __future__ import annotations

import os
import sqlite3
import weakref
from _queue import Empty, SimpleQueue
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import Any, Protocol
from urllib.parse import quote

from state import holder, schema, takeover
from state.errors import SAVE_FIRST, WITHOUT_STATE, StateBusy, StateUnusable, telling

# How long a call waits in all for others that write. Refusals come before a client gives up.
BUSY_S = 2.0

Row = tuple[Any, ...]


def deadline() -> float:
    """Return when a call that comes now stops waiting; by time.monotonic()."""
    return monotonic() + BUSY_S


def left_s(ends_s: float) -> float:
    """Return the seconds until a deadline, 0 after it."""
    return max(0.0, ends_s - monotonic())


class Execute(Protocol):
    """Runs a statement of a transaction and returns its rows."""

    def __call__(self, sql: str, values: Row = (), /) -> list[Row]: ...


class State:
    """See the module. folder: of state.db, which is made when something is first written.

    May be used by any threads. What versions before it have left in folder is taken over first.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / "state.db"
        self._log = holder.log_of(self.path)
        self._is_settled = False
        # Of the file that is open.
        self._identity: holder.Identity | None = None
        # Of each open connection: the identity of -wal, which SQLite keeps as long as one is open.
        self._logs: dict[sqlite3.Connection, holder.Identity | None] = {}
        # Connections that nobody uses, by whether their commits are synced. Appending and popping
        # are one step each.
        self._idle: dict[bool, deque[sqlite3.Connection]] = {True: deque(), False: deque()}
        # The thread that has its item may write. SQLite's own waiting, by longer and longer
        # sleeps, let one of a hundred writers wait for 0.9 s. A native thread could not wait for a
        # lock of a patched process.
        self._turn: SimpleQueue[None] = SimpleQueue()
        self._turn.put(None)
        weakref.finalize(self, _close_all, self._idle)

    def make(self) -> holder.Identity:
        """Make the file if there is none; return its identity. Raises StateError."""
        with telling(self.path), self._in_turn(deadline()):
            self._settle()
            if not self._exists():
                schema.create(self.path)
            with self._connection():
                return holder.identity_of(self.path)

    def rows(self, sql: str, values: Row = ()) -> list[Row]:
        """Return the rows of a query; none while there was never a file. Raises StateError."""
        with telling(self.path):
            self._settle()
            if not self._exists():
                return []
            with self._connection() as connection:
                return connection.execute(sql, values).fetchall()

    @contextmanager
    def writing(self, *, is_synced: bool = True, ends_s: float | None = None) -> Iterator[Execute]:
        """Make all statements inside one transaction, alone; on the disk when it ends.

        is_synced: False for what may be lost in a power cut, with all that is written after it
        without a sync. It survives the end of any process, and the next synced transaction puts it
        on the disk, too. A power cut never leaves half of it, nor what comes after it alone.
        ends_s: the deadline of a caller that has waited before this. Nothing of it is kept if the
        block raises. Raises StateError.
        """
        ends_s = deadline() if ends_s is None else ends_s
        with telling(self.path), self._in_turn(ends_s):
            self._settle()
            with self._transaction(is_synced=is_synced, ends_s=ends_s) as execute:
                yield execute

    def close(self) -> None:
        """Close the file; what comes next opens it again."""
        _close_all(self._idle)
        self._logs.clear()
        self._identity = None

    @contextmanager
    def _in_turn(self, ends_s: float) -> Iterator[None]:
        """Let the other threads of this process write first which have come first."""
        try:
            self._turn.get(timeout=left_s(ends_s))
        except Empty as error:
            raise StateBusy(f"{self.path} is being written for too long: try again") from error
        try:
            yield
        finally:
            self._turn.put(None)

    @contextmanager
    def _transaction(
        self, *, is_synced: bool = True, ends_s: float | None = None
    ) -> Iterator[Execute]:
        if not self._exists():
            schema.create(self.path)
        with self._connection(is_synced=is_synced, ends_s=ends_s) as connection:
            connection.execute("begin immediate")
            try:
                yield lambda sql, values=(): connection.execute(sql, values).fetchall()
                connection.execute("commit")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("rollback")
                raise

    @contextmanager
    def _connection(
        self, *, is_synced: bool = True, ends_s: float | None = None
    ) -> Iterator[sqlite3.Connection]:
        """Have a connection that nobody else uses meanwhile; it waits for locks until ends_s."""
        wait_s = BUSY_S if ends_s is None else left_s(ends_s)
        self._check_identity()
        idle = self._idle[is_synced]
        try:
            connection = idle.pop()
        except IndexError:
            connection = self._connect(is_synced=is_synced)
        try:
            self._check_log()
            connection.execute(f"pragma busy_timeout = {round(wait_s * 1000)}")
            yield connection
        except sqlite3.Error:
            # Before it is closed: with the last one, SQLite removes -wal.
            self._logs.pop(connection, None)
            connection.close()
            raise
        except BaseException:
            idle.append(connection)
            raise
        idle.append(connection)

    def _connect(self, *, is_synced: bool) -> sqlite3.Connection:
        connection = sqlite3.connect(
            f"file:{quote(str(self.path))}?mode=rw", uri=True, timeout=BUSY_S,
            isolation_level=None, check_same_thread=False,
        )  # fmt: skip
        try:
            # Durable means this, here and nowhere else: with `full` a commit is synced before it
            # returns. With `normal` only checkpoints are.
            connection.execute(f"pragma synchronous = {'full' if is_synced else 'normal'}")
            schema.check(connection, self.path)
            self._logs[connection] = self._check_log()
        except BaseException:
            connection.close()
            raise
        return connection

    # What is in -wal belongs to one file: beside another one it would be read as that one's.

    def _exists(self) -> bool:
        """Is there a file? Raises StateUnusable if there was one: without it all would be open."""
        # In this order: the log comes after the file.
        has_log = _is_there(f"{self.path}-wal")
        if _is_there(self.path):
            return True
        if has_log or self._identity or holder.identity_in_use(self.path.parent):
            raise StateUnusable(f"{self.path} is gone: put it, or a backup, back. {WITHOUT_STATE}")
        return False

    def _check_identity(self) -> None:
        """Raise StateUnusable if another file is there than the one that is in use."""
        identity = holder.identity_of(self.path)
        in_use = self._identity or holder.identity_in_use(self.path.parent) or identity
        if in_use != identity:
            raise StateUnusable(
                f"{self.path} was replaced while it was open: stop the server, remove"
                f" {self.path}-wal, and start it again"
            )
        self._identity = identity

    def _check_log(self) -> holder.Identity | None:
        """Return the identity of -wal; raise StateUnusable if another one is open.

        What is written into a log that was removed is lost with the process.
        """
        identity = holder.identity_of(self._log) if _is_there(self._log) else None
        if not {identity}.issuperset(self._logs.values()):
            raise StateUnusable(
                f"{self._log} was removed or replaced while it was open: {SAVE_FIRST}"
            )
        return identity

    def _settle(self) -> None:
        """Once: take over what is left of versions before, and see that the file is sound."""
        if self._is_settled:
            return
        earlier = takeover.Earlier(self.path.parent)
        with earlier.held() as is_there:
            if is_there:
                with self._transaction() as execute:
                    earlier.copy(execute)
                earlier.put_away()
        if self._exists():
            with self._connection() as connection:
                problems = connection.execute("pragma quick_check(1)").fetchall()
            if problems != [("ok",)]:
                raise StateUnusable(f"{self.path} is damaged: put a backup in its place")
        self._is_settled = True


def _is_there(path: Path | str) -> bool:
    """Tell whether there is a file, or a link to one that is gone. Raises OSError."""
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def _close_all(idle: dict[bool, deque[sqlite3.Connection]]) -> None:
    for connections in idle.values():
        while connections:
            connections.pop().close()
