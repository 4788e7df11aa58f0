"""The rules by numbers: user 1 is the application's; group 9 is meant for it and the server."""

from __future__ import annotations

import struct

import pytest

from sources.sqlite.wal_rights import FileRights, Grant, grant_for, group_bits_of, names_user

OWNER, SHARED = 1, 9

STICKY = "its folder has the sticky bit"
CLOSED = "its folder is not writable for a group"
NOT_IN = "the owner of the database is not in the group of the folder"
APART = "the database and its folder have different groups"
UNREAD = "the group of the folder may not read the database"

# (group and mode of the database, of the folder, the owner is in the group) and what comes of it.
GRANTS = {
    "a shared folder": ((9, 0o644), (9, 0o2775), None, Grant(9, 0o664)),
    "closed to others": ((9, 0o640), (9, 0o2770), None, Grant(9, 0o660)),
    "a known owner": ((9, 0o644), (9, 0o2775), True, Grant(9, 0o664)),
    "a known owner, another group": ((1, 0o644), (9, 0o775), True, Grant(9, 0o664)),
    "the server's own folder, the group may write": ((9, 0o664), (2, 0o755), None, Grant(9, 0o664)),
    "anybody may": ((1, 0o644), (1, 0o777), None, Grant(None, 0o666)),
    "anybody may write the database": ((9, 0o666), (9, 0o775), None, Grant(9, 0o666)),
    "of a group that the owner is not in": ((9, 0o644), (9, 0o2775), False, NOT_IN),
    "an unknown owner and another group": ((1, 0o644), (9, 0o2775), None, NOT_IN),
    "a group of writers that is another": ((1, 0o664), (9, 0o2775), True, NOT_IN),
    "a group of readers that is another": ((1, 0o640), (9, 0o2775), True, APART),
    "readable by its owner alone": ((9, 0o600), (9, 0o2770), True, UNREAD),
    "writable by anybody, readable by its owner": ((9, 0o600), (9, 0o777), True, UNREAD),
    "no group may": ((9, 0o644), (9, 0o755), True, CLOSED),
    "sticky, as /tmp": ((9, 0o666), (9, 0o1777), True, STICKY),
}  # fmt: skip


@pytest.mark.parametrize(("database", "folder", "is_in", "want"), GRANTS.values(), ids=GRANTS)
def test_grant(database, folder, is_in, want):
    # In "a group of writers that is another" the owner is in the folder's, not in the database's.
    def is_owner_in(gid):
        return is_in if gid == SHARED or is_in is None else False

    assert grant_for(FileRights(OWNER, *database), FileRights(OWNER, *folder), is_owner_in) == want


def acl(*entries):
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


USER_OBJ, USER, GROUP_OBJ, MASK, OTHER = 0x01, 0x02, 0x04, 0x10, 0x20
NOBODY = 2**32 - 1
LISTS = {
    "named": ([(USER, 6, OWNER), (MASK, 7, NOBODY)], True),
    "may write and not read": ([(USER, 2, OWNER), (MASK, 7, NOBODY)], False),
    "somebody else": ([(USER, 6, 3), (MASK, 7, NOBODY)], False),
}


@pytest.mark.parametrize(("named", "want"), LISTS.values(), ids=LISTS)
def test_access_control_lists(named, want):
    text = acl((USER_OBJ, 6, NOBODY), *named[:1], (GROUP_OBJ, 5, NOBODY), *named[1:])
    assert names_user(text, OWNER) is want
    assert group_bits_of(text) == 5
    assert group_bits_of(text[:13]) is None
