"""A folder as one ZIP whose every byte has its place before the first file is read.

Files are read when their bytes are due, and each must still be what the snapshot says. The last
member is MANIFEST.sha256, for `sha256sum -c`, which also names what was left out. To begin in the
middle takes the checksums of what came before: Digests keeps those of the files read last.
Way in: Archive, ArchiveReader. Everything here may wait for a disk.
"""

from __future__ import annotations

import hashlib
import time
import zlib
from collections import OrderedDict
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from typing import NamedTuple

from sources.errors import FileChanged
from sources.folders.folder import Folder, InOrder, OpenFile, Version
from sources.folders.snapshots import Snapshot
from wire.zip import Member, ZipLayout, member_path

MANIFEST = "MANIFEST.sha256"
READ_BYTES = 256 * 1024
# To open a file takes about as long as to read so much.
OPEN_BYTES = 4096
# About 300 bytes each.
MAX_DIGESTS = 100_000


class Checksums(NamedTuple):
    """Of the whole content of a file."""

    crc32: int
    sha256: bytes


class Digest:
    """The checksums of a file as far as it was read, which is up to position."""

    def __init__(self) -> None:
        self.position = 0
        self._crc32 = 0
        self._sha256 = hashlib.sha256()

    def take(self, position: int, content: bytes) -> None:
        """Go on with content, which begins at position, if it goes on from what is known."""
        known = self.position - position
        if 0 <= known < len(content):
            fresh = memoryview(content)[known:]
            self._crc32 = zlib.crc32(fresh, self._crc32)
            self._sha256.update(fresh)
            self.position += len(fresh)

    def checksums(self) -> Checksums:
        return Checksums(self._crc32, self._sha256.digest())


class Digests:
    """What is known of the files that archives read last. One for all archives, on any thread."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, Checksums | Digest] = OrderedDict()

    def take(self, version: Version) -> Checksums | Digest:
        """Return what is known of a version. A digest is the caller's alone, until it is given."""
        key = version.digest()
        known = self._known.pop(key, None)
        if isinstance(known, Checksums):
            self._known[key] = known
        return known or Digest()

    def give(self, version: Version, known: Checksums | Digest) -> None:
        """Keep it for the next one. Only of a version that was settled when it was first read."""
        self._known[version.digest()] = known
        if len(self._known) > MAX_DIGESTS:
            self._known.popitem(last=False)


class Archive:
    """See the module. layout: where everything is. files: those of the layout but the manifest."""

    def __init__(self, folder: Folder, snapshot: Snapshot, digests: Digests) -> None:
        self.folder = folder
        self.digests = digests
        self.files = snapshot.files
        self._snapshot = snapshot
        length = len(self.manifest([bytes(32)] * len(self.files)))
        newest_s = max([file.modified_s for file in self.files], default=0.0)
        members = [
            Member(member_path(file.path), file.size, file.modified_s) for file in self.files
        ]
        self.layout = ZipLayout([*members, Member(manifest_name(snapshot), length, newest_s)])

    def manifest(self, sha256s: Sequence[bytes]) -> bytes:
        """Return the manifest; see manifest_text."""
        return manifest_text(self._snapshot, sha256s, member_path)


def manifest_name(snapshot: Snapshot) -> str:
    """Return the path of the manifest, another one where there is a file of that name."""
    paths = {file.path.removesuffix("/") for file in snapshot.files}
    name = MANIFEST
    while name in paths:
        name = f"_{name}"
    return name


def manifest_text(
    snapshot: Snapshot,
    sha256s: Sequence[bytes],
    named: Callable[[str], str] = lambda path: path,
) -> bytes:
    """Return the manifest, as long for any digests.

    sha256s: of each of the snapshot's files; of a folder it is not looked at. named: returns the
    name that a file has in the archive.
    """
    lines = [f"# left out: {path!a}: {reason}\n" for path, reason in snapshot.left_out]
    lines += [
        f"# renamed: {file.path!a}: {named(file.path)!a}\n"
        for file in snapshot.files
        if named(file.path) != file.path
    ]
    lines += [
        _manifest_line(sha256.hex(), named(file.path))
        for file, sha256 in zip(snapshot.files, sha256s, strict=True)
        if file.version is not None
    ]
    return "".join(lines).encode() or b"# there is no file\n"


def _manifest_line(sha256: str, path: str) -> str:
    """Return a line as sha256sum writes it: of an unusual name, escaped and so marked."""
    escaped = path.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")
    mark = "" if escaped == path else "\\"
    return f"{mark}{sha256}  {escaped}\n"


class ArchiveReader:
    """Reads the bytes start <= i < stop of an archive, once and in order."""

    def __init__(self, archive: Archive, start: int, stop: int) -> None:
        self._archive = archive
        self._opener = InOrder(archive.folder)
        self._file: OpenFile | None = None
        self._left = stop - start
        self._known: dict[int, Checksums] = {}
        self._manifest = b""
        self._pieces = self._from(start)

    def read(self) -> bytes | None:
        """Return the next bytes, about READ_BYTES; None at the end.

        b"" when so much was read of what came before, for its checksums only. Raises FileChanged,
        and what Folder.open raises.
        """
        if not self._left:
            return None
        pieces = []
        size = 0
        while size < min(READ_BYTES, self._left) and (piece := next(self._pieces)):
            pieces.append(piece)
            size += len(piece)
        content = b"".join(pieces)[: self._left]
        self._left -= len(content)
        if not self._left and self._file is not None:
            self._file.confirm()
        return content

    def close(self) -> None:
        """Close what is open. Raises ValueError while a thread reads; it is done after that."""
        self._pieces.close()

    def _from(self, start: int) -> Generator[bytes, None, None]:
        """Yield the bytes from start on, and b"" between them as read says."""
        layout = self._archive.layout
        with closing(self._opener):
            for index in range(layout.index_at(start), len(layout.members)):
                yield from self._member(index, max(0, start - layout.starts[index]))
            indexes = range(len(layout.members))
            yield from self._learn(indexes)
            crc32s = [self._known[index].crc32 for index in indexes]
            yield layout.directory(crc32s)[max(0, start - layout.directory_start) :]

    def _member(self, index: int, position: int) -> Generator[bytes, None, None]:
        """Yield a member from its byte at position on."""
        layout = self._archive.layout
        head, size = layout.head(index), layout.members[index].size
        if position < len(head):
            yield head[position:]
        if not size:
            return
        position = max(0, position - len(head))
        if position < size:
            yield from self._content(index, position)
        yield from self._learn([index])
        yield layout.tail(index, self._known[index].crc32)[max(0, position - size) :]

    def _content(self, index: int, position: int) -> Generator[bytes, None, None]:
        """Yield a member's content from its byte at position on, and note its checksums."""
        if index == len(self._archive.files):
            yield from self._learn([index])
            yield self._manifest[position:]
            return
        size = self._archive.files[index].size
        with self._noting(index) as known, self._opened(index) as file:
            while position < size:
                content = file.read(min(READ_BYTES, size - position), position)
                if isinstance(known, Digest):
                    known.take(position, content)
                position += len(content)
                yield content

    def _learn(self, indexes: Iterable[int]) -> Generator[bytes, None, None]:
        """Find the checksums of members, reading the files that were not read before."""
        unsaid = 0
        for index in indexes:
            if index in self._known:
                continue
            if index == len(self._archive.files):
                yield from self._learn(range(index))
                sha256s = [self._known[each].sha256 for each in range(index)]
                self._manifest = self._archive.manifest(sha256s)
                self._known[index] = Checksums(zlib.crc32(self._manifest), b"")
                continue
            size = self._archive.files[index].size
            if not size:
                self._known[index] = _OF_NOTHING
                continue
            with self._noting(index) as known:
                if isinstance(known, Checksums):
                    continue
                unsaid += OPEN_BYTES
                with self._opened(index) as file:
                    while (position := known.position) < size:
                        content = file.read(READ_BYTES, position)
                        known.take(position, content)
                        unsaid += len(content)
                        if unsaid >= READ_BYTES:
                            unsaid = 0
                            yield b""

    @contextmanager
    def _noting(self, index: int) -> Iterator[Checksums | Digest]:
        """Take what is known of a file that is then read; note and give back what is in the end."""
        _, size, _, version = self._archive.files[index]
        assert version is not None
        # Else it could be changed after this unseen, and what is kept would be of other content.
        is_settled = version.is_settled(time.time())
        known = self._archive.digests.take(version)
        try:
            yield known
        finally:
            if isinstance(known, Digest) and known.position == size:
                known = known.checksums()
            if isinstance(known, Checksums):
                self._known[index] = known
            if is_settled:
                self._archive.digests.give(version, known)

    @contextmanager
    def _opened(self, index: int) -> Iterator[OpenFile]:
        path, _, _, version = self._archive.files[index]
        with closing(self._opener.open(path)) as file:
            if file.version != version:
                raise FileChanged(f"{path!a} was changed after the archive had begun")
            self._file = file
            try:
                yield file
            finally:
                self._file = None


_OF_NOTHING = Checksums(0, hashlib.sha256().digest())
