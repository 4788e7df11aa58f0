"""What versions before state.db kept in files of their own: copied into it once, and put away.

The rows are on the disk before the first file is moved. If that is broken off, all of it is done
again, and changes nothing that is there by then: counts are the larger of two, what was withdrawn
stays so, and positions and records of exports are as in the files. Way in: Earlier; check_alone for
what does not hold the folder's lock.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from state.errors import StateUnusable
from state.whole_file import sync

# Where they go, in a folder for each time. docs/running.md says how to go back.
PUT_AWAY = "before-state.db"

_TOKENS = "tokens.json"
# Commands of the version before hold it while they change tokens.
_TOKENS_LOCK = "tokens.lock"
_LINKS = "links"
_SESSIONS = "sessions-ended"
_POSITIONS = "logs-state"
_NAMES = (_TOKENS, _LINKS, _SESSIONS, _POSITIONS)
# The bytes of exports stay in this folder; their records were beside them.
_RECORDINGS = "recordings"
_FORGOTTEN = "forgotten"
_RECORDS = (".json", ".json.new", _FORGOTTEN)

_Execute = Callable[[str, tuple[Any, ...]], object]


class Earlier:
    """What an earlier version has left in folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def is_there(self) -> bool:
        has_any = any((self._folder / name).exists() for name in _NAMES)
        return has_any or any(self._paths_of_records())

    @contextmanager
    def held(self) -> Iterator[bool]:
        """Keep commands of that version from changing it meanwhile. False: there is nothing."""
        if not self.is_there():
            yield False
            return
        with open(self._folder / _TOKENS_LOCK, "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield self.is_there()

    def copy(self, execute: _Execute) -> None:
        """Add its rows. Raises StateUnusable when tokens cannot be read: nobody would need one."""
        for row in _tokens_in(self._folder / _TOKENS):
            execute(
                "insert into tokens values (?, ?, ?, ?, ?, ?, ?, ?) on conflict (id) do update"
                " set withdrawn_s = coalesce(withdrawn_s, excluded.withdrawn_s)",
                row,
            )
        for path, expires_s in _named_by_end(self._folder / _LINKS):
            # A byte a use.
            execute(
                "insert into link_uses values (?, ?, ?) on conflict (id) do update"
                " set uses = max(uses, excluded.uses)",
                (path.stem, expires_s, path.stat().st_size),
            )

        for path, expires_s in _named_by_end(self._folder / _SESSIONS):
            execute("insert or ignore into ended_sessions values (?, ?)", (path.stem, expires_s))

        for path in (self._folder / _POSITIONS).glob("*.json"):
            text = path.read_text(errors="replace")
            execute("insert or replace into log_positions values (?, ?)", (path.stem, text))

        for path in self._records():
            if path.suffix == ".json":
                # As it is, also if it is damaged and no text.
                execute(
                    "insert or replace into export_records values (?, cast(? as text))",
                    (path.stem, path.read_bytes()),
                )
            elif path.name == _FORGOTTEN:
                for stem in path.read_text(errors="replace").split():
                    execute("insert or ignore into forgotten_exports values (?)", (stem,))

    def put_away(self) -> None:
        """Move the files to where they are not found again. Raises OSError."""
        aside = self._folder / PUT_AWAY / str(time.time_ns())
        aside.mkdir(mode=0o700, parents=True)
        self._put_records_away(aside / _RECORDINGS)
        for name in (*_NAMES, _TOKENS_LOCK):
            if (self._folder / name).exists():
                (self._folder / name).rename(aside / name)
        for folder in (aside, aside.parent, self._folder):
            sync(folder)

    def _put_records_away(self, aside: Path) -> None:
        if records := self._records():
            aside.mkdir(mode=0o700)
            # If this is broken off, the newest are left, which are then the newest rows again.
            for path in records:
                path.rename(aside / path.name)
            for folder in (aside, self._folder / _RECORDINGS):
                sync(folder)

    def _paths_of_records(self) -> Iterator[Path]:
        folder = self._folder / _RECORDINGS
        if folder.exists():
            with os.scandir(folder) as entries:
                yield from (Path(each.path) for each in entries if each.name.endswith(_RECORDS))

    def _records(self) -> list[Path]:
        """Return what was kept of exports besides their bytes, oldest first."""
        return sorted(self._paths_of_records(), key=lambda path: (path.stat().st_mtime_ns, path))


def check_alone(folder: Path) -> None:
    """Raise StateUnusable if a server of a version before is still using what it has left there.

    A server holds `lock`: one of this version has taken everything over when it has started.
    """
    try:
        with open(folder / "lock") as lock:
            if Earlier(folder).is_there():
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise StateUnusable(
            f"a server of an earlier version uses {folder}: stop it, and start this one"
        ) from error
    except OSError:
        # Where no server has been, or that may not be read by this user: what comes next says it.
        return


def _tokens_in(path: Path) -> list[tuple[Any, ...]]:
    if not path.exists():
        return []
    try:
        return [_token_row(**entry) for entry in json.loads(path.read_bytes())]
    except (OSError, ValueError, TypeError) as error:
        raise StateUnusable(f"{path} cannot be read: {error}") from error


def _named_by_end(folder: Path) -> list[tuple[Path, int]]:
    """Return the files called <id>.<unix seconds>, and their second."""
    paths = list(folder.iterdir()) if folder.exists() else []
    return [(path, int(path.suffix[1:])) for path in paths if path.suffix[1:].isdecimal()]


def _token_row(
    id: str,  # noqa: A002 (what it is called there)
    name: str,
    sha256: str,
    scopes: list[str],
    attributes: dict[str, str],
    made_s: float,
    expires_s: float | None = None,
    withdrawn_s: float | None = None,
) -> tuple[Any, ...]:
    if not all(isinstance(text, str) for text in (id, name, sha256, *scopes)):
        raise ValueError("an id, a name, a digest or a scope is no text")
    return (
        id, name, sha256, json.dumps(list(scopes)), json.dumps(attributes),
        made_s, expires_s, withdrawn_s,
    )  # fmt: skip
