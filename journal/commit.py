"""Group commit: one write and one sync for all callers that publish at the same time.

The first caller commits for all that wait. Callers that arrive meanwhile are the next group.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

Work = TypeVar("Work")
Result = TypeVar("Result")

# One group is one write: it may be large, but must not hold up the next group for seconds.
MAX_GROUP = 10_000


class _Entry(Generic[Work, Result]):
    """A caller's work that waits to be committed."""

    def __init__(self, work: Work) -> None:
        self.work = work
        self.result: Result | None = None
        self.error: Exception | None = None
        self.is_done = False


class GroupCommit(Generic[Work, Result]):
    """commit: takes the works of a group, in order, and returns their results; it may wait.

    One group is committed at a time. Each caller of a group gets the exception that commit raises.
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
        """Return the group that the caller commits; empty if another has done it. With the lock."""
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
        except Exception as error:  # noqa: BLE001 (each caller of the group gets it)
            failure = error
        finally:
            with self._changed:
                for index, entry in enumerate(group):
                    entry.is_done = True
                    if failure is None and index < len(results):
                        entry.result = results[index]
                    else:
                        entry.error = failure or RuntimeError("the commit was cancelled")
                self._is_committing = False
                self._changed.notify_all()
