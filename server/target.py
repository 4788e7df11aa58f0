"""The target of a request: the host that the client named, and the path below the mount.

Both are put into the environ. Way in: take_host, take_mount. Source: RFC 9112, 3.2.
"""

from __future__ import annotations

from typing import Any

from wire.hosts import parse_host, split_target


def take_host(environ: dict[str, Any]) -> str | None:
    """Put the requested host into environ; return what is wrong with it, None if nothing.

    A target in absolute form names the host, whatever Host says; it is changed to origin form.
    HTTP/1.0 has no Host. RFC 9112, 3.2 and 3.2.2.
    """
    host, target = environ.get("HTTP_HOST"), environ["RAW_URI"]
    if host is None and environ["SERVER_PROTOCOL"] != "HTTP/1.0":
        return "a request of HTTP/1.1 has a Host"
    if host is not None and parse_host(host) is None:
        return f"Host is a name or an address, and a port if need be, not {host[:100]!a}"
    if environ["REQUEST_METHOD"] == "CONNECT":
        return None
    parts = split_target(target)
    if parts is None:
        return f"a request's target is a path, or an address of http, not {target[:100]!a}"
    if parts.authority is not None:
        if parse_host(parts.authority) is None:
            return f"the request's target has no host: {target[:100]!a}"
        environ["HTTP_HOST"], environ["RAW_URI"] = parts
    return None


def take_mount(environ: dict[str, Any], mount: str) -> bool:
    """Put the path below the mount into environ; return whether there is one."""
    path = environ["PATH_INFO"]
    if mount and path != mount and not path.startswith(f"{mount}/"):
        return False
    environ["SCRIPT_NAME"], environ["PATH_INFO"] = mount, path.removeprefix(mount)
    return True
