"""The scopes that each route requires: the whole table, in one place.

A route that is not here requires `admin`; tests/system/test_access.py has a row for each. If a
route shows more than the address names (a list, an export's id), the view narrows it. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from auth.access import ADMIN, METRICS, Scope

# Monitoring requests these routes: other clients at its address must not make the server look dead.
PROBES = ("health.alive", "health.ready")

Args = Mapping[str, Any]
Required = tuple[Scope, ...]

ADMIN_ONLY = (Scope(ADMIN),)
# Any valid credential, whatever its scopes.
SIGNED_IN: Required = ()
# No credential is needed.
PUBLIC = None


def _read(key: str) -> Callable[[Args], Required]:
    return lambda args: (Scope("read", str(args[key])),)


def subscribe_to(topics: str) -> Required:
    """Return the scopes for following topics and patterns, which are joined by commas."""
    return tuple(Scope("subscribe", topic) for topic in topics.split(","))


def publish_to(topic: str) -> Required:
    return (Scope("publish", topic),)


_REQUIRED: dict[str, Callable[[Args], Required] | Required | None] = {
    "static": PUBLIC,
    "home.icon": PUBLIC,
    "health.alive": PUBLIC,
    "health.ready": PUBLIC,
    "health.metrics": (Scope(METRICS),),
    "openapi.document": PUBLIC,
    "openapi.page": PUBLIC,
    "login.form": PUBLIC,
    "login.log_in": PUBLIC,
    "login.log_out": PUBLIC,
    "links.make": SIGNED_IN,
    "home.home": SIGNED_IN,
    "original.download": (Scope("read", "users"),),
    "original.download_async": (Scope("read", "users"),),
    "sources.show_all": SIGNED_IN,
    "sources.show": _read("name"),
    "report.show": _read("name"),
    "exports.download": lambda args: (Scope("read", args["file"].partition(".")[0]),),
    "exports.prepare": SIGNED_IN,
    "exports.show_all": SIGNED_IN,
    "exports.show": SIGNED_IN,
    "exports.file": SIGNED_IN,
    "exports.cancel": SIGNED_IN,
    "files.show_all": SIGNED_IN,
    "files.show": _read("name"),
    "archives.zip_of": _read("name"),
    "logs.show_all": SIGNED_IN,
    "logs.show": lambda args: subscribe_to(f"logs/{args['name']}"),
    "events.show_all": SIGNED_IN,
    "events.follow": lambda args: subscribe_to(args["names"]),
    "events.readers": lambda args: subscribe_to(args["topic"]),
    "events.publish": lambda args: publish_to(args["topic"]),
    "feeds.events": lambda args: subscribe_to(args["names"]),
    "feeds.live": SIGNED_IN,
    "feeds.broadcast": publish_to("broadcast"),
}  # fmt: skip


def required_scopes(endpoint: str, args: Args) -> Required | None:
    """Return the scopes that the route requires, None for no credential. args: of its address."""
    required = _REQUIRED.get(endpoint, ADMIN_ONLY)
    return required(args) if callable(required) else required
