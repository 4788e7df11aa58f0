"""The address by which a client is counted: one customer of a provider has many of IPv6.

Pure. Way in: counted_address. Source: RFC 6177 (a site gets a /64 at least), RFC 4291, 2.5.5.2
(IPv4 in IPv6), RFC 6052, 2.1 (IPv4 behind a translator).
"""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache

# The size of the cache: each request of a client has the same address.
MAX_KNOWN = 1024

# Some proxies add the port, which is another one for each connection.
_WITH_PORT = re.compile(r"\[([^]]*)\](?::[0-9]+)?|([0-9.]+):[0-9]+")

_HOST_BITS = 64
_TRANSLATED = ipaddress.IPv6Network("64:ff9b::/96")


@lru_cache(MAX_KNOWN)
def counted_address(text: str) -> str:
    """Return an IPv4 address unchanged, an IPv6 address as its /64, other text unchanged.

    An IPv4 address that is written as IPv6 is returned as IPv4. `::1` is one machine.
    """
    found = _WITH_PORT.fullmatch(text)
    try:
        address = ipaddress.ip_address(found[1] or found[2] if found else text)
    except ValueError:
        return text
    if isinstance(address, ipaddress.IPv4Address) or address.is_loopback:
        return str(address)
    number = int(address)
    if address.ipv4_mapped or address in _TRANSLATED:
        return str(ipaddress.IPv4Address(number & 0xFFFFFFFF))
    return f"{ipaddress.IPv6Address(number >> _HOST_BITS << _HOST_BITS)}/{_HOST_BITS}"
