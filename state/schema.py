"""The tables of state.db, and how a file says that it has them. Way in: create, check.

A later version adds its statements to those of the version before and raises VERSION; a file of a
version that is not known here is refused, since what it holds would be misread.
"""

from __future__ import annotations

import os
import sqlite3
import tempfile
from contextlib import closing, suppress
from pathlib import Path

from state.errors import WITHOUT_STATE, StateUnusable
from state.whole_file import sync

VERSION = 1
# In the file's header, as `PRAGMA application_id`: "HWst".
APPLICATION_ID = 0x48577374

_TABLES = f"""
create table tokens (
    id text primary key, name text not null, sha256 text not null, scopes text not null,
    attributes text not null, made_s real not null, expires_s real, withdrawn_s real
);
-- Another number after each change of tokens, by any program.
create table token_changes (mark integer not null);
insert into token_changes values (random());
create trigger token_added after insert on tokens
    begin update token_changes set mark = random(); end;
create trigger token_changed after update on tokens
    begin update token_changes set mark = random(); end;
create trigger token_removed after delete on tokens
    begin update token_changes set mark = random(); end;
create table link_uses (id text primary key, expires_s integer not null, uses integer not null);
create table ended_sessions (id text primary key, expires_s integer not null);
create table log_positions (log text primary key, position text not null);
create table export_records (id text primary key, record text not null);
create table forgotten_exports (stem text primary key);
pragma application_id = {APPLICATION_ID};
pragma user_version = {VERSION};
"""


def create(path: Path) -> None:
    """Put a new file at path, unless there is one by now: all of it, or none.

    Only its owner may read it; SQLite gives its -wal and -shm files the same mode. Raises OSError,
    sqlite3.Error.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Of mode 0600.
    descriptor, draft = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    os.close(descriptor)
    try:
        with closing(sqlite3.connect(draft, isolation_level=None)) as connection:
            connection.executescript(f"begin;{_TABLES}commit;")
            # Readers and writers do not wait for each other; a commit is one sync.
            connection.execute("pragma journal_mode = wal")
        with suppress(FileExistsError):
            os.link(draft, path)
    finally:
        Path(draft).unlink()
    sync(path.parent)


def check(connection: sqlite3.Connection, path: Path) -> None:
    """Raise StateUnusable unless it is a file of this version; then only its owner may read it.

    Raises sqlite3.Error, OSError.
    """
    ((application_id,),) = connection.execute("pragma application_id")
    ((version,),) = connection.execute("pragma user_version")
    if application_id != APPLICATION_ID or version < VERSION:
        raise StateUnusable(
            f"{path} is no state of Headwater: put a backup in its place. {WITHOUT_STATE}"
        )
    if version != VERSION:
        raise StateUnusable(
            f"{path} was written by a newer version of Headwater (its version is {version}, not"
            f" {VERSION}): run that one, or put a backup in its place"
        )
    _make_private(path)


def _make_private(path: Path) -> None:
    """Take the file's and its log's modes for others away, as of a backup that was put there."""
    for each in (path, Path(f"{path}-wal"), Path(f"{path}-shm")):
        with suppress(FileNotFoundError):
            if each.stat().st_mode & 0o077:
                try:
                    each.chmod(0o600)
                except PermissionError as error:
                    raise StateUnusable(f"{each} can be read by others: chmod 600 it") from error
