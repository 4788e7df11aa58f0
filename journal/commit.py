"""Group commit: one write and one sync for all who publish to a durable topic at the same time.

The first that comes commits for all that wait; those who come meanwhile are the next group.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

Work = TypeVar("Work")
Result = TypeVar("Result")

# One group is one write: it may be large, but not hold up those behind it for seconds.
MAX_GROUP = 10_000


class _Entry(Generic[Work, Result]):
    """One who waits for its work to be committed."""

    def __init__(self, work: Work) -> None:
        self.work = work
        self.result: Result | None = None
        self.error: Exception | None = None
        self.is_done = False


class GroupCommit(Generic[Work, Result]):
    """commit: takes the works of a group, in order, and returns their results; it may wait.

    One group is committed at a time. What commit raises, everybody of the group gets.
    """

    def __init__(self, commit: Callable[[list[Work]], list[Result]]) -> None:
        self._commit = commit
        self._changed = threading.Condition()
        self._waiting: list[_Entry[Work, Result]] = []
        self._is_committing = False

    def run(self, work: Work) -> Result:
        """Return the result of work once its group is committed; blocks. Raises as commit does."""
        entry: _Entry[Work, Result] = _Entry(work)
        with self._changed:
            self._waiting.append(entry)
            group = self._group_for(entry)
        while group:
            self._lead(group)
            if entry.is_done:
                break
            with self._changed:
                group = self._group_for(entry)
        if entry.error is not None:
            raise entry.error
        assert entry.result is not None
        return entry.result

    def _group_for(self, entry: _Entry[Work, Result]) -> list[_Entry[Work, Result]]:
        """Return whom entry's caller is to commit for, none if another one has. With the lock."""
        self._changed.wait_for(lambda: entry.is_done or not self._is_committing)
        if entry.is_done:
            return []
        self._is_committing = True
        group, self._waiting = self._waiting[:MAX_GROUP], self._waiting[MAX_GROUP:]
        return group

    def _lead(self, group: list[_Entry[Work, Result]]) -> None:
        results: list[Result] = []
        failure: Exception | None = None
        try:
            results = self._commit([entry.work for entry in group])
        except Exception as error:  # noqa: BLE001 (whatever it is, all of the group get it)
            failure = error
        finally:
            with self._changed:
                for index, entry in enumerate(group):
                    entry.is_done = True
                    if failure is None and index < len(results):
                        entry.result = results[index]
                    else:
                        entry.error = failure or RuntimeError("the commit was given up")
                self._is_committing = False
                self._changed.notify_all()
