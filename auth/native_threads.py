"""Native threads: each kind of blocking work has its own, which quota keys share.

So slow work of one kind takes no thread of another kind, and slow work of one quota key leaves
threads to the others. The key is that of the present thread's turn (auth/request_scheduler.py).
Knows no green library: its caller passes the function that runs work on a native thread. Way in:
NativeThreads.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextvars import ContextVar
from functools import partial
from typing import Any, TypeVar

from auth.places import Places
from auth.request_scheduler import quota_key_of_turn, turn_paused

Result = TypeVar("Result")

# Writes and syncs of topics, one after the other for each topic, and reads of events that readers
# have missed: a disk does no more at once, and publishers of one topic commit together.
COMMITS, COMMITS_OF_ONE = 4, 3
# Descriptions of sources, and checks whether statements depend on more than the database. Each
# takes milliseconds, or waits for a lock. So many databases may be locked at once; the other
# threads are for other work.
DESCRIPTIONS, DESCRIPTIONS_OF_ONE = 12, 10
# Previews and counts: they use the processor, so with more at once each would take longer.
STATEMENTS, STATEMENTS_OF_ONE = 6, 2
# Steps of reports, of some seconds each. One thread always remains for another quota key.
REPORTS = min(4, max(2, os.cpu_count() or 1))
REPORTS_OF_ONE = REPORTS - 1
# Counts of link uses, log-outs, a check of the tokens each second: a few syncs.
AUTHENTICATOR, AUTHENTICATOR_OF_ONE = 4, 2
# Reads of files, archives, recordings and logs, listings, searches; the server's own work.
FILES, FILES_OF_ONE = 12, 8

# The number of native threads with which none of these kinds waits for a thread.
IN_ALL = COMMITS + DESCRIPTIONS + STATEMENTS + REPORTS + AUTHENTICATOR + FILES

_is_native: ContextVar[bool] = ContextVar("is_native", default=False)


class Threads:
    """A RunNative (journal/native.py) of so many threads, of which one quota key has only a part.

    Work that is already on a native thread runs on that thread.
    """

    def __init__(
        self, run_native: Callable[[Callable[[], Any]], Any], count: int, most_of_one: int
    ) -> None:
        self._run_native = run_native
        self._places = Places(count, most_of_one)

    def __call__(self, work: Callable[[], Result], /) -> Result:
        if _is_native.get():
            return work()
        quota_key = quota_key_of_turn()
        if not self._places.enter(quota_key, 0):
            # Work that begins at once mostly ends at once, and keeps its turn.
            with turn_paused():
                self._places.enter(quota_key)
        try:
            result: Result = self._run_native(partial(_run, work))
        finally:
            self._places.leave(quota_key)
        return result


class NativeThreads:
    """See the module. run_native: runs work on one of IN_ALL native threads."""

    def __init__(self, run_native: Callable[[Callable[[], Any]], Any]) -> None:
        self.commits = Threads(run_native, COMMITS, COMMITS_OF_ONE)
        self.descriptions = Threads(run_native, DESCRIPTIONS, DESCRIPTIONS_OF_ONE)
        self.statements = Threads(run_native, STATEMENTS, STATEMENTS_OF_ONE)
        self.reports = Threads(run_native, REPORTS, REPORTS_OF_ONE)
        self.authenticator = Threads(run_native, AUTHENTICATOR, AUTHENTICATOR_OF_ONE)
        self.files = Threads(run_native, FILES, FILES_OF_ONE)


def _run(work: Callable[[], Result]) -> Result:
    token = _is_native.set(True)
    try:
        return work()
    finally:
        _is_native.reset(token)
