"""A file that only its owner reads, and that is there whole or as it was. Way in: write_private."""

from __future__ import annotations

import os
from pathlib import Path


def write_private(path: Path, content: bytes) -> None:
    """Put content into the file at path, with mode 0600, and have it on the disk."""
    draft = path.with_suffix(".draft")
    # The mode is for a new file only.
    draft.unlink(missing_ok=True)
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
