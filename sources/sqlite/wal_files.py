"""The files beside a database in WAL mode: reading it must not lock its application out.

SQLite keeps the log of such a database in `-wal` and the log's index in `-shm`. The program that
opens the database first creates them, also for reading, with the mode of the database; the last one
that may write removes them. So a reader of another user would leave files that the application
cannot write. Therefore this module creates them, in one step with an owner, a group and a mode with
which the application can write them (`wal_rights.py`), or refuses the database, and the error says
what is missing. docs/deploy.md says what to set up.

Nothing here opens a file that SQLite has locks on, except through SQLite: POSIX drops every lock
that a process holds on a file when it closes any descriptor of it, unless that is one of O_PATH
(https://sqlite.org/howtocorrupt.html, 2.2). Way in: open_safely.
"""

from __future__ import annotations

import ctypes
import errno
import os
import pwd
import secrets
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from time import monotonic

import apsw

from sources.errors import SourceLocked, SourceUnavailable
from sources.sqlite.wal_rights import FileRights, Grant, grant_for, group_bits_of, names_user

SIDECARS = ("-wal", "-shm")
# Bytes 18 and 19 of the database are the format for writers and readers; 2 is WAL.
HEADER_BYTES, VERSIONS, WAL = 100, slice(18, 20), 2
# Between two tries; SQLite's own first waits are 1, 2, 5 and 10 ms.
TRY_MS = 2
INDEX_UNFIT = (apsw.SQLITE_READONLY_RECOVERY, apsw.SQLITE_READONLY_CANTINIT)
# With a narrow umask, SQLite creates a file with fewer permissions, and then sets its mode.
MODE_SET_S = 1.0
_ACL = "system.posix_acl_access"


def open_safely(
    database: Path, connect: Callable[[], apsw.Connection], wait_s: float
) -> apsw.Connection:
    """Return the connection of `connect`, which does not disturb the application.

    connect: opens the database (`mode=ro`) and reads from it once, as from sqlite_schema: from then
    on the connection keeps others from removing the files. It may be called again, so it closes
    what it has opened when it raises. wait_s: how long a writer may keep the lock. Adds about 50 us
    when there is nothing to do. Blocks: for native threads. Raises SourceUnavailable, apsw.Error,
    and as connect.
    """
    # SQLite puts the files beside the database itself, not beside a link to it.
    database = Path(os.path.realpath(database))
    ends_s = monotonic() + wait_s
    _keep_modes()
    with _held(database, ends_s) as header:
        try:
            if header is not None and _has_log(database, header):
                for suffix in SIDECARS:
                    _provide(database, suffix)
        except OSError as error:
            why = f"its files cannot be looked at ({error.strerror})"
            raise _refusal(database, why) from error
        return _connected(database, connect, ends_s)


@cache
def _keep_modes() -> None:
    """Stop SQLite from giving empty files the mode of the database, which would lock others out.

    A log is empty when it is new, and after a checkpoint that truncates. This replaces a system
    call of SQLite, fchmod, with a function without effect, for the whole process.
    """
    harmless = ctypes.cast(ctypes.CDLL(None).abs, ctypes.c_void_p).value or 0
    unix = apsw.VFS("headwater-modes", "unix")
    unix.xSetSystemCall("fchmod", harmless)
    unix.unregister()


def _connected(
    database: Path, connect: Callable[[], apsw.Connection], ends_s: float
) -> apsw.Connection:
    while True:
        try:
            return connect()
        except apsw.ReadOnlyError as error:
            # apsw's type hints do not know its attribute.
            code = getattr(error, "extendedresult", None)
            # A program that has just created the log's index fills it soon; other causes persist.
            if code in INDEX_UNFIT and monotonic() < ends_s:
                apsw.sleep(TRY_MS)
            elif code in (*INDEX_UNFIT, apsw.SQLITE_READONLY_ROLLBACK):
                raise SourceUnavailable(
                    f"a program ended in the middle of a transaction on {database.name}; the server"
                    " cannot roll it back: read the database once with a program that may write it"
                ) from error
            else:
                raise


@contextmanager
def _held(database: Path, ends_s: float) -> Iterator[bytes | None]:
    """Yield the header and hold a shared lock: the log and the journal mode stay.

    Yields None when it cannot be opened: the caller then gets SQLite's error.
    """
    file = None
    with suppress(OSError):
        # Opening a pipe, apsw would wait with the interpreter's lock held. The same on a disk that
        # hangs: stat waits for it without the lock.
        if not stat.S_ISREG(database.stat().st_mode):
            raise SourceUnavailable(f"{database.name} is not a file")
    with suppress(apsw.Error):
        flags = [apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_MAIN_DB, 0]
        file = apsw.VFSFile("", str(database), flags)
    if file is None:
        yield None
        return
    try:
        while True:
            try:
                file.xLock(apsw.SQLITE_LOCK_SHARED)
                break
            except apsw.BusyError as error:
                if monotonic() > ends_s:
                    raise SourceLocked(f"{database.name} is locked by a writer") from error
                # Not time.sleep, which eventlet replaces in the server.
                apsw.sleep(TRY_MS)
        yield file.xRead(HEADER_BYTES, 0)
    finally:
        file.xUnlock(apsw.SQLITE_LOCK_NONE)
        file.xClose()


def _has_log(database: Path, header: bytes) -> bool:
    """Will SQLite open the log?"""
    try:
        has_records = _beside(database, "-wal").lstat().st_size > 0
    except OSError:
        has_records = False
    if has_records and not header:
        # SQLite would remove the log: it takes the database for a new one.
        raise SourceUnavailable(f"{database.name} is empty, and {database.name}-wal is not")
    return has_records or WAL in header[VERSIONS]


def _provide(database: Path, suffix: str) -> None:
    """Create the file if it is missing, and make it writable for the application."""
    path = _beside(database, suffix)
    try:
        # O_PATH: no locks are lost, and the file that is checked is the one that is changed.
        handle = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        with _new_file(database) as handle:
            _share(handle, database)
            _name(handle, path, database)
        return
    except OSError as error:
        raise _refusal(database, f"{path.name} cannot be opened ({error.strerror})") from error
    try:
        found = os.fstat(handle)
        # A file with a second name may be one of ours from elsewhere, linked here by another user.
        if found.st_nlink == 1 and found.st_uid == os.geteuid() != database.stat().st_uid:
            # Another program of the server's user, or an older version, may have created it.
            if not _is_shared(handle, database):
                _share(handle, database)
            return
        ends_s = monotonic() + MODE_SET_S
        while not os.access(_link(handle), os.R_OK, effective_ids=True):
            if monotonic() > ends_s:
                raise _refusal(database, f"the server may not read {path.name}")
            apsw.sleep(TRY_MS)
    finally:
        os.close(handle)


@contextmanager
def _new_file(database: Path) -> Iterator[int]:
    """Yield an O_PATH descriptor of an empty file in the database's folder, without its name."""
    folder, name = database.parent, None
    mode = 0o660 | database.stat().st_mode & 0o006
    try:
        try:
            opened = os.open(folder, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, mode)
        except OSError as error:
            if error.errno not in (errno.EOPNOTSUPP, errno.EISDIR, errno.ENOENT):
                raise
            # The file system does not support files without a name.
            name = folder / f".headwater-{secrets.token_hex(8)}"
            opened = os.open(name, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, mode)
    except OSError as error:
        why = f"the server cannot create files in its folder ({error.strerror})"
        raise _refusal(database, why) from error
    try:
        handle = os.open(_link(opened), os.O_PATH | os.O_CLOEXEC)
    finally:
        # Before it gets its name: closing it later would drop another thread's locks on it.
        os.close(opened)
    try:
        yield handle
    finally:
        os.close(handle)
        if name is not None:
            name.unlink(missing_ok=True)


def _share(handle: int, database: Path) -> None:
    """Give the file an owner, a group and a mode with which the database's writers can write it."""
    owner, folder, file = _rights(database), _rights(database.parent), Path(_link(handle))
    with suppress(OSError):
        # Works for root, as in SQLite itself; no effect on file systems without owners.
        os.chown(file, owner.uid, owner.gid)
    made = _rights(handle)
    if made.uid == owner.uid:
        with suppress(OSError):
            file.chmod(owner.mode & 0o777 | 0o600)
        return
    if _names_user(handle, owner.uid) and not folder.mode & stat.S_ISVTX:
        # In an access control list, the group's bits are the mask.
        file.chmod(stat.S_IMODE(os.fstat(handle).st_mode) | 0o060)
        return
    grant = grant_for(owner, folder, lambda gid: _is_in(owner.uid, gid))
    if not isinstance(grant, Grant):
        raise _refusal(database, f"its owner could not write what the server creates: {grant}")
    try:
        if grant.gid not in (None, made.gid):
            os.chown(file, -1, grant.gid)
        file.chmod(grant.mode)
    except OSError as error:
        why = "the server is not in the group with which its owner could write what it creates"
        raise _refusal(database, why) from error


def _is_shared(handle: int, database: Path) -> bool:
    """Has `_share` already changed this file of the server's user?"""
    found, owner = os.fstat(handle), database.stat()
    if not found.st_mode & 0o020:
        return False
    gids = (owner.st_gid, database.parent.stat().st_gid)
    return bool(found.st_mode & 0o002) or found.st_gid in gids or _names_user(handle, owner.st_uid)


def _name(handle: int, path: Path, database: Path) -> None:
    """Give the file its name, unless there is such a file now."""
    try:
        # With src_dir_fd Python calls linkat(2), which follows the link in /proc.
        os.link(_link(handle), path, src_dir_fd=handle, follow_symlinks=True)
    except FileExistsError:
        pass
    except OSError as error:
        # On file systems with one owner and without links, SQLite's own file works, too.
        if os.fstat(handle).st_uid != database.stat().st_uid:
            why = f"the server cannot name files in its folder ({error.strerror})"
            raise _refusal(database, why) from error


def _is_in(uid: int, gid: int) -> bool | None:
    try:
        user = pwd.getpwuid(uid)
    except KeyError:
        return None
    return gid in os.getgrouplist(user.pw_name, user.pw_gid)


def _beside(database: Path, suffix: str) -> Path:
    return database.with_name(database.name + suffix)


def _link(handle: int) -> str:
    """Return a path to the file of an O_PATH descriptor."""
    return f"/proc/self/fd/{handle}"


def _rights(file: Path | int) -> FileRights:
    found = os.fstat(file) if isinstance(file, int) else file.stat()
    acl = _acl(file)
    bits = None if acl is None else group_bits_of(acl)
    mode = stat.S_IMODE(found.st_mode)
    return FileRights(
        found.st_uid, found.st_gid, mode if bits is None else mode & ~0o070 | bits << 3
    )


def _names_user(handle: int, uid: int) -> bool:
    acl = _acl(handle)
    return acl is not None and names_user(acl, uid)


def _acl(file: Path | int) -> bytes | None:
    try:
        return os.getxattr(_link(file) if isinstance(file, int) else file, _ACL)
    except OSError:
        return None


def _refusal(database: Path, why: str) -> SourceUnavailable:
    return SourceUnavailable(
        f"{database.name} is in WAL mode, and {why}: docs/deploy.md says what to set up,"
        " below Databases that an application writes"
    )
