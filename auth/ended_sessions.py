"""Browser sessions that were logged out: a copy of the cookie is no longer valid.

A signed cookie is valid by itself until it expires, so the server remembers until then which
sessions have ended. Way in: EndedSessions.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

from state import State, deadline

# The last row: another one after each log-out, by any process. A row's number may come again after
# its row is removed, its id does not.
_LAST = "select rowid, id from ended_sessions order by rowid desc limit 1"

# A row stays for so long after it expires: if the clock jumps ahead and back, the session, or the
# link, that has ended is not valid again.
KEPT_S = 30 * 86_400


class EndedSessions:
    """Reads at once what earlier processes have written to state. Raises StateError.

    run_native: runs functions that wait for the disk.
    """

    def __init__(
        self,
        state: State,
        run_native: Callable[[Callable[[], None]], None] = lambda work: work(),
    ) -> None:
        self._state = state
        self._run_native = run_native
        self._ids: set[object] = set()
        self._last: object = None
        self.refresh()

    def refresh(self) -> None:
        """Read what other processes have added: the worker before a reload may still end sessions.

        Raises StateError.
        """
        last = self._state.rows(_LAST)
        if last != self._last:
            self._ids.update(each for (each,) in self._state.rows("select id from ended_sessions"))
            self._last = last

    def add(self, session_id: str, expires_s: int) -> None:
        """Remember the session until expires_s (unix seconds), when its cookie expires."""
        self._ids.add(session_id)
        self._run_native(partial(self._write, session_id, expires_s, deadline()))

    def __contains__(self, session_id: object) -> bool:
        return session_id in self._ids

    def _write(self, session_id: str, expires_s: int, ends_s: float) -> None:
        before = (time.time() - KEPT_S,)
        with self._state.writing(ends_s=ends_s) as execute:
            old = execute("select id from ended_sessions where expires_s < ?", before)
            execute("delete from ended_sessions where expires_s < ?", before)
            execute("insert or replace into ended_sessions values (?, ?)", (session_id, expires_s))
        self._ids.difference_update(each for (each,) in old if each != session_id)
