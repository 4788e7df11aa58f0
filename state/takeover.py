"""What versions before state.db kept in files of their own: copied into it once, and put away.

The rows are on the disk before the first file is moved. If that is broken off, all of it is done
again, and changes nothing that is there by then: counts are the larger of two, what was withdrawn
stays so, and positions and records of exports are as in the files. Way in: Earlier; check_alone for
what does not hold the folder's lock.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from state import holder
from state.errors import SAVE_FIRST, StateUnusable
from state.whole_file import sync

log = logging.getLogger(__name__)

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

_SHA256 = re.compile(r"[0-9a-f]{64}")
# Of SQLite, and of dates: the year 10000.
_MAX_INTEGER, _MAX_S = 2**63 - 1, 253_402_300_800

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
        """Add its rows. Raises StateUnusable if anything cannot be read: it would be lost.

        Files whose names are not of that version are put away, too, with a line in the log.
        """
        for name, copy in (
            (_TOKENS, self._copy_tokens),
            (_LINKS, self._copy_links),
            (_SESSIONS, self._copy_sessions),
            (_POSITIONS, self._copy_positions),
            (_RECORDINGS, self._copy_records),
        ):
            try:
                copy(execute)
            except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
                path = self._folder / name
                raise StateUnusable(f"{path} cannot be read: {error}") from error

    def _copy_tokens(self, execute: _Execute) -> None:
        path = self._folder / _TOKENS
        for entry in json.loads(path.read_bytes()) if path.exists() else []:
            execute(
                "insert into tokens values (?, ?, ?, ?, ?, ?, ?, ?) on conflict (id) do update"
                " set withdrawn_s = coalesce(withdrawn_s, excluded.withdrawn_s)",
                _token_row(**entry),
            )

    def _copy_links(self, execute: _Execute) -> None:
        for path, expires_s in _named_by_end(self._folder / _LINKS):
            # A byte a use.
            execute(
                "insert into link_uses values (?, ?, ?) on conflict (id) do update"
                " set uses = max(uses, excluded.uses)",
                (path.stem, expires_s, path.stat().st_size),
            )

    def _copy_sessions(self, execute: _Execute) -> None:
        for path, expires_s in _named_by_end(self._folder / _SESSIONS):
            execute("insert or ignore into ended_sessions values (?, ?)", (path.stem, expires_s))

    def _copy_positions(self, execute: _Execute) -> None:
        for path in filter(_has_a_name, (self._folder / _POSITIONS).glob("*.json")):
            text = path.read_text(errors="replace")
            execute("insert or replace into log_positions values (?, ?)", (path.stem, text))

    def _copy_records(self, execute: _Execute) -> None:
        for path in filter(_has_a_name, self._records()):
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
        # mkdir does not give parents this mode.
        aside.parent.mkdir(mode=0o700, exist_ok=True)
        aside.mkdir(mode=0o700)
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

    Or if the log of a running server was removed, so that it would not see what is written. Before
    this process opens state.db.

    A server holds `lock`. One of this version has taken everything over when it has started: what
    is there then was left by a command of the version before, and the caller takes it over.
    """
    if holder.identity_in_use(folder) is not None:
        _check_log(folder / "state.db")
        return
    try:
        with open(folder / holder.LOCK) as lock:
            if Earlier(folder).is_there():
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise StateUnusable(
            f"a server of an earlier version uses {folder}: stop it, and start this one"
        ) from error
    except OSError:
        # Where no server has been, or that may not be read by this user: what comes next says it.
        return


def _check_log(path: Path) -> None:
    try:
        is_missed = holder.misses_log(path)
    except OSError:
        # What comes next says it.
        return
    if is_missed:
        raise StateUnusable(f"{path}-wal was removed while a server uses it: {SAVE_FIRST}")


def _named_by_end(folder: Path) -> Iterator[tuple[Path, int]]:
    """Yield the files called <id>.<unix seconds>, and their second."""
    for path in folder.iterdir() if folder.exists() else ():
        end = path.suffix[1:]
        if _has_a_name(path, is_one=end.isdecimal() and path.is_file()):
            yield path, min(int(end), _MAX_INTEGER)


def _has_a_name(path: Path, *, is_one: bool = True) -> bool:
    """Return is_one if the name is UTF-8; log a file that is not copied."""
    try:
        path.name.encode()
    except UnicodeEncodeError:
        is_one = False
    if not is_one:
        log.warning("not taken over: file=%a is none of the version before", str(path))
    return is_one


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
    if not (isinstance(scopes, list) and _SHA256.fullmatch(sha256)):
        raise ValueError("the scopes are no list, or the digest is none")
    if not all(isinstance(text, str) for pair in attributes.items() for text in pair):
        raise ValueError("an attribute is no text")
    ends_s = [time_s for time_s in (expires_s, withdrawn_s) if time_s is not None]
    if not all(0 <= time_s < _MAX_S for time_s in (made_s, *ends_s)):
        raise ValueError("a time is none")
    return (
        id, name, sha256, json.dumps(list(scopes)), json.dumps(attributes),
        made_s, expires_s, withdrawn_s,
    )  # fmt: skip
