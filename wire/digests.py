"""Digest fields: the sha256 of a representation in HTTP, and whether a client asks for it.

Pure: computes no digest. Only sha-256 is offered. Way in: repr_digest, wants_sha256. Source:
RFC 9530, 3 and 4; RFC 8941, 3.2.
"""

from __future__ import annotations

import base64
import re

# All eight registered algorithms with their preferences have 80 characters.
MAX_WANT_CHARS = 256

_SHA256_HEX = re.compile(r"[0-9a-fA-F]{64}")

# A dictionary member with a preference from 0 to 10; RFC 9530 has no other.
_PREFERENCE = re.compile(r"(?P<algorithm>[a-z*][a-z0-9_.*-]{0,63})=(?P<preference>[0-9]|10)")


def repr_digest(sha256_hex: str) -> str:
    """Return the Repr-Digest value for a sha256 of 64 hexadecimal digits. Raises ValueError."""
    if not _SHA256_HEX.fullmatch(sha256_hex):
        raise ValueError("a sha256 is 64 hexadecimal digits")
    return f"sha-256=:{base64.b64encode(bytes.fromhex(sha256_hex)).decode('ascii')}:"


def wants_sha256(header: str | None) -> bool | None:
    """Return whether a Want-Repr-Digest header asks for sha-256 (True) or refuses it (False).

    header: the raw field value, None when absent. Returns None where it does not say, is malformed
    (RFC 8941 4.2: the whole field is ignored) or is longer than MAX_WANT_CHARS.
    """
    if header is None or len(header) > MAX_WANT_CHARS:
        return None
    preferences: dict[str, int] = {}
    for member in header.split(","):
        match = _PREFERENCE.fullmatch(member.strip(" \t"))
        if match is None:
            return None
        # RFC 8941 4.2.2: of a repeated key the last counts.
        preferences[match["algorithm"]] = int(match["preference"])
    preference = preferences.get("sha-256")
    return None if preference is None else preference > 0
