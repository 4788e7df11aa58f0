"""What rotation has left of a log: which file comes after which, by what was read of it.

Names tell the order, and what a file holds tells which one it is: it may have been renamed, copied
or compressed since. While gzip is at work, which puts one file for another, the folder is looked at
again. Everything may wait for a disk. Way in: Rotation.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from sources.grain import latest_ns
from sources.logs.bytes import (
    HEAD_BYTES,
    NO_FILE,
    Fingerprint,
    Identity,
    LogBytes,
    Rotated,
    find_log,
    likely_files,
    rotated_files,
)
from sources.logs.lines import MAX_LINE_BYTES, LastLine, as_utf8
from sources.logs.position import Position
from wire.charsets import utf16_of

# A file whose name says nothing is the same if at least so much at its beginning is.
TELLING_BYTES = 256
# How often the folder is looked at again while what is in it changes.
MOST_LOOKS = 5
# What was rotated longer ago cannot be taken for what was rotated since.
RECENT_S = 5.0


class Seen(NamedTuple):
    """What was read of a file. identity: of the file that had the log's name, not of its copy.

    head, tail: its first bytes, and those before the offset `at`.
    """

    identity: Identity
    head: bytes
    tail: bytes
    at: int


class Rotation:
    """The folder of the log at path. links: whether a link that leads out of it is followed.

    What is returned open is the caller's to close.
    """

    def __init__(self, path: Path, *, links: bool) -> None:
        self._path = path
        self._links = links

    def find_log(self) -> os.stat_result | None:
        """Return what the log is now, None when it is not there."""
        return find_log(self._path, links=self._links)

    def files(self, known: Identity = NO_FILE) -> list[Rotated]:
        """Return what is called like the log, the oldest first. known: as of rotated_files."""
        return rotated_files(self._path, known, links=self._links)

    def younger(self, file: LogBytes, seen: Seen) -> list[Rotated]:
        """Return what rotation has left of the time after file, the oldest first."""
        if (younger := self._behind(file.identity)) is not None:
            return younger
        # It was compressed meanwhile, and is among them under another identity; or removed.
        files = self.files()
        for rotated in reversed(self._likely(seen) + files):
            if (
                _has_become(rotated, seen)
                and (younger := self._behind(rotated.identity)) is not None
            ):
                return younger
        written_ns = file.stat().st_mtime_ns
        return [
            each for each in files if each.status.st_size and each.status.st_mtime_ns > written_ns
        ]

    def find_copy(self, seen: Seen) -> LogBytes | None:
        """Return the copy of what the log was before it was cut, None if there is none.

        It may be shorter than what was read.
        """
        shorter: LogBytes | None = None
        for _ in range(MOST_LOOKS if seen.head else 0):
            files = self.files()
            copy, shorter = _copy_among(self._likely(seen) + files, files, seen)
            if copy is not None or not self._has_changed(files):
                return copy or shorter
            # A copy may have been compressed between two steps, and was then in neither.
            if shorter is not None:
                shorter.close()
        return None

    def find_unseen(self, known: list[Fingerprint], since_ns: int) -> LogBytes | None:
        """Return a file that was written to since, and is none of those known by their heads."""
        for _ in range(MOST_LOOKS):
            files = self.files()
            if (opened := _unseen_among(files, known, since_ns)) is not None:
                return opened
            if not self._has_changed(files):
                break
        return None

    def recent_heads(self, clock: Callable[[], float]) -> list[Fingerprint]:
        """Return the heads of what was rotated lately. clock: unix seconds."""
        heads: list[Fingerprint] = []
        for _ in range(MOST_LOOKS):
            files = self.files()
            now_s = clock()
            recent = [each for each in files if now_s - each.status.st_mtime < RECENT_S]
            heads += [head for head in _heads_of(recent) if head.length]
            if not self._has_changed(files):
                break
        return heads

    def candidates(self, position: Position, files: list[Rotated]) -> list[Rotated]:
        """Return what may be the file of position, the likeliest first. files: with the log."""
        likely = likely_files(self._path, position.identity, links=self._links)
        if position.head.length < TELLING_BYTES:
            likely = [each for each in likely if each.identity == position.identity]
        # The newest first, and before all others what has not even been copied.
        found = (likely + files)[::-1]
        found.sort(key=lambda rotated: rotated.identity != position.identity)
        return found

    def _behind(self, known: Identity) -> list[Rotated] | None:
        """Return what rotation has left of the time after a file, None when that is not found."""
        files = self.files(known)
        for index, rotated in enumerate(files):
            if rotated.identity == known:
                return [each for each in files[index + 1 :] if each.status.st_size]
        return None

    def _likely(self, seen: Seen) -> list[Rotated]:
        if len(seen.head) < TELLING_BYTES:
            return []
        return likely_files(self._path, NO_FILE, links=self._links)

    def _has_changed(self, files: list[Rotated]) -> bool:
        return _identities(files) != _identities(self.files())


def opened_of(files: Iterable[Rotated]) -> Iterator[LogBytes]:
    """Open one after another, leaving out what cannot be opened; the caller closes them."""
    for rotated in files:
        with contextlib.suppress(OSError):
            if opened := rotated.open():
                yield opened


def holds(file: LogBytes, position: Position, last: LastLine | None) -> bool:
    """Does file begin as it did, and end a line at position, the last one if that is known?"""
    if not position.head.length and last is None:
        return False
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


def _has_become(rotated: Rotated, seen: Seen) -> bool:
    """Is in it what was read?"""
    for file in opened_of([rotated] if seen.head else []):
        with contextlib.closing(file), contextlib.suppress(OSError):
            if file.read(0, len(seen.head)) == seen.head:
                return file.read(seen.at - len(seen.tail), len(seen.tail)) == seen.tail
    return False


def _copy_among(
    candidates: list[Rotated], files: list[Rotated], seen: Seen
) -> tuple[LogBytes | None, LogBytes | None]:
    """Return the copy, or else one of files that is shorter than what was read."""
    identity, seen_head, tail, at = seen
    shorter: LogBytes | None = None
    rotated = _identities(files)
    for file in opened_of(reversed(candidates)):
        with contextlib.suppress(OSError):
            head = file.read(0, len(seen_head))
            if file.identity != identity and head and seen_head.startswith(head):
                found = file.read(at - len(tail), len(tail))
                if found == tail:
                    if shorter is not None:
                        shorter.close()
                    return file, None
                is_shorter = len(found) < len(tail) and file.identity in rotated
                if is_shorter and shorter is None:
                    shorter = file
                    continue
        file.close()
    return None, shorter


def _unseen_among(files: list[Rotated], known: list[Fingerprint], since_ns: int) -> LogBytes | None:
    for rotated in files:
        is_new = latest_ns(rotated.status.st_mtime_ns) >= since_ns
        if not is_new or not rotated.status.st_size:
            continue
        if opened := rotated.open():
            if opened.read(0, 1) and not any(head.is_of(opened) for head in known):
                return opened
            opened.close()
    return None


def _identities(files: Iterable[Rotated]) -> set[Identity]:
    return {each.identity for each in files}


def _heads_of(files: Iterable[Rotated]) -> Iterator[Fingerprint]:
    for opened in opened_of(files):
        with contextlib.suppress(OSError), contextlib.closing(opened):
            yield Fingerprint.of(opened.read(0, HEAD_BYTES))
