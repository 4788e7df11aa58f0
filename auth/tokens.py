"""The tokens of this server, in one file that commands write and the server reads.

A token is `hw_<id>_<secret>`. It is shown once, when it is made; of its 256 random bits only the
SHA-256 is kept: there is nothing to guess that a slower hash would protect. Way in: Tokens.
"""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import json
import re
import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path

from auth.access import BadCredential, Principal
from auth.private_file import write_private

_TEXT = re.compile(r"hw_([0-9a-f]{12})_([A-Za-z0-9_-]{43})")


class TokensUnreadable(Exception):
    """The file of tokens is there and cannot be understood; nobody can be told from anybody."""


@dataclass(frozen=True)
class Token:
    """One token without its secret; times are unix seconds."""

    id: str
    name: str
    sha256: str
    scopes: tuple[str, ...]
    attributes: Mapping[str, str]
    made_s: float
    expires_s: float | None = None
    withdrawn_s: float | None = None

    def is_good(self) -> bool:
        return self.withdrawn_s is None and (self.expires_s is None or time.time() < self.expires_s)

    def principal(self) -> Principal:
        return self._principal

    @cached_property
    def _principal(self) -> Principal:
        return Principal(self.name, self.scopes, self.attributes, self.id)


class Tokens:
    """See the module. Reading is of what the last `refresh` found."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._by_id: dict[str, Token] = {}
        self._version: tuple[int, int, int] | None = None
        # There was a token once: from then on nobody comes in without one.
        self.is_needed = False

    def refresh(self) -> None:
        """Read the file if it has changed. Raises TokensUnreadable, and keeps what it had."""
        try:
            found = self._path.stat()
        except FileNotFoundError:
            self._by_id, self._version = {}, None
            return
        version = found.st_ino, found.st_size, found.st_mtime_ns
        if version != self._version:
            self._by_id = self._read()
            self._version, self.is_needed = version, True

    def all(self) -> list[Token]:
        return list(self._by_id.values())

    def find(self, text: str) -> Token:
        """Return the token that text is. Raises BadCredential, in the same time for each reason."""
        parts = _TEXT.fullmatch(text)
        token = self._by_id.get(parts[1]) if parts else None
        digest = hashlib.sha256((parts[2] if parts else "").encode()).hexdigest()
        is_right = hmac.compare_digest(digest, token.sha256 if token else "0" * 64)
        if token is None or not is_right:
            raise BadCredential("that is no token of this server")
        return self._check(token)

    def has(self, token: Token) -> bool:
        """Tell whether token, that was found before, is still one of these, and good."""
        return self._by_id.get(token.id) is token and token.is_good()

    def by_id(self, token_id: str) -> Token:
        """Return the token with this id. Raises BadCredential."""
        token = self._by_id.get(token_id)
        if token is None:
            raise BadCredential("that is no token of this server")
        return self._check(token)

    @staticmethod
    def _check(token: Token) -> Token:
        if not token.is_good():
            why = "has expired" if token.withdrawn_s is None else "was withdrawn"
            raise BadCredential(f"the token {token.id} {why}")
        return token

    # For commands.

    def add(
        self,
        name: str,
        scopes: Sequence[str],
        attributes: Mapping[str, str],
        expires_s: float | None = None,
    ) -> str:
        """Make a token and return its text, which is kept nowhere."""
        token_id, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
        sha256 = hashlib.sha256(secret.encode()).hexdigest()
        token = Token(
            token_id, name, sha256, tuple(scopes), dict(attributes), time.time(), expires_s
        )
        with self._changing():
            self._by_id[token_id] = token
        return f"hw_{token_id}_{secret}"

    def withdraw(self, token_id: str) -> Token:
        """Make a token useless from now on. Raises BadCredential when there is none."""
        with self._changing():
            token = self.by_id(token_id)
            self._by_id[token_id] = replace(token, withdrawn_s=time.time())
        return token

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """Hold off other commands, read, let the caller change, and write."""
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with open(self._path.with_suffix(".lock"), "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self.refresh()
            yield
            self._write()

    def _read(self) -> dict[str, Token]:
        try:
            entries = json.loads(self._path.read_bytes())
            tokens = [Token(**{**e, "scopes": tuple(e["scopes"])}) for e in entries]
            by_id = {token.id: token for token in tokens}
            if not all(isinstance(text, str) for each in tokens for text in (each.id, each.sha256)):
                raise ValueError("an id or a digest is no text")
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise TokensUnreadable(f"{self._path} cannot be read: {error}") from error
        return by_id

    def _write(self) -> None:
        entries = [asdict(token) for token in self._by_id.values()]
        write_private(self._path, json.dumps(entries, indent=1).encode())
