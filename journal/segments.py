"""The segments of a journal of records on disk: finding and reading their records.

Bytes in the page cache are read on the caller's thread, all else natively. Any number of threads
may read while one adds or removes segments. Knows nothing of writing and retention.
Way in: Segments.
"""

from __future__ import annotations

import contextlib
import os
from bisect import bisect_left, bisect_right
from collections.abc import Callable
from io import BytesIO

from journal.descriptor import Descriptor, read_cached
from journal.errors import JournalFailed
from journal.native import RunNative
from journal.records import Layout
from journal.segment import Mark, Segment

# Segments that are open at a time; a read of a ninth costs an open(), some 10 us.
_MAX_OPEN = 8

# Where reads and appends have ended: the next read begins there without a search.
_MAX_PLACES = 256

# The shortest read: most likely it has a whole line.
_MIN_READ_BYTES = 4096


class Segments:
    """The segments, oldest first. items: never empty, and replaced rather than changed."""

    def __init__(self, items: list[Segment], layout: Layout, run_native: RunNative) -> None:
        self.items = items
        self._layout = layout
        self._run_native = run_native
        self._files: dict[int, Descriptor] = {}
        self._places: dict[int, int] = {}
        # A list of segments, and the bytes of all but its newest.
        self._counted: tuple[list[Segment], int] | None = None

    @property
    def newest(self) -> Segment:
        return self.items[-1]

    def older_bytes(self) -> int:
        """Return the bytes of the segments before the newest."""
        items, counted = self.items, self._counted
        if counted is None or counted[0] is not items:
            counted = (items, sum(segment.extent.size_bytes for segment in items[:-1]))
            self._counted = counted
        return counted[1]

    def index_of(self, ordinal: int) -> int:
        """Return the index of the segment that has or would have this ordinal."""
        return max(0, bisect_right(self.items, ordinal, key=lambda segment: segment.first) - 1)

    def read(self, start: int, max_bytes: int) -> list[bytes]:
        """Return lines from ordinal start on, of up to max_bytes, at least one.

        Raises JournalFailed when it cannot be read, also because its segment was removed.
        """
        items = self.items
        index = bisect_right(items, start, key=lambda segment: segment.first) - 1
        segment = items[max(0, index)]
        offset = self._offset_of(segment, start)
        data = self._whole_lines(segment, offset, max_bytes)
        # readlines splits at b"\n" only; bytes.splitlines would at b"\r" too.
        lines = BytesIO(data).readlines()
        self.note_place(start + len(lines), offset + len(data))
        return lines

    def note_place(self, ordinal: int, offset: int) -> None:
        """Remember the offset of a record in the file of its segment."""
        if len(self._places) >= _MAX_PLACES:
            self._places = {}
        self._places[ordinal] = offset

    def find(self, is_past: Callable[[Mark], bool]) -> int | None:
        """Return the ordinal of the first record for which is_past; None if there is none.

        is_past: monotonic, true of all records behind one of which it is. Raises JournalFailed.
        """
        items = self.items

        def head(index: int) -> Mark | None:
            """Return the first mark from a segment on: one that has lost its records has none."""
            return next(
                (marks[0] for item in items[index:] if (marks := self.marks_of(item))), None
            )

        def is_head_past(index: int) -> bool:
            mark = head(index)
            return mark is None or is_past(mark)

        index = bisect_left(range(len(items)), True, key=is_head_past) - 1
        if index >= 0 and (marks := self.marks_of(items[index])):
            block = bisect_left(marks, True, key=is_past) - 1
            lines = self._block(items[index], marks, block)
            skipped = self._first_past(lines, is_past)
            if skipped < len(lines) or block + 1 < len(marks):
                return marks[block].ordinal + skipped
        following = head(index + 1)
        return following.ordinal if following else None

    def marks_of(self, segment: Segment) -> list[Mark]:
        """Return the segment's marks, which the first call finds. Raises JournalFailed."""
        if segment.marks is None:
            try:
                self._run_native(lambda: segment.find_marks(self._layout))
            except OSError as error:
                raise JournalFailed("unreadable", str(error)) from error
            # The segment may have fewer bytes than its file.
            self._counted = None
        return segment.marks or []

    def forget(self, segment: Segment) -> None:
        """Close the file of a segment, and do not look for its marks any more."""
        self._files.pop(segment.first, None)
        segment.marks = segment.marks or []

    def close(self) -> None:
        self._files = {}

    def _first_past(self, lines: list[bytes], is_past: Callable[[Mark], bool]) -> int:
        """Return the number of lines of a block before the first that is past."""
        layout = self._layout

        def is_line_past(line: bytes) -> bool:
            return is_past(Mark(0, 0, layout.id_of(line), layout.time_s_of(line)))

        try:
            return bisect_left(lines, True, key=is_line_past)
        except ValueError:
            # A line is damaged: search one by one.
            for index, line in enumerate(lines):
                with contextlib.suppress(ValueError):
                    if is_line_past(line):
                        return index
        return len(lines)

    def _block(self, segment: Segment, marks: list[Mark], index: int) -> list[bytes]:
        """Return the lines from a mark to the next."""
        is_last = index + 1 == len(marks)
        stop = segment.extent.size_bytes if is_last else marks[index + 1].offset
        return BytesIO(self._bytes(segment, marks[index].offset, stop)).readlines()

    def _offset_of(self, segment: Segment, ordinal: int) -> int:
        marks = self.marks_of(segment)
        if not marks or not segment.first <= ordinal < segment.extent.stop:
            raise JournalFailed("torn", f"record {ordinal} is missing in {segment.path}")
        if ordinal == segment.first:
            return 0
        place = self._places.get(ordinal)
        if place is not None:
            return place
        index = bisect_right(marks, ordinal, key=lambda mark: mark.ordinal) - 1
        before = self._block(segment, marks, index)[: ordinal - marks[index].ordinal]
        return marks[index].offset + sum(map(len, before))

    def _whole_lines(self, segment: Segment, offset: int, max_bytes: int) -> bytes:
        size_bytes = segment.extent.size_bytes
        length = max(max_bytes, _MIN_READ_BYTES)
        while True:
            data = self._bytes(segment, offset, min(offset + length, size_bytes))
            if end := data.rfind(b"\n", 0, max_bytes) + 1 or data.find(b"\n") + 1:
                return data[:end]
            if offset + length >= size_bytes:
                raise JournalFailed("torn", f"{segment.path} was changed")
            length *= 2

    def _bytes(self, segment: Segment, start: int, stop: int) -> bytes:
        length = stop - start
        try:
            file = self._files.get(segment.first) or self._run_native(lambda: self._open(segment))
            data = read_cached(file.fd, start, length)
            if len(data) < length:
                data = self._run_native(lambda: os.pread(file.fd, length, start))
        except OSError as error:
            self._mark_changed(segment)
            raise JournalFailed("unreadable", str(error)) from error
        if len(data) < length:
            self._mark_changed(segment)
            raise JournalFailed("torn", f"{segment.path} was truncated")
        return data

    def _open(self, segment: Segment) -> Descriptor:
        file = segment.open(os.O_RDONLY)
        if len(self._files) >= _MAX_OPEN:
            self._files = {}
        self._files[segment.first] = file
        return file

    def _mark_changed(self, segment: Segment) -> None:
        """Find the marks of a damaged segment again, unless it was removed or is being written."""
        self._files.pop(segment.first, None)
        if segment in self.items[:-1]:
            segment.marks = None
