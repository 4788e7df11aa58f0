"""A folder as one ZIP, with every offset known before the first file is read.

Files are read when their bytes are needed, and each must still be the version of the snapshot. The
last member is MANIFEST.sha256, for `sha256sum -c`, which also lists files that were left out. A
span from the middle needs the checksums of the files before it: Digests caches those of recent
files. Way in: ZipArchive, ArchiveReader. Everything here may wait for a disk.
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
from sources.folders.folder import Folder, OpenFile, SequentialOpener, Version
from sources.folders.snapshots import Snapshot
from wire.zip import ZipLayout, ZipMember, member_path

MANIFEST = "MANIFEST.sha256"
READ_BYTES = 256 * 1024
# Opening a file takes about as long as reading so much.
OPEN_BYTES = 4096
# About 300 bytes each.
MAX_DIGESTS = 100_000


class Checksums(NamedTuple):
    """Of the whole content of a file."""

    crc32: int
    sha256: bytes


class Digest:
    """The checksums of a file up to position, as far as it was read."""

    def __init__(self) -> None:
        self.position = 0
        self._crc32 = 0
        self._sha256 = hashlib.sha256()

    def take(self, position: int, content: bytes) -> None:
        """Continue with content, which begins at position, unless that leaves a hole."""
        known = self.position - position
        if 0 <= known < len(content):
            new = memoryview(content)[known:]
            self._crc32 = zlib.crc32(new, self._crc32)
            self._sha256.update(new)
            self.position += len(new)

    def checksums(self) -> Checksums:
        return Checksums(self._crc32, self._sha256.digest())


class Digests:
    """A cache of the checksums of recent files. One for all archives, for any thread."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, Checksums | Digest] = OrderedDict()

    def take(self, version: Version) -> Checksums | Digest:
        """Return the checksums of a version. A digest is the caller's alone until `give`."""
        key = version.digest()
        known = self._known.pop(key, None)
        if isinstance(known, Checksums):
            self._known[key] = known
        return known or Digest()

    def give(self, version: Version, known: Checksums | Digest) -> None:
        """Keep checksums of a version that was settled when it was first read."""
        self._known[version.digest()] = known
        if len(self._known) > MAX_DIGESTS:
            self._known.popitem(last=False)


class ZipArchive:
    """See the module. layout: the offsets. files: those of the layout except the manifest."""

    def __init__(self, folder: Folder, snapshot: Snapshot, digests: Digests) -> None:
        self.folder = folder
        self.digests = digests
        self.files = snapshot.files
        self._snapshot = snapshot
        length = len(self.manifest([bytes(32)] * len(self.files)))
        newest_s = max([file.modified_s for file in self.files], default=0.0)
        members = [
            ZipMember(member_path(file.path), file.size, file.modified_s) for file in self.files
        ]
        self.layout = ZipLayout([*members, ZipMember(manifest_name(snapshot), length, newest_s)])

    def manifest(self, sha256s: Sequence[bytes]) -> bytes:
        """Return the manifest; see manifest_text."""
        return manifest_text(self._snapshot, sha256s, member_path)


def manifest_name(snapshot: Snapshot) -> str:
    """Return the path of the manifest, which no file of the folder has."""
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
    """Return the manifest, whose length does not depend on the digests.

    sha256s: of each of the snapshot's files; ignored for folders. named: returns the name of a file
    in the archive.
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
    """Return a line as sha256sum writes it: an unusual name is escaped and marked."""
    escaped = path.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")
    mark = "" if escaped == path else "\\"
    return f"{mark}{sha256}  {escaped}\n"


class ArchiveReader:
    """Reads the bytes start <= i < stop of an archive, once and in order."""

    def __init__(self, archive: ZipArchive, start: int, stop: int) -> None:
        self._archive = archive
        self._opener = SequentialOpener(archive.folder)
        self._file: OpenFile | None = None
        self._left = stop - start
        self._known: dict[int, Checksums] = {}
        self._manifest = b""
        self._pieces = self._from(start)

    def read(self) -> bytes | None:
        """Return the next bytes, about READ_BYTES; None at the end.

        b"" after about as many bytes were read for checksums only. Raises FileChanged, and as
        Folder.open.
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
        """Close open files. Raises ValueError while a thread reads: call it again after that."""
        self._pieces.close()

    def _from(self, start: int) -> Generator[bytes, None, None]:
        """Yield the bytes from start on, and b"" between them as `read` returns it."""
        layout = self._archive.layout
        with closing(self._opener):
            for index in range(layout.index_at(start), len(layout.members)):
                yield from self._member(index, max(0, start - layout.starts[index]))
            indexes = range(len(layout.members))
            yield from self._learn(indexes)
            crc32s = [self._known[index].crc32 for index in indexes]
            yield layout.directory(crc32s)[max(0, start - layout.directory_start) :]

    def _member(self, index: int, position: int) -> Generator[bytes, None, None]:
        """Yield the bytes of a member from position on."""
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
        """Yield the content of a member from position on, and note its checksums."""
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
        """Find the checksums of members; read the files that were not read before."""
        unreported = 0
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
                self._known[index] = _EMPTY
                continue
            with self._noting(index) as known:
                if isinstance(known, Checksums):
                    continue
                unreported += OPEN_BYTES
                with self._opened(index) as file:
                    while (position := known.position) < size:
                        content = file.read(READ_BYTES, position)
                        known.take(position, content)
                        unreported += len(content)
                        if unreported >= READ_BYTES:
                            unreported = 0
                            yield b""

    @contextmanager
    def _noting(self, index: int) -> Iterator[Checksums | Digest]:
        """Take the known checksums of a file that is then read; note and return the new ones."""
        _, size, _, version = self._archive.files[index]
        assert version is not None
        # Otherwise a later change may not show, and the cache would be of other content.
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
                raise FileChanged(f"{path!a} has changed since the archive was begun")
            self._file = file
            try:
                yield file
            finally:
                self._file = None


_EMPTY = Checksums(0, hashlib.sha256().digest())
