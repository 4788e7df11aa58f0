"""Browser sessions that were logged out: a copy of the cookie opens nothing any more.

A signed cookie is good by itself until it expires, so the server remembers for so long which are
not. Way in: EndedSessions.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path


class EndedSessions:
    """folder: holds an empty file for each, named by its id and the second of its end.

    run_native: runs what waits for the disk. What an earlier process has left is read at once.
    """

    def __init__(
        self,
        folder: Path,
        run_native: Callable[[Callable[[], None]], None] = lambda work: work(),
    ) -> None:
        self._folder = folder
        self._run_native = run_native
        self._ids = {path.stem for path in folder.iterdir()} if folder.exists() else set()

    def add(self, session_id: str, expires_s: int) -> None:
        """Remember it until expires_s, in unix seconds, when its cookie is good no more."""
        self._ids.add(session_id)
        self._run_native(lambda: self._write(f"{session_id}.{expires_s}"))

    def _write(self, name: str) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._forget_old()
        (self._folder / name).touch()

    def __contains__(self, session_id: object) -> bool:
        return session_id in self._ids

    def _forget_old(self) -> None:
        for path in self._folder.iterdir():
            if path.suffix[1:].isdecimal() and int(path.suffix[1:]) < time.time():
                path.unlink(missing_ok=True)
                self._ids.discard(path.stem)
