"""Permissions of the files beside a database in WAL mode. Pure: rules only.

A file that the server creates belongs to the server's user. Programs that write the database must
be able to write that file too, and no user may gain rights by it: only users that may write the
database, or replace files of its folder, may write it, and only users that may read the database
may read it. Way in: grant_for.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import NamedTuple

STICKY = 0o1000
_READ, _WRITE = 4, 2

# Linux's extended attribute of an access control list: a version, then tag, permissions and id.
_ACL_HEADER = struct.Struct("<I")
_ACL_ENTRY = struct.Struct("<HHI")
_USER, _GROUP_OBJ = 0x02, 0x04


class FileRights(NamedTuple):
    """The owner, the group and the mode of a file, the sticky bit included."""

    uid: int
    gid: int
    mode: int

    @property
    def for_group(self) -> int:
        return self.mode >> 3 & 7

    @property
    def for_others(self) -> int:
        return self.mode & 7


class Grant(NamedTuple):
    """The group, None for any, and the mode of a file of the server's user."""

    gid: int | None
    mode: int


def grant_for(
    database: FileRights, folder: FileRights, is_owner_in: Callable[[int], bool | None]
) -> Grant | str:
    """Return the grant of a file of the server's user beside another user's database, or why none.

    is_owner_in: whether the database's owner is in a group; None if the owner is not known here, as
    in a container. Then the owner is assumed to be in the database's group.
    """
    if folder.mode & STICKY:
        # There, Linux may refuse to open files of others: fs.protected_regular.
        return "its folder has the sticky bit"
    if folder.for_others & _WRITE and database.for_others & _READ:
        return Grant(None, 0o666)
    gid = database.gid if database.for_group & _WRITE else folder.gid
    if not (database.for_group & _WRITE or folder.for_group & _WRITE):
        return "its folder is not writable for a group"
    is_in = is_owner_in(gid)
    if not (database.gid == gid if is_in is None else is_in):
        return "the owner of the database is not in the group of the folder"
    if database.gid != gid and database.for_group & ~database.for_others & (_READ | _WRITE):
        return "the database and its folder have different groups"
    if not (database.for_others | (database.for_group if database.gid == gid else 0)) & _READ:
        return "the group of the folder may not read the database"
    return Grant(gid, 0o660 | database.for_others & (_READ | _WRITE))


def group_bits_of(acl: bytes) -> int | None:
    """Return the bits of the file's group in an access control list; the mode has its mask."""
    return next((bits for tag, bits, _ in _entries(acl) if tag == _GROUP_OBJ), None)


def names_user(acl: bytes, uid: int) -> bool:
    """Does an access control list let this user read and write, within its mask?"""
    wanted = _READ | _WRITE
    return any(
        tag == _USER and user == uid and bits & wanted == wanted
        for tag, bits, user in _entries(acl)
    )


def _entries(acl: bytes) -> list[tuple[int, int, int]]:
    entries = acl[_ACL_HEADER.size :]
    whole = len(entries) - len(entries) % _ACL_ENTRY.size
    return list(_ACL_ENTRY.iter_unpack(entries[:whole]))
