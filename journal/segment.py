"""A segment: one file of a journal of records, and the places of records in it.

The file holds lines and nothing else: a replay is a copy of its bytes, and people can read it. Its
name is the ordinal of its first line. Only a mark for each block of lines is in memory.
Everything here may wait for the disk. Knows nothing of retention and readers.
Way in: Segment, list_segments.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
from collections.abc import Iterable, Iterator
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from journal.descriptor import Descriptor
from journal.records import Layout

# Finding the place of a cursor reads a block, some 30 us from the page cache. 10 million records of
# 200 bytes have 30,000 marks, less than 10 MB.
BLOCK_BYTES = 64 * 1024

_NAME = re.compile(r"([0-9]{20})\.ndjson")

_log = logging.getLogger(__name__)


class Mark(NamedTuple):
    """The first record of a block: its ordinal, the offset of its bytes, its id and its time."""

    ordinal: int
    offset: int
    id: bytes
    time_s: float


class Extent(NamedTuple):
    """The end of a segment's records: ordinals below stop, in the first size_bytes of its file."""

    stop: int
    size_bytes: int


class Segment:
    """The records first <= ordinal < extent.stop, in one file.

    extent: by the names and sizes of files that were written earlier, None for a new segment.
    marks: in order; None before `find_marks`, [] when it has found no record.
    """

    def __init__(self, folder: Path, first: int, extent: Extent | None = None) -> None:
        self.first = first
        self.path = folder / f"{first:020}.ndjson"
        # Replaced as one: a reader on another thread sees records and bytes of the same moment.
        self.extent = extent or Extent(first, 0)
        self.marks: list[Mark] | None = None if extent else []

    def open(self, flags: int) -> Descriptor:
        return Descriptor(os.open(self.path, flags | os.O_CLOEXEC, 0o600))

    def add(self, lines: Iterable[bytes], layout: Layout) -> None:
        """Count lines that are in the file, behind those that are counted."""
        known = self.marks or []
        stop, size_bytes = self.extent
        start = known[-1].offset if known else -BLOCK_BYTES
        marks = []
        for line in lines:
            if size_bytes + len(line) - start > BLOCK_BYTES:
                marks.append(Mark(stop, size_bytes, layout.id_of(line), layout.time_s_of(line)))
                start = size_bytes
            stop += 1
            size_bytes += len(line)
        # In this order: a reader may see a block without its mark, but no mark without its block.
        self.extent = Extent(stop, size_bytes)
        self.marks = known + marks if marks else known

    def find_marks(self, layout: Layout) -> None:
        """Read the whole file; log records that are missing, or that the next segment has too.

        Sets the extent to what was found. Damaged lines in between keep their ordinals.
        """
        if self.marks is not None:
            # Another thread was faster.
            return
        ordinal, offset, stop = self.first, 0, self.extent.stop
        marks: list[Mark] = []
        for block in self._blocks():
            count = block.count(b"\n")
            if count > stop - ordinal:
                _log.error("segment=%s error=overlap stop=%d", self.path, stop)
                count = stop - ordinal
                block = b"".join(BytesIO(block).readlines()[:count])
            for line in BytesIO(block):
                with contextlib.suppress(ValueError):
                    place = (ordinal, offset) if marks else (self.first, 0)
                    marks.append(Mark(*place, layout.id_of(line), layout.time_s_of(line)))
                    break
            ordinal += count
            offset += len(block)
            if ordinal == stop:
                break
        if not marks:
            ordinal, offset = self.first, 0
        if ordinal < stop:
            _log.error("segment=%s error=missing from=%d to=%d", self.path, ordinal, stop - 1)
        self.extent = Extent(ordinal, offset)
        self.marks = marks

    def recover(self, layout: Layout) -> bytes | None:
        """Count the records of the newest segment; cut off the torn end of an append, and log it.

        Returns the id of its last record, None without any. A record behind damage does not come
        from a crash: what is cut off is then kept in a file `<ordinal>.damaged`.
        """
        newest: bytes | None = None
        for block in self._blocks():
            lines = BytesIO(block).readlines()
            ids = increasing_ids(lines, newest, layout)
            self.add(lines[: len(ids)], layout)
            newest = ids[-1] if ids else newest
            if len(ids) < len(lines):
                break
        if self.path.exists():
            if torn_bytes := self.path.stat().st_size - self.extent.size_bytes:
                self._cut_off(torn_bytes, newest, layout)
            # Writes of a killed process may be in the page cache only, and are read from now on.
            file = self.open(os.O_RDONLY)
            os.fsync(file.fd)
        return newest

    def _cut_off(self, torn_bytes: int, newest: bytes | None, layout: Layout) -> None:
        stop, size_bytes = self.extent
        with self.path.open("r+b") as file:
            file.seek(size_bytes)
            torn = file.readlines()
            whole = [line for line in torn if line.endswith(b"\n")]
            if any(increasing_ids([line], newest, layout) for line in whole):
                _save_damaged(torn, self.path.with_name(f"{stop:020}.damaged"))
            file.truncate(size_bytes)
        _log.warning("segment=%s last=%d torn_bytes=%d", self.path, stop - 1, torn_bytes)

    def _blocks(self) -> Iterator[bytes]:
        """Yield the file's whole lines in pieces of up to BLOCK_BYTES, more for a longer line."""
        try:
            file = self.open(os.O_RDONLY)
        except FileNotFoundError:
            return
        offset, length = 0, BLOCK_BYTES
        while block := os.pread(file.fd, length, offset):
            if end := block.rfind(b"\n") + 1:
                yield block[:end]
                offset, length = offset + end, BLOCK_BYTES
            elif len(block) < length:
                return
            else:
                length *= 2


def list_segments(folder: Path) -> list[Segment]:
    """Return the segments in folder by their names, at least one; the last is not counted yet.

    Files with other names are ignored, and logged if they look like a segment.
    """
    firsts = []
    for path in sorted(folder.glob("*.ndjson")):
        name = _NAME.fullmatch(path.name)
        if name and int(name[1]) > 0 and path.is_file():
            firsts.append(int(name[1]))
        else:
            _log.warning("file=%s error=foreign", path)
    older = [Segment(folder, first, Extent(stop, 0)) for first, stop in pairwise(firsts)]
    for segment in older:
        segment.extent = segment.extent._replace(size_bytes=segment.path.stat().st_size)
    return [*older, Segment(folder, firsts[-1] if firsts else 1)]


def increasing_ids(lines: Iterable[bytes], newest: bytes | None, layout: Layout) -> list[bytes]:
    """Return the ids of the lines, up to the first that is no record or whose id is no greater.

    newest: the first id must be greater than this; None for any.
    """
    ids = []
    for line in lines:
        try:
            record_id, _ = layout.id_of(line), layout.time_s_of(line)
        except ValueError:
            break
        if newest is not None and record_id <= newest:
            break
        ids.append(record_id)
        newest = record_id
    return ids


def _save_damaged(lines: list[bytes], path: Path) -> None:
    with path.open("ab") as file:
        file.writelines(lines)
        file.flush()
        os.fsync(file.fileno())
    _log.error("file=%s error=damaged lines=%d", path, len(lines))
