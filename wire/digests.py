"""Digest fields: the sha256 of a representation in HTTP.

Pure: computes no digest. Only sha-256 is offered. Way in: repr_digest. Source: RFC 9530, 3.
"""

from __future__ import annotations

import base64
import re

_SHA256_HEX = re.compile(r"[0-9a-fA-F]{64}")


def repr_digest(sha256_hex: str) -> str:
    """Return the Repr-Digest value for a sha256 of 64 hexadecimal digits. Raises ValueError."""
    if not _SHA256_HEX.fullmatch(sha256_hex):
        raise ValueError("a sha256 is 64 hexadecimal digits")
    return f"sha-256=:{base64.b64encode(bytes.fromhex(sha256_hex)).decode('ascii')}:"
