"""Bytes of incomplete input, which wait for the rest: limited in all, and shared fairly.

Half messages, half events and bodies that are still on their way cost memory and are not usable
yet. One quota key may have as much of the room as stays free for the others, so each new quota key
finds some, whatever the others hold. Everything is called on the green threads of one process. Way
in: Unfinished.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable

from sockets.engineio.errors import Refused

# 64 messages of the longest kind; one quota key alone may have half of this.
MOST_BYTES = 64 * 1024 * 1024
RETRY_AFTER = {"Retry-After": "5"}
TOO_MUCH = "too_much_unfinished"


class Unfinished:
    """most: bytes in all."""

    def __init__(self, most: int = MOST_BYTES) -> None:
        self._most = most
        self._sizes: dict[Hashable, tuple[str, int]] = {}
        self._of_quota_keys: Counter[str] = Counter()
        self.total = 0

    def keep(self, what: Hashable, quota_key: str, size: int) -> None:
        """Count what as size bytes of quota_key. If it raises Refused, what is forgotten."""
        self.forget(what)
        if self._of_quota_keys[quota_key] + size > self._most - self.total - size:
            self._clear(quota_key)
            text = "too much is unfinished: send whole messages, or retry later"
            raise Refused(429, TOO_MUCH, text, RETRY_AFTER)
        self._sizes[what] = quota_key, size
        self._of_quota_keys[quota_key] += size
        self.total += size

    def forget(self, what: Hashable) -> None:
        """Stop counting it; a second call does nothing."""
        quota_key, size = self._sizes.pop(what, ("", 0))
        self._of_quota_keys[quota_key] -= size
        self.total -= size
        self._clear(quota_key)

    def _clear(self, quota_key: str) -> None:
        if not self._of_quota_keys[quota_key]:
            del self._of_quota_keys[quota_key]
