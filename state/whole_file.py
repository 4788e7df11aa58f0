"""A file that is there whole: as it was, or as it is to be. Way in: write_whole, replacing."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def write_whole(path: Path, content: bytes, *, mode: int = 0o666) -> None:
    """Put content into the file at path, on the disk. mode: less the umask. Raises OSError."""
    with replacing(path) as draft, open(os.open(draft, _NEW, mode), "wb") as file:
        file.write(content)


_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield the path of a draft, which the caller makes: it is put in path's place, on the disk.

    When the block raises, path stays as it was. Raises OSError.
    """
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}.new")
    try:
        yield draft
        # A power cut must not leave the name without the content.
        sync(draft)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    sync(path.parent)


def sync(path: Path) -> None:
    """Have a file, or the names in a folder, on the disk. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
