"""Browser sessions that were logged out: a copy of the cookie opens nothing any more.

A signed cookie is good by itself until it expires, so the server remembers for so long which are
not. Way in: EndedSessions.
"""

from __future__ import annotations

import time
from functools import cached_property
from pathlib import Path


class EndedSessions:
    """folder: holds an empty file for each, named by its id and the second of its end."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @cached_property
    def _ids(self) -> set[str]:
        return {path.stem for path in self._folder.iterdir()} if self._folder.exists() else set()

    def add(self, session_id: str, expires_s: int) -> None:
        """Remember it until expires_s, in unix seconds, when its cookie is good no more."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._forget_old()
        (self._folder / f"{session_id}.{expires_s}").touch()
        self._ids.add(session_id)

    def __contains__(self, session_id: object) -> bool:
        return session_id in self._ids

    def _forget_old(self) -> None:
        for path in self._folder.iterdir():
            if path.suffix[1:].isdecimal() and int(path.suffix[1:]) < time.time():
                path.unlink(missing_ok=True)
                self._ids.discard(path.stem)
