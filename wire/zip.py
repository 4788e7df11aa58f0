"""The bytes of a ZIP around its members, with all offsets known before the first member is read.

Pure. Members are stored uncompressed, so their names and sizes give the length of the whole; their
checksums come after each of them and in the directory at the end. ZIP64 is used only where it is
needed: macOS loses members of an archive that uses it elsewhere.
Way in: ZipLayout, member_path. Source: PKWARE's APPNOTE.TXT 6.3.10, 4.3 to 4.5; for the times,
Info-ZIP's extra field 0x5455.
"""

from __future__ import annotations

import re
import struct
import time
from bisect import bisect_right
from collections.abc import Sequence
from functools import lru_cache
from itertools import accumulate
from typing import NamedTuple

_MAX_32, _MAX_16 = 0xFFFF_FFFF, 0xFFFF
_INT32 = range(-(2**31), 2**31)

_LOCAL, _DESCRIPTOR, _CENTRAL = 0x04034B50, 0x08074B50, 0x02014B50
_END64, _END64_LOCATOR, _END = 0x06064B50, 0x07064B50, 0x06054B50
_ZIP64_FIELD, _TIME_FIELD = 0x0001, 0x5455

_PLAIN, _ZIP64 = 20, 45  # versions needed to extract: 2.0 for folders, 4.5
_BY_UNIX = 3 << 8
_UTF8, _CHECKSUM_AFTER = 1 << 11, 1 << 3

# Attributes: those of Unix above, those of DOS below.
_FILE = 0o100644 << 16
_FOLDER = 0o040755 << 16 | 0x10

# DOS times: from 1980 to 2107, in steps of two seconds.
_FIRST_DOS = (1980, 1, 1, 0, 0, 0)
_LAST_DOS = (2107, 12, 31, 23, 59, 58)


# A backslash is an ordinary character on Unix, and a separator on Windows (4.4.17.1).
_UNSAFE = re.compile(r"\\|%(?=5C|25)")
_ESCAPED = {"\\": "%5C", "%": "%25"}


def member_path(path: str) -> str:
    r"""Return the name of path in an archive: `\` as %5C, and the % of %5C and %25 as %25.

    So no two paths get the same name, and names can be decoded.
    """
    return _UNSAFE.sub(lambda found: _ESCAPED[found[0]], path)


class ZipMember(NamedTuple):
    """A file, or a folder if the path ends with `/`. size: bytes. modified_s: unix seconds."""

    path: str
    size: int
    modified_s: float

    @property
    def is_folder(self) -> bool:
        return self.path.endswith("/")


class ZipLayout:
    """The offsets in an archive. starts: of each member's head; size: bytes of the whole.

    A member is its head, its content and its tail; the directory follows the last one.
    """

    def __init__(self, members: Sequence[ZipMember]) -> None:
        self.members = members
        lengths = map(self._length, members)
        self.starts = list(accumulate(lengths, initial=0))
        self.directory_start = self.starts.pop()
        directory = sum(map(self._record_length, members, self.starts))
        self._needs_end64 = (
            len(members) >= _MAX_16 or max(self.directory_start, directory) >= _MAX_32
        )
        self._directory_length = directory
        self.size = self.directory_start + directory + 22 + (76 if self._needs_end64 else 0)

    def index_at(self, position: int) -> int:
        """Return the index of the member at position; the number of members for the directory."""
        if position >= self.directory_start:
            return len(self.members)
        return bisect_right(self.starts, position) - 1

    def head(self, index: int) -> bytes:
        """Return the bytes before a member's content."""
        member = self.members[index]
        extra = _time_field(member)
        is_large = member.size >= _MAX_32
        if is_large:
            # The sizes are behind the content, with the checksum (4.4.4).
            extra += struct.pack("<HHQQ", _ZIP64_FIELD, 16, 0, 0)
        sizes = _MAX_32 if is_large else 0
        name = member.path.encode()
        return struct.pack(
            "<IHHHIIIIHH", _LOCAL, _ZIP64 if is_large else _PLAIN, _flags(member), 0,
            _dos_time(int(member.modified_s)), 0, sizes, sizes, len(name), len(extra),
        ) + name + extra  # fmt: skip

    def tail(self, index: int, crc32: int) -> bytes:
        """Return the bytes after a member's content."""
        member = self.members[index]
        if not member.size:
            return b""
        sizes = "QQ" if member.size >= _MAX_32 else "II"
        return struct.pack(f"<II{sizes}", _DESCRIPTOR, crc32, member.size, member.size)

    def directory(self, crc32s: Sequence[int]) -> bytes:
        """Return the bytes after the last member. crc32s: of all members, 0 of empty ones."""
        records = [
            self._record(*each) for each in zip(self.members, self.starts, crc32s, strict=True)
        ]
        return b"".join(records) + self._end()

    def _length(self, member: ZipMember) -> int:
        name = len(member.path.encode())
        if not member.size:
            return 30 + name + 9
        return 30 + name + 9 + member.size + (20 + 24 if member.size >= _MAX_32 else 16)

    def _record_length(self, member: ZipMember, start: int) -> int:
        return 46 + len(member.path.encode()) + 9 + len(_zip64_field(member.size, start))

    def _record(self, member: ZipMember, start: int, crc32: int) -> bytes:
        name = member.path.encode()
        zip64 = _zip64_field(member.size, start)
        extra = _time_field(member) + zip64
        version = _ZIP64 if zip64 else _PLAIN
        size = min(member.size, _MAX_32)
        return struct.pack(
            "<IHHHHIIIIHHHHHII", _CENTRAL, _BY_UNIX | version, version, _flags(member), 0,
            _dos_time(int(member.modified_s)), crc32, size, size, len(name), len(extra), 0, 0, 0,
            _FOLDER if member.is_folder else _FILE, min(start, _MAX_32),
        ) + name + extra  # fmt: skip

    def _end(self) -> bytes:
        count, length, start = len(self.members), self._directory_length, self.directory_start
        end64 = b""
        if self._needs_end64:
            end64 = struct.pack(
                "<IQHHIIQQQQ", _END64, 44, _BY_UNIX | _ZIP64, _ZIP64, 0, 0, count, count, length,
                start,
            ) + struct.pack("<IIQI", _END64_LOCATOR, 0, start + length, 1)  # fmt: skip
        count = min(count, _MAX_16)
        length, start = min(length, _MAX_32), min(start, _MAX_32)
        return end64 + struct.pack("<IHHHHIIH", _END, 0, 0, count, count, length, start, 0)


def _flags(member: ZipMember) -> int:
    return _UTF8 | (_CHECKSUM_AFTER if member.size else 0)


def _time_field(member: ZipMember) -> bytes:
    """Return the extra field with the time in UTC; its length is fixed, so offsets are known."""
    seconds = max(_INT32.start, min(int(member.modified_s), _INT32.stop - 1))
    return struct.pack("<HHBi", _TIME_FIELD, 5, 1, seconds)


def _zip64_field(size: int, start: int) -> bytes:
    """Return the extra field of a directory record, with the numbers that need 64 bits."""
    large = [size, size] if size >= _MAX_32 else []
    large += [start] if start >= _MAX_32 else []
    return struct.pack(f"<HH{len(large)}Q", _ZIP64_FIELD, 8 * len(large), *large) if large else b""


@lru_cache
def _dos_time(time_s: int) -> int:
    try:
        when = tuple(time.gmtime(time_s)[:6])
    except (OverflowError, ValueError, OSError):
        when = _FIRST_DOS
    year, month, day, hour, minute, second = max(_FIRST_DOS, min(when, _LAST_DOS))
    date = (year - 1980) << 9 | month << 5 | day
    return date << 16 | hour << 11 | minute << 5 | second // 2
