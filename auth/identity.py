"""What one request has shown of its client. A value; way in: RequestIdentity."""

from __future__ import annotations

from collections.abc import Mapping
from sys import intern
from typing import Any, NamedTuple

from auth.access import ANYONE, Principal
from auth.links import Link
from wire.addresses import counted_address

# The address of a client of a Unix socket.
LOCAL = "local"


class RequestIdentity(NamedTuple):
    """Which client asks, and by what it is known.

    quota_key: what it is counted under, a principal's name or an address. principal: None without a
    credential. session: the id of the browser's session whose cookie says it, which goes along with
    whatever a browser asks. link: that opens the address. ends_s: unix seconds, when what it opens
    is over; None for never.
    """

    quota_key: str
    principal: Principal | None
    session: str | None = None
    link: Link | None = None
    ends_s: float | None = None


def identity_of(
    environ: Mapping[str, Any],
    principal: Principal | None,
    session: str | None = None,
    link: Link | None = None,
) -> RequestIdentity:
    """Return the identity of a request; without a name it is counted under its address."""
    if principal is None or principal is ANYONE:
        return RequestIdentity(key_of_address(address_of(environ)), principal, session, link)
    return RequestIdentity(principal.name, principal, session, link)


def key_of_address(address: str) -> str:
    """Return the quota key of what comes from an address without a credential."""
    # One object for all connections of an address, which keep it.
    return intern(f"address {address}")


def address_of(environ: Mapping[str, Any]) -> str:
    """Return from where a request came, as it is counted."""
    return counted_address(environ.get("REMOTE_ADDR") or LOCAL)
