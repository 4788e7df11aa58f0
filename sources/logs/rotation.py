"""The files that rotation has left of a log, and their order, found by the bytes already read.

Names give the order, and the content of a file tells which one it is: it may have been renamed,
copied or compressed since. A copy counts only after the log was cut: until then it may grow, and
the log has all of it. Everything may wait for a disk, and raises AtWork if the folder changes
meanwhile, since the answer would not be of one moment. Way in: Rotation.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from sources.grain import latest_ns
from sources.logs.bytes import (
    HEAD_BYTES,
    NO_FILE,
    AtWork,
    Fingerprint,
    Identity,
    LogBytes,
    PlainFile,
    Rotated,
    content_of,
    find_log,
    identity_of,
    likely_files,
    open_now,
    rotated_files,
)
from sources.logs.lines import MAX_LINE_BYTES, LastLine, as_utf8
from sources.logs.position import Position
from wire.charsets import utf16_of

# A file whose name tells nothing is the same if at least so many of its first bytes are equal.
TELLING_BYTES = 256
# A file that was rotated longer ago cannot be taken for one that was rotated since.
RECENT_S = 5.0


class Seen(NamedTuple):
    """The bytes read of a file. identity: of the file that had the log's name, not of its copy.

    head, tail: its first bytes, and those before the offset `at`.
    """

    identity: Identity
    head: bytes
    tail: bytes
    at: int


class Known(NamedTuple):
    """A rotated file. head: identifies it after it was compressed, None if unreadable.

    The identity alone does not: the inode of a removed file goes to the next file that is made.
    """

    content: tuple[int, ...]
    head: Fingerprint | None

    def is_same(self, rotated: Rotated) -> bool:
        return self.content == content_of(rotated.status)

    def has_grown_to(self, rotated: Rotated, file: LogBytes) -> bool:
        """Was the file renamed, and is it still written to?"""
        if self.head is None or self.content[:2] != rotated.identity:
            return False
        return self.head.is_of(file)


class Next(NamedTuple):
    """The files after a file. is_sure: if not, there may have been others, removed by now."""

    files: list[Rotated]
    is_sure: bool


class Left(NamedTuple):
    """The rotated files, the oldest first. since_ns: a moment before the search began.

    is_copied: rotation is known to copy.
    """

    files: list[Rotated]
    since_ns: int
    is_copied: bool

    def known(self, before: list[Known] | None = None) -> list[Known]:
        """Return these files with their heads. Raises AtWork if one is no longer there.

        before: the files that were known, and need not be read again.
        """
        return [
            next((each for each in before or () if each.is_same(rotated)), None)
            or Known(content_of(rotated.status), _head_of(rotated, grows=not self.is_copied))
            for rotated in self.files
        ]

    def written_after(self, seen_s: float, known: list[Known]) -> list[Rotated]:
        """Return the unknown files that were written to after that time, unix seconds."""
        return [
            each
            for each in self.files
            if latest_ns(each.status.st_mtime_ns) > seen_s * 1e9
            and each.status.st_size
            and not any(old.is_same(each) for old in known)
        ]


class Rotation:
    """The folder of the log at path. links: whether a link that leads out of it is followed.

    The caller closes the open files that are returned.
    """

    def __init__(self, path: Path, *, links: bool) -> None:
        self._path = path
        self._links = links
        # The forms of names that files were seen to get after they were the log.
        self._shapes: set[str] = set()

    def find_log(self) -> os.stat_result | None:
        """Return the present file of the log, None if there is none."""
        return find_log(self._path, links=self._links)

    def files(self, known: Identity = NO_FILE) -> list[Rotated]:
        """Return the files named like the log, the oldest first. known: as in rotated_files."""
        return rotated_files(self._path, known, self._shapes, links=self._links)

    def left(self, log: Identity, known: Identity = NO_FILE) -> Left:
        """Return the rotated files, without copies of the present log.

        log: of the file that has kept the log's name, because rotation copies; else NO_FILE.
        """
        since_ns = time.time_ns()
        found = self.files(known)
        files = list(found)
        while files and self._is_in_log(files[-1], log, since_ns / 1e9):
            files.pop()
        if files != found and names_of(found) != names_of(self.files(known)):
            # The opened file may be another one with the same inode, and this one compressed.
            raise AtWork
        return Left(files, since_ns, log != NO_FILE)

    def younger(self, file: LogBytes, seen: Seen, left: Left) -> Next:
        """Return the remaining files after file, the oldest first."""
        if (younger := _behind(file.identity, left.files)) is not None:
            return Next(younger, True)
        # The file was compressed meanwhile, and is among them under another identity; or it was
        # removed.
        candidates = self._likely(seen) + left.files
        for rotated in reversed(candidates):
            if _has_become(rotated, seen):
                count = len(self._shapes)
                files = self.files(rotated.identity)
                if len(self._shapes) > count:
                    # Its name gives the form of others, which were left out.
                    raise AtWork
                if rotated.identity in _identities(files):
                    return Next(_behind(rotated.identity, left.files) or [], True)
        written_ns = file.stat().st_mtime_ns
        if self._have_moved(candidates):
            raise AtWork
        younger = [
            each
            for each in left.files
            if each.status.st_size and each.status.st_mtime_ns > written_ns
        ]
        # Rotation removes the oldest file first, and then perhaps the next one. If rotation
        # renames, another program has mostly moved the file elsewhere.
        is_sure = not younger and not (left.is_copied and file.stat().st_nlink == 0)
        return Next(younger, is_sure)

    def has_next(self, file: LogBytes, seen: Seen) -> bool:
        """Has another file begun after file, which was the log?"""
        log = self.find_log()
        left = self.left(NO_FILE, file.identity)
        has_log = log is not None and log.st_size > 0
        return bool(self.younger(file, seen, left).files) or has_log

    def find_copy(self, seen: Seen, known: list[Known]) -> LogBytes | None:
        """Return the copy of the log from before it was cut, None if there is none.

        It may be shorter than the bytes read. known: the rotated files when reading began.
        """
        if not seen.head:
            return None
        files = self.left(seen.identity).files
        others = [each for each in files if any(old.is_same(each) for old in known)]
        fresh = [each for each in files if each not in others]
        likeliest = fresh + (self._likely(seen) + others)[::-1]
        copy, shorter = _copy_among(likeliest, files, seen)
        if copy is None and self._have_moved(likeliest):
            # A copy may have been compressed before it was opened.
            if shorter is not None:
                shorter.close()
            raise AtWork
        return copy or shorter

    def unseen(self, left: Left, known: list[Known]) -> Next:
        """Return the copies that were left since. known: the rotated files before."""
        gone = list(known)
        fresh = []
        for rotated in left.files:
            same = next((each for each in gone if each.is_same(rotated)), None)
            if same is not None:
                gone.remove(same)
            elif rotated.status.st_size:
                fresh.append(rotated)
        unseen = []
        for rotated in fresh:
            with contextlib.closing(open_now(rotated)) as file:
                head = Fingerprint.of(file.read(0, HEAD_BYTES))
                same = next(
                    (
                        each
                        for each in gone
                        if each.has_grown_to(rotated, file) or (file.is_gzip and each.head == head)
                    ),
                    None,
                )
            if same is not None:
                gone.remove(same)
            elif head.length:
                unseen.append(rotated)
        return Next(unseen, not known or known[-1] not in gone)

    def candidates(self, position: Position) -> list[Rotated]:
        """Return the files that may be the file of position, the likeliest first."""
        likely = likely_files(self._path, position.identity, links=self._links)
        if position.head.length < TELLING_BYTES:
            likely = [each for each in likely if each.identity == position.identity]
        log = self.find_log()
        files = self.files() + ([] if log is None else [Rotated(self._path, log, self._links)])
        # The newest first, and before all others the log, of which there may be no copy yet.
        found = (likely + files)[::-1]
        found.sort(key=lambda rotated: rotated.identity != position.identity)
        return found

    def _is_in_log(self, rotated: Rotated, log: Identity, now_s: float) -> bool:
        """Is it a copy of the log from before a cut?"""
        if not rotated.status.st_size:
            return True
        if log == NO_FILE and now_s - rotated.status.st_mtime >= RECENT_S:
            return False
        copy = _open_readable(rotated)
        if copy is None:
            return False
        with contextlib.closing(copy):
            size_bytes = HEAD_BYTES if copy.is_gzip else copy.stat().st_size
            starts = 0, max(0, size_bytes - TELLING_BYTES)
            # Read first, since the log may be cut at any time.
            parts = [copy.read(start, HEAD_BYTES) for start in starts]
        try:
            file = PlainFile(self._path, links=self._links)
        except OSError:
            return False
        with contextlib.closing(file):
            return log in {NO_FILE, file.identity} and parts == [
                file.read(start, len(part)) for start, part in zip(starts, parts, strict=True)
            ]

    def _have_moved(self, files: list[Rotated]) -> bool:
        """Has one of them been renamed or removed by now?"""
        for each in files:
            status = find_log(each.path, links=self._links)
            if status is None or content_of(status) != content_of(each.status):
                return True
        return False

    def _likely(self, seen: Seen) -> list[Rotated]:
        if len(seen.head) < TELLING_BYTES:
            return []
        return likely_files(self._path, NO_FILE, links=self._links)


def _head_of(rotated: Rotated, *, grows: bool) -> Fingerprint | None:
    file = _open_readable(rotated, grows=grows)
    if file is None:
        return None
    with contextlib.closing(file):
        return Fingerprint.of(file.read(0, HEAD_BYTES))


def _open_readable(rotated: Rotated, *, grows: bool = True) -> LogBytes | None:
    """Open the file; None if that is forbidden. Raises AtWork. grows: as in open_now."""
    try:
        return open_now(rotated, grows=grows)
    except AtWork:
        raise
    except OSError:
        return None


def opened_of(files: Iterable[Rotated]) -> Iterator[LogBytes]:
    """Open the files one after another, if they can be opened; the caller closes them."""
    for rotated in files:
        with contextlib.suppress(OSError):
            if opened := rotated.open():
                yield opened


def holds(file: LogBytes, position: Position, last: LastLine | None) -> bool:
    """Does file begin as it did, and end a line at position, the last one if that is known?"""
    if not position.head.length and (last is None or not position.end):
        return not position.end and file.identity == position.identity != NO_FILE
    if position.head.length and not position.head.is_of(file):
        return False
    length = min(position.end, MAX_LINE_BYTES)
    before = file.read(position.end - length, length)
    if len(before) < length:
        return False
    if last is None or not length:
        return True
    before = as_utf8(before, utf16_of(file.read(0, HEAD_BYTES)))
    _, feed, found = before.removesuffix(b"\n").rpartition(b"\n")
    return last.is_at(found, is_whole=bool(feed))


def ends_before(file: LogBytes, position: Position) -> bool:
    """Is file a copy of the log that was made before position was read?"""
    is_alike = position.head.length >= TELLING_BYTES and position.head.is_of(file)
    is_copy = is_alike and file.identity != position.identity
    return is_copy and not file.read(position.end - 1, 1)


def _has_become(rotated: Rotated, seen: Seen) -> bool:
    """Does it hold the bytes that were read?"""
    for file in opened_of([rotated] if seen.head else []):
        with contextlib.closing(file), contextlib.suppress(OSError):
            if file.read(0, len(seen.head)) == seen.head:
                return file.read(seen.at - len(seen.tail), len(seen.tail)) == seen.tail
    return False


def _copy_among(
    candidates: list[Rotated], files: list[Rotated], seen: Seen
) -> tuple[LogBytes | None, LogBytes | None]:
    """Return the copy, or else one of files that is shorter than the bytes read."""
    identity, seen_head, tail, at = seen
    shorter: LogBytes | None = None
    rotated = _identities(files)
    for file in opened_of(candidates):
        with contextlib.suppress(OSError):
            head = file.read(0, len(seen_head))
            if file.identity != identity and head and seen_head.startswith(head):
                found = file.read(at - len(tail), len(tail))
                if found == tail:
                    if shorter is not None:
                        shorter.close()
                    return file, None
                is_named_so = file.identity in rotated or len(head) >= TELLING_BYTES
                is_shorter = len(found) < len(tail) and is_named_so
                if is_shorter and shorter is None and tail.startswith(found):
                    shorter = file
                    continue
        file.close()
    return None, shorter


def _behind(known: Identity, files: list[Rotated]) -> list[Rotated] | None:
    """Return the files after the known one, None if it is not among them."""
    for index, rotated in enumerate(files):
        if rotated.identity == known:
            return [each for each in files[index + 1 :] if each.status.st_size]
    return None


def _identity(status: os.stat_result | None) -> Identity:
    return NO_FILE if status is None else identity_of(status)


def names_of(files: Iterable[Rotated]) -> list[tuple[Path, Identity]]:
    return [(each.path, each.identity) for each in files]


def _identities(files: Iterable[Rotated]) -> set[Identity]:
    return {each.identity for each in files}
