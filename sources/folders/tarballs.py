"""A folder as a compressed tar: smaller than a ZIP, its length known only at its end.

Way in: pack_folder. Source: POSIX.1-2001's pax format, as Python's tarfile writes it.
"""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from encoders.compression import compress_into
from encoders.contract import ByteSink
from sources.errors import FileChanged
from sources.folders.archives import manifest_name, manifest_text
from sources.folders.folder import Folder, OpenFile
from sources.folders.snapshots import Snapshot, SnapshotFile, take_snapshot
from sources.folders.tree import Tree

# The size of tarfile's writes.
BUFFER_BYTES = 256 * 1024


def pack_folder(tree: Tree, sink: ByteSink, done: Callable[[int], None]) -> int:
    """Write the folder as .tar.zst into sink; return the number of its files.

    done: called with the number of files written so far.
    Raises FileChanged when the folder is not the one of tree, and as Folder.open.
    """
    instance = Path(tree.instance) if tree.instance else None
    folder = Folder(tree.name, Path(tree.path), hidden=tree.hidden, instance=instance)
    snapshot = take_snapshot(folder)
    if snapshot.digest() != tree.digest:
        raise FileChanged("the folder has changed since it was requested; request it again")
    compressed = compress_into(sink, "zst")
    output: Any = compressed
    with tarfile.open(
        fileobj=output, mode="w|", bufsize=BUFFER_BYTES, format=tarfile.PAX_FORMAT
    ) as tar:
        sha256s = []
        for number, file in enumerate(snapshot.files, 1):
            sha256s.append(_add(tar, folder, file))
            done(number)
        _add_manifest(tar, snapshot, sha256s)
    compressed.close()
    return len(snapshot.files)


def _add(tar: tarfile.TarFile, folder: Folder, file: SnapshotFile) -> bytes:
    """Write one file or folder; return the sha256 of its content."""
    member = tarfile.TarInfo(file.path.removesuffix("/"))
    member.mtime = file.modified_s
    if file.version is None:
        member.type, member.mode = tarfile.DIRTYPE, 0o755
        tar.addfile(member)
        return b""
    member.size = file.size
    with closing(folder.open(file.path)) as opened:
        if opened.version != file.version:
            raise FileChanged(f"{file.path!a} has changed since the archive was begun")
        content = _Hashed(opened)
        tar.addfile(member, content)  # type: ignore[arg-type]
        opened.check()
    return content.sha256.digest()


def _add_manifest(tar: tarfile.TarFile, snapshot: Snapshot, sha256s: list[bytes]) -> None:
    manifest = manifest_text(snapshot, sha256s)
    member = tarfile.TarInfo(manifest_name(snapshot))
    member.size = len(manifest)
    member.mtime = max([file.modified_s for file in snapshot.files], default=0.0)
    tar.addfile(member, io.BytesIO(manifest))


class _Hashed:
    """A file for tarfile that hashes what is read."""

    def __init__(self, file: OpenFile) -> None:
        self._file = file
        self._position = 0
        self.sha256 = hashlib.sha256()

    def read(self, size: int) -> bytes:
        content = self._file.read(size, self._position)
        self._position += len(content)
        self.sha256.update(content)
        return content
