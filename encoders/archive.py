"""A ZIP archive written straight into a sink that cannot seek; deterministic, no file times.

Small members are stored whole. One may be long: it is deflated as it comes, and a data descriptor
behind it has its sizes. Way in: ArchiveWriter.
Source: PKWARE APPNOTE 6.3.10 (4.3.7 header, 4.3.9 descriptor, 4.3.12 directory, 4.3.16 its end).
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import NamedTuple

from isal import isal_zlib

from encoders.compression import CompressingSink
from encoders.contract import ByteSink
from encoders.errors import TableTooLarge

# Sizes and positions are 32 bits wide without ZIP64. Spreadsheet programs have failed on ZIP64 in a
# streamed member, and none opens a sheet of that size anyway.
MAX_BYTES = 2**32 - 1

_LOCAL = struct.Struct("<4s5H3L2H")
_DESCRIPTOR = struct.Struct("<4s3L")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_END = struct.Struct("<4s4H2LH")

_VERSION = 20
_STORED, _DEFLATED = 0, 8
_SIZES_FOLLOW = 0x0008
_TIME, _DATE = 0, 0x0021  # 1980-01-01 00:00, the earliest
_RAW_DEFLATE = -15  # zlib's wbits: a window of 32 KiB, and neither zlib's nor gzip's container
_LEVEL = 1  # as in encoders/compression.py


class ArchiveMember(NamedTuple):
    """A member as the directory lists it. start: position of its local header in the archive."""

    name: bytes
    start: int
    flags: int
    method: int
    crc: int
    packed: int
    length: int

    def local_header(self) -> bytes:
        sizes = (0, 0, 0) if self.flags & _SIZES_FOLLOW else (self.crc, self.packed, self.length)
        fields = (_VERSION, self.flags, self.method, _TIME, _DATE, *sizes, len(self.name), 0)
        return _LOCAL.pack(b"PK\3\4", *fields) + self.name

    def descriptor(self) -> bytes:
        return _DESCRIPTOR.pack(b"PK\7\x08", self.crc, self.packed, self.length)

    def directory_entry(self) -> bytes:
        fields = (_VERSION, _VERSION, self.flags, self.method, _TIME, _DATE)
        sizes = (self.crc, self.packed, self.length)
        rest = (len(self.name), 0, 0, 0, 0, 0, self.start)
        return _CENTRAL.pack(b"PK\1\2", *fields, *sizes, *rest) + self.name


def stored(name: str, data: bytes, start: int) -> ArchiveMember:
    """Return a member that is stored as it is. name: ASCII."""
    size = len(data)
    return ArchiveMember(name.encode("ascii"), start, 0, _STORED, isal_zlib.crc32(data), size, size)


def directory(members: Sequence[ArchiveMember], start: int) -> bytes:
    """Return the central directory and its end. start: its position in the archive."""
    if start > MAX_BYTES:
        raise TableTooLarge("bytes of XML", MAX_BYTES)
    entries = b"".join(member.directory_entry() for member in members)
    count = len(members)
    return entries + _END.pack(b"PK\5\6", 0, 0, count, count, len(entries), start, 0)


class ArchiveWriter:
    """An archive of small members, and one long one that is written piece by piece until close.

    Nothing is written before the first piece.
    """

    def __init__(self, sink: ByteSink, small: Sequence[tuple[str, bytes]], long: str) -> None:
        """small: names and contents of the members in front. long: the long member's name."""
        self._members: list[ArchiveMember] = []
        head = b""
        for name, data in small:
            member = stored(name, data, len(head))
            self._members.append(member)
            head += member.local_header() + data
        self._long = ArchiveMember(
            long.encode("ascii"), len(head), _SIZES_FOLLOW, _DEFLATED, 0, 0, 0
        )
        # The head and the first piece of the long member are one write, flushed at once.
        self._packed = _PackedSink(sink, head + self._long.local_header())
        deflate = isal_zlib.compressobj(_LEVEL, wbits=_RAW_DEFLATE)
        self._deflated = CompressingSink(self._packed, deflate, isal_zlib.Z_SYNC_FLUSH)
        self._crc = 0
        self._length = 0

    def write(self, data: bytes | memoryview) -> None:
        """Append to the long member. Raises TableTooLarge past MAX_BYTES of it."""
        self._length += len(data)
        if self._length > MAX_BYTES:
            raise TableTooLarge("bytes of XML", MAX_BYTES)
        self._crc = isal_zlib.crc32(data, self._crc)
        self._deflated.write(data)

    def close(self, small: Sequence[tuple[str, bytes]] = ()) -> None:
        """End the long member, append the small ones and the directory; the sink stays open."""
        self._deflated.close()
        long = self._long._replace(crc=self._crc, packed=self._packed.count, length=self._length)
        head = long.start + len(long.local_header())
        end = long.descriptor()
        members = [*self._members, long]
        start = head + long.packed
        for name, data in small:
            member = stored(name, data, start + len(end))
            members.append(member)
            end += member.local_header() + data
        self._packed.write(end + directory(members, start + len(end)))


class _PackedSink:
    """Counts the bytes that are written, and puts a head in front of them."""

    def __init__(self, sink: ByteSink, head: bytes) -> None:
        self._sink = sink
        self._head = head
        self.count = 0

    def write(self, data: bytes | memoryview, /) -> None:
        self.count += len(data)
        self._sink.write(self._head + bytes(data) if self._head else data)
        self._head = b""
