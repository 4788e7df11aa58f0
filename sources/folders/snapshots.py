"""All files of a folder at one moment: the content of an archive.

Way in: take_snapshot. It opens no file; a later change is found when the file is read.
"""

from __future__ import annotations

import hashlib
import time
from typing import NamedTuple

from sources.errors import FolderError, TooManyFiles
from sources.folders.folder import Folder, Version

# Changed when archives of the same files get other bytes.
LAYOUT = b"2"
# The kernel's PATH_MAX: a longer path could not be unpacked.
MAX_PATH_BYTES = 4096
# Each takes about 1 KB while its archive is sent.
MAX_FILES = 200_000


class SnapshotFile(NamedTuple):
    """A file, or a folder, whose path ends with `/` and whose version is None."""

    path: str
    size: int
    modified_s: float
    version: Version | None


class Snapshot(NamedTuple):
    """files: in the order of their paths. left_out: (path, why) of files that are not served.

    is_settled: whether every later change would show in the digest.
    """

    files: list[SnapshotFile]
    left_out: list[tuple[str, str]]
    is_settled: bool

    def digest(self) -> str:
        """Return 32 hexadecimal digits that differ after every change."""
        content = hashlib.blake2b(LAYOUT, digest_size=16)
        for file in self.files:
            version = tuple(file.version or [file.modified_s])
            content.update(f"{file.path}\0{version}\0".encode())
        content.update(repr(self.left_out).encode())
        return content.hexdigest()


def take_snapshot(folder: Folder) -> Snapshot:
    """Return the served files of folder. May wait for a disk. Raises TooManyFiles, as entries."""
    files: list[SnapshotFile] = []
    left_out: list[tuple[str, str]] = []
    ahead = [""]
    while ahead:
        above = ahead.pop()
        try:
            found = list(folder.look(above, only_readable=True))
        except FolderError as error:
            if not above:
                raise
            left_out.append((f"{above}/", str(error)))
            continue
        for name, entry in found:
            path = f"{above}/{name}" if above else name
            if entry is None:
                left_out.append((path, "not a file that is served"))
            elif len(path.encode()) > MAX_PATH_BYTES:
                left_out.append((path, "its path is too long"))
            elif entry.is_link and entry.is_folder:
                left_out.append((path, "a link to a folder"))
            elif entry.is_folder:
                files.append(SnapshotFile(f"{path}/", 0, entry.modified_s, None))
                ahead.append(path)
            else:
                files.append(SnapshotFile(path, entry.size, entry.modified_s, entry.version))
        if len(files) + len(left_out) > MAX_FILES:
            raise TooManyFiles(f"more than {MAX_FILES} files are in it: take folders below it")
    files.sort()
    now_s = time.time()
    is_settled = all(file.version is None or file.version.is_settled(now_s) for file in files)
    return Snapshot(files, sorted(left_out), is_settled)
