"""What one must be allowed to, for each route: the whole table, in one place.

A route that is not here needs `admin`; tests/system/test_access.py has a row for each. What a route
shows of more than it names (a list, an export's id) is narrowed where it is shown. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from auth.access import ADMIN, METRICS, Need

# Asked by who watches over the server: others at the same address must not make it look dead.
PROBES = ("health.alive", "health.ready")

Args = Mapping[str, Any]
Needs = tuple[Need, ...]

ADMIN_ONLY = (Need(ADMIN),)
# Any good credential, whatever it is for.
SIGNED_IN: Needs = ()
# No credential is needed.
PUBLIC = None


def _read(key: str) -> Callable[[Args], Needs]:
    return lambda args: (Need("read", str(args[key])),)


def subscribe_to(topics: str) -> Needs:
    """Return the needs of who follows a list of topics and patterns, joined by commas."""
    return tuple(Need("subscribe", topic) for topic in topics.split(","))


def publish_to(topic: str) -> Needs:
    return (Need("publish", topic),)


_NEEDS: dict[str, Callable[[Args], Needs] | Needs | None] = {
    "static": PUBLIC,
    "home.icon": PUBLIC,
    "health.alive": PUBLIC,
    "health.ready": PUBLIC,
    "health.metrics": (Need(METRICS),),
    "openapi.document": PUBLIC,
    "openapi.page": PUBLIC,
    "login.form": PUBLIC,
    "login.log_in": PUBLIC,
    "login.log_out": PUBLIC,
    "links.make": SIGNED_IN,
    "home.home": SIGNED_IN,
    "textbook.download": (Need("read", "users"),),
    "textbook.download_async": (Need("read", "users"),),
    "sources.show_all": SIGNED_IN,
    "sources.show": _read("name"),
    "report.show": _read("name"),
    "exports.download": lambda args: (Need("read", args["file"].partition(".")[0]),),
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


def needs_of(endpoint: str, args: Args) -> Needs | None:
    """Return what the route needs, None for nothing at all. args: of its address."""
    needs = _NEEDS.get(endpoint, ADMIN_ONLY)
    return needs(args) if callable(needs) else needs
