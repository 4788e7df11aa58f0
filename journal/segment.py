"""A segment: one file of a journal of records, and where in it they are.

The file holds lines and nothing else: a replay is a copy of its bytes, and people can read it. Its
name is the ordinal of its first line. In memory is only a mark for each block of lines.
Everything here may wait for the disk. Knows nothing of retention, nor of who reads.
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

# To find the place of a cursor a block is read, some 30 us from the page cache; the
# marks of 10 million records of 200 bytes are 30,000, less than 10 MB.
BLOCK_BYTES = 64 * 1024

_NAME = re.compile(r"([0-9]{20})\.ndjson")

_log = logging.getLogger(__name__)


class Mark(NamedTuple):
    """What a block begins with: a record's ordinal, where its bytes are, its id and its time."""

    ordinal: int
    offset: int
    id: bytes
    time_s: float


class Extent(NamedTuple):
    """How far a segment's records go: ordinals below stop, in the first size_bytes of its file."""

    stop: int
    size_bytes: int


class Segment:
    """The records first <= ordinal < extent.stop, in one file.

    extent: what names and sizes say of one that was written earlier, None for a new one. marks: in
    order; None until `find_marks` has looked, [] when it has found no record.
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
        """Count in lines that are in the file, behind what is counted so far."""
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
        # In this order: for a reader a block may lack its mark for a moment, no mark its block.
        self.extent = Extent(stop, size_bytes)
        self.marks = known + marks if marks else known

    def find_marks(self, layout: Layout) -> None:
        """Read the whole file; log which records are missing, or too many for the next's name.

        The extent is then what there is. Damaged lines in between keep their ordinals.
        """
        if self.marks is not None:
            # Somebody else was quicker.
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
        """Count in what a newest segment holds; cut off what a crash left of an append, and log it.

        Returns the id of its last record, None without any. If there is a record behind what is
        none, it is no crash's doing: what is cut off is kept in a file `<ordinal>.damaged`.
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
            # What a killed process wrote may be in the page cache only, and is read from now on.
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
                _put_aside(torn, self.path.with_name(f"{stop:020}.damaged"))
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
    """Return the segments in folder by their names, at least one; the last counts nothing yet.

    What is named otherwise is left alone, and logged if it looks as if it had been a segment.
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

    newest: the id that the first must be greater than, None for any.
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


def _put_aside(lines: list[bytes], path: Path) -> None:
    with path.open("ab") as file:
        file.writelines(lines)
        file.flush()
        os.fsync(file.fileno())
    _log.error("file=%s error=damaged lines=%d", path, len(lines))
