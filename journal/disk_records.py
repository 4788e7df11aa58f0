"""A journal of records on disk: a folder of segments of lines; appends are synced.

The folder belongs to one process at a time; people may read its files. Evicted records that share
a file with kept ones are there again after a restart, until `expire`. Way in: DiskRecords.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
from bisect import bisect_right
from collections.abc import Callable, Sequence
from pathlib import Path

from journal.descriptor import Descriptor
from journal.errors import JournalFailed, JournalFull, cannot_open
from journal.native import Result, RunNative, run_here
from journal.records import Bounds, Layout, Retention
from journal.segment import BLOCK_BYTES, Mark, Segment, increasing_ids, list_segments
from journal.segments import Segments

# Large enough that a gigabyte is 128 files, small enough to read whole when it is first needed.
SEGMENT_BYTES = 8 * 1024 * 1024

# A segment is at most this part of what is kept, so the disk holds hardly more than that.
_SEGMENT_PART = 8

_log = logging.getLogger(__name__)


class DiskRecords:
    """Append-only lines in the files of folder, which is created if needed.

    The constructor waits for the disk: it reads the newest segment and cuts off the torn end of an
    append that a crash has left (whole records of an unacknowledged append may stay). run_native:
    runs what waits for the disk from then on.

    Raises JournalFailed when another process has the folder (`in_use`) or it cannot be read or
    repaired (`unreadable`), JournalFull when there is no room to create it. `append` raises
    ValueError for a line that is no record or whose id is no greater than the one before: a later
    start would take it for damage.
    """

    def __init__(
        self, folder: Path, layout: Layout, retention: Retention, run_native: RunNative = run_here
    ) -> None:
        self._layout = layout
        self._retention = retention
        self._run_native = run_native
        part_bytes = retention.max_bytes // _SEGMENT_PART
        self._segment_bytes = min(max(part_bytes, BLOCK_BYTES), SEGMENT_BYTES)
        self._writer: Descriptor | None = None
        self._is_busy = False
        # An append was begun and neither kept nor cut off: the file may be too long.
        self._is_torn = False
        self._path = folder
        try:
            _make_folder(folder)
            self._lock: Descriptor | None = _lock(folder)
            self._segments = Segments(list_segments(folder), layout, run_native)
            self._newest_id = self._segments.newest.recover(layout)
        except OSError as error:
            raise cannot_open(error) from error
        self.first = self._segments.items[0].first
        self.evicted: bytes | None = b"" if self.first == 1 else None
        # Bytes of the first segment before the block of the first kept record.
        self._front_bytes = 0

    @property
    def last(self) -> int:
        return self._segments.newest.extent.stop - 1

    @property
    def size_bytes(self) -> int:
        return self._stored_bytes() - self._front_bytes

    def bounds(self) -> Bounds:
        # Asked several times for each chunk that is read.
        stop, size_bytes = self._segments.items[-1].extent
        size_bytes += self._segments.older_bytes() - self._front_bytes
        return Bounds(self.first, stop - 1, size_bytes, self.evicted)

    def append(self, lines: Sequence[bytes]) -> int:
        if self._is_busy:
            raise JournalFull("an append whose caller was killed is still in progress")
        return self._run_alone(lambda: self._append(lines))

    def read(self, start: int, max_bytes: int) -> list[bytes]:
        if not self.first <= start <= self.last:
            return []
        try:
            return self._segments.read(start, max_bytes)
        except JournalFailed:
            if start < self.first:
                return []
            raise

    def after(self, record_id: bytes) -> int:
        return self._find(lambda mark: mark.id > record_id)

    def since(self, time_s: float) -> int:
        return self._find(lambda mark: mark.time_s >= time_s)

    def expire(self, now_s: float) -> int:
        before, retention = self.first, self._retention
        first = max(
            before,
            self.last + 1 - retention.max_records,
            self.since(now_s - retention.max_age_s),
            self._first_within(retention.max_bytes),
        )
        if first > before:
            (newest,) = self._segments.read(first - 1, 1)
            self.evicted = self._layout.id_of(newest)
        self.first = first
        if not self._is_busy and self.first > self.last:
            # An empty segment stores the next ordinal.
            self._run_alone(self._try_start_segment)
        if not self._is_busy:
            self._remove_before(self.first)
        self._front_bytes = self._bytes_before(self.first)
        return self.first - before

    def close(self) -> None:
        self._segments.close()
        self._writer = None
        self._lock = None

    def _find(self, is_past: Callable[[Mark], bool]) -> int:
        last = self.last
        while True:
            items = self._segments.items
            try:
                found = self._segments.find(is_past)
            except JournalFailed:
                # Unless `expire` has removed the segment meanwhile.
                if self._segments.items is items:
                    raise
            else:
                return max(self.first, last + 1 if found is None else found)

    # Evicting.

    def _stored_bytes(self) -> int:
        segments = self._segments
        return segments.older_bytes() + segments.newest.extent.size_bytes

    def _first_within(self, max_bytes: int) -> int:
        """Return the first ordinal of the last block from which on there are at least max_bytes."""
        excess_bytes = self._stored_bytes() - max_bytes
        if excess_bytes <= 0:
            return 0
        for segment in self._segments.items:
            if excess_bytes < segment.extent.size_bytes:
                marks = self._segments.marks_of(segment)
                index = bisect_right(marks, excess_bytes, key=lambda mark: mark.offset) - 1
                return marks[index].ordinal if marks else segment.first
            excess_bytes -= segment.extent.size_bytes
        return self.last + 1

    def _bytes_before(self, ordinal: int) -> int:
        """Return the bytes of the oldest segment before the block of this ordinal."""
        oldest = self._segments.items[0]
        marks = self._segments.marks_of(oldest) if ordinal > oldest.first else []
        index = bisect_right(marks, ordinal, key=lambda mark: mark.ordinal) - 1
        return marks[index].offset if index >= 0 else 0

    def _remove_before(self, ordinal: int) -> None:
        """Remove the segments that have nothing from ordinal on."""
        segments = self._segments
        index = segments.index_of(ordinal)
        gone, segments.items = segments.items[:index], segments.items[index:]

        def unlink() -> None:
            # Oldest first: a crash leaves no hole.
            for segment in gone:
                try:
                    segment.path.unlink(missing_ok=True)
                except OSError as error:
                    _log.warning("segment=%s error=%s", segment.path, error)

        for segment in gone:
            segments.forget(segment)
        if gone:
            self._run_native(unlink)

    # Writing. `_run_alone` runs all of it.

    def _run_alone(self, work: Callable[[], Result]) -> Result:
        """Run work natively; no other such work runs beside it, even if the caller is killed."""
        self._is_busy = True

        def run() -> Result:
            try:
                return work()
            finally:
                self._is_busy = False

        return self._run_native(run)

    def _append(self, lines: Sequence[bytes]) -> int:
        ids = increasing_ids(lines, self._newest_id, self._layout)
        if len(ids) < len(lines) or any(line.find(b"\n") != len(line) - 1 for line in lines):
            raise ValueError("each line must be a record with a greater id than the one before")
        if max(map(len, lines), default=0) > self._retention.max_bytes:
            raise JournalFull(f"one record alone is more than {self._retention.max_bytes} bytes")
        try:
            self._write(b"".join(lines))
        except OSError as error:
            _log.warning("folder=%s last=%d error=%s", self._path, self.last, error)
            with contextlib.suppress(OSError):
                self._cut_back()
            raise JournalFull(error.strerror or str(error)) from error
        newest = self._segments.newest
        self._segments.note_place(*newest.extent)
        newest.add(lines, self._layout)
        self._newest_id = ids[-1] if ids else self._newest_id
        return self.last

    def _write(self, data: bytes) -> None:
        writer = self._ready_writer()
        start = self._segments.newest.extent.size_bytes
        view = memoryview(data)
        self._is_torn = True
        while view:
            view = view[os.pwrite(writer.fd, view, start + len(data) - len(view)) :]
        os.fdatasync(writer.fd)
        self._is_torn = False

    def _ready_writer(self) -> Descriptor:
        """Return the file for the next append, which ends after our last record."""
        newest = self._segments.newest
        if self._writer is None:
            writer = newest.open(os.O_WRONLY | os.O_CREAT)
            _sync_folder(self._path)
            self._writer = writer
        self._cut_back()
        found = os.fstat(self._writer.fd)
        if found.st_nlink == 0 or found.st_size != newest.extent.size_bytes:
            _log.error("segment=%s error=changed_by_others", newest.path)
            return self._start_segment()
        return self._start_segment() if found.st_size >= self._segment_bytes else self._writer

    def _cut_back(self) -> None:
        """Cut off the rest of a failed append. Synced: a crash must not bring it back."""
        if self._is_torn and self._writer is not None:
            os.ftruncate(self._writer.fd, self._segments.newest.extent.size_bytes)
            os.fdatasync(self._writer.fd)
            self._is_torn = False

    def _start_segment(self) -> Descriptor:
        segment = Segment(self._path, self.last + 1)
        writer = segment.open(os.O_WRONLY | os.O_CREAT)
        _sync_folder(self._path)
        self._writer, self._is_torn = writer, False
        older = [item for item in self._segments.items if item.first < segment.first]
        self._segments.items = [*older, segment]
        return writer

    def _try_start_segment(self) -> None:
        if not self._segments.newest.extent.size_bytes:
            return
        try:
            self._start_segment()
        except OSError as error:
            _log.warning("folder=%s error=%s", self._path, error)


def _make_folder(folder: Path) -> None:
    """Create folder and its parents, synced: a crash does not remove them again."""
    if not folder.is_dir():
        _make_folder(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)
        _sync_folder(folder.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = Descriptor(os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
    os.fsync(descriptor.fd)


def _lock(folder: Path) -> Descriptor:
    """Open folder and lock it until the descriptor is closed."""
    descriptor = Descriptor(os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
    try:
        fcntl.flock(descriptor.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise JournalFailed("in_use", f"another process has {folder}") from error
    return descriptor
