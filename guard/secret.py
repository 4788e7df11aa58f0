"""The key that signs sessions and links: made on the first start, readable by us only."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

KEY_BYTES = 32


class SecretUnusable(Exception):
    """There is no key, or none that may be used."""


def read_secret(path: Path) -> bytes:
    """Return the key in the file at path, made if there is none. Raises SecretUnusable."""
    try:
        if not path.exists():
            _make(path)
        key = path.read_bytes()
        mode = path.stat().st_mode
    except OSError as error:
        raise SecretUnusable(f"{path} cannot be read or made: {error.strerror}") from error
    if len(key) < KEY_BYTES:
        raise SecretUnusable(f"{path} is too short for a key; remove it, and a new one is made")
    if mode & 0o077:
        raise SecretUnusable(f"{path} can be read by others: chmod 600 it")
    return key


def _make(path: Path) -> None:
    """Make a new key: the file is there whole, or not at all."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_suffix(".draft")
    draft.unlink(missing_ok=True)
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(secrets.token_bytes(KEY_BYTES))
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
