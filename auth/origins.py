"""Which pages may send requests: those of this server, and of the origins in the settings.

Browsers send the origin of the page, but need no permission to open a WebSocket or to send a form.
For resources that a page embeds (`<img>`, `<script>`, a prefetch) they leave Origin out, and send
only how the page's site is related to this one. Pure: WSGI environs. Source: RFC 6454, 7; RFC 6455,
10.2; https://www.w3.org/TR/fetch-metadata/.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Mapping
from typing import Any

from wire.hosts import parse_host


class Origins:
    """allowed: more origins, as browsers write them: `https://example.org`."""

    def __init__(self, allowed: Collection[str] = ()) -> None:
        self._allowed = allowed

    def allow(self, environ: Mapping[str, Any]) -> bool:
        """May this request be sent, if a page sends it?"""
        origin = environ.get("HTTP_ORIGIN")
        return origin in self._allowed or self.is_own(environ)

    @staticmethod
    def is_own(environ: Mapping[str, Any]) -> bool:
        """Does a page of this server send this request, or no page?"""
        origin = environ.get("HTTP_ORIGIN")
        return not _is_embedded(environ) if origin is None else origin in _own(environ)


def _is_embedded(environ: Mapping[str, Any]) -> bool:
    """Does a page of another site load a part of itself (rather than a user a page)?

    "same-site" counts as another site here: another port of this machine, a sibling below one
    domain.
    """
    if environ.get("HTTP_SEC_FETCH_SITE", "none") in ("none", "same-origin"):
        return False
    is_page = (
        environ["REQUEST_METHOD"] in ("GET", "HEAD")
        and environ.get("HTTP_SEC_FETCH_MODE") == "navigate"
        and environ.get("HTTP_SEC_FETCH_DEST") == "document"
    )
    # A page can make the browser prefetch other pages, which no user has opened yet.
    return not is_page or environ.get("HTTP_SEC_PURPOSE", "").startswith("prefetch")


def _own(environ: Mapping[str, Any]) -> set[str]:
    """Return the origin by which the client calls this server, or the proxy in front of it.

    No page can make a browser send X-Forwarded-…, so these fields can be trusted here.
    """
    schemes = [environ.get("wsgi.url_scheme", ""), environ.get("HTTP_X_FORWARDED_PROTO", "")]
    hosts = [environ.get("HTTP_HOST", ""), environ.get("HTTP_X_FORWARDED_HOST", "")]
    firsts = [[text.split(",")[0].strip() for text in texts] for texts in (schemes, hosts)]
    return {f"{scheme}://{host}" for scheme in firsts[0] for host in firsts[1] if scheme and host}


def is_loopback_host(environ: Mapping[str, Any]) -> bool:
    """Does the client call this server by a name that means this machine only?"""
    return is_loopback(parse_host(environ.get("HTTP_HOST", "localhost")) or "")


def is_loopback(host: str) -> bool:
    """Is it a name or an address that only reaches this machine itself?"""
    if host.lower().rstrip(".") == "localhost" or host.lower().endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
