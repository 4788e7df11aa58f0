"""The tokens of this server, in state.db: commands write them, the server reads them.

A token is `hw_<id>_<secret>`. It is shown once, when it is made; only the SHA-256 of its 256 random
bits is stored. These cannot be guessed, so a slower hash would protect nothing. Way in: Tokens.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from auth.access import AccessError, BadCredential, Principal
from state import State, StateUnusable

# The tokens that were read last are trusted for so long after state.db became unusable: a withdrawn
# one is still among them.
UNUSABLE_S = 5.0

_TEXT = re.compile(r"hw_([0-9a-f]{12})_([A-Za-z0-9_-]{43})")
_SHA256 = re.compile(r"[0-9a-f]{64}")
# The year 10000: no date is later.
_MAX_S = 253_402_300_800


class TokensUnusable(StateUnusable, AccessError):
    """The tokens cannot be read, and those that were read last are too old."""


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
    """See the module. `find` uses what the last `refresh` read, and waits for no disk."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._by_id: dict[str, Token] = {}
        # The mark of the table when it was read last; a change by any process gives the table
        # another one.
        self._mark: object = None
        # A token was made once: since then a request without one is refused.
        self.is_needed = False
        # Why no token can be checked, None if they can.
        self.problem: str | None = None
        # When it was found that state.db is unusable; by time.monotonic().
        self._unusable_since_s: float | None = None

    def refresh(self) -> None:
        """Read the tokens if they have changed. Raises StateError; the old tokens stay then."""
        try:
            self._read()
        except StateUnusable as error:
            now_s = time.monotonic()
            self._unusable_since_s = self._unusable_since_s or now_s
            if now_s - self._unusable_since_s >= UNUSABLE_S:
                self.problem = str(error)
            raise
        self._unusable_since_s = self.problem = None

    def _read(self) -> None:
        mark = self._state.rows("select mark from token_changes")
        if mark == self._mark:
            return
        rows = self._state.rows("select * from tokens order by rowid")
        if rows and not mark:
            raise StateUnusable(f"{self._state.path} has lost the mark of changes of tokens")
        try:
            self._by_id = {row[0]: _token_of(*row) for row in rows}
        except (ValueError, TypeError, RecursionError) as error:
            raise StateUnusable(f"{self._state.path} has a token that is none: {error}") from error
        self._mark, self.is_needed = mark, self.is_needed or bool(rows)

    def all(self) -> list[Token]:
        return list(self._by_id.values())

    def find(self, text: str) -> Token:
        """Return the token of this text. Raises BadCredential, in the same time for each reason."""
        parts = _TEXT.fullmatch(text)
        token = self._by_id.get(parts[1]) if parts else None
        digest = hashlib.sha256((parts[2] if parts else "").encode()).hexdigest()
        is_right = hmac.compare_digest(digest, token.sha256 if token else "0" * 64)
        if token is None or not is_right:
            raise BadCredential("that is no token of this server")
        return self._check(token)

    def has(self, token: Token) -> bool:
        """Tell whether token, which was found before, is still stored and valid."""
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
        """Make a token and return its text, which is stored nowhere."""
        token_id, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
        sha256 = hashlib.sha256(secret.encode()).hexdigest()
        with self._state.writing() as execute:
            execute(
                "insert into tokens values (?, ?, ?, ?, ?, ?, ?, null)",
                (
                    token_id, name, sha256, json.dumps(scopes), json.dumps(attributes),
                    time.time(), expires_s,
                ),
            )  # fmt: skip
        self.refresh()
        return f"hw_{token_id}_{secret}"

    def withdraw(self, token_id: str) -> Token:
        """Make a token invalid from now on. Raises BadCredential if there is none."""
        with self._state.writing() as execute:
            # No other process changes the token until this is done.
            self.refresh()
            token = self.by_id(token_id)
            execute("update tokens set withdrawn_s = ? where id = ?", (time.time(), token_id))
        self.refresh()
        return token


def _token_of(
    token_id: str, name: str, sha256: str, scopes: str, attributes: str, made_s: float,
    expires_s: float | None, withdrawn_s: float | None,
) -> Token:  # fmt: skip
    """Raises ValueError or TypeError for what is none; SQLite keeps values of any type."""
    scopes_of, attributes_of = json.loads(scopes), json.loads(attributes)
    pairs_of = attributes_of.items() if isinstance(attributes_of, dict) else [(None,)]
    texts = [token_id, name, sha256, *scopes_of, *(text for pair in pairs_of for text in pair)]
    if not (isinstance(scopes_of, list) and all(isinstance(text, str) for text in texts)):
        raise ValueError("a name, a scope or an attribute is no text")
    if not _SHA256.fullmatch(sha256):
        raise ValueError("its digest is none")
    ends_s = [time_s for time_s in (expires_s, withdrawn_s) if time_s is not None]
    if not all(0 <= time_s < _MAX_S for time_s in (made_s, *ends_s)):
        raise ValueError("a time is none")
    return Token(
        token_id, name, sha256, tuple(scopes_of), attributes_of, made_s, expires_s, withdrawn_s
    )
