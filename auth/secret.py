"""The key that signs sessions and links: made at the first start, readable by this user only."""

from __future__ import annotations

import secrets
from pathlib import Path

from state.whole_file import write_whole

KEY_BYTES = 32


class SecretUnusable(Exception):
    """There is no key, or it may not be used."""


def read_secret(path: Path) -> bytes:
    """Return the key in the file at path, made if there is none. Raises SecretUnusable."""
    try:
        if not path.exists():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_whole(path, secrets.token_bytes(KEY_BYTES), mode=0o600)
        key = path.read_bytes()
        mode = path.stat().st_mode
    except OSError as error:
        raise SecretUnusable(f"{path} cannot be read or made: {error.strerror}") from error
    if len(key) < KEY_BYTES:
        raise SecretUnusable(f"{path} is too short for a key; remove it, and a new one is made")
    if mode & 0o077:
        raise SecretUnusable(f"{path} can be read by others: chmod 600 it")
    return key
