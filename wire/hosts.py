"""Host fields and request targets: the name by which a client addresses this server.

Pure: text in, text or None out; no sockets, no name service. Names are those of DNS and of hosts
files: RFC 3986 also allows percent-encoding, commas and other signs, which no client sends and
which proxies may read differently.
Way in: parse_host, split_target. Source: RFC 9112, 3.2 and 3.2.2; RFC 9110, 4.2 and 7.2.
"""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache
from typing import NamedTuple

# The longest name that DNS has.
MAX_NAME_CHARS = 255
MAX_PORT = 65535

_HOST = re.compile(
    rf"(?:(?P<name>[A-Za-z0-9._~-]{{1,{MAX_NAME_CHARS}}})|\[(?P<ipv6>[0-9A-Fa-f:.]{{2,45}})\])"
    r"(?::0*(?P<port>[0-9]{0,5}))?"
)
_ABSOLUTE = re.compile(r"https?://(?P<authority>[^/?#]*)(?P<rest>.*)", re.IGNORECASE)


class RequestTarget(NamedTuple):
    """A request target. authority: only in absolute form, not checked. origin: path and query."""

    authority: str | None
    origin: str


@lru_cache(64)
def parse_host(text: str) -> str | None:
    """Return the host of `host` or `host:port` without brackets; None for other text.

    None for an empty host, too: RFC 9110, 4.2.1.
    """
    match = _HOST.fullmatch(text)
    if match is None or int(match["port"] or 0) > MAX_PORT:
        return None
    if match["ipv6"] is None:
        return match["name"]
    try:
        return str(ipaddress.IPv6Address(match["ipv6"]))
    except ValueError:
        return None


def split_target(target: str) -> RequestTarget | None:
    """Return the parts of a target in origin form, in absolute form, or `*`; None for others."""
    if target.startswith("/") or target == "*":
        return RequestTarget(None, target)
    match = _ABSOLUTE.fullmatch(target)
    if match is None:
        return None
    rest = match["rest"]
    return RequestTarget(match["authority"], rest if rest.startswith("/") else f"/{rest}")
