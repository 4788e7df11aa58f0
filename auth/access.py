"""What a principal may do: scopes, and the one decision about them.

Pure: knows no HTTP, no sockets, no files. HTTP, SSE, WebSocket and Socket.IO all call `require`
with the required scopes. Way in: require.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

ACTIONS = ("read", "subscribe", "publish")
ADMIN = "admin"
METRICS = "metrics"
# Scopes without a name.
BARE = (ADMIN, METRICS)

# The name in a scope: a source, a folder or a topic; with a * at its end, all names with this
# prefix.
_PATTERN = re.compile(r"[A-Za-z0-9_.~/-]{0,200}\*|[A-Za-z0-9_.~/-]{1,200}")
_RIGHT = (
    "read:<source>, subscribe:<topic>, publish:<topic>, each also with * at its end, "
    "metrics, or admin"
)


class AccessError(Exception):
    """A client is refused for its identity or its quota, not for an error in the request.

    AccessError
    +-- Unauthorized     no credential, but one is required
    |   +-- BadCredential    a token, session or link that is invalid, expired or not the only one
    +-- Forbidden        the principal is known, and may not do this
    |   +-- CrossOrigin      a page of another site sends the request
    |   +-- BadForm          a form that was not filled in on a page of this server
    |   +-- LinkSpent        a link that has expired, is used up or is for another address
    +-- TooMany          more than a client may have at once or in a minute
    """


class Unauthorized(AccessError):
    """The request has no credential, but one is required."""


class BadCredential(Unauthorized):
    """The credential is not one of this server, or is no longer valid."""


class Forbidden(AccessError):
    """The principal is known, and may not do this."""


class CrossOrigin(Forbidden):
    """A page of a site that is not allowed sends a request on behalf of its visitor."""


class BadForm(Forbidden):
    """A form of a browser session without the mark of the page it was sent from."""


class LinkSpent(Forbidden):
    """A signed link that is genuine but does not open this address, or no longer does."""


class TooMany(AccessError):
    """A limit of one principal or address. code: one word; retry_after_s: when to retry."""

    def __init__(self, code: str, message: str, retry_after_s: int) -> None:
        super().__init__(message)
        self.code = code
        self.retry_after_s = retry_after_s


class Scope(NamedTuple):
    """A required scope: an action on a name; the name of a `subscribe` may end with *."""

    action: str
    name: str = ""

    def __str__(self) -> str:
        return f"{self.action}:{self.name}" if self.name else self.action


@dataclass(frozen=True)
class Principal:
    """A client that is known. attributes: bound by `where` of a source. token: its id, or ""."""

    name: str
    scopes: tuple[str, ...]
    attributes: Mapping[str, str] = field(default_factory=dict)
    token: str = ""


# Every client, if no token was ever made.
ANYONE = Principal("anyone", (ADMIN,))


def check_scope(text: str) -> str:
    """Return text if it is a scope. Raises ValueError, which lists the valid scopes."""
    action, _, pattern = text.partition(":")
    if text not in BARE and not (action in ACTIONS and _PATTERN.fullmatch(pattern)):
        raise ValueError(f"{text[:100]!a} is no scope; there are {_RIGHT}")
    return text


def may(principal: Principal, scope: Scope) -> bool:
    """Does a scope of the principal cover this one? A pattern only by one that is as wide."""
    return any(_covers(held, scope) for held in principal.scopes)


def require(
    principal: Principal | None,
    required: Iterable[Scope] = (),
    grants: Callable[[Principal, Scope], bool] = lambda principal, scope: False,
) -> Principal:
    """Return the principal if it has all required scopes. Raises Unauthorized, Forbidden.

    grants: tells whether a missing scope comes with something else that the principal has.
    """
    if principal is None:
        raise Unauthorized("say who you are: a token in `Authorization: Bearer`, or /login")
    for scope in required:
        if not may(principal, scope) and not grants(principal, scope):
            raise Forbidden(f"the token of {principal.name} does not have the scope {scope}")
    return principal


def _covers(held: str, scope: Scope) -> bool:
    if held == ADMIN:
        return True
    action, _, pattern = held.partition(":")
    if action != scope.action:
        return False
    if pattern.endswith("*"):
        return scope.name.removesuffix("*").startswith(pattern[:-1])
    return scope.name == pattern
