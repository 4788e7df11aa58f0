"""Signed links: one address that any client may open, on behalf of the token that made the link.

The signature covers the address as it is written: on another address the link is invalid. The link
is `link` in the query. Way in: Links.sign, Links.read, Links.use, Links.check. Signed by
itsdangerous.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from itsdangerous import BadSignature, URLSafeSerializer

from auth.access import BadCredential, LinkSpent
from auth.ended_sessions import KEPT_S
from state import State, StateBusy, deadline, left_s
from wire.since import After, Age, All, Since, parse_since

PARAMETER = "link"
SALT = "headwater signed link of"
# A year: tokens serve longer times.
MAX_S = 366 * 86_400
MAX_USES = 10_000

_USES = "select uses from link_uses where id = ?"


class Link(NamedTuple):
    """The content of a link. uses: 0 for any number. made_s: unix seconds."""

    id: str
    token: str
    expires_s: int
    uses: int
    made_s: float = 0.0


class Links:
    """state: counts the uses of links with a limited number of uses.

    run_native: runs functions that wait for the disk.
    """

    def __init__(
        self,
        key: bytes,
        state: State,
        run_native: Callable[[Callable[[], None]], None] = lambda work: work(),
    ) -> None:
        self._key = key
        self._state = state
        self._run_native = run_native
        # Each count waits for the disk; all run on one native thread.
        self._counting = threading.Lock()

    def sign(self, address: str, token: str, expires_s: int, uses: int) -> tuple[str, Link]:
        """Return address with its link, and the link. address: path and query, without a link."""
        link = Link(secrets.token_hex(8), token, expires_s, uses, round(time.time(), 3))
        signed = str(self._signer(address).dumps(link))
        separator = "&" if "?" in address else "?"
        return f"{address}{separator}{PARAMETER}={signed}", link

    def read(self, text: str, address: str) -> Link:
        """Return the link that text encodes, for this address. Raises BadCredential, LinkSpent."""
        try:
            link = Link(*self._signer(address).loads(text))
        except (BadSignature, TypeError) as error:
            raise BadCredential("that is no link of this server for this address") from error
        if time.time() >= link.expires_s:
            raise LinkSpent("the link has expired")
        return link

    def use(self, link: Link) -> None:
        """Count a use. Raises LinkSpent if the link is used up, StateError."""
        if link.uses:
            ends_s = deadline()
            if not self._counting.acquire(timeout=left_s(ends_s)):
                raise StateBusy("uses of links cannot be counted at the moment: try again")
            try:
                self._run_native(partial(self._count, link, ends_s))
            finally:
                self._counting.release()

    def _count(self, link: Link, ends_s: float) -> None:
        with self._state.writing(ends_s=ends_s) as execute:
            self._check_left(link, execute(_USES, (link.id,)))
            execute("delete from link_uses where expires_s < ?", (time.time() - KEPT_S,))
            execute(
                "insert into link_uses values (?, ?, 1) on conflict (id) do update"
                " set uses = uses + 1",
                (link.id, link.expires_s),
            )

    def check(self, link: Link) -> None:
        """Check a link and count no use. Raises LinkSpent if it is used up."""
        if link.uses:
            self._run_native(partial(self._look, link))

    def _look(self, link: Link) -> None:
        self._check_left(link, self._state.rows(_USES, (link.id,)))

    @staticmethod
    def _check_left(link: Link, found: list[tuple[int]]) -> None:
        if found and found[0][0] >= link.uses:
            raise LinkSpent("the link is used up")

    def _signer(self, address: str) -> URLSafeSerializer:
        return URLSafeSerializer(self._key, salt=f"{SALT} {address}")


def split_link(query: str) -> tuple[str, str | None]:
    """Return a query without its links, and their text; None if there is none.

    Several links in one query are invalid, even if each one is valid.
    """
    words = query.split("&")
    links = [word for word in words if word.startswith(f"{PARAMETER}=")]
    rest = "&".join(word for word in words if word not in links)
    return rest, "&".join(links).removeprefix(f"{PARAMETER}=") if links else None


def since_of(link: Link | None, told: str | None, asked: str | None) -> tuple[Since, float]:
    """Return where a feed begins, and the unix time before which it sends no event, 0 for none.

    told: its Last-Event-ID. asked: `since` of its address. A feed that a link opens continues from
    a cursor, and sends only events of its address since the link was made. Raises MalformedCursor,
    LinkSpent.
    """
    if link is None or not told:
        return parse_since(told or asked), 0.0
    since, bound = parse_since(told), parse_since(asked)
    if not isinstance(since, After):
        raise LinkSpent("the link is for its address alone: Last-Event-ID is a cursor here")
    if isinstance(bound, After):
        return max(since, bound, key=lambda each: each.text), 0.0
    if isinstance(bound, All):
        return since, 0.0
    return since, link.made_s - (bound.seconds if isinstance(bound, Age) else 0)
