"""The identity of one request's client. A value; way in: RequestIdentity."""

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
    """The client of a request, and its credential.

    quota_key: a principal's name or an address, under which the request is counted. principal: None
    without a credential. session: the id of the browser's session, if its cookie is the credential;
    browsers send it with every request. link: the link that opens the address. ends_s: unix
    seconds, when the access ends; None for never.
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
    """Return the identity of a request; without a principal it is counted under its address."""
    if principal is None or principal is ANYONE:
        return RequestIdentity(key_of_address(address_of(environ)), principal, session, link)
    return RequestIdentity(principal.name, principal, session, link)


def key_of_address(address: str) -> str:
    """Return the quota key of requests that come from an address without a credential."""
    # All connections of an address keep this one object.
    return intern(f"address {address}")


def address_of(environ: Mapping[str, Any]) -> str:
    """Return the address of a request, as it is counted."""
    return counted_address(environ.get("REMOTE_ADDR") or LOCAL)
